//! Moving bytes.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use crate::{
    DataPlaneOptions,
    telemetry::TelemetryOptions,
    tests::{Rig, Rules, answer, assert_ended, assert_reset, exchange, expect, get},
};

const MIB: usize = 1024 * 1024;
/// Large enough that nothing could hold it; smaller where the code is slow.
const BODY: usize = if cfg!(debug_assertions) { 256 * MIB } else { 1024 * MIB };

#[test]
fn a_server_that_speaks_first_is_heard_at_once() {
    let rig = Rig::under(&Rules::NotEnforced);
    let mut client = rig.client();
    let mut server = rig.accept();
    server.write_all(b"220 ready\r\n").unwrap();
    expect(&mut client, "220 ready\r\n");
    client.write_all(b"HELO\r\n").unwrap();
    expect(&mut server, "HELO\r\n");
}

#[test]
fn either_side_may_end_its_stream_and_go_on_reading() {
    let rig = Rig::under(&Rules::NotEnforced);
    for client_first in [true, false] {
        let (client, server) = (rig.client(), rig.accept());
        let (mut first, mut second) = if client_first { (client, server) } else { (server, client) };
        first.write_all(b"question").unwrap();
        first.shutdown(Shutdown::Write).unwrap();
        expect(&mut second, "question");
        assert_ended(&mut second);
        second.write_all(b"answer").unwrap();
        expect(&mut first, "answer");
        second.shutdown(Shutdown::Write).unwrap();
        assert_ended(&mut first);
        rig.await_active(0);
    }
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="closed"} 2"#);
}

#[test]
fn data_and_fin_in_one_go_both_arrive() {
    let rig = Rig::under(&Rules::NotEnforced);
    for _ in 0..50 {
        let mut client = rig.client();
        client.write_all(b"last").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut server = rig.accept();
        expect(&mut server, "last");
        assert_ended(&mut server);
    }
}

fn reset(stream: TcpStream) {
    crate::sockets::reset(stream.into());
}

#[test]
fn a_reset_of_either_side_reaches_the_other() {
    let rig = Rig::under(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    client.write_all(b"hello").unwrap();
    expect(&mut server, "hello");
    reset(client);
    assert_reset(&mut server);
    let (mut client, mut server) = (rig.client(), rig.accept());
    client.write_all(b"hello").unwrap();
    expect(&mut server, "hello");
    reset(server);
    assert_reset(&mut client);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="reset_by_client"} 1"#);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="reset_by_server"} 1"#);
}

/// Writes until nothing more is taken; tells how much was.
fn fill(stream: &mut TcpStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let block = vec![b'x'; 64 * 1024];
    let mut written = 0;
    let mut idle = 0;
    // What the proxy still moves makes room again for a while.
    while idle < 20 {
        match stream.write(&block) {
            Ok(count) => {
                written += count;
                idle = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                idle += 1;
                thread::park_timeout(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
    written
}

#[test]
fn a_reader_that_stalls_stops_the_writer_and_nothing_is_lost_when_it_reads_on() {
    let buffer = 64 * 1024;
    let mut rig = Rig::with(DataPlaneOptions { buffer, ..DataPlaneOptions::default() }, &TelemetryOptions::default());
    rig.publish(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    let written = fill(&mut server);
    assert!(rig.peak() < buffer + 8 * 1024, "{} bytes were kept", rig.peak());
    drop(server);
    let mut read = Vec::new();
    client.read_to_end(&mut read).unwrap();
    assert_eq!(read.len(), written);
}

#[test]
fn ten_thousand_pipelined_requests_are_answered_in_order() {
    const COUNT: usize = 10_000;
    let rig = Rig::under(&Rules::Paths(&["/[0-9]+"]));
    let mut client = rig.client();
    let mut writer = client.try_clone().unwrap();
    let asking = thread::spawn(move || {
        for number in 0..COUNT {
            writer.write_all(get(&format!("/{number}")).as_bytes()).unwrap();
        }
    });
    let mut server = rig.accept();
    let answering = thread::spawn(move || {
        for number in 0..COUNT {
            expect(&mut server, &get(&format!("/{number}")));
            server.write_all(answer(&number.to_string()).as_bytes()).unwrap();
        }
        server
    });
    for number in 0..COUNT {
        expect(&mut client, &answer(&number.to_string()));
    }
    asking.join().unwrap();
    let mut server = answering.join().unwrap();
    exchange(&mut client, &mut server, "/1");
    assert_eq!(rig.telemetry.totals().allowed, COUNT as u64 + 1);
}

#[test]
fn a_huge_body_passes_both_ways_in_constant_memory() {
    let rig = Rig::under(&Rules::Paths(&["/upload"]));
    let mut client = rig.client();
    let head = format!("POST /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: {BODY}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &head);
    pour(&mut client, &mut server);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
    server.write_all(head.as_bytes()).unwrap();
    expect(&mut client, &head);
    pour(&mut server, &mut client);
    exchange(&mut client, &mut server, "/upload");
    let bound = DataPlaneOptions::default().buffer + 8 * 1024;
    assert!(rig.peak() < bound, "{} bytes were kept", rig.peak());
}

fn pour(from: &mut TcpStream, to: &mut TcpStream) {
    let mut from = from.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let block: Vec<u8> = (0..MIB).map(|index| (index % 251) as u8).collect();
        for _ in 0..BODY / MIB {
            from.write_all(&block).unwrap();
        }
    });
    let mut block = vec![0; MIB];
    for _ in 0..BODY / MIB {
        to.read_exact(&mut block).unwrap();
        assert!((0..MIB).step_by(4093).all(|index| block[index] == (index % 251) as u8), "bytes came in disorder");
    }
    writing.join().unwrap();
}

#[test]
fn a_head_in_single_bytes_is_judged_like_any_other() {
    let rig = Rig::under(&Rules::Paths(&["/a"]));
    let mut client = rig.client();
    for byte in get("/a").bytes() {
        client.write_all(&[byte]).unwrap();
    }
    let mut server = rig.accept();
    expect(&mut server, &get("/a"));
}

#[test]
fn one_busy_connection_does_not_starve_another() {
    let rig = Rig::under(&Rules::NotEnforced);
    let (busy, mut sink) = (rig.client(), rig.accept());
    let mut flood = busy.try_clone().unwrap();
    let flooding = thread::spawn(move || {
        let block = vec![0; MIB];
        while flood.write_all(&block).is_ok() {}
    });
    let draining = thread::spawn(move || io::copy(&mut sink, &mut io::sink()));
    let (mut client, mut server) = (rig.client(), rig.accept());
    for _ in 0..100 {
        client.write_all(b"ping").unwrap();
        expect(&mut server, "ping");
        server.write_all(b"pong").unwrap();
        expect(&mut client, "pong");
    }
    busy.shutdown(Shutdown::Both).unwrap();
    flooding.join().unwrap();
    draining.join().unwrap().ok();
}

#[test]
fn an_idle_connection_takes_little_memory() {
    let rig = Rig::under(&Rules::Paths(&["/.*"]));
    let mut client = rig.client();
    client.write_all(get("/first").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/first"));
    server.write_all(answer("first").as_bytes()).unwrap();
    expect(&mut client, &answer("first"));
    // A body larger than any buffer leaves nothing behind either.
    let body = "x".repeat(4 * MIB);
    client.write_all(get("/large").as_bytes()).unwrap();
    expect(&mut server, &get("/large"));
    let mut writer = server.try_clone().unwrap();
    let large = answer(&body);
    let writing = thread::spawn(move || writer.write_all(large.as_bytes()));
    expect(&mut client, &answer(&body));
    writing.join().unwrap().unwrap();
    exchange(&mut client, &mut server, "/last");
    assert!(rig.footprint() <= 2 * 1024, "an idle connection takes {} bytes", rig.footprint());
}

#[test]
fn many_connections_on_several_workers_keep_apart() {
    let mut rig =
        Rig::with(DataPlaneOptions { workers: 3, ..DataPlaneOptions::default() }, &TelemetryOptions::default());
    rig.publish(&Rules::Paths(&["/[0-9]+"]));
    let mut clients: Vec<TcpStream> = (0..100).map(|_| rig.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(get(&format!("/{number}")).as_bytes()).unwrap();
    }
    for _ in 0..clients.len() {
        let mut server = rig.accept();
        let mut head = vec![0; 512];
        let length = super::read_once(&mut server, &mut head).unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        server.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{path}").as_bytes()).unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let answer = super::rest(client);
        assert_eq!(answer, format!("HTTP/1.0 200 OK\r\n\r\n/{number}"));
    }
}

/// For measuring: `strace -f -e trace=epoll_wait,recvfrom,sendto` of this test shows what a request costs a worker.
#[test]
fn a_thousand_requests_on_one_connection() {
    let rig = Rig::under(&Rules::Paths(&["/.*"]));
    let mut client = rig.client();
    client.write_all(get("/").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/"));
    server.write_all(answer("/").as_bytes()).unwrap();
    expect(&mut client, &answer("/"));
    for _ in 0..1000 {
        exchange(&mut client, &mut server, "/");
    }
    assert_eq!(rig.telemetry.totals().allowed, 1001);
}
