//! Builds Kafka requests from command-line questions (`explain`, `test`).

use portcullis_rules::request::Request;

use super::{KafkaRequest, api, layout::request, words};
use crate::question::{QuestionSchema, QuestionValues, QuestionWord, Sample, Show};

/// How they are asked about.
pub(super) const QUESTION: QuestionSchema = QuestionSchema {
    words: &[
        QuestionWord {
            key: "api",
            flag: "kafka",
            value: "KIND",
            help: "A request of Kafka: its kind",
            case: "kafka.api",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "version",
            flag: "api-version",
            value: "N",
            help: "Its version; without it, the last that clients send",
            case: "kafka.version",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "client",
            flag: "client-id",
            value: "ID",
            help: "Who sends it",
            case: "kafka.clientId",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "topic",
            flag: "topic",
            value: "TOPIC",
            help: "One of its topics; may be repeated",
            many: true,
            case: "kafka.topics",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "group",
            flag: "group",
            value: "GROUP",
            help: "One of its groups; may be repeated",
            many: true,
            case: "kafka.groups",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "transaction",
            flag: "transactional-id",
            value: "ID",
            help: "One of its transactional ids; may be repeated",
            many: true,
            case: "kafka.transactionalIds",
            ..QuestionWord::NOWHERE
        },
        QuestionWord {
            key: "replica",
            flag: "replica-id",
            value: "N",
            help: "The broker that sends it for a replica",
            case: "kafka.replicaId",
            ..QuestionWord::NOWHERE
        },
    ],
    usual_port: "9092",
    read,
};

/// A request, unless no relay would look at it.
struct Sent(KafkaRequest);

impl Show for Sent {
    fn show(&self, to: &mut dyn FnMut(&dyn Request)) -> Result<(), String> {
        self.0.check().map_err(|violation| violation.to_string())?;
        to(&self.0);
        Ok(())
    }
}

fn read(said: &QuestionValues) -> Result<Sample, String> {
    let api = said.one("api").ok_or("names no API of Kafka: write produce, fetch, metadata, ...")?;
    let number = words::key(api).or_else(|| api.parse().ok());
    let number = number.ok_or_else(|| format!("{api:?} is no API of Kafka: write produce, fetch, metadata, ..."))?;
    let version = match said.one("version").unwrap_or_default() {
        "" => request(number).map_or(0, api::last_of_clients),
        text => text.parse().map_err(|_| format!("{text:?} is no version of an API of Kafka: write a number"))?,
    };
    let all = |key: &str| said.all(key).map(ToOwned::to_owned).collect::<Vec<String>>();
    let (topics, groups, transactions) = (all("topic"), all("group"), all("transaction"));
    let names = |what: &str| Err(format!("a request {api} names no {what}: leave it out"));
    match number {
        api::FIND_COORDINATOR if !groups.is_empty() && !transactions.is_empty() => {
            return Err(format!("a request {api} is about groups or about transactions: ask twice"));
        }
        api::FIND_COORDINATOR if version == 0 && !transactions.is_empty() => {
            return Err(format!("a request {api} is about transactions since version 1"));
        }
        api::FIND_COORDINATOR => {}
        _ if !topics.is_empty()
            && request(number).is_some_and(|layout| !api::concerns_topics(layout, topics.len())) =>
        {
            return names("topic");
        }
        _ if !groups.is_empty() && !api::names_groups(number) => return names("group"),
        _ if !transactions.is_empty() && !api::names_transactions(number) => return names("transactional id"),
        _ => {}
    }
    let mut shown = format!("Kafka {api}");
    for (before, values) in [(" ", &topics), (" group ", &groups), (" transaction ", &transactions)] {
        if !values.is_empty() {
            shown.extend([before, &values.join(",")]);
        }
    }
    let client = said.one("client").unwrap_or_default();
    let message = KafkaRequest::new(number, version, client, topics).of_groups(groups).of_transactions(transactions);
    let message = match said.one("replica").unwrap_or_default() {
        "" => message,
        text => match text.parse::<i32>() {
            Ok(0..) => message.of_replica(),
            Ok(_) => message,
            Err(_) => return Err(format!("{text:?} is no number of a broker: write 0 or more, or leave it out")),
        },
    };
    Ok(Sample::new(shown, Sent(message)))
}
