//! Kafka. Each request is walked by a table of its fields, judged by its kind and the topics it names, and forwarded
//! unchanged or without its refused parts. A denied request is answered as a broker's own authorizer answers it.
//! Responses keep the order of their requests. The versions that a broker offers are reduced to those that can be
//! judged.

mod api;
mod asked;
pub mod denial;
mod errors;
mod event;
mod fields;
mod frame;
mod ids;
mod judging;
pub mod layout;
mod level;
mod limits;
mod lookup;
mod message;
mod names;
mod outstanding;
mod question;
mod relay;
mod remarks;
mod requests;
mod responses;
mod rewriting;
mod session;
mod sessions;
mod swallow;
mod table;
mod value;
mod versions;
mod violation;
mod walk;
mod wire;
mod words;

use std::sync::Arc;

pub use self::{
    event::{WalkEvent, WalkProgress, WalkValue},
    fields::SCHEMA,
    ids::TopicIds,
    limits::{Limits, TopicIdUse},
    message::KafkaRequest,
    relay::relay,
    violation::{Violated, Violation},
    walk::Walk,
    words::{key, name},
};
use crate::protocol::{Live, Protocol, ShownFields};

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
    statuses: Some(errors::STATUSES),
    kinds: Some(words::KINDS),
    line: Some(line),
    question: Some(question::QUESTION),
    ..Protocol::new(&SCHEMA)
};

/// Most bytes of a name in a request.
const LONGEST_NAME: usize = 0x7fff;

/// Kind and version, and what it is about.
fn line(request: &ShownFields<'_>) -> String {
    let mut line = format!("{} v{}", request.first("apiKey"), request.first("apiVersion"));
    for (field, word) in
        [("topic", "topic"), ("clientID", "client"), ("group", "group"), ("transactionalID", "transaction")]
    {
        // Clients and groups call themselves what they like.
        let shown = |value: &str| if value.contains([' ', ',', '=']) { format!("{value:?}") } else { value.to_owned() };
        let values: Vec<String> = request.all(field).map(shown).collect();
        if !values.is_empty() {
            line.extend([" ", word, "=", &values.join(",")]);
        }
    }
    line
}
