//! A YAML or JSON document as a tree in which every value has its position.

use std::fmt;

use portcullis_rules::policy::Position;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

use crate::problem::DocumentProblem;

/// Deepest nesting of a document.
const DEEPEST: usize = 64;
/// Most values of a document: a listing of a few ten thousand policies.
const MOST_NODES: usize = 4_000_000;
/// Most values that aliases may stand for: nobody writes that many, and more is a bomb.
const MOST_ALIASED: usize = 20_000;

/// One value. Values are equal wherever they stand.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// What it is.
    pub(crate) value: YamlValue,
    /// Where it begins.
    pub(crate) position: Position,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum YamlValue {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(YamlKey, Tree)>),
}

/// The key of an entry of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct YamlKey {
    pub(crate) name: String,
    pub(crate) position: Position,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for YamlKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What came of reading a document.
pub(crate) type Parsed = Result<Tree, DocumentProblem>;

/// Reads one document. An empty one is null.
///
/// # Errors
/// It is no YAML, has a key twice, is nested too deep, or there are several.
pub(crate) fn parse(text: &str) -> Parsed {
    let budget = serde_saphyr::budget! {
        max_depth: DEEPEST,
        max_nodes: MOST_NODES,
        max_events: 3 * MOST_NODES,
        max_recorded_anchor_events: MOST_ALIASED,
    };
    let alias_limits = serde_saphyr::alias_limits! { max_total_replayed_events: MOST_ALIASED };
    let options = serde_saphyr::options! { budget: budget, alias_limits: alias_limits, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| broken(&error))
}

fn broken(error: &serde_saphyr::Error) -> DocumentProblem {
    let position = error.location().map(position).unwrap_or_default();
    let rendered = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    // The position is reported next to the message.
    let message = rendered.lines().next().and_then(|line| line.split(" at line ").next()).unwrap_or("no YAML");
    DocumentProblem::new("", format!("cannot be read: {message}"), "correct the YAML").at(position)
}

/// The position of a location of the parser.
fn position(location: Location) -> Position {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: small(location.line()), column: small(location.column()) }
}

impl Tree {
    /// The entry of a mapping.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            YamlValue::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, tree)| tree),
            _ => None,
        }
    }

    /// The keys of a mapping.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.value {
            YamlValue::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|(key, _)| key.name.as_str())
    }

    /// The text of an entry of a mapping.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            YamlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where a field stands, or what is nearest to it from above: `spec.ingress[0].toPorts`.
    pub(crate) fn locate(&self, path: &str) -> Position {
        let mut here = self;
        let mut rest = path;
        while !rest.is_empty() {
            // Keys of labels have dots of their own.
            if let Some(last) = here.get(rest) {
                return last.position;
            }
            let (step, behind) = rest.split_once('.').unwrap_or((rest, ""));
            rest = behind;
            let (name, indices) = step.split_at(step.find('[').unwrap_or(step.len()));
            if !name.is_empty() {
                let Some(next) = here.get(name) else { break };
                here = next;
            }
            for index in indices.split(['[', ']']).filter(|index| !index.is_empty()) {
                let next = match (&here.value, index.parse::<usize>()) {
                    (YamlValue::List(items), Ok(index)) => items.get(index),
                    _ => None,
                };
                let Some(next) = next else { return here.position };
                here = next;
            }
        }
        here.position
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<YamlValue>::deserialize(deserializer)?;
        Ok(Self { value, position: position(referenced) })
    }
}

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = YamlValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<YamlValue, E> {
        Ok(YamlValue::Null)
    }

    fn visit_none<E: Error>(self) -> Result<YamlValue, E> {
        Ok(YamlValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<YamlValue, D::Error> {
        YamlValue::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<YamlValue, E> {
        Ok(YamlValue::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<YamlValue, E> {
        Ok(YamlValue::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<YamlValue, E> {
        Ok(YamlValue::Integer(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<YamlValue, E> {
        Ok(YamlValue::Integer(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<YamlValue, E> {
        Ok(YamlValue::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<YamlValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(YamlValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<YamlValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let key = YamlKey { name: key.value, position: position(key.referenced) };
            entries.push((key, access.next_value()?));
        }
        Ok(YamlValue::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_rules::policy::Position;

    use super::{YamlValue, parse};

    fn at(line: u32, column: u32) -> Position {
        Position { line, column }
    }

    #[test]
    fn every_value_knows_where_it_stands() {
        let text = "a: 1\nb:\n  - x\n  - {c: null, d: \"2\"}\ne: [true, 1.5]\n";
        let tree = parse(text).unwrap();
        let labels = parse("labels:\n  example.org/a.b: c\n").unwrap();
        assert_eq!(labels.locate("labels.example.org/a.b"), at(2, 20), "keys may have dots");
        assert_eq!(tree.locate("a"), at(1, 4));
        assert_eq!(tree.locate("b"), at(3, 3));
        assert_eq!(tree.locate("b[0]"), at(3, 5));
        assert_eq!(tree.locate("b[1].d"), at(4, 18));
        assert_eq!(tree.locate("b[1].nowhere.below[3]"), at(4, 5), "what is nearest from above");
        assert_eq!(tree.locate("e[1]"), at(5, 11));
        assert_eq!(tree.get("a").unwrap().value, YamlValue::Integer(1));
        assert_eq!(tree.text("a"), None);
        let YamlValue::List(items) = &tree.get("b").unwrap().value else { panic!("no list") };
        assert_eq!(items[1].get("c").unwrap().value, YamlValue::Null);
        assert_eq!(items[1].text("d"), Some("2"));
    }

    #[test]
    fn json_with_tabs_is_read_too() {
        let tree = parse("{\n\t\"a\": {\n\t\t\"b\": [1,\t2]\n\t}\n}\n").unwrap();
        assert_eq!(tree.locate("a.b[1]"), at(3, 12));
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        let tree = parse("a: &x {k: v}\nb: *x\nc:\n  <<: *x\n  l: w\n").unwrap();
        assert_eq!(tree.locate("b"), at(2, 4));
        assert_eq!(tree.get("c").unwrap().text("k"), Some("v"), "merge keys are merged");
        assert_eq!(tree.get("c").unwrap().text("l"), Some("w"));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (text, line) in [
            ("a: [1\nb: 2\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: 1\n---\nb: 2\n", 2),
            ("a: *nobody\n", 1),
            ("a:\n\t- b\n", 2),
            ("\"unterminated", 1),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.position.line >= line && problem.position.line <= line + 1, "{text:?}: {problem:?}");
            assert!(problem.position.column > 0, "{text:?}: {problem:?}");
        }
    }

    #[test]
    fn bombs_do_not_go_off() {
        let deep = "[".repeat(10_000);
        assert!(parse(&deep).unwrap_err().message.contains("cannot be read"));
        let mut laughs = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (one, next) in ('a'..'k').zip('b'..'l') {
            laughs += &format!("{next}: &{next} [*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one}]\n");
        }
        parse(&laughs).unwrap_err();
    }

    #[test]
    fn nothing_is_null() {
        for text in ["", "# only a comment\n", "---\n", "null\n"] {
            assert_eq!(parse(text).unwrap().value, YamlValue::Null, "{text:?}");
        }
    }
}
