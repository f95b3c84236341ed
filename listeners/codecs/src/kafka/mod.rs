//! Kafka: each request is walked by a table of its fields, judged by its kind and the topics that it names, and passed on
//! as it came; responses pass in the order of the requests, and what a broker says of its versions is brought down to
//! what can be judged. Not [live](Protocol::live) yet: ids of
//! topics are not resolved, and no denial is answered.

mod api;
mod asked;
pub mod denial;
mod event;
mod frame;
mod ids;
mod judging;
pub mod layout;
mod level;
mod limits;
mod lookup;
mod names;
mod outstanding;
mod question;
mod relay;
mod requests;
mod responses;
mod session;
mod sessions;
mod table;
mod value;
mod versions;
mod violation;
mod walk;
mod wire;

use std::{borrow::Cow, sync::Arc};

pub use api::{key, name};
use portcullis_rules::{
    policy::Matcher,
    request::{FieldValue, Request},
    schema::{FieldIndex, FieldSpec, Form, Nature, Schema},
    settings::DenyWith,
};

pub use self::{
    event::{Event, Progress, Value},
    ids::TopicIds,
    limits::Limits,
    relay::relay,
    violation::{Offended, Violation},
    walk::Walk,
};
use crate::protocol::{Live, Protocol};

/// The protocol.
pub static PROTOCOL: Protocol = Protocol {
    limits: &[Limits::SPECS],
    live: Some(Live {
        share: || Arc::new(TopicIds::default()),
        relay: relay::of,
        session: None,
        // Names in front of what decides: the client's, a transaction's and a topic's.
        held: |_| 4 * LONGEST_NAME,
    }),
    question: Some(question::QUESTION),
    ..Protocol::new(&SCHEMA)
};

/// Most bytes of a name in a request.
const LONGEST_NAME: usize = 0x7fff;

/// What Kafka publishes to the rules (cilium/proxy pkg/policy/api/kafka, proxylib/kafka/kafkalib). Cilium has it up to
/// 1.19.
pub static SCHEMA: Schema = Schema {
    protocol: "kafka",
    fields: &[
        FieldSpec { name: "role", form: Form::Words, checked: true },
        FieldSpec { name: "apiKey", form: Form::Words, checked: true },
        FieldSpec { name: "apiVersion", form: Form::Words, checked: true },
        FieldSpec { name: "clientID", form: Form::Exact, checked: true },
        FieldSpec { name: "topic", form: Form::Each, checked: true },
    ],
    nature: &Nature {
        priority: 106,
        deny_with: Some(DenyWith::Respond),
        retired: Some(
            "Cilium 1.20 has no Kafka rules any more: it refuses the policy, and reads one that it has stored as a plain L4 \
             allow",
        ),
        read,
        ..Nature::STREAM
    },
};

const ROLE: u8 = 0;
const API_KEY: u8 = 1;
const API_VERSION: u8 = 2;
const CLIENT_ID: u8 = 3;
const GROUP: u8 = 5;
const TRANSACTIONAL_ID: u8 = 6;
const OPERATION: u8 = 7;
/// Longest topic.
const LONGEST_TOPIC: usize = 255;

fn read(field: FieldIndex, text: &str) -> Result<Option<Matcher>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let matcher = match field.0 {
        ROLE => Matcher::Regex(api::role(text).ok_or_else(|| format!("invalid Kafka Role {text:?}"))?.to_owned()),
        API_KEY => Matcher::Exact(key(text).ok_or_else(|| format!("invalid Kafka APIKey {text:?}"))?.to_string()),
        API_VERSION => match text.parse::<i16>() {
            Ok(version) if version >= 0 => Matcher::Exact(version.to_string()),
            _ => return Err(format!("invalid Kafka APIVersion {text:?}")),
        },
        _ if text.len() > LONGEST_TOPIC => return Err(format!("kafka topic exceeds maximum len of {LONGEST_TOPIC}")),
        _ if text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) => Matcher::Exact(text.to_owned()),
        _ => return Err(format!("invalid Kafka Topic name {text:?}")),
    };
    Ok(Some(matcher))
}

/// A request.
#[derive(Clone, Debug)]
pub struct Message {
    key: i16,
    role: String,
    key_text: String,
    version: String,
    client: Option<String>,
    topics: Vec<String>,
}

impl Message {
    /// A request of a kind and version, from a client and for groups where it could be otherwise. A client that names itself with the empty string counts as one without a name.
    #[must_use]
    pub fn new(key: i16, version: i16, client: &str, topics: Vec<String>) -> Self {
        let client = (!client.is_empty()).then(|| client.to_owned());
        let variety = api::variety(key, version, false, false).map(char::from);
        let role = key.to_string() + &String::from_iter(variety);
        Self { key, role, key_text: key.to_string(), version: version.to_string(), client, topics }
    }
}

impl Request for Message {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        let value = match field.0 {
            ROLE => Some(&self.role),
            API_KEY => Some(&self.key_text),
            API_VERSION => Some(&self.version),
            CLIENT_ID => self.client.as_ref(),
            _ => self.topics.first(),
        };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value.as_bytes())))
    }

    fn count(&self, _: FieldIndex) -> Option<usize> {
        api::has_topics(self.key).then_some(if api::topics_are_read(self.key) { self.topics.len() } else { 0 })
    }

    fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
        self.topics.get(number).map_or(b"", |topic| topic.as_bytes())
    }
}
