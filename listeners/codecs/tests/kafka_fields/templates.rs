//! Writes the denial templates as Rust source, checked in as `src/kafka/denial/table.rs`.

use std::{collections::BTreeSet, fmt::Write};

use crate::{
    denials::DENIALS,
    schema::{Field, Message, Range},
    table::kind,
};

/// The templates, or everything that is wrong with what is said of them.
pub(crate) fn write(release: &str, responses: &[Message]) -> Result<String, Vec<String>> {
    let mut writer = Writer { out: String::new(), said: &[], used: BTreeSet::new(), wrong: Vec::new() };
    writer.out = format!(
        "//! What a broker answers when its authorizer denies all that a request asks for. Generated from the schema of Apache\n\
         //! Kafka {release} by `tests/kafka_fields`, which also defines the values. Do not edit by hand.\n\n\
         use super::template::{{\n    RefusedName::*, Template, code, each, echo, empty, message, missing, null, \
         nulls, number, text, void,\n}};\nuse crate::kafka::layout::{{\n    FieldKind::{{Bool, Int8, Int16, Int32, Int64, \
         Uuid}},\n    FieldMeaning::*,\n}};\n\n\
         /// In the order of their numbers.\n#[rustfmt::skip]\npub(super) static TEMPLATES: &[(i16, &[Template])] = &[\n"
    );
    for (key, said) in DENIALS {
        let Some(message) = responses.iter().find(|message| message.key == *key) else {
            writer.wrong.push(format!("{key}: there is no such response"));
            continue;
        };
        writer.said = said;
        writer.used.clear();
        writer.line(1, &format!("// {}", message.name));
        writer.line(1, &format!("({key}, &["));
        writer.fields(2, message.versions, &message.fields);
        writer.line(1, "]),");
        let unused = said.iter().filter(|(path, _)| !writer.used.contains(path));
        let unused: Vec<_> = unused.map(|(path, _)| format!("{key} {path}: there is no such field")).collect();
        writer.wrong.extend(unused);
    }
    writer.line(0, "];");
    if writer.wrong.is_empty() { Ok(writer.out) } else { Err(writer.wrong) }
}

struct Writer {
    out: String,
    said: &'static [(&'static str, &'static str)],
    used: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

impl Writer {
    fn line(&mut self, depth: usize, text: &str) {
        writeln!(self.out, "{:1$}{text}", "", depth * 4).expect("a text takes all");
    }

    /// Fields of something that is present in these versions. Tagged ones go without saying.
    fn fields(&mut self, depth: usize, outer: Range, fields: &[Field]) {
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            let mut said = Vec::new();
            for (path, say) in self.said {
                let (of, versions) = path.split_once('@').unwrap_or((path, "0+"));
                if of == field.path {
                    self.used.insert(path);
                    said.extend(
                        Range::read(versions).and_then(|range| range.within(field.versions)).map(|range| (range, *say)),
                    );
                }
            }
            if said.is_empty() {
                said.push((field.versions, ""));
            }
            for (versions, say) in said {
                self.field(depth, outer, field, versions, say);
            }
        }
    }

    fn field(&mut self, depth: usize, outer: Range, field: &Field, versions: Range, say: &str) {
        let name = field.path.rsplit('.').next().unwrap_or_default();
        let behind = behind(outer, field, versions);
        if let Some(each) = say.strip_suffix(')').filter(|say| say.starts_with("each(")) {
            self.line(depth, &format!("{each}, &[ // {name}"));
            self.fields(depth + 1, versions, &field.fields);
            return self.line(depth, &format!("]){behind},"));
        }
        let said = said(field, say).unwrap_or_else(|| {
            self.wrong.push(format!("{}: {say} is no {}", field.path, field.kind));
            String::new()
        });
        self.line(depth, &format!("{said}{behind}, // {name}"));
    }
}

fn is_null(field: &Field) -> bool {
    field.default.as_deref() == Some("null")
}

/// What is said in a field that has no fields; `None` if that cannot be said there.
fn said(field: &Field, say: &str) -> Option<String> {
    let text = field.kind == "string" && !field.list;
    let kind = kind(&field.kind);
    Some(match say {
        "" | "null" | "empty" if field.list || matches!(kind, Some("Bytes")) => {
            if say == "null" || say.is_empty() && is_null(field) { "nulls()" } else { "empty()" }.to_owned()
        }
        "" if kind.is_none() => is_null(field).then(|| "missing()".to_owned())?,
        "" | "null" | "empty" if text => {
            if say == "null" || say.is_empty() && is_null(field) { "null()" } else { "void()" }.to_owned()
        }
        "" => {
            let number = match field.default.as_deref().unwrap_or("0") {
                "true" => "1",
                "false" | "False" => "0",
                number => number,
            };
            format!("number({}, {number})", kind?)
        }
        _ if say.starts_with("number(") => format!("number({}, {}", kind?, say.strip_prefix("number(")?),
        _ if say.starts_with("code(") => (field.kind == "int16").then(|| say.to_owned())?,
        _ if say.starts_with("message(") || say.starts_with("text(") => text.then(|| say.to_owned())?,
        _ if say.starts_with("echo(") => say.to_owned(),
        _ => return None,
    })
}

/// The versions that it is said in, and in which it may be null.
fn behind(outer: Range, field: &Field, versions: Range) -> String {
    let mut behind = String::new();
    if versions.first > outer.first {
        write!(behind, ".since({})", versions.first).expect("a text takes all");
    }
    if versions.last < outer.last {
        write!(behind, ".until({})", versions.last).expect("a text takes all");
    }
    if let Some(null) = field.nullable.filter(|_| field.kind == "string" && !field.list && !is_null(field)) {
        write!(behind, ".null_since({})", null.first).expect("a text takes all");
    }
    behind
}
