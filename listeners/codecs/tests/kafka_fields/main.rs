//! Generates the table of Kafka's messages from Kafka's own schema, and compares it with the checked-in one.
//! `PORTCULLIS_WRITE_TABLE=1 cargo test -p portcullis-codecs --test kafka_fields` writes it, for example for a newer
//! Kafka. `integration/servers/kafka/pom.xml` names the version.

mod denials;
mod meanings;
mod schema;
mod table;
mod templates;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The folder of the schema, where the set-up has put it. What is missing is said loudly, or is a failure.
fn folder() -> Option<PathBuf> {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    let folder = Path::new(&cache).join("portcullis/kafka/common/message");
    if folder.is_dir() {
        return Some(folder);
    }
    let message = format!("this machine lacks {}: run deploy/setup.sh test", folder.display());
    let strict = env::var_os("PORTCULLIS_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!strict, "{message} (PORTCULLIS_REQUIRE_ALL=1 makes this a failure)");
    // Straight to the stream: the test harness hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {message}", std::thread::current().name().unwrap_or("a test"));
    None
}

/// The version of Kafka that the set-up installs.
fn release() -> String {
    let pom = include_str!("../../../../integration/servers/kafka/pom.xml");
    let behind = pom.split("<artifactId>kafka-clients</artifactId><version>").nth(1).expect("the clients of Kafka");
    behind.split('<').next().unwrap_or_default().to_owned()
}

fn is_for_brokers(message: &Value) -> bool {
    message["listeners"].as_array().is_some_and(|listeners| listeners.iter().any(|listener| listener == "broker"))
}

#[test]
fn the_table_is_what_the_schema_gives() {
    let Some(folder) = folder() else { return };
    let requests = schema::read(&folder, "request", is_for_brokers);
    let asked: Vec<i16> = requests.iter().map(|message| message.key).collect();
    let responses = schema::read(&folder, "response", |message| asked.iter().any(|key| message["apiKey"] == *key));
    let table = table::write(&release(), &requests, &responses).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")));
    compare("src/kafka/table.rs", &table);
}

#[test]
fn the_templates_of_denials_are_what_the_schema_gives() {
    let Some(folder) = folder() else { return };
    let responses = schema::read(&folder, "response", |_| true);
    let table = templates::write(&release(), &responses).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")));
    compare("src/kafka/denial/table.rs", &table);
}

/// Compares a file that is checked in with what it should be, or writes it.
fn compare(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if env::var_os("PORTCULLIS_WRITE_TABLE").is_some_and(|value| value == "1") {
        fs::write(&path, table).expect("the table is written");
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(table == checked_in, "{name} is not what the schema gives; PORTCULLIS_WRITE_TABLE=1 writes it");
}

#[test]
fn no_field_slips_through_whose_name_says_something() {
    let versions = schema::Range { first: 0, last: 0 };
    let field = |path: &str, kind: &str, entity: Option<&str>| schema::Field {
        path: path.to_owned(),
        kind: kind.to_owned(),
        list: false,
        versions,
        nullable: None,
        tag: None,
        entity: entity.map(str::to_owned),
        default: None,
        fields: Vec::new(),
    };
    let meaning = |field| meanings::meaning(meanings::REQUESTS, 1, &field);
    assert_eq!(meaning(field("Topics.Topic", "string", Some("topicName"))), Ok("TopicName"));
    assert_eq!(meaning(field("MaxBytes", "int32", None)), Ok("Plain"));
    for (path, kind, entity) in [
        ("Topics.OldTopic", "string", None),
        ("Name", "string", Some("topicName")),
        ("Owner", "string", Some("groupId")),
        ("Owner", "string", Some("transactionalId")),
        ("LeaderGroup", "string", None),
        ("Id", "uuid", None),
    ] {
        let error = meaning(field(path, kind, entity)).expect_err(path);
        assert!(error.contains("nothing is said"), "{error}");
    }
    let without = schema::Message { key: 1, name: String::new(), versions, flexible: None, fields: Vec::new() };
    let unused = meanings::unused(meanings::REQUESTS, &[without]);
    assert!(unused.contains(&"1 Topics.Topic: there is no such field".to_owned()), "{unused:?}");
}
