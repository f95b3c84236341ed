//! A process that may administer its namespace changes rules, routes and translations there. It gains nothing.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use portcullis_integration::{Need, require};
use portcullis_redirect::{Action, FlowDirection, KernelPortClass};
use socket2::{Domain, Socket, Type};

use crate::{
    bench::{self, APP, Bench, DEVICE_LINKS, FAMILIES, REFUSED, STEERED, TCP, UDP, UNSTEERED, class, ip, table},
    bpf,
    packets::{DONE, WAYS, Who, Wire, by, has, send},
    sockets::{Outcome, get},
};

fn able() -> bool {
    bench::able() && require(&[Need::Program("nft")])
}

fn run(bench: &Bench, words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    bench.app.run(&words).unwrap().ok().unwrap();
}

#[test]
fn rules_that_are_taken_away_or_overruled_open_nothing() {
    if !able() {
        return;
    }
    WAYS.into_iter().for_each(without_rules);
}

fn without_rules(links: bool) {
    let bench = by(links, &table());
    let _servers = [Bench::serve(&bench.outside, STEERED), Bench::serve(&bench.outside, UNSTEERED)];
    for before in [true, false] {
        for (v6, family) in FAMILIES.into_iter().zip(["-4", "-6"]) {
            if before {
                run(&bench, &format!("ip {family} rule add pref 50 lookup main"));
            } else {
                run(&bench, &format!("ip {family} rule del pref 50"));
                for preference in [100, 102] {
                    run(&bench, &format!("ip {family} rule del pref {preference}"));
                }
            }
            let outcome = bench.egress(v6, STEERED);
            assert!(matches!(outcome, Outcome::Failed(_)), "it was to be judged: {outcome:?}");
            let outcome = bench.egress(v6, UNSTEERED);
            assert!(outcome.is_direct_from(ip(&bench.app, v6)), "{outcome:?}");
        }
    }
}

/// Whether what an open connection carries comes to another port than it was opened to, when somebody changes its packets.
fn comes_elsewhere(bench: &Bench, port: u16, mark: &str) -> bool {
    let listener = bench.outside.inside(|| TcpListener::bind(bench.there(false, port)).unwrap());
    let mut from = bench.app.inside(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if port == STEERED {
            bench.redirect.upstreams().adopt(socket.as_fd()).unwrap();
        }
        socket.connect(&bench.there(false, port).into()).unwrap();
        TcpStream::from(socket)
    });
    from.write_all(b"first").unwrap();
    let (mut to, _) = listener.accept().unwrap();
    to.read_exact(&mut [0; 5]).unwrap();
    let wire = Wire::tap(&bench.outside);
    run(bench, "nft add table netdev x");
    run(bench, "nft add chain netdev x e { type filter hook egress device eth0 priority 0 ; }");
    run(bench, &format!("nft add rule netdev x e tcp dport {port} tcp dport set {REFUSED}"));
    let _ = from.write_all(mark.as_bytes());
    let sent = send(&bench.app, Who::Root, "udp", &ip(&bench.outside, false).to_string(), 9000, DONE, "");
    assert_eq!(sent, "sent");
    let came = wire.until(DONE).iter().any(|packet| has(packet, mark));
    run(bench, "nft delete table netdev x");
    came
}

#[test]
fn a_socket_answers_for_packets_with_its_own_addresses_alone() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    assert!(comes_elsewhere(&bench, UNSTEERED, "<without policy>"));
    bench.redirect.set_table(APP, &table()).unwrap();
    // One that policy lets pass, and an upstream connection of ours.
    for (port, mark) in [(UNSTEERED, "<passed>"), (STEERED, "<steered>")] {
        assert!(!comes_elsewhere(&bench, port, mark), "{mark}");
    }
}

#[test]
fn a_translation_inside_does_not_lead_where_policy_does_not() {
    if !able() {
        return;
    }
    WAYS.into_iter().for_each(leads_nowhere);
}

fn leads_nowhere(links: bool) {
    let bench = by(links, &table());
    let _servers = [STEERED, UNSTEERED, REFUSED].map(|port| Bench::serve(&bench.outside, port));
    for port in [REFUSED, STEERED] {
        run(&bench, "nft add table inet x");
        run(&bench, "nft add chain inet x o { type nat hook output priority -100 ; }");
        for (v6, family) in FAMILIES.into_iter().zip(["ip", "ip6"]) {
            let to = bench.there(v6, port);
            run(
                &bench,
                &format!(
                    "nft add rule inet x o meta nfproto {} tcp dport 81 dnat {family} to {to}",
                    if v6 { "ipv6" } else { "ipv4" }
                ),
            );
            let outcome = bench.egress(v6, UNSTEERED);
            assert!(matches!(outcome, Outcome::Failed(_)), "to {to}: {outcome:?}");
        }
        run(&bench, "nft delete table inet x");
    }
    for v6 in FAMILIES {
        assert!(bench.egress(v6, UNSTEERED).is_direct_from(ip(&bench.app, v6)));
    }
}

/// Whether a datagram to the outside's own address comes to the other one that somebody behind the inner program makes of it.
fn is_rewritten(bench: &Bench, there: SocketAddr, elsewhere: SocketAddr) -> bool {
    let receivers = [there, elsewhere].map(|address| bench.outside.inside(|| UdpSocket::bind(address).unwrap()));
    for receiver in &receivers {
        receiver.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    }
    let sender = bench.app.inside(|| UdpSocket::bind("[::]:0").unwrap());
    let _ = sender.send_to(b"rewritten", there);
    let [there, elsewhere] = receivers.map(|receiver| receiver.recv(&mut [0; 16]).is_ok());
    assert!(!there);
    elsewhere
}

#[test]
fn what_is_rewritten_behind_the_inner_program_is_judged_as_what_it_is() {
    if !able() || !require(&[DEVICE_LINKS]) {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let there = bench.there(true, 9000);
    let mut bytes = bench.outside.v6.octets();
    (bytes[7], bytes[12], bytes[15]) = (bytes[7] ^ 0x80, bytes[12] ^ 0x04, bytes[15] ^ 0x80);
    let elsewhere = SocketAddr::from((bytes, 9000));
    bench.outside.run(&["ip", "address", "add", &elsewhere.ip().to_string(), "dev", "lo"]).unwrap().ok().unwrap();
    let (other, via) = (elsewhere.ip().to_string(), there.ip().to_string());
    bench.lab.node().run(&["ip", "route", "add", &other, "via", &via]).unwrap().ok().unwrap();
    let _other = bpf::Another::rewriting(&bench.app.netns);
    assert!(is_rewritten(&bench, there, elsewhere), "without policy");
    let mut only_there = class(FlowDirection::Egress, UDP, 0..=65535, Action::Refuse);
    only_there.prefixes.push((format!("{via}/128").parse().unwrap(), Action::Pass));
    bench.redirect.set_table(APP, &[only_there]).unwrap();
    for _ in 0..3 {
        assert!(!is_rewritten(&bench, there, elsewhere), "policy names the other address alone");
    }
}

#[test]
fn a_translation_inside_does_not_let_a_denied_peer_be_served() {
    if !able() {
        return;
    }
    WAYS.into_iter().for_each(is_not_served);
}

fn is_not_served(links: bool) {
    let bench = by(links, &table());
    run(&bench, "nft add table inet x");
    run(&bench, "nft add chain inet x p { type nat hook prerouting priority -100 ; }");
    for port in [STEERED, REFUSED] {
        run(&bench, &format!("nft add rule inet x p tcp dport {port} redirect to :{UNSTEERED}"));
    }
    let _servers = Bench::serve(&bench.app, UNSTEERED);
    for v6 in FAMILIES {
        for port in [STEERED, REFUSED] {
            let outcome = bench.ingress(v6, port);
            assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        }
        assert!(bench.ingress(v6, UNSTEERED).is_direct_from(ip(&bench.outside, v6)));
    }
}

#[test]
fn what_is_taken_away_comes_back_by_notice() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let changes = bench.redirect.watch().unwrap();
    // The devices of a new namespace are changes; what attaching does itself is none.
    while changes.recv_timeout(Duration::from_millis(600)).is_ok() {}
    run(&bench, "ip rule del pref 100");
    let started = Instant::now();
    assert_eq!(changes.recv_timeout(Duration::from_secs(5)), Ok(APP));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    bench.attach_with(|listeners| listeners);
    let _servers = Bench::serve(&bench.outside, STEERED);
    assert!(bench.egress(false, STEERED).is_steered_from(ip(&bench.app, false)));
    // The kernel may tell late of a device's state (net/core/link_watch.c), but mending itself never goes round in a circle.
    let quiet = (0..5).any(|_| {
        let quiet = changes.recv_timeout(Duration::from_millis(600)).is_err();
        if !quiet {
            bench.attach_with(|listeners| listeners);
        }
        quiet
    });
    assert!(quiet, "mending is no change");
}

#[test]
fn a_device_that_comes_later_is_judged_as_soon_as_it_is_noticed() {
    if !able() {
        return;
    }
    let refuse: Vec<KernelPortClass> =
        [TCP, UDP].map(|protocol| class(FlowDirection::Egress, protocol, 0..=65535, Action::Refuse)).to_vec();
    let mut bench = Bench::with(true, &refuse);
    let changes = bench.redirect.watch().unwrap();
    let name = |site: &portcullis_integration::Site| site.netns.file_name().unwrap().to_string_lossy().into_owned();
    let (app, outside) = (name(&bench.app), name(&bench.outside));
    bench
        .lab
        .node()
        .run(&["ip", "link", "add", "late0", "netns", &app, "type", "veth", "peer", "name", "late1", "netns", &outside])
        .unwrap()
        .ok()
        .unwrap();
    bench.app.ip("address add 10.99.0.1/24 dev late0\nlink set late0 up\n").unwrap();
    bench.outside.ip("address add 10.99.0.2/24 dev late1\nlink set late1 up\n").unwrap();
    assert_eq!(changes.recv_timeout(Duration::from_secs(5)), Ok(APP));
    bench.attach_with(|listeners| listeners);
    let pins = std::fs::read_dir(bench.lab.bpffs().join(crate::bench::LAYOUT)).unwrap().flatten();
    let names: Vec<String> = pins.map(|pin| pin.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(
        names.iter().filter(|name| name.starts_with("packets-") || name.starts_with("filters-")).count(),
        8,
        "{names:?}"
    );
    let listener = bench.outside.inside(|| TcpListener::bind("10.99.0.2:7").unwrap());
    let to: SocketAddr = listener.local_addr().unwrap();
    assert!(get(&bench.app, to).is_refused());
}
