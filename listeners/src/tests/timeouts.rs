//! Timeouts. The tests wait for the expected events and never measure when they come.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr},
    time::Duration,
};

use portcullis_rules::params::Timeouts;
use socket2::{Domain, Socket, Type};

use crate::tests::{Rig, Rules, answer, assert_reset, exchange, expect, get, rest};

const SHORT: Duration = Duration::from_millis(300);

fn rig(timeouts: Timeouts, rules: &Rules<'_>) -> Rig {
    let mut rig = Rig::new();
    rig.params.timeouts = timeouts;
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
fn timeouts_that_are_new_hold_for_connections_that_are_open() {
    let mut rig = rig(Timeouts { idle: Some(SHORT * 1000), ..Timeouts::default() }, &Rules::NotEnforced);
    let (mut client, _server) = (rig.client(), rig.accept());
    client.write_all(b"x").unwrap();
    rig.params.timeouts.idle = Some(SHORT);
    rig.publish(&Rules::NotEnforced);
    assert_reset(&mut client);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="idle_timeout"} 1"#);
}

#[test]
fn a_server_that_does_not_answer_the_connect_resets_the_client() {
    let mut rig = Rig::new();
    rig.params.timeouts.connect = SHORT;
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

const SOCKET: &str = "GET /socket HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// What a client may send that has to wait for answers, so that its end behind it is not read.
fn waiting() -> [String; 2] {
    [format!("{SOCKET}early"), get("/a").repeat(1026)]
}

#[test]
fn a_client_that_goes_while_what_it_sent_waits_is_seen() {
    for (number, sent) in waiting().into_iter().enumerate() {
        let rig = rig(Timeouts { client_gone: Some(SHORT), ..Timeouts::default() }, &Rules::Paths(&["/.*"]));
        let mut clients: Vec<_> = (0..20).map(|_| rig.client()).collect();
        for client in &mut clients {
            client.write_all(sent.as_bytes()).unwrap();
        }
        let mut servers: Vec<_> = (0..20).map(|_| rig.accept()).collect();
        for server in &mut servers {
            expect(server, if number == 0 { SOCKET } else { &sent[..get("/a").len()] });
        }
        drop(clients);
        // No server says anything.
        rig.await_active(0);
        rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="client_gone"} 20"#);
    }
}

#[test]
fn a_client_that_resets_while_what_it_sent_waits_is_seen_at_once() {
    for sent in waiting() {
        let never = Timeouts { client_gone: None, half_closed: None, ..Timeouts::default() };
        let rig = rig(never, &Rules::Paths(&["/.*"]));
        let mut client = rig.client();
        client.write_all(sent.as_bytes()).unwrap();
        let server = rig.accept();
        Socket::from(client).set_linger(Some(Duration::ZERO)).unwrap();
        rig.await_active(0);
        drop(server);
    }
}

#[test]
fn a_client_that_ends_its_stream_and_waits_gets_its_answer() {
    let late = Timeouts { client_gone: Some(SHORT * 10), ..Timeouts::default() };
    for (sent, reaches, then) in [
        (get("/a"), get("/a"), String::new()),
        (SOCKET.to_owned(), SOCKET.to_owned(), String::new()),
        (format!("{SOCKET}{}", get("/b")), SOCKET.to_owned(), get("/b")),
    ] {
        let rig = rig(late.clone(), &Rules::Paths(&["/.*"]));
        let mut client = rig.client();
        client.write_all(sent.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut server = rig.accept();
        expect(&mut server, &reaches);
        wait(&mut client, SHORT);
        server.write_all(answer("a").as_bytes()).unwrap();
        expect(&mut client, &answer("a"));
        expect(&mut server, &then);
        if !then.is_empty() {
            wait(&mut client, SHORT);
            server.write_all(answer("b").as_bytes()).unwrap();
            expect(&mut client, &answer("b"));
        }
    }
}

/// What a client has sent before it went is delivered, however slow the server reads.
#[test]
fn a_client_that_goes_behind_a_body_is_no_reason_to_cut_it() {
    let rig = rig(Timeouts { client_gone: Some(SHORT), ..Timeouts::default() }, &Rules::Paths(&["/.*"]));
    let mut client = rig.client();
    let head = format!("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n", 16 << 20);
    client.write_all(head.as_bytes()).unwrap();
    let mut server = rig.accept();
    let mut silent = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        client.write_all(&vec![b'x'; 16 << 20]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    });
    expect(&mut server, &head);
    // The server reads nothing meanwhile.
    wait(&mut silent, SHORT * 3);
    let mut got = 0;
    let mut buffer = vec![0; 1 << 20];
    while got < 16 << 20 {
        got += super::read_once(&mut server, &mut buffer).unwrap();
    }
    drop(sending.join().unwrap());
}
