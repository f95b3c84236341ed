//! Changes while clients run: of the policy, and of the topic behind a name.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    authorizer,
    broker::soon,
    client::Client,
    java::{DENIED, all, both, seen},
    scene::{Scene, Story},
};

pub(crate) const PODS: [&str; 8] = ["shift", "turn", "leave", "again", "outbound", "called", "crash", "sharing"];

pub(crate) const STORIES: [Story<Scene>; 7] = [
    ("a classic group loses a topic and gets it back", |scene| {
        a_group_loses_a_topic_and_gets_it_back(scene, "shift", &json!({}));
    }),
    ("a group that the broker assigns loses a topic and gets it back", |scene| {
        a_group_loses_a_topic_and_gets_it_back(scene, "turn", &json!({ "group.protocol": "consumer" }));
    }),
    ("a member whose group is taken away comes back", a_member_whose_group_is_taken_away_comes_back),
    ("a share group loses a topic and gets it back", a_share_group_loses_a_topic_and_gets_it_back),
    ("a topic that is made again has its name's rules", a_topic_that_is_made_again_has_its_names_rules),
    ("a policy of the client's keeps it to its topic", a_policy_of_the_clients_keeps_it_to_its_topic),
    ("what a client calls itself, and resets", what_a_client_calls_itself_and_resets),
];

/// Reads until a record is there; errors before it have to be this one.
fn read_until(java: &mut Client, name: &str, last: &str, error: Option<&str>) -> Vec<String> {
    let mut got = Vec::new();
    for _ in 0..100 {
        let answer = java.poll(name, 1);
        let records = answer["got"].as_array().unwrap_or_else(|| panic!("{answer}"));
        got.extend(records.iter().map(|record| record.as_str().unwrap().to_owned()));
        let told = answer["error"].as_str();
        assert!(told.is_none() || told == error, "{answer}");
        if got.iter().any(|record| record == last) {
            return got;
        }
        assert!(told.is_some() || !records.is_empty(), "nothing more comes after {got:?}: {}", java.said());
    }
    panic!("{last} does not come after {got:?}")
}

fn a_group_loses_a_topic_and_gets_it_back(scene: &Scene, pod: &str, config: &Value) {
    let broker = scene.broker();
    let [kept, lost] = ["kept", "lost"].map(|name| format!("{pod}-{name}"));
    broker.create(&[&kept, &lost]);
    scene.allow(pod, &all([both(&kept), both(&lost)]));
    let mut java = scene.java(pod);
    java.subscribe("reader", pod, &[&kept, &lost], config);
    broker.write(&kept, "1");
    broker.write(&lost, "1");
    let mut first = json!(java.poll("reader", 2)["got"]);
    first.as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(first, json!([format!("{kept}:1"), format!("{lost}:1")]));
    // Its fetches name no topics any more: nothing has changed.
    assert_eq!(java.poll_for("reader", Duration::from_millis(600)), json!({ "got": [] }));

    scene.allow(pod, &both(&kept));
    // A fetch that was allowed may wait at the broker.
    let denied = (0..50).any(|_| java.poll_for("reader", Duration::from_millis(50))["error"] == DENIED);
    assert!(denied, "a topic that was taken away is read on");
    broker.write(&lost, "2");
    let told: Vec<Value> = (0..3).map(|_| java.poll("reader", 1)).collect();
    assert!(told.iter().all(|answer| answer["got"] == json!([]) && answer["error"] == DENIED), "{told:?}");
    broker.write(&kept, "2");
    assert_eq!(read_until(&mut java, "reader", &format!("{kept}:2"), Some(DENIED)), [format!("{kept}:2")]);

    scene.allow(pod, &all([both(&kept), both(&lost)]));
    assert_eq!(read_until(&mut java, "reader", &format!("{lost}:2"), Some(DENIED)), [format!("{lost}:2")]);
    broker.write(&kept, "3");
    broker.write(&lost, "3");
    let mut rest = read_until(&mut java, "reader", &format!("{kept}:3"), Some(DENIED));
    if !rest.contains(&format!("{lost}:3")) {
        rest.extend(read_until(&mut java, "reader", &format!("{lost}:3"), Some(DENIED)));
    }
    rest.sort();
    assert_eq!(rest, [format!("{kept}:3"), format!("{lost}:3")]);
    assert_eq!(java.simple("commit", "reader"), json!({}));
    assert_eq!((broker.committed(pod, &kept), broker.committed(pod, &lost)), (3, 3));
}

fn a_member_whose_group_is_taken_away_comes_back(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["leave"]);
    scene.allow("leave", &both("leave"));
    let mut java = scene.java("leave");
    java.subscribe("reader", "leave", &["leave"], &json!({}));
    broker.write("leave", "1");
    assert_eq!(read_until(&mut java, "reader", "leave:1", None), ["leave:1"]);
    assert_eq!(java.simple("commit", "reader"), json!({}));
    scene.allow("leave", &json!([{ "role": "produce", "topic": "leave" }]));
    broker.write("leave", "2");
    let denied = java.simple("commit", "reader");
    assert_eq!(denied["error"], "GroupAuthorizationException", "{denied}");
    assert_eq!(broker.committed("leave", "leave"), 1);
    scene.allow("leave", &both("leave"));
    let got = (0..100).find_map(|_| {
        let answer = java.poll("reader", 1);
        let error = answer["error"].as_str().unwrap_or("GroupAuthorizationException");
        assert!(["GroupAuthorizationException", DENIED].contains(&error), "{answer}");
        (answer["got"] != json!([])).then_some(answer)
    });
    assert_eq!(got.unwrap()["got"], json!(["leave:2"]));
    assert_eq!(java.simple("commit", "reader"), json!({}));
    assert_eq!(broker.committed("leave", "leave"), 2);
}

fn a_share_group_loses_a_topic_and_gets_it_back(scene: &Scene) {
    let broker = scene.broker();
    let names = ["sharing-kept", "sharing-lost"];
    broker.create(&names);
    scene.allow("sharing", &all(names.map(both)));
    let mut java = scene.java("sharing");
    java.ask(&json!({ "do": "subscribe", "share": true, "name": "sharer", "group": "sharing", "topics": names }));
    let mut missing = BTreeSet::from(names.map(str::to_owned));
    // It begins at what comes after it has begun.
    for number in 0..30 {
        names.iter().for_each(|name| broker.write(name, &number.to_string()));
        let got = java.ask(&json!({ "do": "poll", "name": "sharer", "count": 2, "millis": 1000 }));
        for record in got["got"].as_array().unwrap_or_else(|| panic!("{got}")) {
            missing.remove(record.as_str().unwrap().split(':').next().unwrap());
        }
        if missing.is_empty() {
            break;
        }
    }
    assert!(missing.is_empty(), "nothing of {missing:?}: {}", java.said());
    scene.allow("sharing", &both("sharing-kept"));
    let denied = (0..50).any(|_| java.poll_for("sharer", Duration::from_millis(100))["error"] == DENIED);
    assert!(denied, "a topic that was taken away is shared on");
    broker.write("sharing-lost", "withheld");
    broker.write("sharing-kept", "goes on");
    let mut told = Vec::new();
    for _ in 0..60 {
        let answer = java.poll_for("sharer", Duration::from_millis(100));
        assert!(answer["error"].is_null() || answer["error"] == DENIED, "{answer}");
        told.extend(answer["got"].as_array().unwrap().clone());
        if told.contains(&json!("sharing-kept:goes on")) {
            break;
        }
    }
    assert!(told.contains(&json!("sharing-kept:goes on")), "{told:?}");
    assert!(!told.contains(&json!("sharing-lost:withheld")), "{told:?}");
    scene.allow("sharing", &all(names.map(both)));
    let back = (0..60).any(|_| {
        let answer = java.poll("sharer", 1);
        assert!(answer["error"].is_null() || answer["error"] == DENIED, "{answer}");
        answer["got"].as_array().unwrap().contains(&json!("sharing-lost:withheld"))
    });
    assert!(back, "what was withheld does not come: {}", java.said());
}

fn a_topic_that_is_made_again_has_its_names_rules(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["again", "again-secret"]);
    scene.allow("again", &all([both("again"), seen("again-secret")]));
    let mut java = scene.java("again");
    let send = |java: &mut Client, value: &str| {
        let records = json!([["again", value], ["again-secret", value]]);
        let config = json!({ "enable.idempotence": "false", "linger.ms": 100 });
        java.ask(&json!({ "do": "produce", "name": "writer", "records": records, "config": config }))
    };
    assert_eq!(send(&mut java, "1"), json!({ "outcomes": [0, DENIED] }));
    java.subscribe("reader", "again", &["again"], &json!({}));
    assert_eq!(read_until(&mut java, "reader", "again:1", None), ["again:1"]);
    for topic in ["again", "again-secret"] {
        broker.delete(topic);
    }
    broker.create(&["again", "again-secret"]);
    assert_eq!(send(&mut java, "2"), json!({ "outcomes": [0, DENIED] }));
    java.subscribe("new", "again-2", &["again"], &json!({}));
    assert_eq!(read_until(&mut java, "new", "again:2", None), ["again:2"]);
    // Whoever has read one record before goes on at the second.
    assert_eq!(send(&mut java, "3"), json!({ "outcomes": [1, DENIED] }));
    assert_eq!(read_until(&mut java, "reader", "again:3", None), ["again:3"]);
    assert_eq!((broker.end("again"), broker.end("again-secret")), (Some(2), Some(0)));
}

/// Both ends judge, and only what both allow goes through.
fn a_policy_of_the_clients_keeps_it_to_its_topic(scene: &Scene) {
    let broker = scene.broker();
    broker.create(&["out-all", "out-client", "out-broker"]);
    for topic in ["out-all", "out-client", "out-broker"] {
        broker.write(topic, "a");
    }
    scene.allow_to(
        "outbound",
        &all([both("out-all"), both("out-client")]),
        &all([both("out-all"), both("out-broker")]),
    );
    let mut java = scene.java("outbound");
    let sent = java.produce(&[("out-all", "b"), ("out-client", "b"), ("out-broker", "b"), ("out-ghost", "b")]);
    assert_eq!(sent, json!([1, DENIED, DENIED, DENIED]));
    java.subscribe("reader", "outbound", &["out-all"], &json!({}));
    assert_eq!(java.poll("reader", 2), json!({ "got": ["out-all:a", "out-all:b"] }));
    java.subscribe("curious", "outbound-2", &["out-client"], &json!({}));
    assert_eq!(java.poll("curious", 1)["error"], DENIED);
    assert_eq!(java.ask(&json!({ "do": "list" })), json!({ "topics": ["out-all"] }));
    let ends = ["out-all", "out-client", "out-broker", "out-ghost"].map(|topic| broker.end(topic));
    assert_eq!(ends, [Some(2), Some(1), Some(1), None]);
}

/// Kafka's own authorizer knows neither.
fn what_a_client_calls_itself_and_resets(scene: &Scene) {
    if authorizer::judges() {
        return;
    }
    let broker = scene.broker();
    broker.create(&["called"]);
    let rules = json!([{ "role": "produce", "topic": "called", "clientID": "shop" }, { "apiKey": "apiversions" }]);
    scene.allow("called", &rules);
    let mut java = scene.java("called");
    let mut send = |client: &str, max: u32| {
        let config = json!({ "client.id": client, "enable.idempotence": "false", "max.block.ms": max });
        java.produce_with(&[("called", "a")], &config)
    };
    assert_eq!(send("shop", 15_000), json!([0]));
    assert_eq!(send("shopper", 15_000), json!([DENIED]));
    scene.allow_or_reset("called", &rules);
    assert_eq!(send("shop", 15_000), json!([1]));
    // It tries again and again.
    assert_eq!(send("shopper", 1000), json!(["TimeoutException"]));
    assert_eq!(broker.end("called"), Some(2));
}

/// The node is killed while clients run, and comes back without what it had learnt of ids.
pub(crate) fn a_node_that_is_killed_comes_back(scene: &mut Scene) {
    const FLOOD: usize = 800;
    scene.broker().create(&["crash", "crash-secret"]);
    scene.allow("crash", &all([both("crash"), seen("crash-secret")]));
    let mut java = scene.java("crash");
    let mut reader = Client::java_named(scene.pod("crash"), "reader", &scene.broker().bootstrap());
    // Both have asked for the ids before.
    let send = |java: &mut Client| {
        let records = json!([["crash", "a"], ["crash-secret", "a"]]);
        java.ask(&json!({ "do": "produce", "name": "before", "records": records }))
    };
    assert_eq!(send(&mut java), json!({ "outcomes": [0, DENIED] }));
    reader.subscribe("reader", "crash", &["crash"], &json!({}));
    assert_eq!(read_until(&mut reader, "reader", "crash:a", None), ["crash:a"]);
    java.tell(&json!({ "do": "flood", "topics": ["crash"], "count": FLOOD, "pause": 5 }));
    soon("some records", || (scene.broker().end("crash")? > 100).then_some(()));
    scene.node.crash().unwrap();
    scene.node.start_again().unwrap();
    assert_eq!(java.hear(), json!({ "taken": FLOOD, "failures": [] }));
    let got = reader.poll("reader", FLOOD)["got"].as_array().unwrap().clone();
    let unique: BTreeSet<_> = got.iter().map(|record| record.as_str().unwrap()).collect();
    assert_eq!((got.len(), unique.len()), (FLOOD, FLOOD));
    assert_eq!(send(&mut java), json!({ "outcomes": [FLOOD + 1, DENIED] }));
    assert_eq!(scene.broker().end("crash-secret"), Some(0));
}
