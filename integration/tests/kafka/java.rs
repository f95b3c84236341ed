//! Kafka's own clients, in the version of the broker.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    authorizer,
    broker::{PASSWORD, USER, soon},
    client::Client,
    scene::{Scene, Story},
};

pub(crate) const PODS: [&str; 14] = [
    "office", "six", "orders", "mixed", "writer", "reader", "bank", "streams", "login", "large", "names", "modern",
    "share", "flows",
];

pub(crate) const STORIES: [Story<Scene>; 14] = [
    ("who administers topics keeps to them", who_administers_topics_keeps_to_them),
    ("the same over IPv6", the_same_over_ipv6),
    ("a producer and a classic group keep to their topic", a_producer_and_a_classic_group_keep_to_their_topic),
    ("one request for two topics is divided", one_request_for_two_topics_is_divided),
    ("who may only write reads nothing and joins no group", who_may_only_write_reads_nothing_and_joins_no_group),
    ("who may only read writes nothing", who_may_only_read_writes_nothing),
    ("transactions keep to their topics", transactions_keep_to_their_topics),
    ("streams keep to their topics", |scene| streams_keep_to_their_topics(scene, "streams", &json!({}))),
    ("who says who it is keeps to its topic", who_says_who_it_is_keeps_to_its_topic),
    ("large records are whole, or not there", large_records_are_whole_or_not_there),
    ("groups and transactions have names", groups_and_transactions_have_names),
    MODERN,
    ("a share group keeps to its topic", a_share_group_keeps_to_its_topic),
    ("streams that the broker assigns keep to their topics", |scene| {
        streams_keep_to_their_topics(scene, "flows", &json!({ "group.protocol": "streams" }));
    }),
];
pub(crate) const MODERN: Story<Scene> =
    ("a group that the broker assigns keeps to its topic", a_group_that_the_broker_assigns_keeps_to_its_topic);
/// So many of them are of what a broker before 4 has, too.
pub(crate) const OF_OLD_BROKERS: usize = 11;

pub(crate) const DENIED: &str = "TopicAuthorizationException";

/// To write and to read one topic.
pub(crate) fn both(topic: &str) -> Value {
    json!([{ "role": "produce", "topic": topic }, { "role": "consume", "topic": topic }])
}

/// To find one topic, but neither to write nor to read it.
pub(crate) fn seen(topic: &str) -> Value {
    json!([{ "operation": "describe", "topic": topic }])
}

/// The rules of several lists.
pub(crate) fn all<const N: usize>(lists: [Value; N]) -> Value {
    json!(lists.map(|list| list.as_array().unwrap().clone()).concat())
}

/// Whether a value is this one, or a list that has it.
fn contains(all: &Value, one: &Value) -> bool {
    all == one || all.as_array().is_some_and(|all| all.contains(one))
}

fn error(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or_else(|| panic!("no error: {answer}"))
}

fn a_producer_and_a_classic_group_keep_to_their_topic(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["orders", "orders-secret"]);
    scene.allow("orders", &both("orders"));
    let mut java = scene.java("orders");
    let sent = java.produce(&[("orders", "a"), ("orders-secret", "x"), ("orders", "b"), ("orders-ghost", "y")]);
    assert_eq!(sent, json!([0, DENIED, 1, DENIED]));
    for (config, next) in [
        (json!({ "compression.type": "zstd" }), 2),
        (json!({ "compression.type": "lz4", "enable.idempotence": "false", "acks": "1" }), 3),
    ] {
        let sent = java.produce_with(&[("orders", "c"), ("orders-secret", "x"), ("orders-ghost", "y")], &config);
        assert_eq!(sent, json!([next, DENIED, DENIED]), "{config}");
    }
    // Without an answer a producer does not learn its offset.
    let silent = json!({ "acks": "0", "enable.idempotence": "false" });
    assert_eq!(java.produce_with(&[("orders", "c"), ("orders-secret", "x")], &silent), json!([-1, DENIED]));

    java.subscribe("reader", "orders-group", &["orders"], &json!({}));
    let got = json!({ "got": ["orders:a", "orders:b", "orders:c", "orders:c", "orders:c"] });
    assert_eq!(java.poll("reader", 5), got);
    assert_eq!(java.simple("commit", "reader"), json!({}));
    java.simple("close", "reader");
    assert_eq!(broker.committed("orders-group", "orders"), 5);
    java.subscribe("curious", "orders-group-2", &["orders", "orders-secret"], &json!({}));
    assert_eq!(error(&java.poll("curious", 1)), DENIED);

    assert_eq!(java.ask(&json!({ "do": "list" })), json!({ "topics": ["orders"] }));
    for what in ["create", "delete", "describe", "end", "empty", "configs"] {
        let name = if what == "create" { "orders-ghost" } else { "orders-secret" };
        assert_eq!(error(&java.ask(&json!({ "do": what, "names": [name] }))), DENIED, "{what}");
    }
    assert_eq!(java.ask(&json!({ "do": "end", "names": ["orders"] })), json!({ "ends": { "orders": 5 } }));
    let ends = ["orders", "orders-secret", "orders-ghost"].map(|topic| broker.end(topic));
    assert_eq!(ends, [Some(5), Some(0), None]);
}

fn the_same_over_ipv6(scene: &Scene) {
    if authorizer::judges() {
        // It is told of clients by their IPv4 addresses.
        return;
    }
    let broker = scene.broker();
    broker.create(&["six", "six-secret"]);
    scene.allow("six", &all([both("six"), seen("six-secret")]));
    let mut java = Client::java(scene.pod("six"), &broker.bootstrap_v6());
    let config = json!({ "linger.ms": 200 });
    assert_eq!(java.produce_with(&[("six", "a"), ("six-secret", "x"), ("six", "b")], &config), json!([0, DENIED, 1]));
    java.subscribe("reader", "six", &["six"], &json!({}));
    assert_eq!(java.poll("reader", 2), json!({ "got": ["six:a", "six:b"] }));
    assert_eq!(broker.end("six-secret"), Some(0));
    let from: BTreeSet<_> = scene.records().iter().map(|record| record["source"]["address"].to_string()).collect();
    assert!(from.contains(&format!("\"{}\"", scene.pod("six").v6)), "{from:?}");
}

/// Metadata of the other topic is allowed, so the client asks for more.
fn one_request_for_two_topics_is_divided(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["mixed", "mixed-secret"]);
    broker.write("mixed-secret", "s");
    scene.allow("mixed", &all([both("mixed"), seen("mixed-secret")]));
    let mut java = scene.java("mixed");
    for (config, from) in [(json!({ "linger.ms": 300 }), 0), (json!({ "linger.ms": 300, "acks": "1" }), 3)] {
        let records = ["a", "b", "c"].map(|value| [("mixed", value), ("mixed-secret", value)]).concat();
        let expected = json!([from, DENIED, from + 1, DENIED, from + 2, DENIED]);
        assert_eq!(java.produce_with(&records, &config), expected, "{config}");
    }
    assert_eq!((broker.end("mixed"), broker.end("mixed-secret")), (Some(6), Some(1)));
    // By the name, which the request does not say.
    if !authorizer::judges() {
        let refused = json!({ "apiKey": "produce", "topic": "mixed-secret" });
        let told = |record: &Value| {
            refused.as_object().unwrap().iter().all(|(field, value)| contains(&record["request"][field], value))
        };
        soon("a record of it", || scene.records().iter().any(told).then_some(()));
    }

    let topics = ["mixed", "mixed-secret"];
    java.ask(&json!({ "do": "subscribe", "name": "both", "group": "mixed-group", "topics": topics, "assign": true }));
    let (mut got, mut denied) = (Vec::new(), 0);
    for _ in 0..100 {
        if got.len() >= 6 && denied >= 2 {
            break;
        }
        let answer = java.poll("both", 1);
        got.extend(answer["got"].as_array().unwrap().clone());
        match answer["error"].as_str() {
            Some(DENIED) => denied += 1,
            Some(other) => panic!("{other}: {answer}"),
            None => assert!(!answer["got"].as_array().unwrap().is_empty(), "neither records nor an error"),
        }
    }
    assert_eq!(got, ["a", "b", "c", "a", "b", "c"].map(|value| json!(format!("mixed:{value}"))), "{denied} denials");
    assert!(denied >= 2, "{denied} denials");
}

fn who_may_only_write_reads_nothing_and_joins_no_group(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["writer"]);
    scene.allow("writer", &json!([{ "role": "produce", "topic": "writer" }]));
    let mut java = scene.java("writer");
    assert_eq!(java.produce(&[("writer", "a")]), json!([0]));
    for (name, config) in [("classic", json!({})), ("new", json!({ "group.protocol": "consumer" }))] {
        java.subscribe(name, "writer-group", &["writer"], &config);
        assert_eq!(error(&java.poll(name, 1)), "GroupAuthorizationException", "{name}");
    }
    // Nor without a group.
    java.ask(&json!({ "do": "subscribe", "name": "alone", "topics": ["writer"], "assign": true }));
    assert_eq!(error(&java.poll("alone", 1)), DENIED);
    assert!(broker.groups().iter().all(|group| group != "writer-group"), "{:?}", broker.groups());
}

fn who_may_only_read_writes_nothing(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["reader"]);
    broker.write("reader", "a");
    scene.allow("reader", &json!([{ "role": "consume", "topic": "reader" }]));
    let mut java = scene.java("reader");
    for (config, denied) in
        [(json!({}), "ClusterAuthorizationException"), (json!({ "enable.idempotence": "false" }), DENIED)]
    {
        assert_eq!(java.produce_with(&[("reader", "x")], &config), json!([denied]), "{config}");
    }
    let silent = json!({ "acks": "0", "enable.idempotence": "false" });
    java.produce_with(&[("reader", "x")], &silent);
    let transaction =
        json!({ "do": "transact", "records": [["reader", "x"]], "config": { "transactional.id": "reader" } });
    assert_eq!(error(&java.ask(&transaction)), "TransactionalIdAuthorizationException");
    java.subscribe("reader", "reader-group", &["reader"], &json!({}));
    assert_eq!(java.poll("reader", 1), json!({ "got": ["reader:a"] }));
    assert_eq!(broker.end("reader"), Some(1));
}

fn transactions_keep_to_their_topics(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["bank", "bank-copy", "bank-secret"]);
    scene.allow("bank", &all([both("bank"), both("bank-copy"), seen("bank-secret")]));
    let mut java = scene.java("bank");
    let mut transact = |records: Value, abort: bool| {
        let config = json!({ "transactional.id": "bank", "linger.ms": 100 });
        java.ask(&json!({ "do": "transact", "records": records, "config": config, "abort": abort }))
    };
    assert_eq!(transact(json!([["bank", "a"], ["bank", "b"]]), false), json!({ "outcomes": [0, 1] }));
    assert_eq!(transact(json!([["bank", "no"]]), true), json!({ "outcomes": [3] }));
    // One forbidden topic, and the transaction cannot be committed.
    let denied = transact(json!([["bank", "no"], ["bank-secret", "x"]]), false);
    assert_eq!(denied["outcomes"][1], DENIED, "{denied}");
    // Whichever call is the first to hear of it.
    let errors = [DENIED, "KafkaException"];
    assert!(errors.contains(&error(&denied)), "{denied}");
    assert_eq!(broker.end("bank-secret"), Some(0));

    let piped = java.ask(&json!({
        "do": "pipe", "group": "bank-group", "from": "bank", "to": "bank-copy", "count": 2,
        "config": { "transactional.id": "bank", "isolation.level": "read_committed" },
    }));
    assert_eq!(piped, json!({ "piped": 2 }));
    java.subscribe("copy", "bank-copies", &["bank-copy"], &json!({ "isolation.level": "read_committed" }));
    assert_eq!(java.poll("copy", 2), json!({ "got": ["bank-copy:a", "bank-copy:b"] }));
    assert_eq!(broker.committed("bank-group", "bank"), 2);
}

fn a_group_that_the_broker_assigns_keeps_to_its_topic(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["modern", "modern-secret"]);
    for topic in ["modern", "modern-secret"] {
        broker.write(topic, "a");
    }
    scene.allow("modern", &both("modern"));
    let mut java = scene.java("modern");
    let modern = json!({ "group.protocol": "consumer" });
    java.subscribe("reader", "modern-group", &["modern"], &modern);
    assert_eq!(java.poll("reader", 1), json!({ "got": ["modern:a"] }));
    assert_eq!(java.simple("commit", "reader"), json!({}));
    assert_eq!(broker.committed("modern-group", "modern"), 1);
    java.subscribe("curious", "modern-group-2", &["modern", "modern-secret"], &modern);
    assert_eq!(error(&java.poll("curious", 2)), DENIED);
    // A pattern of the client's finds what it may know of.
    java.ask(&json!({
        "do": "subscribe", "name": "pattern", "group": "modern-group-3", "pattern": "modern.*", "config": modern,
    }));
    assert_eq!(java.poll("pattern", 1), json!({ "got": ["modern:a"] }));
    assert_eq!(java.poll_for("pattern", Duration::from_secs(1)), json!({ "got": [] }));
}

fn a_share_group_keeps_to_its_topic(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["share", "share-secret"]);
    scene.allow("share", &both("share"));
    let mut java = scene.java("share");
    let subscribe = |java: &mut Client, name: &str, topics: &[&str]| {
        java.ask(&json!({ "do": "subscribe", "share": true, "name": name, "group": name, "topics": topics }))
    };
    subscribe(&mut java, "sharer", &["share"]);
    // It begins at what comes after it has begun.
    let first = (0..30).find_map(|number| {
        broker.write("share", &number.to_string());
        let got = java.ask(&json!({ "do": "poll", "name": "sharer", "count": 1, "millis": 1000 }));
        got["got"].as_array().unwrap_or_else(|| panic!("{got}")).first().cloned()
    });
    assert!(first.is_some(), "nothing is shared: {}", java.said());
    subscribe(&mut java, "curious", &["share", "share-secret"]);
    assert_eq!(error(&java.poll("curious", 1)), DENIED);
    broker.write("share", "last");
    let mut got = Vec::new();
    while got.last() != Some(&json!("share:last")) {
        let more = java.poll("sharer", 1);
        assert!(!more["got"].as_array().unwrap().is_empty(), "{more}");
        got.extend(more["got"].as_array().unwrap().clone());
    }
    assert_eq!(java.simple("close", "sharer"), json!({}));
}

fn streams_keep_to_their_topics(scene: &Scene, pod: &str, config: &Value) {
    let broker = scene.broker();
    let [from, to, secret] = ["in", "out", "secret"].map(|name| format!("{pod}-{name}"));
    broker.create(&[&from, &to, &secret]);
    for topic in [&from, &from, &secret] {
        broker.write(topic, "word");
    }
    let id = format!("{pod}-count");
    let own = ["changelog", "repartition"].map(|kind| format!("{id}-counts-{kind}"));
    let rules = [&from, &to, &own[0], &own[1]].map(|topic| json!([{ "role": "streams", "topic": topic }]));
    scene.allow(pod, &all(rules));
    let mut java = scene.java(pod);
    let directory = scene.pod(pod).directory().join("state").display().to_string();
    let mut run = |id: &str, from: &str| {
        java.ask(&json!({
            "do": "streams", "id": id, "from": from, "to": to, "count": 2, "directory": directory, "config": config,
        }))
    };
    assert_eq!(run(&id, &from), json!({ "causes": [], "counted": ["word=1", "word=2"] }));
    let denied = run(&format!("{pod}-peek"), &secret);
    assert!(denied["causes"].as_array().unwrap().contains(&json!(DENIED)), "{denied}");
    assert_eq!(denied["counted"], json!([]));
    assert_eq!((broker.end(&to), broker.committed(&id, &from)), (Some(2), 2));
}

fn groups_and_transactions_have_names(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["names-a", "names-b"]);
    broker.write("names-a", "1");
    scene.allow(
        "names",
        &json!([
            { "role": "produce", "topics": { "prefix": "names-" }, "transactionalID": "names-mine" },
            { "role": "consume", "topics": { "prefix": "names-" }, "groups": { "prefix": "names-mine" } },
        ]),
    );
    let mut java = scene.java("names");
    java.subscribe("mine", "names-mine-1", &["names-a"], &json!({}));
    assert_eq!(java.poll("mine", 1), json!({ "got": ["names-a:1"] }));
    assert_eq!(java.simple("commit", "mine"), json!({}));
    java.subscribe("theirs", "names-theirs", &["names-a"], &json!({}));
    assert_eq!(error(&java.poll("theirs", 1)), "GroupAuthorizationException");
    let mut transact = |id: &str| {
        let config = json!({ "transactional.id": id });
        java.ask(&json!({ "do": "transact", "records": [["names-b", "a"]], "config": config }))
    };
    assert_eq!(transact("names-mine"), json!({ "outcomes": [0] }));
    assert_eq!(error(&transact("names-theirs")), "TransactionalIdAuthorizationException");
    let mut pipe = |group: &str| {
        java.ask(&json!({
            "do": "pipe", "group": group, "from": "names-a", "to": "names-b", "count": 1,
            "config": { "transactional.id": "names-mine" },
        }))
    };
    assert_eq!(pipe("names-mine-2"), json!({ "piped": 1 }));
    assert_eq!(error(&pipe("names-theirs")), "GroupAuthorizationException");
    assert_eq!((broker.end("names-a"), broker.end("names-b")), (Some(1), Some(4)));
    assert_eq!(broker.committed("names-mine-2", "names-a"), 1);
    assert!(broker.groups().iter().all(|group| group != "names-theirs"), "{:?}", broker.groups());
}

fn who_administers_topics_keeps_to_them(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["office-a", "other"]);
    broker.write("office-a", "1");
    broker.write("other", "1");
    scene.allow("office", &json!([{ "role": "admin", "topics": { "prefix": "office-" } }]));
    let mut java = scene.java("office");
    let mut ask = |what: &str, name: &str| java.ask(&json!({ "do": what, "names": [name] }));
    assert_eq!(ask("create", "office-b"), json!({}));
    soon("a topic that is made", || broker.end("office-b"));
    assert_eq!(ask("list", ""), json!({ "topics": ["office-a", "office-b"] }));
    assert_eq!(ask("describe", "office-a"), json!({ "topics": ["office-a"] }));
    assert_eq!(ask("end", "office-a"), json!({ "ends": { "office-a": 1 } }));
    assert_eq!(ask("cluster", ""), json!({ "nodes": 1 }));
    for what in ["configs", "empty", "delete"] {
        assert_eq!(ask(what, "office-a"), json!({}), "{what}");
    }
    for what in ["describe", "end", "configs", "empty", "delete"] {
        assert_eq!(error(&ask(what, "other")), DENIED, "{what}");
    }
    assert_eq!(error(&ask("create", "other-2")), DENIED);
    assert_eq!((broker.end("other"), broker.end("other-2")), (Some(1), None));
    soon("a topic to go", || broker.end("office-a").is_none().then_some(()));
    assert!(ask("groups", "")["groups"].is_array());
}

/// The connection says it again and again, as the broker wants it.
fn who_says_who_it_is_keeps_to_its_topic(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["login", "login-secret"]);
    scene.allow("login", &both("login"));
    let mut java = Client::java(scene.pod("login"), &broker.sasl_bootstrap());
    let config = |password: &str| {
        let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        json!({
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.jaas.config": format!("{login} username=\"{USER}\" password=\"{password}\";"),
        })
    };
    let sent = java.produce_with(&[("login", "a"), ("login-secret", "x")], &config(PASSWORD));
    assert_eq!(sent, json!([0, DENIED]));
    java.subscribe("reader", "login", &["login"], &config(PASSWORD));
    assert_eq!(java.poll("reader", 1), json!({ "got": ["login:a"] }));
    let flood = json!({ "do": "flood", "topics": ["login"], "count": 400, "pause": 10, "config": config(PASSWORD) });
    assert_eq!(java.ask(&flood), json!({ "taken": 400, "failures": [] }));
    assert_eq!(java.poll("reader", 400)["got"].as_array().map(Vec::len), Some(400));
    let wrong = java.produce_with(&[("login", "x")], &config("wrong"));
    assert_eq!(wrong, json!(["SaslAuthenticationException"]));
    assert_eq!((broker.end("login"), broker.end("login-secret")), (Some(401), Some(0)));
}

fn large_records_are_whole_or_not_there(scene: &Scene) {
    const SIZE: usize = 3 << 20;
    let broker = scene.broker();
    broker.create(&["large", "large-secret"]);
    scene.allow("large", &all([both("large"), seen("large-secret")]));
    let mut java = scene.java("large");
    let value: String = (0..SIZE).map(|at| char::from(b'a' + u8::try_from(at * at % 26).unwrap())).collect();
    let config = json!({
        "max.request.size": SIZE * 2, "buffer.memory": SIZE * 4, "enable.idempotence": "false", "retries": 0,
    });
    assert_eq!(java.produce_with(&[("large", &value)], &config), json!([0]));
    let denied = java.produce_with(&[("large-secret", &value)], &config);
    assert_eq!(denied, json!([DENIED]));
    assert_eq!(java.produce_with(&[("large", "small")], &config), json!([1]));
    let limits = json!({ "max.partition.fetch.bytes": SIZE * 2 });
    java.subscribe("reader", "large", &["large"], &limits);
    let got = java.poll("reader", 2)["got"].as_array().unwrap().clone();
    assert!(got == [json!(format!("large:{value}")), json!("large:small")], "{} records", got.len());
    assert_eq!((broker.end("large"), broker.end("large-secret")), (Some(2), Some(0)));
}
