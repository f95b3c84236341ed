//! How verdicts are reported.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use portcullis_rules::{
    settings::DenyWith,
    verdict::{Layer, Outcome, OutcomeSet, Reason},
    world::{Direction, Transport},
};

use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::{
    DataPlaneOptions,
    telemetry::{KernelRefusal, Telemetry, TelemetryOptions, TelemetrySink},
    tests::{CLIENT, ENDPOINT, Rig, Rules, answer, assert_reset, exchange, expect, get, records::RecordFile},
};

#[test]
fn whoever_watches_sees_each_verdict_with_its_reason() {
    let rig = Rig::under(&Rules::Paths(&["/public"]));
    let mut watcher = rig.telemetry.watch(16);
    let mut client = rig.client();
    client.write_all(get("/public").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/public"));
    server.write_all(answer("").as_bytes()).unwrap();
    expect(&mut client, &answer(""));
    client.write_all(b"GET /secret HTTP/1.1\r\nHost: shop\r\nAuthorization: hush\r\n\r\n").unwrap();
    assert_reset(&mut client);

    let (allowed, lost) = watcher.try_recv().unwrap();
    assert_eq!(
        (allowed.outcome.passes(), allowed.layer, allowed.reason, lost),
        (true, Layer::L7, Reason::RuleAllows, 0)
    );
    assert_eq!((allowed.field("method"), allowed.field("path")), (Some("GET"), Some("/public")));
    assert_eq!(allowed.policy.as_deref(), Some("shop/paths"));
    assert_eq!((allowed.direction, allowed.protocol, allowed.version), (Direction::Ingress, "http", "HTTP/1.1"));
    assert_eq!(allowed.source.address.ip(), IpAddr::V4(CLIENT));
    assert_eq!(allowed.destination.address, rig.address);
    assert_eq!(&*allowed.destination.endpoint.as_ref().unwrap().name, "server-0");
    assert_eq!(allowed.generation, 1);

    let (denied, _) = watcher.try_recv().unwrap();
    assert_eq!((denied.outcome.passes(), denied.reason), (false, Reason::NoMatch));
    let miss = denied.misses.first().unwrap();
    assert_eq!((&*miss.predicate, &*miss.pattern, &*miss.value), ("path", "/public", "/secret"));
    assert!(!format!("{denied:?}").contains("hush"), "a header's value is shown");
    assert!(watcher.try_recv().is_none());
}

#[test]
fn a_watcher_that_is_too_slow_is_told_how_much_it_lost() {
    let rig = Rig::under(&Rules::DenyAll);
    let mut watcher = rig.telemetry.watch(2);
    for _ in 0..5 {
        assert_reset(&mut rig.client());
    }
    rig.await_active(0);
    assert_eq!(watcher.try_recv().map(|(_, lost)| lost), Some(3));
    assert_eq!(watcher.try_recv().map(|(_, lost)| lost), Some(0));
    drop(watcher);
    assert!(!rig.telemetry.watchers.any());
}

#[test]
fn each_request_has_a_record_with_its_answer() {
    let file = RecordFile::new();
    let mut rig = Rig::with(DataPlaneOptions::default(), &file.options());
    rig.deny_with = DenyWith::Reset;
    rig.publish(&Rules::Paths(&["/public", "/cut"]));
    let mut client = rig.client();
    client.write_all(get("/public").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/public"));
    server.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
    expect(&mut client, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    client.write_all(get("/cut").as_bytes()).unwrap();
    expect(&mut server, &get("/cut"));
    crate::sockets::reset(server.into());
    assert_reset(&mut client);
    let mut client = rig.client();
    client.write_all(get("/secret").as_bytes()).unwrap();
    assert_reset(&mut client);
    drop(rig);

    let (text, records) = file.read();
    let told = |index: usize, field: &str| records[index][field].as_str().unwrap_or_default().to_owned();
    assert_eq!(records.len(), 3, "{text}");
    assert_eq!((told(0, "verdict").as_str(), records[0]["status"].as_u64()), ("allow", Some(404)));
    assert_eq!(records[0]["request"]["path"], "/public");
    assert_eq!(records[0]["destination"]["endpoint"], "server-0");
    assert_eq!(records[0]["bytes_received"].as_u64(), Some(get("/public").len() as u64));
    assert_eq!((records[1]["request"]["path"].as_str(), records[1]["status"].as_u64()), (Some("/cut"), None));
    assert_eq!((told(2, "verdict").as_str(), told(2, "reason").as_str()), ("deny", "no_match"));
    assert_eq!(records[2]["miss"]["value"], "/secret");
}

#[test]
fn a_flow_that_is_not_judged_by_requests_has_one_record_when_it_ends() {
    let file = RecordFile::new();
    let mut rig = Rig::with(DataPlaneOptions::default(), &file.options());
    rig.publish(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    client.write_all(b"12345").unwrap();
    expect(&mut server, "12345");
    server.write_all(b"123").unwrap();
    expect(&mut client, "123");
    drop((client, server));
    rig.await_active(0);
    drop(rig);
    let record = file.only();
    assert_eq!((&record["protocol"], &record["reason"]), (&"tcp".into(), &"not_enforced".into()));
    assert_eq!((record["bytes_received"].as_u64(), record["bytes_sent"].as_u64()), (Some(5), Some(3)));
}

#[test]
fn allowed_requests_leave_no_record_where_only_denied_ones_are_wanted() {
    let file = RecordFile::new();
    let mut rig = Rig::with(DataPlaneOptions::default(), &file.options());
    rig.params.records = OutcomeSet::VIOLATIONS;
    rig.publish(&Rules::Paths(&["/public"]));
    let mut client = rig.client();
    client.write_all(get("/public").as_bytes()).unwrap();
    expect(&mut rig.accept(), &get("/public"));
    let mut client = rig.client();
    client.write_all(get("/secret").as_bytes()).unwrap();
    assert_reset(&mut client);
    drop(rig);
    assert_eq!(file.only()["verdict"], "deny");
}

#[test]
fn beyond_the_limit_policies_share_one_series() {
    let options = TelemetryOptions { policy_labels: 1, ..TelemetryOptions::default() };
    let mut rig = Rig::with(DataPlaneOptions::default(), &options);
    rig.publish(&Rules::Paths(&["/a", "/b"]));
    let mut client = rig.client();
    client.write_all(get("/a").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/a"));
    server.write_all(answer("").as_bytes()).unwrap();
    expect(&mut client, &answer(""));
    exchange(&mut client, &mut server, "/b");
    exchange(&mut client, &mut server, "/b");
    let allow =
        r#"portcullis_verdicts_total{protocol="http",direction="ingress",verdict="allow",reason="rule_allows","#;
    rig.await_metric(&format!(r#"{allow}policy="shop/paths",rule="ingress[0].toPorts[0].rules.http[0]"}} 1"#));
    rig.await_metric(&format!(r#"{allow}policy="other",rule="other"}} 2"#));
}

#[test]
fn bytes_are_counted_by_the_side_they_come_from() {
    let rig = Rig::under(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    client.write_all(b"12345").unwrap();
    expect(&mut server, "12345");
    server.write_all(b"123").unwrap();
    expect(&mut client, "123");
    rig.await_metric(r#"portcullis_bytes_total{direction="ingress",from="downstream"} 5"#);
    rig.await_metric(r#"portcullis_bytes_total{direction="ingress",from="upstream"} 3"#);
    rig.await_metric("portcullis_connections_active 1");
}

#[test]
fn what_the_kernel_refuses_is_told_like_any_other_verdict() {
    let mut rig = Rig::new();
    let snapshot = rig.snapshot(&Rules::DenyAll);
    let mut watcher = rig.telemetry.watch(4);
    let refusal = KernelRefusal {
        endpoint: ENDPOINT,
        direction: Direction::Ingress,
        transport: Transport::Udp,
        peer: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        port: 53,
        source_port: 4711,
        outcome: Outcome::Deny,
        no_listener: false,
    };
    rig.telemetry.refused(&refusal, &snapshot);
    rig.telemetry.refused(&KernelRefusal { no_listener: true, ..refusal }, &snapshot);
    rig.telemetry.refused(&KernelRefusal { outcome: Outcome::Audit, ..refusal }, &snapshot);

    let (event, _) = watcher.try_recv().unwrap();
    assert_eq!((event.reason, event.protocol, event.outcome.passes()), (Reason::NoRule, "udp", false));
    assert_eq!(event.source.address.to_string(), "198.51.100.1:4711");
    assert_eq!(event.destination.address.to_string(), "127.0.0.1:53");
    assert_eq!(&*event.destination.endpoint.as_ref().unwrap().name, "server-0");
    assert_eq!(watcher.try_recv().unwrap().0.reason, Reason::NoListener);
    let (event, _) = watcher.try_recv().unwrap();
    assert_eq!((event.reason, event.outcome), (Reason::NoRule, Outcome::Audit));
    assert_eq!((rig.telemetry.totals().denied, rig.telemetry.totals().audited), (2, 1));
    rig.await_metric(r#"portcullis_verdicts_total{protocol="udp",direction="ingress",verdict="audit",reason="no_rule",policy="",rule=""} 1"#);
    rig.await_metric(r#"portcullis_verdicts_total{protocol="udp",direction="ingress",verdict="deny",reason="no_listener",policy="",rule=""} 1"#);
}

#[test]
fn answers_of_dns_are_counted_by_their_code_and_every_code_of_a_header_is_there_from_the_start() {
    let telemetry = Arc::new(Telemetry::new(&TelemetryOptions::default()).unwrap());
    let exit = TelemetrySink::new(&telemetry);
    for rcode in [0, 3, 3, 15, 16, 24, 4_095] {
        exit.answered("dns", rcode);
    }
    let mut registry = Registry::default();
    telemetry.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for (rcode, count) in [("NOERROR", 1), ("NXDOMAIN", 2), ("SERVFAIL", 0), ("BADVERS", 1), ("other", 3)] {
        let line = format!("portcullis_dns_answers_total{{rcode=\"{rcode}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_policy_is_only_tried_out_on_is_counted_apart_and_recorded_as_a_denial() {
    let file = RecordFile::new();
    let telemetry = Arc::new(Telemetry::new(&file.options()).unwrap());
    let mut exit = TelemetrySink::new(&telemetry);
    let mut count = |outcome| exit.count("http", Direction::Egress, outcome, Reason::NoMatch, None);
    [Outcome::Audit, Outcome::Deny, Outcome::Audit, Outcome::Allow].into_iter().for_each(&mut count);
    let totals = telemetry.totals();
    assert_eq!((totals.allowed, totals.denied, totals.audited), (1, 1, 2));
    let recorded = Outcome::ALL.map(|outcome| (outcome, exit.records(outcome, OutcomeSet::VIOLATIONS)));
    assert_eq!(recorded, [(Outcome::Allow, false), (Outcome::Deny, true), (Outcome::Audit, true)]);
    let mut registry = Registry::default();
    telemetry.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let line = text.lines().find(|line| line.contains("verdict=\"audit\"")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.starts_with("portcullis_verdicts_total{") && line.ends_with(" 2"), "{line}");
}
