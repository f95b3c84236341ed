//! Connections to the endpoint.

use std::{io::ErrorKind, net::SocketAddr};

use portcullis_redirect::{Action, FlowDirection};
use socket2::{Domain, Protocol};

use crate::{
    bench::{APP, Bench, FAMILIES, REFUSED, STEERED, TCP, UDP, UNSTEERED, able, class, ip},
    proxy::UPSTREAM_PORTS,
    sockets::{Datagram, Echo, Outcome, Server, ask, get, get_with},
};

#[test]
fn a_steered_port_reaches_the_listener_and_the_application_still_sees_the_client() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.app, STEERED);
    for v6 in FAMILIES {
        let outcome = bench.ingress(v6, STEERED);
        assert!(outcome.is_steered_from(ip(&bench.outside, v6)), "{outcome:?}");
        let met = bench.proxy.met().pop().unwrap();
        assert_eq!(met.original, bench.app.address(v6, STEERED), "the listener knows where the client wanted to go");
        assert_eq!(met.client.ip(), ip(&bench.outside, v6));
    }
}

#[test]
fn a_dual_stack_application_sees_the_client_of_either_family() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _server = Server::start(&bench.app, "[::]:80".parse().unwrap());
    for v6 in FAMILIES {
        let outcome = bench.ingress(v6, STEERED);
        assert!(outcome.is_steered_from(ip(&bench.outside, v6)), "{outcome:?}");
    }
}

#[test]
fn a_port_that_policy_says_nothing_of_is_never_touched() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.app, UNSTEERED);
    for v6 in FAMILIES {
        let outcome = bench.ingress(v6, UNSTEERED);
        assert!(outcome.is_direct_from(ip(&bench.outside, v6)), "{outcome:?}");
    }
    assert_eq!(bench.proxy.met(), []);
}

#[test]
fn a_refused_port_answers_with_a_reset_at_once() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.app, REFUSED);
    for v6 in FAMILIES {
        assert_eq!(bench.ingress(v6, REFUSED), Outcome::Failed(ErrorKind::ConnectionRefused));
    }
}

#[test]
fn a_refused_datagram_is_answered_by_icmp() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[class(FlowDirection::Ingress, UDP, 0..=65535, Action::Refuse)]);
    let _servers = FAMILIES.map(|v6| Echo::start(&bench.app, bench.app.address(v6, 7)));
    for v6 in FAMILIES {
        let told = ask(&bench.outside, Datagram::Connected, bench.app.address(v6, 7));
        assert_eq!(told, Err(ErrorKind::ConnectionRefused));
    }
}

#[test]
fn where_nobody_listens_the_upstream_is_refused_and_so_is_the_client() {
    if !able() {
        return;
    }
    // Without fwmark_reflect the application's RST goes to the real client, our connect hangs, and the client with it.
    let bench = Bench::new();
    for v6 in FAMILIES {
        assert_eq!(bench.ingress(v6, STEERED), Outcome::Failed(ErrorKind::ConnectionReset));
    }
}

#[test]
fn an_application_that_is_bound_to_its_device_gets_its_steered_connections() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    for v6 in FAMILIES {
        let any: SocketAddr = if v6 { "[::]:80".parse().unwrap() } else { "0.0.0.0:80".parse().unwrap() };
        let _server = Server::start_on_device(&bench.app, any, "eth0");
        let outcome = bench.ingress(v6, STEERED);
        assert!(outcome.is_steered_from(ip(&bench.outside, v6)), "{outcome:?}");
    }
}

#[test]
fn an_application_that_starts_again_gets_its_port_although_connections_of_ours_are_on_it() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    for v6 in FAMILIES {
        for _ in 0..3 {
            // The server hangs up first: its connections, and ours with the same local port, stay in TIME_WAIT.
            let _server = Server::start(&bench.app, bench.app.address(v6, STEERED));
            assert!(bench.ingress(v6, STEERED).is_steered_from(ip(&bench.outside, v6)));
        }
    }
}

#[test]
fn every_peer_does_not_mean_the_endpoint_itself() {
    if !able() {
        return;
    }
    let both = [FlowDirection::Ingress, FlowDirection::Egress];
    let bench = Bench::with(true, &both.map(|direction| class(direction, TCP, 0..=65535, Action::Steer)));
    let loopback: [SocketAddr; 2] = ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()];
    let own = FAMILIES.map(|v6| bench.app.address(v6, 80));
    for address in loopback.into_iter().chain(own) {
        let _server = Server::start(&bench.app, address);
        let outcome = get(&bench.app, address);
        assert!(outcome.is_direct_from(address.ip()), "{address}: {outcome:?}");
    }
    assert_eq!(bench.proxy.met(), []);
}

#[test]
fn an_mptcp_client_is_steered_and_refused_like_any_other() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = [Bench::serve(&bench.app, STEERED), Bench::serve(&bench.app, REFUSED)];
    for v6 in FAMILIES {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let mptcp = |port| get_with(&bench.outside, domain, Protocol::MPTCP, None, bench.app.address(v6, port));
        let outcome = mptcp(STEERED);
        assert!(outcome.is_steered_from(ip(&bench.outside, v6)), "{outcome:?}");
        assert!(mptcp(REFUSED).is_refused());
    }
}

#[test]
fn upstreams_use_ports_that_clients_do_not_draw() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.app, STEERED);
    let range = bench.app.inside(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap());
    let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    assert!(
        *UPSTREAM_PORTS.end() < first,
        "a client's SYN from the port of an upstream connection would meet the application's socket"
    );
    for v6 in FAMILIES {
        for _ in 0..20 {
            let outcome = bench.ingress(v6, STEERED);
            assert!(outcome.is_steered_from(ip(&bench.outside, v6)), "{outcome:?}");
        }
    }
    assert!(bench.proxy.met().iter().all(|met| UPSTREAM_PORTS.contains(&met.upstream.port())));
}

#[test]
fn a_client_that_guesses_the_port_of_a_upstream_is_not_taken_for_it() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.app, STEERED);
    for v6 in FAMILIES {
        // An upstream connection that is announced and has not connected yet.
        let upstream = bench.outside.address(v6, 12345);
        let to = bench.app.address(v6, STEERED);
        bench.redirect.upstreams().announce(APP, upstream, to).unwrap();
        let outcome = get_with(&bench.outside, Domain::for_address(upstream), Protocol::TCP, Some(upstream), to);
        assert!(outcome.is_steered_from(upstream.ip()), "{outcome:?}");
    }
}

#[test]
fn an_address_that_the_endpoint_does_not_name_is_judged_and_never_steered() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    bench.app.ip("address add 10.77.1.9/24 dev eth0\naddress add fd77:1::9/64 dev eth0 nodad\n").unwrap();
    for ip in ["10.77.1.9", "fd77:1::9"].map(|ip| ip.parse().unwrap()) {
        let at = |port| SocketAddr::new(ip, port);
        let _servers = [STEERED, UNSTEERED, REFUSED].map(|port| Server::start(&bench.app, at(port)));
        let (unsteered, own) = (get(&bench.outside, at(UNSTEERED)), get(&bench.app, at(UNSTEERED)));
        assert!(matches!(unsteered, Outcome::Direct(_)), "{unsteered:?}");
        assert!(matches!(own, Outcome::Direct(_)), "the endpoint to itself: {own:?}");
        // Its source may be the address itself, or one that the endpoint names: then it is met on its way, once.
        let before = bench.proxy.met().len();
        let own = get(&bench.app, at(STEERED));
        assert!(!matches!(own, Outcome::Failed(_)), "{own:?}");
        assert!(bench.proxy.met().len() <= before + 1, "{:?}", bench.proxy.met());
        assert!(get(&bench.outside, at(REFUSED)).is_refused());
        assert!(get(&bench.outside, at(STEERED)).is_refused(), "not unjudged, and not judged as somebody else's");
    }
}
