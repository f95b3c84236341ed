//! Clients by other authors: kcat and those of Python.

use portcullis_integration::Finished;
use serde_json::{Value, json};

use crate::{
    client::Client,
    java::{all, both, seen},
    scene::{Scene, Story},
};

pub(crate) const PODS: [&str; 4] = ["kcat", "confluent", "python", "aio"];

pub(crate) const STORIES: [Story<Scene>; 4] = [
    ("kcat keeps to its topic", |scene| kcat_keeps_to_its_topic(scene, "kcat")),
    ("confluent-kafka keeps to its topics", |scene| {
        python_keeps_to_its_topics(scene, "confluent", "confluent-kafka", &LIBRDKAFKA);
    }),
    ("kafka-python keeps to its topics", |scene| {
        python_keeps_to_its_topics(scene, "python", "kafka-python", &KAFKA_PYTHON);
    }),
    ("aiokafka keeps to its topics", |scene| {
        python_keeps_to_its_topics(scene, "aio", "aiokafka", &AIOKAFKA);
    }),
];

/// What a library says.
struct Words {
    /// To who writes to a forbidden topic.
    write: &'static str,
    /// To who reads one.
    read: &'static str,
    /// To who joins a forbidden group.
    group: &'static str,
    /// To who makes a transaction with a forbidden id.
    transaction: &'static str,
}

const LIBRDKAFKA: Words = Words {
    write: "TOPIC_AUTHORIZATION_FAILED",
    read: "TOPIC_AUTHORIZATION_FAILED",
    group: "GROUP_AUTHORIZATION_FAILED",
    transaction: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
};
const KAFKA_PYTHON: Words = Words {
    write: "TopicAuthorizationFailedError",
    read: "TopicAuthorizationFailedError",
    group: "GroupAuthorizationFailedError",
    transaction: "TransactionalIdAuthorizationFailedError",
};
const AIOKAFKA: Words = Words {
    write: "TopicAuthorizationFailedError",
    read: "TopicAuthorizationFailedError",
    group: "GroupAuthorizationFailedError",
    transaction: "TransactionalIdAuthorizationFailed",
};

fn python_keeps_to_its_topics(scene: &Scene, pod: &str, library: &str, words: &Words) {
    let broker = scene.broker();
    let [open, secret, ghost, group] = ["open", "secret", "ghost", "group"].map(|name| format!("{pod}-{name}"));
    broker.create(&[&open, &secret]);
    scene.allow(pod, &both(&open));
    let mut client = scene.python(pod, library);
    let sent = client.produce(&[(&open, "a"), (&secret, "x"), (&ghost, "y"), (&open, "b")]);
    assert_eq!(sent, json!([0, words.write, words.write, 1]));
    let transactional = |id: &str| match library {
        "confluent-kafka" => json!({ "transactional.id": id }),
        _ => json!({ "transactional_id": id }),
    };
    let transact = |client: &mut Client, topic: &str| {
        client.ask(&json!({ "do": "transact", "records": [[topic, "c"]], "config": transactional(pod) }))
    };
    assert_eq!(transact(&mut client, &open), json!({ "outcomes": [2] }));
    assert_eq!(client.ask(&json!({ "do": "topics" })), json!({ "topics": [open] }));
    client.subscribe("reader", &group, &[&open], &json!({}));
    let got = ["a", "b", "c"].map(|value| format!("{open}:{value}"));
    assert_eq!(client.poll("reader", 3), json!({ "got": got }));
    assert_eq!(client.simple("commit", "reader"), json!({}));
    assert_eq!(client.simple("close", "reader"), json!({}));
    // Some count the end of a transaction as read.
    assert!([3, 4].contains(&broker.committed(&group, &open)));
    if library == "confluent-kafka" {
        let modern = json!({ "group.protocol": "consumer" });
        client.subscribe("modern", &format!("{group}-5"), &[&open], &modern);
        assert_eq!(client.poll("modern", 3), json!({ "got": got }));
        assert_eq!(client.simple("close", "modern"), json!({}));
    }
    // Some say nothing of a topic that they find nothing about, and read nothing.
    let curious = told(&mut client, "curious", &format!("{group}-2"), &secret);
    assert!(curious == words.read || library != "confluent-kafka" && curious.is_null(), "{curious}");

    // Where they find it, it is the broker that says no.
    broker.write(&secret, "s");
    scene.allow(pod, &all([both(&open), seen(&secret)]));
    let sent = client.produce(&[(&open, "d"), (&secret, "x"), (&open, "e"), (&secret, "y")]);
    assert_eq!(sent, json!([4, words.write, 5, words.write]));
    assert_eq!(told(&mut client, "reads", &format!("{group}-3"), &secret), words.read);
    assert_eq!([&open, &secret, &ghost].map(|topic| broker.end(topic)), [Some(6), Some(1), None]);

    // Neither groups nor transactions.
    scene.allow(pod, &json!([{ "role": "produce", "topic": open }]));
    assert_eq!(told(&mut client, "member", &format!("{group}-4"), &open), words.group);
    scene.allow(pod, &json!([{ "role": "consume", "topic": open }]));
    assert_eq!(transact(&mut client, &open)["error"], words.transaction);
    assert_eq!(broker.end(&open), Some(6));
}

/// The error of a new member of a group.
fn told(client: &mut Client, name: &str, group: &str, topic: &str) -> Value {
    let subscribed = client.subscribe(name, group, &[topic], &json!({}));
    // Some ask for the topic at once.
    let told = if subscribed.get("error").is_some() {
        subscribed
    } else {
        client.ask(&json!({ "do": "poll", "name": name, "count": 1, "millis": 4000 }))
    };
    assert!(told["got"].as_array().is_none_or(Vec::is_empty), "{told}");
    told["error"].clone()
}

/// kcat, of a librdkafka that is some years old.
pub(crate) fn kcat_keeps_to_its_topic(scene: &Scene, pod: &str) {
    let broker = scene.broker();
    let [open, secret, ghost, group] = ["open", "secret", "ghost", "group"].map(|name| format!("{pod}-{name}"));
    broker.create(&[&open, &secret]);
    scene.allow(pod, &both(&open));
    let bootstrap = broker.bootstrap();
    let kcat = |words: &[&str], input: &str| -> Finished {
        let start = ["timeout", "30", "kcat", "-b", &bootstrap, "-X", "message.timeout.ms=10000"];
        scene.pod(pod).run_with(&[&start[..], words].concat(), input).unwrap()
    };
    kcat(&["-P", "-t", &open], "a\nb\n").ok().unwrap();
    for words in [&["-X", "enable.idempotence=true"][..], &["-X", "acks=1", "-z", "gzip"]] {
        kcat(&[&["-P", "-t", &open], words].concat(), "c\n").ok().unwrap();
    }
    for topic in [&secret, &ghost] {
        let denied = kcat(&["-P", "-t", topic], "x\n");
        let said = denied.stdout.clone() + &denied.stderr;
        assert!(said.contains("Broker: Topic authorization failed"), "{denied:?}");
    }
    let read = kcat(&["-C", "-t", &open, "-e", "-q"], "").ok().unwrap();
    assert_eq!(read.stdout, "a\nb\nc\nc\n");
    let read = kcat(&["-G", &group, "-c", "4", "-q", "-X", "auto.offset.reset=earliest", &open], "").ok().unwrap();
    assert_eq!(read.stdout, "a\nb\nc\nc\n");
    for words in [&["-C", "-e", "-t", &secret][..], &["-G", &group, "-c", "1", &secret]] {
        let denied = kcat(words, "");
        let said = denied.stdout.clone() + &denied.stderr;
        assert!(said.contains("Broker: Topic authorization failed"), "{denied:?}");
    }
    let listed = kcat(&["-L", "-J"], "").ok().unwrap();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let topics: Vec<_> = listed["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].clone()).collect();
    assert_eq!(topics, [json!(open)]);
    assert_eq!([&open, &secret, &ghost].map(|topic| broker.end(topic)), [Some(4), Some(0), None]);
}
