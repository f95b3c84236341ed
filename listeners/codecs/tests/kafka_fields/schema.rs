//! Reads Kafka's own description of its messages: JSON with comments, one file for each message
//! (`common/message/README.md` in the jar).

use std::{fs, path::Path};

use serde_json::Value;

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Range {
    /// `3`, `3-5`, `3+`; `None` for `none`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("no version: {text:?}"));
        match text.trim() {
            "none" => None,
            text => Some(match (text.strip_suffix('+'), text.split_once('-')) {
                (Some(first), _) => Self { first: number(first), last: i16::MAX },
                (None, Some((first, last))) => Self { first: number(first), last: number(last) },
                (None, None) => Self { first: number(text), last: number(text) },
            }),
        }
    }

    pub(crate) fn within(self, outer: Self) -> Option<Self> {
        let both = Self { first: self.first.max(outer.first), last: self.last.min(outer.last) };
        (both.first <= both.last).then_some(both)
    }
}

/// One field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// With the names of what it stands in, as in `Topics.Name`.
    pub(crate) path: String,
    /// Of each of its entries where it is a list.
    pub(crate) kind: String,
    pub(crate) list: bool,
    /// Among those of what it stands in.
    pub(crate) versions: Range,
    pub(crate) nullable: Option<Range>,
    pub(crate) tag: Option<u8>,
    pub(crate) entity: Option<String>,
    /// What goes without saying, where it is not zero, empty or nothing.
    pub(crate) default: Option<String>,
    /// Where it has any.
    pub(crate) fields: Vec<Field>,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) key: i16,
    pub(crate) name: String,
    pub(crate) versions: Range,
    pub(crate) flexible: Option<Range>,
    pub(crate) fields: Vec<Field>,
}

/// Keys that a field may have, so that none is overlooked that changes what is on the wire.
const KNOWN: [&str; 14] = [
    "name",
    "type",
    "versions",
    "nullableVersions",
    "tag",
    "taggedVersions",
    "entityType",
    "fields",
    "about",
    "default",
    "ignorable",
    "mapKey",
    "zeroCopy",
    "since",
];

fn without_comments(text: &str) -> String {
    let code = |line: &str| {
        // A comment begins outside of a text.
        let mut inside = false;
        let bytes = line.as_bytes();
        let comment = (0..bytes.len()).find(|at| {
            inside ^= bytes[*at] == b'"';
            !inside && bytes[*at..].starts_with(b"//")
        });
        line[..comment.unwrap_or(line.len())].to_owned()
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The messages of a folder that are of a type (`request` or `response`) and wanted, in the order of their numbers.
pub(crate) fn read(folder: &Path, kind: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Message> {
    let files = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let json = files.filter(|path| path.extension().is_some_and(|end| end == "json")).map(|path| {
        let whole = fs::read_to_string(&path).expect("a text");
        serde_json::from_str::<Value>(&without_comments(&whole)).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    });
    let mut messages: Vec<_> =
        json.filter(|value| text(value, "type") == kind && wanted(value)).filter_map(|value| message(&value)).collect();
    messages.sort_by_key(|message| message.key);
    messages
}

/// `None` where no version is left.
fn message(value: &Value) -> Option<Message> {
    let mut versions = Range::read(text(value, "validVersions"))?;
    if value["latestVersionUnstable"] == true {
        versions.last -= 1;
    }
    let key = value["apiKey"].as_i64().and_then(|key| i16::try_from(key).ok()).expect("a number");
    let flexible = Range::read(text(value, "flexibleVersions"));
    let outer = Outer { path: "", versions, flexible, structs: list(value, "commonStructs") };
    let fields = list(value, "fields").iter().filter_map(|field| outer.field(field)).collect();
    let flexible = flexible.and_then(|flexible| flexible.within(versions));
    Some(Message { key, name: text(value, "name").to_owned(), versions, flexible, fields })
}

/// What a field stands in.
struct Outer<'v> {
    path: &'v str,
    versions: Range,
    flexible: Option<Range>,
    structs: &'v [Value],
}

impl Outer<'_> {
    /// `None` if no stable version of what it stands in has it.
    fn field(&self, value: &Value) -> Option<Field> {
        let path = format!("{}{}", self.path, text(value, "name"));
        let unknown: Vec<_> =
            value.as_object().expect("a field").keys().filter(|key| !KNOWN.contains(&key.as_str())).collect();
        assert!(unknown.is_empty(), "{path} has {unknown:?}, of which nothing is known");
        let versions = Range::read(text(value, "versions")).and_then(|range| range.within(self.versions))?;
        let tag = value.get("tag").map(|tag| tag.as_u64().and_then(|tag| u8::try_from(tag).ok()).expect("a tag"));
        if tag.is_some() {
            let tagged = Range::read(text(value, "taggedVersions")).and_then(|range| range.within(self.versions));
            assert_eq!(tagged, Some(versions), "{path} is not always tagged");
            assert_eq!(
                self.flexible.and_then(|range| range.within(versions)),
                tagged,
                "{path}: a tag needs flexibility"
            );
        }
        let nullable = value.get("nullableVersions").and_then(Value::as_str).and_then(Range::read);
        let kind = text(value, "type");
        let (kind, list_of) = kind.strip_prefix("[]").map_or((kind, false), |kind| (kind, true));
        let common = self.structs.iter().find(|common| text(common, "name") == kind);
        let inside = if value.get("fields").is_some() { value } else { common.unwrap_or(value) };
        let below = format!("{path}.");
        let outer = Outer { path: &below, versions, flexible: self.flexible, structs: self.structs };
        let fields = list(inside, "fields").iter().filter_map(|field| outer.field(field)).collect();
        Some(Field {
            kind: kind.to_owned(),
            list: list_of,
            versions,
            nullable: nullable.and_then(|range| range.within(versions)),
            tag,
            entity: value.get("entityType").and_then(Value::as_str).map(str::to_owned),
            default: value.get("default").map(|said| said.as_str().map_or_else(|| said.to_string(), str::to_owned)),
            fields,
            path,
        })
    }
}
