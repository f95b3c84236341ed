//! Requests of Kafka that nobody sent.

use super::{Message, key};
use crate::question::{Question, Said, Sample, Word};

/// How they are asked about.
pub(super) const QUESTION: Question = Question {
    words: &[
        Word {
            key: "api",
            flag: "kafka",
            value: "KIND",
            help: "A request of Kafka: its kind",
            case: "kafka.api",
            batch: "api_key",
            ..Word::NOWHERE
        },
        Word {
            key: "version",
            flag: "api-version",
            value: "N",
            help: "Its version",
            default: Some("0"),
            case: "kafka.version",
            batch: "api_version",
            ..Word::NOWHERE
        },
        Word {
            key: "client",
            flag: "client-id",
            value: "ID",
            help: "Who sends it",
            case: "kafka.clientId",
            batch: "client_id",
            ..Word::NOWHERE
        },
        Word {
            key: "topic",
            flag: "topic",
            value: "TOPIC",
            help: "One of its topics; may be repeated",
            many: true,
            case: "kafka.topics",
            batch: "topics",
            ..Word::NOWHERE
        },
    ],
    usual_port: "9092",
    refusals: ["error 29"; 2],
    read,
};

fn read(said: &Said) -> Result<Sample, String> {
    let api = said.one("api").ok_or("names no API of Kafka: write produce, fetch, metadata, ...")?;
    let number = api.parse().ok().or_else(|| key(api));
    let number = number.ok_or_else(|| format!("{api:?} is no API of Kafka: write produce, fetch, metadata, ..."))?;
    let version = match said.one("version").unwrap_or_default() {
        "" => 0,
        text => text.parse().map_err(|_| format!("{text:?} is no version of an API of Kafka: write a number"))?,
    };
    let topics: Vec<String> = said.all("topic").map(ToOwned::to_owned).collect();
    let shown = format!("Kafka {api} {}", topics.join(","));
    let client = said.one("client").unwrap_or_default();
    Ok(Sample::new(shown.trim_end(), Message::new(number, version, client, topics)))
}
