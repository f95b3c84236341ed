//! Kafka: each request is walked by a table of its fields, judged by its kind and the topics that it names, and passed on
//! as it came; responses pass in the order of the requests, and what a broker says of its versions is brought down to
//! what can be judged. Not [live](Protocol::live) yet: ids of
//! topics are not resolved, and no denial is answered.

mod api;
mod asked;
pub mod denial;
mod errors;
mod event;
mod fields;
pub mod layout;
mod level;
mod limits;
mod message;
mod outstanding;
mod question;
mod relay;
mod requests;
mod responses;
mod table;
mod value;
mod versions;
mod violation;
mod walk;
mod wire;
mod words;

use self::fields::{API_KEY, API_VERSION, CLIENT_ID, ROLE, TOPIC};
pub use self::{
    event::{Event, Progress, Value},
    fields::SCHEMA,
    limits::Limits,
    message::Message,
    relay::relay,
    violation::{Offended, Violation},
    walk::Walk,
    words::{key, name},
};
use crate::protocol::{Protocol, Shown};

/// The protocol. No node relays it yet.
pub static PROTOCOL: Protocol = Protocol {
    statuses: Some(errors::STATUSES),
    line: Some(line),
    question: Some(question::QUESTION),
    ..Protocol::new(&SCHEMA)
};

/// Kind and version, and what it is about.
fn line(request: &Shown<'_>) -> String {
    let mut line = format!("{} v{}", request.first("apiKey"), request.first("apiVersion"));
    for (field, word) in
        [("topic", "topic"), ("clientID", "client"), ("group", "group"), ("transactionalID", "transaction")]
    {
        let values: Vec<&str> = request.all(field).collect();
        if !values.is_empty() {
            line.extend([" ", word, "=", &values.join(",")]);
        }
    }
    line
}
