//! A protocol that no file of this crate names, from its bytes to metrics and records.

use std::{io::Write, net::TcpStream, sync::Arc};

use portcullis_rules::{
    params::FlowParams,
    policy::{L7Rule, L7Rules, Matcher, Predicate},
    settings::DenyWith,
    snapshot::Snapshot,
    verdict::Outcome,
    world::World,
};

use super::{
    Rig, Rules, endpoint, expect, policy,
    records::RecordFile,
    toy_protocol::{LONGEST, SCHEMA, WITH_TOY},
};
use crate::{
    DataPlaneOptions,
    telemetry::{EventField, TelemetryOptions, VerdictEvent},
};

/// A data plane that knows the toy, and lets items below `/a` be had, red or blue.
fn rig(records: &RecordFile, params: FlowParams) -> Rig {
    let telemetry = TelemetryOptions { protocols: WITH_TOY, ..records.options() };
    let mut rig = Rig::with(DataPlaneOptions { protocols: WITH_TOY, ..DataPlaneOptions::default() }, &telemetry);
    let predicate = |name: &str, matcher| Predicate { field: SCHEMA.field(name).unwrap(), key: String::new(), matcher };
    let rule = |tag: &str| L7Rule {
        predicates: vec![
            predicate("verb", Matcher::Exact("get".to_owned())),
            predicate("item", Matcher::Regex("/a.*".to_owned())),
            predicate("tag", Matcher::Exact(tag.to_owned())),
        ],
        ..L7Rule::default()
    };
    let mut policy = policy(&Rules::Paths(&["/"]), DenyWith::Respond, rig.deny_scope).unwrap();
    for ports in policy.rules.iter_mut().flat_map(|rule| rule.ingress.iter_mut().flatten()) {
        for port in ports.ports.iter_mut().flatten() {
            port.l7 = Some(L7Rules { schema: &SCHEMA, rules: vec![rule("red"), rule("blue")] });
        }
    }
    let endpoints = vec![Arc::new(endpoint(rig.own))];
    let world = World { endpoints, policies: vec![Arc::new(policy)], params: Arc::new(params), ..World::default() };
    rig.plane.publish(Arc::new(Snapshot::compile(&world, 1)));
    rig
}

fn ask(client: &mut TcpStream, server: &mut TcpStream, line: &str, answer: &str) {
    client.write_all(line.as_bytes()).unwrap();
    expect(server, line);
    server.write_all(answer.as_bytes()).unwrap();
    expect(client, answer);
}

fn shown(event: &VerdictEvent) -> Vec<(&'static str, &str)> {
    event.fields.iter().map(|EventField { name, value, .. }| (*name, value.as_str())).collect()
}

#[test]
fn a_new_protocol_is_relayed_judged_shown_counted_and_recorded() {
    let records = RecordFile::new();
    let rig = rig(&records, FlowParams::default());
    let mut watcher = rig.telemetry.watch(16);

    let mut first = rig.client();
    first.write_all(b"get /a1 red,blue\n").unwrap();
    let mut server = rig.accept();
    expect(&mut server, "get /a1 red,blue\n");
    server.write_all(b"here\n").unwrap();
    expect(&mut first, "here\n");
    ask(&mut first, &mut server, "get /a2\n", "gone\n");
    // What all connections have asked, they count together.
    let mut second = rig.client();
    second.write_all(b"get /a3 red\n").unwrap();
    let mut other = rig.accept();
    expect(&mut other, "get /a3 red\n");
    other.write_all(b"here\n").unwrap();
    expect(&mut second, "here\n");
    second.write_all(b"get /a4 green\n").unwrap();
    expect(&mut second, "no\n");
    second.write_all(b"nonsense\n").unwrap();

    let (allowed, _) = watcher.try_recv().unwrap();
    assert_eq!((allowed.protocol, allowed.outcome), ("toy", Outcome::Allow));
    assert_eq!(shown(&allowed), [("verb", "get"), ("item", "/a1"), ("tag", "red"), ("tag", "blue")]);
    let [_, _, denied] = [(); 3].map(|()| watcher.try_recv().unwrap().0);
    assert_eq!((denied.outcome, denied.reason.as_str()), (Outcome::Deny, "no_match"));
    assert_eq!(shown(&denied), [("verb", "get"), ("item", "/a4"), ("tag", "green")]);

    for line in [
        r#"portcullis_toy_answers_total{state="here"} 2"#,
        r#"portcullis_toy_answers_total{state="gone"} 1"#,
        r#"portcullis_toy_requests_total{act="get",verdict="allow"} 3"#,
        r#"portcullis_toy_requests_total{act="get",verdict="deny"} 1"#,
        r#"portcullis_violations_total{protocol="toy",side="downstream",kind="no_item"} 1"#,
    ] {
        rig.await_metric(line);
    }
    let metrics = rig.metrics();
    let verdicts = |verdict: &str| {
        let own =
            |line: &&str| line.starts_with("portcullis_verdicts_total{protocol=\"toy\"") && line.contains(verdict);
        metrics.lines().filter(own).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    assert_eq!((verdicts("allow"), verdicts("deny")), (3, 1), "{metrics}");
    drop((first, second, watcher));
    drop(rig);

    let (text, records) = records.read();
    let record = |item: &str| {
        let found = records.iter().find(|record| record["request"]["item"] == item);
        found.unwrap_or_else(|| panic!("{item} is not in {text}"))
    };
    assert_eq!(record("/a1")["request"], serde_json::json!({"verb": "get", "item": "/a1", "tag": ["red", "blue"]}));
    assert_eq!((&record("/a1")["status"], &record("/a1")["asked"]), (&0.into(), &1.into()));
    assert_eq!((&record("/a2")["status"], &record("/a2")["asked"]), (&(-1).into(), &2.into()));
    assert_eq!(record("/a3")["asked"], 3);
    assert!(record("/a3")["after_ms"].as_u64().is_some(), "{text}");
    assert_eq!((&record("/a4")["verdict"], &record("/a4")["protocol"]), (&"deny".into(), &"toy".into()));
    assert_eq!(record("/a4")["request"]["tag"], "green");
}

#[test]
fn the_limits_of_a_new_protocol_are_those_of_the_settings() {
    let records = RecordFile::new();
    let mut params = FlowParams::default();
    params.limits.set(&LONGEST, 16);
    let rig = rig(&records, params);
    let mut client = rig.client();
    client.write_all(b"get /a-line-that-is-too-long\n").unwrap();
    rig.await_metric(r#"portcullis_violations_total{protocol="toy",side="downstream",kind="long_line"} 1"#);
}
