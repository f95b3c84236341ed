//! Requests whose headers a policy changes: httpbin reports what arrived.

use portcullis_integration::{
    curl::{RESET, curl},
    wait,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, Scene, able, egress, ingress};

/// The headers of a request as they arrived, of those that the client sent.
fn arrived(scene: &Scene, v6: bool, sent: &[&str]) -> Value {
    let lines: Vec<&str> = sent.iter().flat_map(|line| ["-H", *line]).collect();
    let answer = curl(&scene.client, &lines, &scene.url(v6, "/headers")).unwrap();
    assert_eq!((answer.exit, answer.status), (0, 200), "{sent:?}: {answer:?}");
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    told["headers"].clone()
}

/// A policy for `/headers` that does these with headers.
fn acting(actions: &Value) -> Value {
    json!([{ "method": "GET", "path": "/headers", "headerMatches": actions }])
}

#[test]
fn headers_that_do_not_match_are_told_added_deleted_and_replaced() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let table = [
        ("LOG", json!("other"), json!(null)),
        ("ADD", json!("other,guest"), json!("guest")),
        ("DELETE", json!(null), json!(null)),
        ("REPLACE", json!("guest"), json!("guest")),
    ];
    for (mismatch, of_other, of_none) in table {
        scene.apply(&[ingress(&acting(&json!([{ "name": "X-User", "value": "guest", "mismatch": mismatch }])))]);
        for v6 in FAMILIES {
            let headers = arrived(&scene, v6, &["X-Other: kept", "X-User: other"]);
            assert_eq!((&headers["X-User"], &headers["X-Other"]), (&of_other, &json!("kept")), "{mismatch}");
            assert_eq!(arrived(&scene, v6, &[])["X-User"], of_none, "{mismatch}, without");
            assert_eq!(arrived(&scene, v6, &["X-User: guest"])["X-User"], json!("guest"), "{mismatch}, as wanted");
            let denied = curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap();
            assert_eq!(denied.exit, RESET, "{mismatch}, another path: {denied:?}");
        }
    }
    assert_eq!(scene.httpbin.arrived("/uuid"), 0);
}

#[test]
fn a_request_without_a_header_that_has_to_be_there_never_arrives() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let plain = json!([{ "name": "X-User", "value": "guest" }, { "name": "X-There" }]);
    scene.apply(&[ingress(&acting(&plain))]);
    for v6 in FAMILIES {
        let right = ["X-User: guest", "X-There: 1"];
        assert_eq!(arrived(&scene, v6, &right)["X-User"], json!("guest"));
        for wrong in [&[][..], &["X-User: guest"], &["X-There: 1", "X-User: root"], &["X-There: 1"]] {
            let lines: Vec<&str> = wrong.iter().flat_map(|line| ["-H", *line]).collect();
            let reset = curl(&scene.client, &lines, &scene.url(v6, "/headers")).unwrap();
            assert_eq!(reset.exit, RESET, "{wrong:?}: {reset:?}");
        }
    }
    assert_eq!(scene.httpbin.requests().len(), 2, "{:?}", scene.httpbin.requests());
}

#[test]
fn a_secret_goes_to_the_server_and_is_shown_to_nobody() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "token", "namespace": SHOP },
        "stringData": { "token": "swordfish" },
    });
    let actions =
        json!([{ "name": "X-Token", "secret": { "name": "token", "namespace": SHOP }, "mismatch": "REPLACE" }]);
    scene.apply(&[ingress(&acting(&actions))]);
    let without = curl(&scene.client, &[], &scene.url(false, "/headers")).unwrap();
    assert_eq!(without.exit, RESET, "the secret is not there yet: {without:?}");
    scene.apply(&[secret]);
    let mut monitor = scene.node.monitor("monitor", &[]).unwrap();
    for v6 in FAMILIES {
        assert_eq!(arrived(&scene, v6, &["X-Token: guess"])["X-Token"], json!("swordfish"));
    }
    let shown = |log: &str| log.matches("header x-token missing, wanted \"[redacted]\"").count() >= 2;
    let log = monitor.until("two lines", |log| shown(log).then(|| log.to_owned())).unwrap();
    for told in [log, scene.node.metrics().unwrap(), scene.node.status().unwrap().to_string()] {
        assert!(!told.contains("swordfish") && !told.contains("guess"), "{told}");
    }
}

/// What a policy promises the server cannot be taken back by the client.
#[test]
fn a_client_cannot_get_around_a_header_that_is_replaced() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&acting(&json!([{ "name": "X-User", "value": "guest", "mismatch": "REPLACE" }])))]);
    for v6 in FAMILIES {
        for evil in ["X_User: root", "Connection: X-User"] {
            let reset = curl(&scene.client, &["-H", evil], &scene.url(v6, "/headers")).unwrap();
            assert_eq!(reset.exit, RESET, "{evil}: {reset:?}");
        }
        let twice = arrived(&scene, v6, &["x-user: root", "X-USER: admin"]);
        assert_eq!(twice["X-User"], json!("guest"));
    }
    assert_eq!(scene.httpbin.requests().len(), 2, "{:?}", scene.httpbin.requests());
}

#[test]
fn one_connection_carries_changed_requests_with_bodies_one_behind_the_other() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let rules = json!([{ "path": "/anything", "headerMatches": [{ "name": "X-User", "value": "guest", "mismatch": "REPLACE" }] }]);
    scene.apply(&[egress(&rules)]);
    let body = "x".repeat(5000);
    for v6 in FAMILIES {
        let url = scene.url(v6, "/anything");
        let posts = ["-v", "-H", "X-User: root", "-H", "Expect: 100-continue", "-d", &body, &url, &url];
        let told = curl(&scene.client, &posts, &url).unwrap();
        assert_eq!((told.exit, told.status), (0, 200), "{told:?}");
        // Between the answers stand the statuses of all but the last.
        let values = serde_json::Deserializer::from_str(&told.body).into_iter().map(Result::unwrap);
        let answers: Vec<Value> = values.filter(Value::is_object).collect();
        assert_eq!(answers.len(), 3);
        for answer in answers {
            assert_eq!(answer["headers"]["X-User"], json!("guest"));
            assert!(answer["form"].get(&body).is_some(), "the body is another one");
        }
        assert_eq!(told.error.matches("Connected to").count(), 1, "one connection: {}", told.error);
    }
}

#[test]
fn a_header_that_was_missing_is_shown_recorded_and_counted() {
    if !able() {
        return;
    }
    let records = std::env::temp_dir().join(format!("header-records-{}.json", std::process::id()));
    let scene = Scene::with(&json!({ "records": { "to": records } }));
    let actions = json!([
        { "name": "X-Trace", "value": "on", "mismatch": "LOG" },
        { "name": "X-User", "value": "guest", "mismatch": "REPLACE" },
    ]);
    scene.apply(&[ingress(&acting(&actions))]);
    let mut monitor = scene.node.monitor("monitor", &[]).unwrap();
    arrived(&scene, false, &["X-User: root"]);
    let parts =
        ["header x-trace missing, wanted \"on\"", "header x-user missing, wanted \"guest\"", "header x-user rejected"];
    let is = |line: &str| line.contains("allowed GET") && parts.iter().all(|part| line.contains(part));
    monitor.until("a line that tells of both", |log| log.lines().any(is).then_some(())).unwrap();
    let read = || std::fs::read_to_string(&records).unwrap_or_default();
    wait::until("a record", read, || Ok((read().lines().count() >= 1).then_some(()))).unwrap();
    let record: Value = serde_json::from_str(read().lines().next().unwrap()).unwrap();
    std::fs::remove_file(&records).unwrap();
    let missing = json!([{ "name": "x-trace", "wanted": "on" }, { "name": "x-user", "wanted": "guest" }]);
    assert_eq!((&record["missing_headers"], &record["rejected_headers"]), (&missing, &json!(["x-user"])), "{record}");
    assert!(!record.to_string().contains("root"), "{record}");
    for (kind, number) in [("missing", 2.0), ("rejected", 1.0)] {
        let labels = ["direction=\"ingress\"", &format!("kind=\"{kind}\"")];
        let counted = scene.node.metric("portcullis_header_mismatches_total", &labels).unwrap();
        assert!((counted - number).abs() < 0.1, "{kind}: {counted}");
    }
}
