//! Every verdict is reported: in the monitor, as a metric, as a record.

use std::fs;

use portcullis_integration::{
    curl::{REFUSED, RESET, curl},
    wait,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, Scene, able, ingress};

#[test]
fn the_monitor_shows_a_line_for_each_verdict_with_its_reason() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "method": "GET", "path": "/get" }]))]);
    let mut monitor = scene.node.monitor("monitor", &[]).unwrap();
    let mut objects = scene.node.monitor("objects", &["-o", "json"]).unwrap();
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
        assert_eq!(curl(&scene.other, &[], &scene.url(v6, "/get")).unwrap().exit, REFUSED);
        let app = scene.app.address(v6, 80);
        // As curl writes it into the request.
        let host = app.to_string().trim_end_matches(":80").to_owned();
        for parts in [
            vec![
                "<- http from shop/client (".to_owned(),
                format!("to shop/app ({app})"),
                format!("allowed GET http://{host}/get, policy shop/app-http"),
            ],
            vec![
                "xx http from shop/client (".to_owned(),
                format!("Policy denied (L7) GET http://{host}/uuid"),
                "/uuid".to_owned(),
            ],
            vec![
                "xx tcp from shop/other (".to_owned(),
                format!("to shop/app ({app})"),
                "Policy denied (L3)".to_owned(),
            ],
        ] {
            let is = |line: &str| parts.iter().all(|part| line.contains(part));
            monitor.until(&format!("{parts:?}"), |log| log.lines().any(is).then_some(())).unwrap();
        }
    }
    objects
        .until("six objects", |log| {
            let objects = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            (objects.filter(|object| object["verdict"].is_string()).count() >= 6).then_some(())
        })
        .unwrap();
}

#[test]
fn metrics_and_status_count_the_verdicts() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "method": "GET", "path": "/get" }]))]);
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
        assert_eq!(curl(&scene.other, &[], &scene.url(v6, "/get")).unwrap().exit, REFUSED);
    }
    let count = |labels: &[&str]| scene.node.metric("portcullis_verdicts_total", labels).unwrap();
    assert!(
        (count(&["protocol=\"http\"", "verdict=\"allow\""]) - 2.0).abs() < 0.1,
        "{}",
        scene.node.metrics().unwrap()
    );
    assert!((count(&["protocol=\"http\"", "verdict=\"deny\""]) - 2.0).abs() < 0.1, "{}", scene.node.metrics().unwrap());
    wait::until(
        "the kernel's refusals",
        || scene.node.metrics().unwrap_or_default(),
        || Ok((count(&["protocol=\"tcp\"", "verdict=\"deny\""]) > 1.9).then_some(())),
    )
    .unwrap();
    let status = scene.node.status().unwrap();
    assert_eq!((&status["policies"], &status["localEndpoints"]), (&json!(1), &json!(3)), "{status}");
    assert_eq!(status["faults"], json!([]));
}

#[test]
fn each_request_leaves_a_record() {
    if !able() {
        return;
    }
    let records = std::env::temp_dir().join(format!("records-{}.json", std::process::id()));
    let scene = Scene::with(&json!({ "records": { "to": records } }));
    scene.apply(&[ingress(&json!([{ "method": "GET", "path": "/get" }]))]);
    let secret = ["-H", "Authorization: Bearer secret-token"];
    assert_eq!(curl(&scene.client, &secret, &scene.url(false, "/get")).unwrap().status, 200);
    assert_eq!(curl(&scene.client, &secret, &scene.url(false, "/uuid")).unwrap().exit, RESET);
    let read = || fs::read_to_string(&records).unwrap_or_default();
    wait::until("two records", read, || Ok((read().lines().count() >= 2).then_some(()))).unwrap();
    let text = read();
    fs::remove_file(&records).unwrap();
    let all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!text.contains("secret-token"), "{text}");
    let verdicts: Vec<&str> = all.iter().map(|record| record["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["allow", "deny"], "{text}");
    assert!(text.contains("/uuid") && text.contains("shop/app-http"), "{text}");
}
