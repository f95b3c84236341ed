//! How connections end: refusals, resets, the node's stop.

use std::{io::Write, net::Shutdown, thread, time::Duration};

use portcullis_rules::{limits::Capacity, settings::DenyWith, world::EndpointId};

use crate::{
    DataPlaneOptions,
    telemetry::TelemetryOptions,
    tests::{Rig, Rules, answer, assert_reset, exchange, expect, get, patient, rest},
};

const DENIED: &str = "HTTP/1.1 403 Forbidden\r\n";

#[test]
fn a_denied_request_is_reset_and_the_server_never_called() {
    let rig = Rig::under(&Rules::Paths(&["/public"]));
    let mut client = rig.client();
    client.write_all(get("/secret").as_bytes()).unwrap();
    assert_reset(&mut client);
    rig.await_active(0);
    assert_eq!(rig.dials(), 0);
    assert_eq!(rig.telemetry.totals().denied, 1);
}

#[test]
fn a_denied_request_on_a_live_connection_resets_both_sides_and_does_not_arrive() {
    let rig = Rig::under(&Rules::Paths(&["/public"]));
    let mut client = rig.client();
    client.write_all(get("/public").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/public"));
    server.write_all(answer("ok").as_bytes()).unwrap();
    expect(&mut client, &answer("ok"));
    client.write_all(get("/secret").as_bytes()).unwrap();
    assert_reset(&mut client);
    assert_reset(&mut server);
}

#[test]
fn an_answer_that_is_due_arrives_whole_before_the_reset() {
    let rig = Rig::under(&Rules::Paths(&["/public"]));
    let mut client = rig.client();
    client.write_all((get("/public") + &get("/secret")).as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/public"));
    // More than the kernel takes at once from somebody who does not read.
    let body = "x".repeat(16 * 1024 * 1024);
    let due = answer(&body);
    let writing = thread::spawn(move || {
        server.write_all(due.as_bytes()).unwrap();
        server
    });
    expect(&mut client, &answer(&body));
    assert_reset(&mut client);
    assert_reset(&mut writing.join().unwrap());
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="denied"} 1"#);
}

#[test]
fn a_refusal_in_the_protocols_words_arrives_although_the_client_goes_on_sending() {
    let mut rig = Rig::new();
    rig.deny_with = DenyWith::Respond;
    rig.publish(&Rules::Paths(&["/public"]));
    for _ in 0..20 {
        let mut client = rig.client();
        let head = "POST /secret HTTP/1.1\r\nHost: shop\r\nContent-Length: 400000\r\nConnection: close\r\n\r\n";
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&vec![b'x'; 400_000]).unwrap();
        let refusal = rest(&mut client);
        assert!(refusal.starts_with(DENIED), "{refusal}");
    }
    assert_eq!(rig.dials(), 0);
}

#[test]
fn a_refusal_keeps_the_connection_where_the_policy_asks_for_it() {
    let mut rig = Rig::new();
    rig.deny_with = DenyWith::Respond;
    rig.publish(&Rules::Paths(&["/public"]));
    let mut client = rig.client();
    client.write_all(get("/secret").as_bytes()).unwrap();
    let mut refusal = vec![0; 4096];
    let length = super::read_once(&mut client, &mut refusal).unwrap();
    assert!(refusal[..length].starts_with(DENIED.as_bytes()));
    assert_eq!(rig.dials(), 0);
    client.write_all(get("/public").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/public"));
}

#[test]
fn what_cannot_be_read_safely_is_refused_and_counted() {
    let rig = Rig::under(&Rules::Paths(&[".*"]));
    let mut client = rig.client();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap();
    let refusal = rest(&mut client);
    assert!(refusal.starts_with("HTTP/1.1 400 "), "{refusal}");
    assert_eq!(rig.dials(), 0);
    let metrics = rig.metrics();
    let counted = |line: &&str| line.starts_with("portcullis_violations_total{protocol=\"http\",side=\"downstream\"");
    assert_eq!(metrics.lines().filter(counted).count(), 1, "{metrics}");
}

#[test]
fn a_server_that_answers_early_and_hangs_up_is_heard() {
    let rig = Rig::under(&Rules::Paths(&["/upload"]));
    let mut client = rig.client();
    let head = "POST /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000000\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, head);
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    server.write_all(early.as_bytes()).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    expect(&mut client, early);
}

#[test]
fn behind_a_complete_answer_nothing_more_of_its_request_arrives() {
    let rig = Rig::under(&Rules::Paths(&["/public"]));
    let mut client = rig.client();
    let head = "PUT /public HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000000\r\n\r\nbegun";
    client.write_all(head.as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, head);
    // More than the kernel takes at once, and the client goes on sending while it comes.
    let body = "x".repeat(4 * 1024 * 1024);
    let due = answer(&body);
    let mut writer = client.try_clone().unwrap();
    let writing = thread::spawn(move || {
        server.write_all(due.as_bytes()).unwrap();
        server
    });
    expect(&mut client, &answer(&body));
    let _ = writer.write_all(get("/secret").as_bytes());
    assert_eq!(rest(&mut client), "");
    assert_eq!(rest(&mut writing.join().unwrap()), "");
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="closed"} 1"#);
}

#[test]
fn an_odd_answer_arrives_as_it_is_and_the_connection_ends_behind_it() {
    let rig = Rig::under(&Rules::Paths(&["/public"]));
    for (odd, ends) in
        [("HTTP/1.1 200 OK\n\nhello\n", true), ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", false)]
    {
        let mut client = rig.client();
        client.write_all(get("/public").as_bytes()).unwrap();
        let mut server = rig.accept();
        expect(&mut server, &get("/public"));
        server.write_all(odd.as_bytes()).unwrap();
        if ends {
            server.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(rest(&mut client), odd);
        drop(client);
        assert_eq!(rest(&mut server), "");
    }
    let mut client = rig.client();
    client.write_all(get("/public").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/public"));
    server.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").unwrap();
    assert!(rest(&mut client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    for kind in ["bare_lf", "content_length", "status_line"] {
        rig.await_metric(&format!(r#"portcullis_violations_total{{protocol="http",side="upstream",kind="{kind}"}} 1"#));
    }
}

#[test]
fn a_server_that_refuses_resets_the_client() {
    let mut rig = Rig::new();
    rig.publish(&Rules::NotEnforced);
    let address = rig.server.local_addr().unwrap();
    // The port is closed now: the kernel refuses.
    rig.server = std::net::TcpListener::bind((address.ip(), 0)).unwrap();
    let mut client = rig.client();
    assert_reset(&mut client);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="connect_refused"} 1"#);
    rig.await_metric(r#"portcullis_upstream_connect_seconds_count{outcome="refused"} 1"#);
}

#[test]
fn nobody_is_let_in_above_the_limit_and_the_place_is_free_again_after() {
    let mut rig = Rig::with(
        DataPlaneOptions {
            capacity: Capacity { connections: 1, ..Capacity::default() },
            ..DataPlaneOptions::default()
        },
        &TelemetryOptions::default(),
    );
    rig.publish(&Rules::NotEnforced);
    let (first, server) = (rig.client(), rig.accept());
    let mut second = rig.client();
    assert_reset(&mut second);
    assert!(rig.metrics().contains(r#"portcullis_limits_hit_total{limit="connections"} 1"#));
    drop((first, server));
    rig.await_active(0);
    let (mut third, mut server) = (rig.client(), rig.accept());
    third.write_all(b"hello").unwrap();
    expect(&mut server, "hello");
}

#[test]
fn an_endpoint_that_takes_all_it_can_get_leaves_room_for_another() {
    for most_own in [None, Some(5)] {
        let options = DataPlaneOptions {
            capacity: Capacity { connections: 10, connections_per_endpoint: most_own, ..Capacity::default() },
            ..DataPlaneOptions::default()
        };
        let mut rig = Rig::with(options, &TelemetryOptions::default());
        rig.publish(&Rules::NotEnforced);
        let other = rig.open(EndpointId(8));
        let mut hog = Vec::new();
        for _ in 0..if most_own.is_some() { 5 } else { 6 } {
            hog.push((rig.client(), rig.accept()));
        }
        assert_reset(&mut rig.client());
        rig.await_metric(
            r#"portcullis_endpoint_limits_hit_total{limit="connectionsPerEndpoint",endpoint="shop/server-0"} 1"#,
        );
        // Of the other one the rig's snapshot knows no policy and no endpoint: that it is denied tells that it was let in.
        let mut client = std::net::TcpStream::connect(other).unwrap();
        super::assert_reset(&mut client);
        rig.await_metric(r#"portcullis_connections_total{direction="egress",outcome="denied"} 1"#);
        assert!(!rig.metrics().contains(r#"limit="connections"}"#), "{}", rig.metrics());
    }
}

#[test]
fn an_endpoint_that_takes_all_descriptors_it_can_get_leaves_some_for_another() {
    for open_files_per_endpoint in [None, Some(10)] {
        let options = DataPlaneOptions {
            capacity: Capacity { open_files: Some(20), open_files_per_endpoint, ..Capacity::default() },
            ..DataPlaneOptions::default()
        };
        let mut rig = Rig::with(options, &TelemetryOptions::default());
        rig.publish(&Rules::NotEnforced);
        let other = rig.open(EndpointId(8));
        let mut hog: Vec<_> = (0..5).map(|_| (rig.client(), rig.accept())).collect();
        assert_reset(&mut rig.client());
        rig.await_metric(
            r#"portcullis_endpoint_limits_hit_total{limit="openFilesPerEndpoint",endpoint="shop/server-0"} 1"#,
        );
        // It is let in, and denied because nobody knows it.
        super::assert_reset(&mut std::net::TcpStream::connect(other).unwrap());
        rig.await_metric(r#"portcullis_connections_total{direction="egress",outcome="denied"} 1"#);
        assert!(!rig.metrics().contains(r#"limit="open_files"}"#), "{}", rig.metrics());
        // What ends gives its descriptors back.
        drop(hog.pop());
        rig.await_metric("portcullis_connections_active 4");
        hog.push((rig.client(), rig.accept()));
    }
}

#[test]
fn an_endpoint_that_goes_takes_its_connections_along() {
    let mut rig = Rig::under(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    rig.plane.close(super::ENDPOINT);
    assert_reset(&mut client);
    assert_reset(&mut server);
    rig.await_active(0);
    let refused = std::net::TcpStream::connect(rig.address);
    assert!(refused.is_err(), "its listener is still there");
}

#[test]
fn a_stop_lets_connections_end_and_then_resets_what_is_left() {
    let rig = Rig::under(&Rules::Paths(&["/.*"]));
    let mut client = rig.client();
    client.write_all(get("/a").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/a"));
    let Rig { plane, .. } = rig;
    let stopping = thread::spawn(move || plane.stop(Duration::from_secs(3600)));
    server.write_all(answer("a").as_bytes()).unwrap();
    expect(&mut client, &answer("a"));
    exchange(&mut client, &mut server, "/b");
    drop((client, server));
    stopping.join().unwrap();

    let rig = Rig::under(&Rules::NotEnforced);
    let (mut client, _server) = (rig.client(), rig.accept());
    rig.plane.stop(Duration::ZERO);
    assert_reset(&mut client);
}

#[test]
fn a_stop_takes_in_what_has_connected_by_then() {
    /// More than a listener gives in two turns, of which the command to stop may come in between.
    const CLIENTS: usize = 200;
    let rig = Rig::under(&Rules::NotEnforced);
    // The worker is busy with this one until the lock is released.
    let busy = rig.to.lock().unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| rig.client()).collect();
    rig.plane.begin_stop(Duration::from_secs(3600));
    let server = rig.server.try_clone().unwrap();
    let served = thread::spawn(move || {
        (0..CLIENTS)
            .map(|_| {
                let mut stream = patient(server.accept().unwrap().0);
                stream.write_all(b"hello").unwrap();
                stream
            })
            .collect::<Vec<_>>()
    });
    drop(busy);
    for client in &mut clients {
        expect(client, "hello");
    }
    drop(served.join().unwrap());
    let late = std::net::TcpStream::connect(rig.address);
    assert!(late.is_err(), "it accepts after a stop");
}

#[test]
fn a_fault_of_ours_costs_one_connection_and_no_other() {
    let rig = Rig::under(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    let address = rig.server.local_addr().unwrap();
    rig.detour((address.ip(), 0).into());
    assert_reset(&mut rig.client());
    rig.detour(address);
    client.write_all(b"hello").unwrap();
    expect(&mut server, "hello");
    let (mut next, mut server) = (rig.client(), rig.accept());
    next.write_all(b"hello").unwrap();
    expect(&mut server, "hello");
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="fault"} 1"#);
}
