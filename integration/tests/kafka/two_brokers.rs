//! Brokers that replicate, with policy on both: requests between brokers have a role of their own.

use std::{collections::BTreeSet, fs};

use serde_json::json;

use crate::{
    authorizer,
    broker::{Version, soon},
    client::Client,
    java::{DENIED, all, both},
    scene::{Scene, able, say},
    wire::{Connection, Writer},
};

const WRITE_TXN_MARKERS: i16 = 27;
const CLUSTER_DENIED: i16 = 31;
/// Each record of the flood waits so long for the next, in milliseconds.
const PAUSE: usize = 5;
const FLOOD: usize = 1_600;

#[test]
fn brokers_replicate_past_each_others_policy() {
    if !able(Version::Current) {
        return;
    }
    let mut scene = Scene::start(Version::Current, 2, &["pair"]);
    let [first, second] = [&scene.brokers[0], &scene.brokers[1]];
    let bootstrap = format!("{},{}", first.bootstrap(), second.bootstrap());
    first.make(&[("pair-1", &[1, 2]), ("pair-2", &[2, 1]), ("pair-secret", &[2, 1])]);
    soon("leaders", || TOPICS.iter().all(|topic| end(&scene, topic) == Some(0)).then_some(()));
    scene.allow("pair", &all([both("pair-1"), both("pair-2")]));
    let mut java = Client::java(scene.pod("pair"), &bootstrap);

    assert_eq!(java.produce(&[("pair-1", "a"), ("pair-2", "a"), ("pair-secret", "x")]), json!([0, 0, DENIED]));
    transactions_reach_both(&scene, &mut java);
    a_restart_loses_nothing(&mut scene, &mut java);
    replicas_are_equal(&scene);
    say("both have the same");
    without_its_role_a_broker_replicates_nothing(&scene, &mut java);
    replicas_are_equal(&scene);
    a_client_is_no_broker(&scene);
    assert_eq!(end(&scene, "pair-secret"), Some(0));
}

const TOPICS: [&str; 3] = ["pair-1", "pair-2", "pair-secret"];

/// Asked of whoever leads.
fn end(scene: &Scene, topic: &str) -> Option<i64> {
    scene.brokers.iter().find_map(|broker| broker.end(topic))
}

/// Of two partitions on two brokers; the one that coordinates tells the other.
fn transactions_reach_both(scene: &Scene, java: &mut Client) {
    let config = json!({ "transactional.id": "pair" });
    let records = json!([["pair-1", "t"], ["pair-2", "t"]]);
    let told = java.ask(&json!({ "do": "transact", "records": records, "config": config }));
    assert_eq!(told, json!({ "outcomes": [1, 1] }));
    let committed = json!({ "isolation.level": "read_committed", "group.protocol": "consumer" });
    java.subscribe("reader", "pair", &["pair-1", "pair-2"], &committed);
    let got = java.poll("reader", 4)["got"].as_array().unwrap().clone();
    let got: BTreeSet<_> = got.iter().map(|record| record.as_str().unwrap().to_owned()).collect();
    assert_eq!(got, ["pair-1:a", "pair-1:t", "pair-2:a", "pair-2:t"].map(str::to_owned).into());
    assert_eq!(java.simple("close", "reader"), json!({}));
    assert_eq!((end(scene, "pair-1"), end(scene, "pair-2")), (Some(3), Some(3)));
}

/// It cannot end the transactions of others.
fn a_client_is_no_broker(scene: &Scene) {
    let before = end(scene, "pair-1");
    let to = scene.broker().bootstrap().parse().unwrap();
    let name = b"pair-1";
    // Of producer 0: abort. The topic with its partition; the coordinator's term.
    let topic = Writer::default().compact(name.len()).raw(name).compact(1).i32(0).raw(&[0]);
    let body = Writer::default().compact(1).i64(0).i16(0).i8(0).compact(1).raw(&topic.0).i32(0).raw(&[0, 0]);
    let answer =
        scene.pod("pair").inside(|| Connection::open(to).unwrap().ask(WRITE_TXN_MARKERS, 1, true, &body).unwrap());
    let denied = Writer::default().compact(name.len()).raw(name).compact(1).i32(0).i16(CLUSTER_DENIED);
    assert!(answer.windows(denied.0.len()).any(|window| window == denied.0), "{}", answer.escape_ascii());
    assert_eq!(end(scene, "pair-1"), before);
}

/// While somebody writes to both, one is killed and comes back.
fn a_restart_loses_nothing(scene: &mut Scene, java: &mut Client) {
    let before = ["pair-1", "pair-2"].map(|topic| end(scene, topic).unwrap());
    java.tell(&json!({
        "do": "flood", "topics": ["pair-1", "pair-2"], "count": FLOOD, "pause": PAUSE,
        "config": { "delivery.timeout.ms": 60_000 },
    }));
    soon("some records", || (end(scene, "pair-2")? > before[1] + 100).then_some(()));
    scene.brokers[1].kill();
    scene.brokers[1].start_again();
    scene.brokers[1].wait();
    assert_eq!(java.hear(), json!({ "taken": FLOOD, "failures": [] }));
    let half = i64::try_from(FLOOD / 2).unwrap();
    let ends = ["pair-1", "pair-2"].map(|topic| end(scene, topic).unwrap());
    assert_eq!(ends, before.map(|end| end + half));
    java.subscribe("all", "pair-all", &["pair-1", "pair-2"], &json!({}));
    let got = java.poll("all", FLOOD + 4)["got"].as_array().unwrap().clone();
    let unique: BTreeSet<_> = got.iter().map(|record| record.as_str().unwrap()).collect();
    assert_eq!((got.len(), unique.len()), (FLOOD + 4, FLOOD + 4));
    assert_eq!(java.simple("close", "all"), json!({}));
}

/// The bytes that both keep.
fn replicas_are_equal(scene: &Scene) {
    for topic in TOPICS {
        let read = |pod: &str| {
            let segment = format!("logs/{topic}-0/00000000000000000000.log");
            fs::read(scene.pod(pod).directory().join(segment)).unwrap()
        };
        soon("the same bytes at both", || (read("kafka-1") == read("kafka-2")).then_some(()));
        assert_eq!(read("kafka-1").is_empty(), topic == "pair-secret", "{topic}");
    }
}

fn without_its_role_a_broker_replicates_nothing(scene: &Scene, java: &mut Client) {
    if authorizer::judges() {
        return;
    }
    scene.admit_brokers(&json!([{ "apiKey": "apiversions" }]));
    let config = json!({ "delivery.timeout.ms": 7000, "request.timeout.ms": 3000, "linger.ms": 0 });
    let told = java.produce_with(&[("pair-1", "late")], &config);
    let errors = ["TimeoutException", "NotEnoughReplicasException", "NotEnoughReplicasAfterAppendException"];
    assert!(errors.contains(&told[0].as_str().unwrap_or_default()), "{told}");
    scene.admit_brokers(&json!([{ "role": "broker" }]));
    soon("replicas that are in sync", || java.produce(&[("pair-1", "again")])[0].is_i64().then_some(()));
}
