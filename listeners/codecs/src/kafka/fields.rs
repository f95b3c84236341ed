//! The fields that Kafka publishes to the rules, and how policies write them.

use portcullis_rules::{
    pattern::escaped,
    policy::Matcher,
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema, Shorthand, ShorthandEntry, ShorthandMeaning},
    settings::DenyWith,
};

use super::{remarks, words};

/// What Kafka publishes to the rules (cilium/proxy pkg/policy/api/kafka, proxylib/kafka/kafkalib). Cilium has it up to
/// 1.19, without groups, transactional ids, operations, and more than one value of a topic. An absent field and an empty
/// one mean any value, or none at all:
///
/// - `role`, `apiKey`, `operation`: kinds of requests. A rule has one of the three.
/// - `apiVersion`: the version of the request.
/// - `clientID`: how the client calls itself.
/// - `topic`, or `topics` for a prefix or a regular expression: each topic of a request has to be allowed by some rule.
/// - `group` and `transactionalID`, likewise `groups` and `transactionalIDs`: one rule has to allow all that a request
///   names, but for requests that ask about several one by one. Requests that name none are not concerned; those that ask
///   for whatever there is are allowed only without it, or their answers are cut down.
pub static SCHEMA: Schema = Schema {
    protocol: "kafka",
    fields: &[
        FieldSpec { name: "role", form: FieldForm::Words, checked: true },
        FieldSpec { name: "apiKey", form: FieldForm::Words, checked: true },
        FieldSpec { name: "apiVersion", form: FieldForm::Words, checked: true },
        FieldSpec { name: "clientID", form: FieldForm::Exact, checked: true },
        FieldSpec { name: "topic", form: FieldForm::Each, checked: true },
        FieldSpec { name: "group", form: FieldForm::All, checked: true },
        FieldSpec { name: "transactionalID", form: FieldForm::All, checked: true },
        FieldSpec { name: "operation", form: FieldForm::Words, checked: true },
    ],
    nature: &ProtocolTraits {
        priority: 106,
        deny_with: Some(DenyWith::Respond),
        retired: Some(
            "Cilium 1.20 has no Kafka rules any more: it refuses the policy, and reads one that it has stored as a plain L4 \
             allow",
        ),
        shorthands: &[
            several("topics", TOPIC, |texts| several_values(TOPIC, texts)),
            several("groups", GROUP, |texts| several_values(GROUP, texts)),
            several("transactionalIDs", TRANSACTIONAL_ID, |texts| several_values(TRANSACTIONAL_ID, texts)),
        ],
        synonyms: &[FieldIndex(API_KEY), FieldIndex(ROLE), FieldIndex(OPERATION)],
        read,
        remarks: remarks::remarks,
        among: Some(remarks::among),
        ..ProtocolTraits::STREAM
    },
};

/// Number of the field `role`.
pub(super) const ROLE: u8 = 0;
/// Number of the field `apiKey`.
pub(super) const API_KEY: u8 = 1;
/// Number of the field `apiVersion`.
pub(super) const API_VERSION: u8 = 2;
/// Number of the field `clientID`.
pub(super) const CLIENT_ID: u8 = 3;
/// Number of the field `topic`.
pub(super) const TOPIC: u8 = 4;
/// Number of the field `group`.
pub(super) const GROUP: u8 = 5;
/// Number of the field `transactionalID`.
pub(super) const TRANSACTIONAL_ID: u8 = 6;
/// Number of the field `operation`. What a request has there is what it has as `role`.
pub(super) const OPERATION: u8 = 7;

/// Longest topic.
const LONGEST_TOPIC: usize = 255;

fn read(field: FieldIndex, text: &str) -> Result<Option<Matcher>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let kinds = |kinds: Option<&str>, what: &str| {
        let regex = |kinds: &str| Matcher::Regex(kinds.to_owned());
        kinds.map(regex).ok_or_else(|| format!("invalid Kafka {what} {text:?}"))
    };
    let matcher = match field.0 {
        ROLE => kinds(words::role(text), "Role")?,
        OPERATION => kinds(words::operation(text), "operation")?,
        API_KEY => {
            Matcher::Exact(words::named(text).ok_or_else(|| format!("invalid Kafka APIKey {text:?}"))?.to_string())
        }
        API_VERSION => match text.parse::<i16>() {
            Ok(version) if version >= 0 => Matcher::Exact(version.to_string()),
            _ => return Err(format!("invalid Kafka APIVersion {text:?}")),
        },
        TOPIC => Matcher::Exact(topic(text)?.to_owned()),
        _ => Matcher::Exact(text.to_owned()),
    };
    Ok(Some(matcher))
}

/// A topic, or the beginning of one.
fn topic(text: &str) -> Result<&str, String> {
    if text.len() > LONGEST_TOPIC {
        return Err(format!("kafka topic exceeds maximum len of {LONGEST_TOPIC}"));
    }
    let valid = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    valid.then_some(text).ok_or_else(|| format!("invalid Kafka Topic name {text:?}"))
}

/// Several values of a field in one key of a rule.
const fn several(name: &'static str, field: u8, read: fn(&[Option<&str>]) -> ShorthandMeaning) -> Shorthand {
    Shorthand { name, fields: fields_of(field), entries: SEVERAL, read }
}

/// A list of one field.
const fn fields_of(field: u8) -> &'static [FieldIndex] {
    match field {
        TOPIC => &[FieldIndex(TOPIC)],
        GROUP => &[FieldIndex(GROUP)],
        _ => &[FieldIndex(TRANSACTIONAL_ID)],
    }
}

/// How several values are said.
const SEVERAL: &[ShorthandEntry] = &[
    ShorthandEntry {
        name: "prefix",
        required: false,
        remedy: "write prefix: \"orders.\", or pattern for a regular expression",
    },
    ShorthandEntry {
        name: "pattern",
        required: false,
        remedy: "write pattern: \"orders|bills\", or prefix for a beginning",
    },
];

fn several_values(field: u8, texts: &[Option<&str>]) -> ShorthandMeaning {
    let text = |number: usize| texts.get(number).copied().flatten();
    match (text(0), text(1)) {
        (Some(_), Some(_)) => Err((1, "cannot stand beside prefix".to_owned())),
        (None, None) => Err((0, "names neither prefix nor pattern".to_owned())),
        (Some(""), _) => Err((0, "is empty, and so means every value".to_owned())),
        (_, Some("")) => Err((1, "is empty, and so means no value".to_owned())),
        (Some(prefix), None) => {
            if field == TOPIC {
                topic(prefix).map_err(|message| (0, message))?;
            }
            // Groups and transactional ids may have line breaks.
            let pattern = escaped(prefix) + "(?s:.*)";
            Ok(vec![(Matcher::Regex(pattern), format!("prefix {prefix}"))])
        }
        (None, Some(pattern)) => Ok(vec![(Matcher::Regex(pattern.to_owned()), pattern.to_owned())]),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_rules::policy::Matcher;

    use super::{GROUP, TOPIC, several_values};

    #[test]
    fn a_prefix_means_itself_and_excludes_a_pattern() {
        let means = |pattern: &str, shown: &str| Ok(vec![(Matcher::Regex(pattern.to_owned()), shown.to_owned())]);
        assert_eq!(several_values(TOPIC, &[Some("orders."), None]), means(r"orders\.(?s:.*)", "prefix orders."));
        assert_eq!(several_values(GROUP, &[Some("a*(b"), None]), means(r"a\*\(b(?s:.*)", "prefix a*(b"));
        assert_eq!(several_values(TOPIC, &[None, Some("a|b.*")]), means("a|b.*", "a|b.*"));
        for (texts, entry) in [
            ([None, None], 0),
            ([Some("a"), Some("b")], 1),
            ([Some(""), None], 0),
            ([None, Some("")], 1),
            ([Some("a*"), None], 0),
        ] {
            assert_eq!(several_values(TOPIC, &texts).map_err(|(entry, _)| entry), Err(entry), "{texts:?}");
        }
    }
}
