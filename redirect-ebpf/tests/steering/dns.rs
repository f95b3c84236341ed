//! Steered datagrams: the behaviour of resolvers, and what must not escape.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use portcullis_integration::wait::uninterrupted;
use portcullis_redirect::{Action, FlowDirection, KernelPortClass};

use crate::{
    bench::{APP, Bench, FAMILIES, TCP, UDP, able, class, ip},
    datagrams::Asked,
    resolver::{BOTH, DNS, Resolver, answer, exchange, query, socket, steered},
    sockets::{Datagram, HANG, Outcome, Server, get, mapped},
};

/// The endpoint asks whom it likes.
fn bench() -> Bench {
    Bench::with(true, &steered(&[DNS]))
}

#[test]
fn a_question_reaches_the_listener_and_the_answer_comes_from_the_server_that_was_asked() {
    if !able() {
        return;
    }
    let bench = bench();
    let _resolvers = Resolver::both(&bench.outside, DNS);
    for v6 in FAMILIES {
        for how in BOTH {
            let outcome = query(&bench.app, how, bench.there(v6, DNS));
            assert!(outcome.is_steered_from(ip(&bench.app, v6)), "{how:?}: {outcome:?}");
            let asked = bench.proxy.datagrams.asked().pop().unwrap();
            assert_eq!(asked.server, bench.there(v6, DNS), "the listener knows whom the client asked");
            assert_eq!(asked.client.ip(), ip(&bench.app, v6));
        }
    }
    assert_eq!(bench.proxy.datagrams.asked().len(), 4, "each question is met once");
}

#[test]
fn one_socket_asks_two_servers_at_once_and_gets_an_answer_from_each() {
    if !able() {
        return;
    }
    let mut bench = bench();
    let second = bench.lab.pod("second").unwrap();
    let _resolvers = [Resolver::both(&bench.outside, DNS), Resolver::both(&second, DNS)];
    for v6 in FAMILIES {
        let socket = socket(&bench.app, v6);
        let mut servers = [bench.there(v6, DNS), second.address(v6, DNS)];
        for server in servers {
            socket.send_to(b"who am I?", server).unwrap();
        }
        let answers = [(); 2].map(|()| answer(&socket).unwrap());
        let mut sources = answers.each_ref().map(|(from, _)| *from);
        sources.sort();
        servers.sort();
        assert_eq!(sources, servers);
        assert!(answers.iter().all(|(_, outcome)| outcome.is_steered_from(ip(&bench.app, v6))), "{answers:?}");
    }
}

#[test]
fn an_ipv4_server_behind_an_ipv6_socket_is_asked_over_ipv4() {
    if !able() {
        return;
    }
    let bench = bench();
    let _resolver = Resolver::start(&bench.outside, bench.there(false, DNS));
    for how in BOTH {
        let outcome = query(&bench.app, how, mapped(bench.there(false, DNS)));
        assert!(outcome.is_steered_from(ip(&bench.app, false)), "{how:?}: {outcome:?}");
        assert_eq!(bench.proxy.datagrams.asked().pop().unwrap().server, bench.there(false, DNS));
    }
}

#[test]
fn every_port_that_policy_names_is_steered_and_no_other_is_touched_by_the_same_socket() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &steered(&[DNS, 1053, 5353]));
    let ports = [DNS, 54, 1053, 5353, 5354];
    let _resolvers = ports.map(|port| Resolver::both(&bench.outside, port));
    for v6 in FAMILIES {
        for how in BOTH {
            let socket = socket(&bench.app, v6);
            for port in ports {
                let outcome = exchange(&socket, how, bench.there(v6, port));
                let as_wanted = match port {
                    54 | 5354 => outcome.is_direct_from(ip(&bench.app, v6)),
                    _ => outcome.is_steered_from(ip(&bench.app, v6)),
                };
                assert!(as_wanted, "{how:?} port {port}: {outcome:?}");
            }
        }
    }
}

#[test]
fn a_connected_socket_that_sends_to_another_port_of_the_same_server_is_judged_by_that_port() {
    if !able() {
        return;
    }
    let bench = bench();
    let ears = FAMILIES.map(|v6| {
        [DNS, 54].map(|port| {
            let ear = bench.outside.inside(|| UdpSocket::bind(bench.there(v6, port)).unwrap());
            ear.set_read_timeout(Some(HANG)).unwrap();
            ear
        })
    });
    // IPv6 keeps the route of the server that a socket is connected to, whatever the port of the next datagram.
    for ([dns, other], v6) in ears.iter().zip(FAMILIES) {
        let [asked, there] = [DNS, 54].map(|port| bench.there(v6, port));
        let through = |connected: SocketAddr, to: SocketAddr, ear: &UdpSocket| {
            let socket = socket(&bench.app, v6);
            socket.connect(connected).unwrap();
            let before = bench.proxy.datagrams.asked().len();
            socket.send_to(b"hello", to).unwrap();
            let (_, from) = uninterrupted(|| ear.recv_from(&mut [0; 16])).unwrap();
            ear.send_to(b"well", from).unwrap();
            assert_eq!(from.ip(), ip(&bench.app, v6));
            (bench.proxy.datagrams.asked().len() > before, socket)
        };
        let (met, socket) = through(there, asked, dns);
        assert!(met, "a question to {asked} got away");
        socket.send(b"hello").unwrap();
        let (_, from) = uninterrupted(|| other.recv_from(&mut [0; 16])).unwrap();
        assert_eq!(from, socket.local_addr().unwrap(), "the socket is still connected, and that is not steered");
        let (met, socket) = through(asked, there, other);
        assert!(!met, "{there} is none of the proxy's business");
        socket.send(b"hello").unwrap();
        let (_, from) = uninterrupted(|| dns.recv_from(&mut [0; 16])).unwrap();
        assert_ne!(from, socket.local_addr().unwrap(), "the proxy asked");
        dns.send_to(b"well", from).unwrap();
    }
}

#[test]
fn a_port_is_steered_as_a_whole_and_refused_servers_stay_refused() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let others = ["passed", "refused"].map(|name| bench.lab.pod(name).unwrap());
    let to = |address: IpAddr, action| (ipnet::IpNet::from(address), action);
    let mut prefixes: Vec<_> = bench.outside.addresses().map(|address| to(address, Action::Steer)).to_vec();
    prefixes.extend(others[1].addresses().map(|address| to(address, Action::Refuse)));
    prefixes.extend(["0.0.0.0/0", "::/0"].map(|prefix| (prefix.parse().unwrap(), Action::Pass)));
    let class =
        KernelPortClass { direction: FlowDirection::Egress, protocol: UDP, ports: DNS..=DNS, prefixes, learns: false };
    bench.redirect.set_table(APP, &[class]).unwrap();
    let _resolvers = others.each_ref().map(|pod| Resolver::both(pod, DNS));
    for v6 in FAMILIES {
        for how in BOTH {
            // A rule cannot tell this server from one that is judged: the proxy forwards what policy lets pass.
            let outcome = query(&bench.app, how, others[0].address(v6, DNS));
            assert!(outcome.is_steered_from(ip(&bench.app, v6)), "{how:?}: {outcome:?}");
            let outcome = query(&bench.app, how, others[1].address(v6, DNS));
            assert!(outcome.is_refused(), "{how:?}: {outcome:?}");
        }
    }
}

#[test]
fn a_socket_older_than_the_policy_is_steered_without_losing_a_question() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let _resolvers = Resolver::both(&bench.outside, DNS);
    let ways = FAMILIES.map(|v6| BOTH.map(|how| (v6, how))).concat();
    let sockets: Vec<_> = ways.into_iter().map(|(v6, how)| (v6, how, socket(&bench.app, v6))).collect();
    for (v6, how, socket) in &sockets {
        assert!(exchange(socket, *how, bench.there(*v6, DNS)).is_direct_from(ip(&bench.app, *v6)));
    }
    bench.redirect.set_table(APP, &steered(&[DNS])).unwrap();
    for (v6, how, socket) in &sockets {
        let outcome = match how {
            // It connected when nothing was steered, and connects no more.
            Datagram::Connected => {
                socket.send(b"who am I?").unwrap();
                answer(socket).unwrap().1
            }
            Datagram::Unconnected => exchange(socket, *how, bench.there(*v6, DNS)),
        };
        assert!(outcome.is_steered_from(ip(&bench.app, *v6)), "{how:?}: {outcome:?}");
    }
    bench.redirect.set_table(APP, &[]).unwrap();
    for (v6, how, socket) in &sockets {
        let outcome = exchange(socket, *how, bench.there(*v6, DNS));
        assert!(outcome.is_direct_from(ip(&bench.app, *v6)), "{how:?}: {outcome:?}");
    }
}

#[test]
fn answers_come_in_although_ingress_is_refused() {
    if !able() {
        return;
    }
    let refuse = class(FlowDirection::Ingress, UDP, 0..=65535, Action::Refuse);
    let bench = Bench::with(true, &[steered(&[DNS]), vec![refuse]].concat());
    let _resolvers = Resolver::both(&bench.outside, DNS);
    for v6 in FAMILIES {
        for how in BOTH {
            let outcome = query(&bench.app, how, bench.there(v6, DNS));
            assert!(outcome.is_steered_from(ip(&bench.app, v6)), "{how:?}: {outcome:?}");
        }
    }
}

#[test]
fn datagrams_to_the_endpoint_are_never_steered() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[class(FlowDirection::Ingress, UDP, DNS..=DNS, Action::Steer)]);
    let _resolvers = Resolver::both(&bench.app, DNS);
    for v6 in FAMILIES {
        let outcome = query(&bench.outside, Datagram::Connected, bench.app.address(v6, DNS));
        assert!(outcome.is_refused(), "nobody could judge it: {outcome:?}");
    }
}

#[test]
fn an_application_that_serves_the_steered_port_itself_is_not_in_the_way_and_not_disturbed() {
    if !able() {
        return;
    }
    let bench = bench();
    let _resolvers = Resolver::both(&bench.outside, DNS);
    let asks = || {
        for v6 in FAMILIES {
            for how in BOTH {
                assert!(query(&bench.app, how, bench.there(v6, DNS)).is_steered_from(ip(&bench.app, v6)));
            }
        }
    };
    asks();
    let _forwarder = Resolver::start(&bench.app, "[::]:53".parse().unwrap());
    asks();
    for v6 in FAMILIES {
        let outcome = query(&bench.outside, Datagram::Connected, bench.app.address(v6, DNS));
        assert!(outcome.is_direct_from(ip(&bench.outside, v6)), "{outcome:?}");
    }
}

#[test]
fn a_vip_reaches_the_listener_as_it_was_asked_and_answers_as_such() {
    if !able() {
        return;
    }
    let bench = bench();
    let _resolvers = Resolver::both(&bench.outside, DNS);
    // Nobody has these: somebody translates them when a packet leaves the node, after our programs.
    for (v6, vip) in FAMILIES.into_iter().zip(["10.96.0.10:53", "[fd96::10]:53"].map(|vip| vip.parse().unwrap())) {
        bench.proxy.datagrams.add_backend(vip, bench.there(v6, DNS));
        for how in BOTH {
            let outcome = query(&bench.app, how, vip);
            assert!(outcome.is_steered_from(ip(&bench.app, v6)), "{how:?}: {outcome:?}");
            assert_eq!(bench.proxy.datagrams.asked().pop().unwrap().server, vip);
        }
    }
}

#[test]
fn strict_reverse_path_filters_let_answers_through() {
    if !able() {
        return;
    }
    let bench = bench();
    let _resolver = Resolver::start(&bench.outside, bench.there(false, DNS));
    bench.app.inside(|| {
        for device in ["all", "default", "eth0", "lo"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{device}/rp_filter"), "1").unwrap();
        }
    });
    for how in BOTH {
        let outcome = query(&bench.app, how, bench.there(false, DNS));
        assert!(outcome.is_steered_from(ip(&bench.app, false)), "{how:?}: {outcome:?}");
    }
}

#[test]
fn a_socket_that_is_bound_to_its_device_is_steered() {
    if !able() {
        return;
    }
    let bench = bench();
    let _resolvers = Resolver::both(&bench.outside, DNS);
    for v6 in FAMILIES {
        for how in BOTH {
            let socket = socket(&bench.app, v6);
            socket2::SockRef::from(&socket).bind_device(Some(b"eth0")).unwrap();
            let outcome = exchange(&socket, how, bench.there(v6, DNS));
            assert!(outcome.is_steered_from(ip(&bench.app, v6)), "{how:?}: {outcome:?}");
        }
    }
}

#[test]
fn a_question_does_not_leave_unjudged_when_our_route_is_gone() {
    if !able() {
        return;
    }
    let bench = bench();
    let _resolvers = Resolver::both(&bench.outside, DNS);
    for (v6, family) in FAMILIES.into_iter().zip(["-4", "-6"]) {
        bench.app.run(&["ip", family, "route", "flush", "table", "0x5043"]).unwrap().ok().unwrap();
        for how in BOTH {
            let outcome = query(&bench.app, how, bench.there(v6, DNS));
            assert!(matches!(outcome, Outcome::Failed(kind) if kind != ErrorKind::WouldBlock), "{how:?}: {outcome:?}");
        }
    }
}

#[test]
fn a_resolver_on_a_loopback_address_is_steered_where_policy_names_it() {
    if !able() {
        return;
    }
    let stubs: [SocketAddr; 2] = ["127.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
    let named: Vec<_> = stubs.map(|stub| (ipnet::IpNet::from(stub.ip()), Action::Steer)).to_vec();
    let class = |protocol| KernelPortClass {
        direction: FlowDirection::Egress,
        protocol,
        ports: DNS..=DNS,
        prefixes: named.clone(),
        learns: false,
    };
    let mut bench = Bench::with(true, &[class(UDP), class(TCP)]);
    let _resolvers = stubs.map(|stub| (Resolver::start(&bench.app, stub), Server::start(&bench.app, stub)));
    let other: SocketAddr = "127.0.0.54:53".parse().unwrap();
    let _other = Resolver::start(&bench.app, other);
    for stub in stubs {
        let client: IpAddr = if stub.is_ipv6() { "::1".parse().unwrap() } else { "127.0.0.1".parse().unwrap() };
        for how in BOTH {
            let outcome = query(&bench.app, how, stub);
            assert!(outcome.is_steered_from(client), "{how:?} {stub}: {outcome:?}");
            assert!(matches!(bench.proxy.datagrams.asked().pop(), Some(Asked { server, .. }) if server == stub));
        }
        let outcome = get(&bench.app, stub);
        assert!(outcome.is_steered_from(client), "DNS over TCP: {outcome:?}");
    }
    assert!(query(&bench.app, Datagram::Unconnected, other).is_direct_from("127.0.0.1".parse().unwrap()));
    // Everybody is not the machine itself.
    bench.redirect.set_table(APP, &steered(&[DNS])).unwrap();
    for stub in stubs {
        assert!(matches!(query(&bench.app, Datagram::Connected, stub), Outcome::Direct(_)));
    }
}
