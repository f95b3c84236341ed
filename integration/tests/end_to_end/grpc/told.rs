//! How calls are reported: in the monitor, as records and as metrics.

use std::fs;

use portcullis_integration::wait;
use serde_json::{Value, json};

use super::peers::{Library, Stage, able, echo, ingress};

#[test]
fn each_call_is_told_with_its_status_and_counted() {
    if !able() {
        return;
    }
    let records = std::env::temp_dir().join(format!("calls-{}.json", std::process::id()));
    let stage = Stage::new(&json!({ "records": { "to": records } }));
    let _server = stage.serve(Library::Go);
    stage.apply(&[ingress(&echo(), "respond")]);
    let mut monitor = stage.node.monitor("monitor", &[]).unwrap();
    let to = stage.app.address(false, Library::Go.port());
    for story in [&["kinds", "lab.Echo"][..], &["kinds", "lab.Secret"], &["give-up"]] {
        stage.tell(Library::Python, to, story);
    }
    for parts in [
        ["<- http from shop/client (", "allowed POST http://", "/lab.Echo/Chat"],
        ["xx http from shop/client (", "Policy denied (L7) POST http://", "/lab.Secret/Chat"],
    ] {
        let is = |line: &str| parts.iter().all(|part| line.contains(part));
        monitor.until(&format!("{parts:?}"), |log| log.lines().any(is).then_some(())).unwrap();
    }
    let read = || fs::read_to_string(&records).unwrap_or_default();
    wait::until("eleven records", read, || Ok((read().lines().count() >= 11).then_some(()))).unwrap();
    let text = read();
    fs::remove_file(&records).unwrap();
    let all: Vec<String> = text.lines().map(|line| short(&serde_json::from_str(line).unwrap())).collect();
    let (given_up, mut seen): (Vec<String>, Vec<String>) = all.into_iter().partition(|line| line.contains("Wait"));
    // They had begun. Who was first, the client who gave them up or the server who ended them, depends.
    let begun = |line: &String| line.starts_with("allow /lab.Echo/Wait 200 ") && !line.ends_with(" 0");
    assert!(given_up.len() == 2 && given_up.iter().all(begun), "{given_up:?}");
    seen.sort();
    let wanted = [
        "allow /lab.Echo/Chat 200 0",
        "allow /lab.Echo/Get 200 0",
        "allow /lab.Echo/Put 200 0",
        "allow /lab.Echo/Say 200 0",
        "allow /lab.Echo/Say 200 0",
        "deny /lab.Secret/Chat null null",
        "deny /lab.Secret/Get null null",
        "deny /lab.Secret/Put null null",
        "deny /lab.Secret/Say null null",
    ];
    assert_eq!(seen, wanted, "{text}");
    let counted = (stage.verdicts("allow"), stage.verdicts("deny"));
    assert!((counted.0 - 7.0).abs() < 0.1 && (counted.1 - 4.0).abs() < 0.1, "{counted:?}");
}

/// Verdict, path and statuses of a record.
fn short(record: &Value) -> String {
    let path = record["path"].as_str().or_else(|| record["request"]["path"].as_str()).unwrap_or_default();
    format!("{} {path} {} {}", record["verdict"].as_str().unwrap(), record["status"], record["grpc_status"])
}
