//! What takes too long. The tests wait for what has to come, and never measure when.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{
    Options, Timeouts,
    telemetry::TelemetryOptions,
    tests::{Rig, Rules, answer, assert_reset, exchange, expect, get, rest},
};

const SHORT: Duration = Duration::from_millis(300);

fn rig(timeouts: Timeouts, rules: &Rules<'_>) -> Rig {
    let mut rig = Rig::with(Options { timeouts, ..Options::default() }, &TelemetryOptions::default());
    rig.publish(rules);
    rig
}

#[test]
fn a_head_that_does_not_end_is_refused() {
    let rig = rig(Timeouts { head: SHORT, ..Timeouts::default() }, &Rules::Paths(&["/.*"]));
    let mut client = rig.client();
    client.write_all(b"GET / HTTP/1.1\r\nHost: sh").unwrap();
    let refusal = rest(&mut client);
    assert!(refusal.starts_with("HTTP/1.1 408 "), "{refusal}");
    assert_eq!(rig.dials(), 0);
}

#[test]
fn a_head_that_trickles_is_refused_although_something_always_comes() {
    let rig = rig(Timeouts { head: SHORT, ..Timeouts::default() }, &Rules::Paths(&["/.*"]));
    let mut client = rig.client();
    client.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut answer = vec![0; 64];
    let length = loop {
        match super::read_once(&mut client, &mut answer) {
            Ok(length) => break length,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        client.write_all(b"x").unwrap();
    };
    assert!(answer[..length].starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_body_waits_for_the_servers_word_and_not_for_ever() {
    let post = "POST /a HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let timeouts = |expect| Timeouts { expect, ..Timeouts::default() };
    let patient = rig(timeouts(None), &Rules::Paths(&["/a"]));
    let mut client = patient.client();
    client.write_all(format!("{post}body").as_bytes()).unwrap();
    let mut server = patient.accept();
    expect(&mut server, post);
    wait(&mut server, SHORT);
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    expect(&mut server, "body");
    server.write_all(answer("done").as_bytes()).unwrap();
    expect(&mut client, &format!("HTTP/1.1 100 Continue\r\n\r\n{}", answer("done")));
    let hasty = rig(timeouts(Some(SHORT)), &Rules::Paths(&["/a"]));
    let mut client = hasty.client();
    client.write_all(format!("{post}body").as_bytes()).unwrap();
    let mut server = hasty.accept();
    expect(&mut server, &format!("{post}body"));
    server.write_all(answer("done").as_bytes()).unwrap();
    expect(&mut client, &answer("done"));
    // The server has answered without its word: nothing more goes on, and both ends see the end.
    client.write_all(post.as_bytes()).unwrap();
    expect(&mut server, post);
    server.write_all(answer("no").as_bytes()).unwrap();
    client.write_all(b"body").unwrap();
    assert_eq!(rest(&mut client), answer("no"));
    assert_eq!(rest(&mut server), "");
}

#[test]
fn a_connection_between_requests_may_be_silent_for_longer_than_a_head_may_take() {
    let rig = rig(Timeouts { head: SHORT, ..Timeouts::default() }, &Rules::Paths(&["/.*"]));
    let mut client = rig.client();
    wait(&mut client, SHORT * 3);
    client.write_all(get("/a").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/a"));
    wait(&mut client, SHORT * 3);
    server.write_all(answer("a").as_bytes()).unwrap();
    expect(&mut client, &answer("a"));
    wait(&mut client, SHORT * 3);
    exchange(&mut client, &mut server, "/b");
}

/// Lets time pass in which nothing may come.
fn wait(client: &mut std::net::TcpStream, time: Duration) {
    let patience = client.read_timeout().unwrap();
    client.set_read_timeout(Some(time)).unwrap();
    let error = super::read_once(client, &mut [0; 1]).expect_err("nothing is expected");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    client.set_read_timeout(patience).unwrap();
}

#[test]
fn a_client_that_is_to_speak_first_and_says_nothing_is_let_go_in_good_order() {
    let rig = rig(Timeouts { first_byte: Some(SHORT), ..Timeouts::default() }, &Rules::Paths(&["/.*"]));
    let (mut silent, mut slow) = (rig.client(), rig.client());
    slow.write_all(get("/a").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/a"));
    super::assert_ended(&mut silent);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="first_byte_timeout"} 1"#);
    // Whoever has said something may be silent then.
    wait(&mut slow, SHORT * 3);
    server.write_all(answer("a").as_bytes()).unwrap();
    expect(&mut slow, &answer("a"));
    wait(&mut slow, SHORT * 3);
    exchange(&mut slow, &mut server, "/b");
}

#[test]
fn what_is_not_judged_may_be_silent_from_the_start() {
    let rig = rig(Timeouts { first_byte: Some(SHORT), ..Timeouts::default() }, &Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    wait(&mut client, SHORT * 3);
    server.write_all(b"220 ready").unwrap();
    expect(&mut client, "220 ready");
}

#[test]
fn deadlines_of_connections_that_are_gone_do_not_pile_up() {
    let rig = rig(Timeouts::default(), &Rules::Paths(&["/.*"]));
    let mut open = rig.client();
    while rig.plane.shared().sweeps.load(std::sync::atomic::Ordering::Relaxed) < 2 {
        drop(rig.client());
    }
    // The deadlines of those that are there are not lost with the others.
    open.write_all(get("/a").as_bytes()).unwrap();
    expect(&mut rig.accept(), &get("/a"));
}

#[test]
fn a_silent_connection_is_reset_where_the_settings_say_so() {
    let rig = rig(Timeouts { idle: Some(SHORT), ..Timeouts::default() }, &Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    for _ in 0..5 {
        wait(&mut client, SHORT / 6);
        client.write_all(b"still here").unwrap();
        expect(&mut server, "still here");
    }
    assert_reset(&mut client);
    assert_reset(&mut server);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="idle_timeout"} 1"#);
}

#[test]
fn a_half_closed_connection_on_which_nothing_moves_is_reset_where_the_settings_say_so() {
    let rig = rig(Timeouts { half_closed: Some(SHORT), ..Timeouts::default() }, &Rules::NotEnforced);
    let (mut whole, mut server) = (rig.client(), rig.accept());
    let (mut client, mut other) = (rig.client(), rig.accept());
    client.shutdown(Shutdown::Write).unwrap();
    super::assert_ended(&mut other);
    assert_reset(&mut client);
    whole.write_all(b"still here").unwrap();
    expect(&mut server, "still here");
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="half_closed_timeout"} 1"#);
}

#[test]
fn a_connection_may_be_given_a_longest_life() {
    let rig = rig(Timeouts { total: Some(SHORT), ..Timeouts::default() }, &Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    while client.write_all(b"x").is_ok() && super::read_once(&mut server, &mut [0; 64]).is_ok_and(|length| length > 0) {
    }
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="total_timeout"} 1"#);
}

#[test]
fn a_server_that_does_not_answer_the_connect_resets_the_client() {
    let mut rig = Rig::with(
        Options { timeouts: Timeouts { connect: SHORT, ..Timeouts::default() }, ..Options::default() },
        &TelemetryOptions::default(),
    );
    // A listener whose queue is full lets SYNs fall.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    loop {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if filler.connect_timeout(&address.into(), SHORT).is_err() {
            break;
        }
        fillers.push(filler);
    }
    rig.detour(address);
    rig.publish(&Rules::NotEnforced);
    assert_reset(&mut rig.client());
    rig.await_metric(r#"portcullis_upstream_connect_seconds_count{outcome="timeout"} 1"#);
}
