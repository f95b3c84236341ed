//! Writes the table as Rust source, checked in as `src/kafka/table.rs`.

use std::fmt::Write;

use crate::{
    meanings,
    schema::{Field, Message, Range},
};

/// The table of requests and of the responses to them, or everything that is wrong with them.
pub(crate) fn write(release: &str, requests: &[Message], responses: &[Message]) -> Result<String, Vec<String>> {
    let mut wrong = meanings::unused(meanings::REQUESTS, requests);
    wrong.extend(meanings::unused(meanings::READ_RESPONSES, responses));
    let mut out = format!(
        "//! Every request that a broker takes from clients and other brokers, with its response. Generated from the schema of\n\
         //! Apache Kafka {release} by `tests/kafka_fields`, which also defines the meanings. Do not edit by hand.\n\n\
         use super::layout::{{\n    FieldKind::{{Bool, Bytes, Float64, Int8, Int16, Int32, Int64, String, Uint16, Uuid}},\n    \
         FieldMeaning::*,\n    Layout, group, groups, list, one,\n}};\n"
    );
    let (of_request, of_response): (Meaning, Meaning) = (meanings::of_request, meanings::of_response);
    for (name, about, messages, meaning) in [
        ("REQUESTS", "Requests, in the order of their numbers.", requests, of_request),
        ("RESPONSES", "Responses, in the order of their numbers.", responses, of_response),
    ] {
        let mut writer = Writer { out: &mut out, meaning, key: 0, wrong: &mut wrong };
        writer.messages(name, about, messages);
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

/// What a field means.
type Meaning = fn(i16, &Field) -> Result<&'static str, String>;

struct Writer<'w> {
    out: &'w mut String,
    meaning: Meaning,
    key: i16,
    wrong: &'w mut Vec<String>,
}

impl Writer<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        writeln!(self.out, "{:1$}{text}", "", depth * 4).expect("a text takes all");
    }

    fn messages(&mut self, name: &str, about: &str, messages: &[Message]) {
        self.line(0, "");
        self.line(0, &format!("/// {about}"));
        self.line(0, "#[rustfmt::skip]");
        self.line(0, &format!("pub(super) static {name}: &[Layout] = &["));
        for message in messages {
            self.key = message.key;
            let Range { first, last } = message.versions;
            self.line(1, &format!("// {}", message.name));
            self.line(1, &format!("Layout::of({}, {first}, {last}, &[", message.key));
            self.fields(2, message.versions, &message.fields);
            let flexible =
                message.flexible.map(|range| format!(".flexible_since({})", range.first)).unwrap_or_default();
            self.line(1, &format!("]){flexible},"));
        }
        self.line(0, "];");
    }

    /// Fields of something that is present in these versions.
    fn fields(&mut self, depth: usize, outer: Range, fields: &[Field]) {
        for field in fields {
            let name = field.path.rsplit('.').next().unwrap_or_default();
            let behind = self.behind(outer, field);
            let Some(kind) = kind(&field.kind) else {
                self.line(depth, &format!("{}(&[ // {name}", if field.list { "groups" } else { "group" }));
                self.fields(depth + 1, field.versions, &field.fields);
                self.line(depth, &format!("]){behind},"));
                continue;
            };
            self.line(depth, &format!("{}({kind}){behind}, // {name}", if field.list { "list" } else { "one" }));
        }
    }

    /// What sets a field apart from one that is always there, never null and means nothing.
    fn behind(&mut self, outer: Range, field: &Field) -> String {
        let mut behind = String::new();
        let mut say = |text: String| behind.push_str(&text);
        if field.versions.first > outer.first {
            say(format!(".since({})", field.versions.first));
        }
        if field.versions.last < outer.last {
            say(format!(".until({})", field.versions.last));
        }
        if let Some(null) = field.nullable {
            // Nothing has yet become not nullable again.
            if null.last != field.versions.last {
                self.wrong.push(format!("{} {}: nullable up to {}", self.key, field.path, null.last));
            }
            say(if null.first > field.versions.first {
                format!(".null_since({})", null.first)
            } else {
                ".null()".into()
            });
        }
        if let Some(tag) = field.tag {
            say(format!(".tag({tag})"));
        }
        match (self.meaning)(self.key, field) {
            Ok("Plain") => {}
            Ok(meaning) => say(format!(".means({meaning})")),
            Err(error) => self.wrong.push(error),
        }
        behind
    }
}

/// How a value is written; `None` for fields.
pub(crate) fn kind(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "bool" => "Bool",
        "int8" => "Int8",
        "int16" => "Int16",
        "uint16" => "Uint16",
        "int32" => "Int32",
        "int64" => "Int64",
        "float64" => "Float64",
        "uuid" => "Uuid",
        "string" => "String",
        "bytes" | "records" => "Bytes",
        other => {
            assert!(other.starts_with(|first: char| first.is_ascii_uppercase()), "nothing is known of {other}");
            return None;
        }
    })
}
