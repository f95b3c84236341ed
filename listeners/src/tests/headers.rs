//! Requests whose headers rules change, and how this is reported.

use std::io::Write;

use portcullis_codecs::PROTOCOLS;
use portcullis_rules::policy::{HeaderValueSource, Mismatch};

use crate::{
    DataPlaneOptions,
    tests::{Rig, Rules, answer, assert_reset, expect, get, records::RecordFile},
};

fn value(text: &str) -> HeaderValueSource {
    HeaderValueSource::Value(text.to_owned())
}

fn token() -> HeaderValueSource {
    HeaderValueSource::Secret("shop/token".to_owned())
}

/// A request with more header lines, and the same as it has to arrive.
fn with(lines: &str) -> String {
    get("/").replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

#[test]
fn headers_are_changed_on_the_way_and_other_requests_of_the_connection_are_not() {
    let mut rig = Rig::new();
    rig.params.limits.set(PROTOCOLS.limits().iter().find(|spec| spec.key == "pipelined").unwrap(), 4);
    rig.publish(&Rules::Headers(&[("x-user", value("guest"), Mismatch::Replace), ("x-token", token(), Mismatch::Add)]));
    let mut client = rig.client();
    let wrong = with("X-User: root\r\nX-Other:  1\r\n");
    let right = with("x-token: hush\r\nX-User: guest\r\n");
    // All at once: what is changed stands between what goes on as it came.
    client.write_all([&*right, &*wrong, &*right, &*wrong].concat().as_bytes()).unwrap();
    let mut server = rig.accept();
    let changed = with("X-Other:  1\r\nx-user: guest\r\nx-token: hush\r\n");
    expect(&mut server, &[&*right, &*changed, &*right, &*changed].concat());
    server.write_all(answer("1").repeat(4).as_bytes()).unwrap();
    expect(&mut client, &answer("1").repeat(4));
}

#[test]
fn what_was_missing_is_counted_recorded_and_shown_and_no_secret_is() {
    let file = RecordFile::new();
    let mut rig = Rig::with(DataPlaneOptions::default(), &file.options());
    rig.publish(&Rules::Headers(&[
        ("x-trace", value("on"), Mismatch::Log),
        ("x-user", value("guest"), Mismatch::Delete),
        ("x-token", token(), Mismatch::Replace),
    ]));
    let mut watcher = rig.telemetry.watch(16);
    let mut client = rig.client();
    let sent = with("X-User: root\r\nX-Token: guess\r\n");
    let arrives = with("x-token: hush\r\n");
    client.write_all(sent.as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &arrives);
    server.write_all(answer("").as_bytes()).unwrap();
    expect(&mut client, &answer(""));

    let (event, _) = watcher.try_recv().unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert!(event.outcome.passes());
    assert_eq!(event.missing_headers, [pair("x-trace", "on"), pair("x-token", "[redacted]")]);
    assert_eq!(event.rejected_headers, ["x-user", "x-token"]);
    let metrics = rig.metrics();
    for line in [
        "portcullis_header_mismatches_total{direction=\"ingress\",kind=\"missing\"} 2",
        "portcullis_header_mismatches_total{direction=\"ingress\",kind=\"rejected\"} 2",
        "portcullis_header_mismatches_total{direction=\"egress\",kind=\"missing\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    drop(rig);
    let (text, record) = (file.read().0, file.only());
    assert_eq!((record["verdict"].as_str(), record["status"].as_u64()), (Some("allow"), Some(200)));
    let missing = serde_json::json!([{"name": "x-trace", "wanted": "on"}, {"name": "x-token", "wanted": "[redacted]"}]);
    assert_eq!((&record["missing_headers"], &record["rejected_headers"]), (&missing, &["x-user", "x-token"].into()));
    assert_eq!(record["bytes_received"].as_u64(), Some(arrives.len() as u64));
    for told in [text, metrics, format!("{event:?}")] {
        assert!(!told.contains("hush") && !told.contains("guess") && !told.contains("root"), "{told}");
    }
}

#[test]
fn a_request_without_the_secret_of_a_rule_is_denied_and_the_wanted_header_is_told() {
    let rig = Rig::under(&Rules::Headers(&[("x-token", token(), Mismatch::Fail)]));
    let mut watcher = rig.telemetry.watch(16);
    let mut client = rig.client();
    client.write_all(with("X-Token: guess\r\n").as_bytes()).unwrap();
    assert_reset(&mut client);
    assert_eq!(rig.dials(), 0);
    let (event, _) = watcher.try_recv().unwrap();
    assert!(!event.outcome.passes());
    assert_eq!(event.missing_headers, [("x-token".to_owned(), "[redacted]".to_owned())]);
    assert!(event.rejected_headers.is_empty());
}
