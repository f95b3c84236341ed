//! The packet programs' table of new connections, in which connections replace each other.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

use portcullis_redirect::{Action, AttachPoint, FlowDirection, Keep, KernelAttachment, PacketJudge, Redirect};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    bench::{APP, Bench, FAMILIES, STEERED, TCP, able, class, ip},
    packets::{Wire, has},
    sockets::Outcome,
};

/// The endpoint calls it.
const THEIRS: u16 = 9000;
/// The endpoint listens there.
const OWN: u16 = 7000;
/// More than there are places.
const OTHERS: usize = 20_000;

fn bench() -> Bench {
    let rules = [(FlowDirection::Egress, THEIRS), (FlowDirection::Ingress, OWN)];
    let table = rules.map(|(direction, port)| {
        [(0..=port - 1, Action::Refuse), (port..=port, Action::Pass), (port + 1..=65535, Action::Refuse)]
            .map(|(ports, action)| class(direction, TCP, ports, action))
    });
    let bench = Bench::with(true, &table.concat());
    // As a node does: without that, the peers' connections might all be older than the programs.
    bench.redirect.connections(APP).unwrap().unwrap().cut(Keep::default()).unwrap();
    assert_eq!(bench.redirect.guard(APP), PacketJudge::Outside);
    bench
}

/// Both ends of a connection: the endpoint's, and the other.
fn connected(bench: &Bench, inwards: bool, to: SocketAddr, listener: &TcpListener) -> [TcpStream; 2] {
    let (from, at) = if inwards { (&bench.outside, &bench.app) } else { (&bench.app, &bench.outside) };
    let first = from.inside(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap());
    let (second, _) = at.inside(|| listener.accept().unwrap());
    if inwards { [second, first] } else { [first, second] }
}

fn listeners(bench: &Bench, v6: bool) -> [TcpListener; 2] {
    let theirs = bench.outside.inside(|| TcpListener::bind(bench.there(v6, THEIRS)).unwrap());
    let own = bench.app.inside(|| TcpListener::bind(bench.app.address(v6, OWN)).unwrap());
    [theirs, own]
}

fn says(from: &mut TcpStream, to: &mut TcpStream) {
    to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    from.write_all(b"still here").unwrap();
    let mut heard = [0; 10];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still here");
}

#[test]
fn a_connection_that_says_nothing_outlasts_the_places_of_others() {
    if !able() {
        return;
    }
    let bench = bench();
    for v6 in FAMILIES {
        let [theirs, own] = listeners(&bench, v6);
        let (there, here) = (bench.there(v6, THEIRS), bench.app.address(v6, OWN));
        let mut silent = [(false, there, &theirs), (true, here, &own)]
            .map(|(inwards, to, listener)| [(); 2].map(|()| connected(&bench, inwards, to, listener)));
        for _ in 0..OTHERS {
            drop(connected(&bench, true, here, &own));
        }
        // The first of each is spoken to, the second speaks first. What the peer opened lives by what is remembered of it alone: the
        // endpoint may not connect to where that comes from.
        for [called, calls] in &mut silent {
            let [endpoint, other] = called;
            says(other, endpoint);
            says(endpoint, other);
            let [endpoint, other] = calls;
            says(endpoint, other);
        }
    }
}

/// Sends a header of TCP alone, with a mark in place of its numbers, and no checksum: nobody looks at it.
fn sends_header(socket: &Socket, ports: [u16; 2], flags: u8, mark: &[u8; 8], to: SocketAddr) {
    let [from_port, to_port] = ports.map(u16::to_be_bytes);
    let header = [&from_port, &to_port, &mark[..], &[5 << 4, flags], &[0; 6]].concat();
    // The kernel may tell that it goes nowhere; what counts is what the wire shows.
    let _ = socket.send_to(&header, &SocketAddr::new(to.ip(), 0).into());
}

#[test]
fn nobody_accepts_a_connection_in_place_of_a_upstream_that_has_just_begun() {
    if !able() {
        return;
    }
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;
    let bench = Bench::new();
    for v6 in FAMILIES {
        let there = bench.there(v6, STEERED);
        let listener = bench.outside.inside(|| TcpListener::bind(there).unwrap());
        let raw = bench.app.inside(|| Socket::new(Domain::for_address(there), Type::RAW, Some(Protocol::TCP)).unwrap());
        let wire = Wire::tap(&bench.outside);
        let client = bench.app.inside(|| TcpStream::connect_timeout(&there, Duration::from_secs(5)).unwrap());
        let (_accepted, upstream) = bench.outside.inside(|| listener.accept().unwrap());
        // What the kernel says in place of a socket that has ended is as empty, and passes; it tells that the wire shows such ones.
        for (flags, mark) in [(SYN_ACK, b"SYN-ACK!"), (ACK, b"ONLY-ACK")] {
            sends_header(&raw, [upstream.port(), STEERED], flags, mark, there);
        }
        let shown = wire.until("ONLY-ACK");
        assert!(!shown.iter().any(|packet| has(packet, "SYN-ACK!")), "IPv6: {v6}");
        drop(client);
    }
}

/// From now on the addresses of IPv4 are none that the endpoint names.
fn names_v6_alone(bench: &mut Bench) {
    let v6_only: Vec<IpAddr> = bench.app.addresses().into_iter().filter(IpAddr::is_ipv6).collect();
    let netns = Redirect::open_netns(&bench.app.netns).unwrap();
    let place = AttachPoint::Pod { netns: netns.as_fd() };
    let listeners = bench.proxy.listeners();
    bench.redirect.attach(&KernelAttachment { id: APP, place, addresses: &v6_only, listeners }).unwrap();
}

#[test]
fn at_an_address_that_is_not_named_the_socket_of_a_connection_alone_answers() {
    if !able() {
        return;
    }
    let mut bench = bench();
    names_v6_alone(&mut bench);
    let own = bench.app.inside(|| TcpListener::bind(bench.app.address(false, OWN)).unwrap());
    let raw = bench.app.inside(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap());
    let wire = Wire::tap(&bench.outside);
    let [mut endpoint, mut peer] = connected(&bench, true, bench.app.address(false, OWN), &own);
    let to = peer.local_addr().unwrap();
    sends_header(&raw, [OWN, to.port()], 0x10, b"ONLY-ACK", to);
    says(&mut endpoint, &mut peer);
    assert!(!wire.until("still here").iter().any(|packet| has(packet, "ONLY-ACK")));
}

#[test]
fn a_source_that_is_the_endpoints_no_more_opens_nothing() {
    if !able() {
        return;
    }
    let mut bench = bench();
    let _servers = Bench::serve(&bench.outside, THEIRS);
    // What was let pass a moment ago is remembered, with the source that it had.
    assert!(bench.egress(false, THEIRS).is_direct_from(ip(&bench.app, false)));
    names_v6_alone(&mut bench);
    assert!(bench.egress(true, THEIRS).is_direct_from(ip(&bench.app, true)));
    let outcome = bench.egress(false, THEIRS);
    assert!(matches!(outcome, Outcome::Failed(_)), "a source that the endpoint does not name: {outcome:?}");
}
