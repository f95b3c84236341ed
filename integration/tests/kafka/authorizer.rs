//! The same tests with Kafka's own authorizer in place of the policy (`PORTCULLIS_KAFKA_JUDGE=broker`): a client must
//! see there what the tests expect of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::IpAddr,
    sync::Mutex,
};

use serde_json::Value;

use crate::{
    broker::{Broker, soon},
    wire::Writer,
};

/// Kinds of resources.
const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
const TRANSACTIONAL_ID: i8 = 5;
/// What is done with them.
const ALL: i8 = 2;
const READ: i8 = 3;
const WRITE: i8 = 4;
const CREATE: i8 = 5;
const DELETE: i8 = 6;
const DESCRIBE: i8 = 8;
const IDEMPOTENT_WRITE: i8 = 12;
/// The name of the cluster as a resource.
const THE_CLUSTER: &str = "kafka-cluster";

/// For a broker's properties. Nothing is denied before the first rule is there.
pub(crate) const PROPERTIES: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                                     allow.everyone.if.no.acl.found=true\n";

/// Whether it judges.
pub(crate) fn judges() -> bool {
    env::var_os("PORTCULLIS_KAFKA_JUDGE").is_some_and(|judge| judge == "broker")
}

/// How a resource is named: by its whole name, or by how its name begins.
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;

/// What is allowed: a kind of resource, how it is named, its name, and what is done with it.
type Entry = (i8, i8, String, i8);

/// What it has been told to allow, by the address of clients.
#[derive(Default)]
pub(crate) struct Authorizer(Mutex<BTreeMap<String, BTreeSet<Entry>>>);

impl Authorizer {
    /// Allows the brokers and the tests all, and so nobody else anything.
    pub(crate) fn prepare(broker: &Broker, brokers: &[IpAddr]) -> Self {
        let everything =
            [(TOPIC, "*", ALL), (GROUP, "*", ALL), (CLUSTER, THE_CLUSTER, ALL), (TRANSACTIONAL_ID, "*", ALL)];
        let hosts: Vec<String> = brokers.iter().map(ToString::to_string).chain(["127.0.0.1".to_owned()]).collect();
        let everything = everything.map(|(kind, name, operation)| (kind, LITERAL, name.to_owned(), operation));
        // At once: nobody may any more who is not among the first.
        create(
            broker,
            &hosts.iter().flat_map(|host| everything.iter().map(move |it| (&**host, it))).collect::<Vec<_>>(),
        );
        Self::default()
    }

    /// Allows clients of an address what these rules allow, and no more.
    pub(crate) fn allow(&self, broker: &Broker, host: IpAddr, rules: &Value) {
        let host = host.to_string();
        let new: BTreeSet<Entry> = rules.as_array().unwrap().iter().flat_map(entries).collect();
        let old = self.0.lock().unwrap().insert(host.clone(), new.clone()).unwrap_or_default();
        create(broker, &new.difference(&old).map(|entry| (&*host, entry)).collect::<Vec<_>>());
        let gone: Vec<_> = old.difference(&new).map(|entry| (&*host, entry)).collect();
        broker.ask(31, 1, &written(&gone));
        // The broker hears of it from its controller.
        let last = [(new.difference(&old).last(), true), (old.difference(&new).last(), false)];
        for (entry, there) in last.into_iter().filter_map(|(entry, there)| Some((entry?, there))) {
            soon("a broker that knows its rules", || (knows(broker, &host, entry) == there).then_some(()));
        }
    }
}

/// What a rule allows.
fn entries(rule: &Value) -> Vec<Entry> {
    let said = |field: &str| rule.get(field).and_then(Value::as_str);
    let named = |one: &str, many: &str| {
        let prefix = rule.pointer(&format!("/{many}/prefix")).and_then(Value::as_str);
        prefix.map_or((LITERAL, said(one).unwrap_or("*")), |prefix| (PREFIXED, prefix))
    };
    let topic = |operation| (TOPIC, named("topic", "topics"), operation);
    let produces = [
        topic(WRITE),
        (CLUSTER, (LITERAL, THE_CLUSTER), IDEMPOTENT_WRITE),
        (TRANSACTIONAL_ID, named("transactionalID", "transactionalIDs"), ALL),
    ];
    let consumes = [topic(READ), (GROUP, named("group", "groups"), READ)];
    let entries = match said("role").or_else(|| said("apiKey")).or_else(|| said("operation")).unwrap() {
        "produce" => produces.to_vec(),
        "consume" => consumes.to_vec(),
        "streams" => [&produces[..], &consumes, &[topic(CREATE), topic(DELETE)]].concat(),
        "admin" => vec![topic(ALL)],
        "describe" => vec![topic(DESCRIBE)],
        other => panic!("{other}?"),
    };
    entries.into_iter().map(|(kind, (how, name), operation)| (kind, how, name.to_owned(), operation)).collect()
}

/// Entries, each allowed; the same layout says which are meant when they are deleted.
fn written(entries: &[(&str, &Entry)]) -> Writer {
    entries.iter().fold(Writer::default().count(entries.len()), |body, (host, (kind, how, name, operation))| {
        body.i8(*kind).text(name).i8(*how).text("User:*").text(host).i8(*operation).i8(3)
    })
}

fn knows(broker: &Broker, host: &str, entry: &Entry) -> bool {
    // The same without a count in front.
    let filter = written(&[(host, entry)]).0.split_off(4);
    let answer = broker.ask(29, 1, &Writer::default().raw(&filter));
    // Behind the error and its message: how many there are.
    answer[8..12] != [0; 4]
}

fn create(broker: &Broker, entries: &[(&str, &Entry)]) {
    // It may not have heard of its controller yet.
    soon("a broker that takes rules", || {
        let answer = broker.ask(30, 1, &written(entries));
        answer[8..].chunks(4).all(|entry| entry[..2] == [0, 0]).then_some(())
    });
}
