//! Connections and datagrams that the endpoint sends.

use std::{io::ErrorKind, net::UdpSocket, time::Duration};

use portcullis_redirect::{Action, FlowDirection, Listeners, MARK, RedirectOptions};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    bench::{Bench, FAMILIES, REFUSED, STEERED, TCP, UDP, UNSTEERED, able, class, ip, options},
    sockets::{Datagram, Echo, HANG, ask, fast_open, get, get_bound_to_device, get_with, mapped, retry},
};

#[test]
fn a_steered_destination_reaches_the_listener_and_the_server_sees_the_endpoint() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, STEERED);
    for v6 in FAMILIES {
        let outcome = bench.egress(v6, STEERED);
        assert!(outcome.is_steered_from(ip(&bench.app, v6)), "{outcome:?}");
        let met = bench.proxy.met().pop().unwrap();
        assert_eq!(met.original, bench.there(v6, STEERED), "the listener knows where the client wanted to go");
        // A local route without a source would make the kernel take the destination for it.
        assert_eq!(met.client.ip(), ip(&bench.app, v6), "and the client has its own address");
    }
}

#[test]
fn a_destination_that_policy_says_nothing_of_is_never_touched() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, UNSTEERED);
    for v6 in FAMILIES {
        let outcome = bench.egress(v6, UNSTEERED);
        assert!(outcome.is_direct_from(ip(&bench.app, v6)), "{outcome:?}");
    }
    assert_eq!(bench.proxy.met(), []);
}

#[test]
fn a_refused_destination_is_connection_refused_at_once() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, REFUSED);
    for v6 in FAMILIES {
        let outcome = bench.egress(v6, REFUSED);
        assert!(outcome.is_refused(), "{outcome:?}");
    }
}

#[test]
fn an_ipv4_destination_behind_an_ipv6_socket_is_judged_as_ipv4() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = [STEERED, UNSTEERED, REFUSED].map(|port| Bench::serve(&bench.outside, port));
    let through = |port| get_with(&bench.app, Domain::IPV6, Protocol::TCP, None, mapped(bench.there(false, port)));
    let (steered, direct, refused) = (through(STEERED), through(UNSTEERED), through(REFUSED));
    assert!(steered.is_steered_from(ip(&bench.app, false)), "{steered:?}");
    assert!(direct.is_direct_from(ip(&bench.app, false)), "{direct:?}");
    assert!(refused.is_refused(), "{refused:?}");
}

#[test]
fn an_mptcp_socket_is_tcp() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = [STEERED, REFUSED].map(|port| Bench::serve(&bench.outside, port));
    for v6 in FAMILIES {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let through = |port| get_with(&bench.app, domain, Protocol::MPTCP, None, bench.there(v6, port));
        let (steered, refused) = (through(STEERED), through(REFUSED));
        assert!(steered.is_steered_from(ip(&bench.app, v6)), "{steered:?}");
        assert!(refused.is_refused(), "{refused:?}");
    }
}

#[test]
fn refused_datagrams_are_told_to_the_sender_whether_it_connects_or_not() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[class(FlowDirection::Egress, UDP, 7..=7, Action::Refuse)]);
    let _echoes = FAMILIES.map(|v6| [7, 8].map(|port| Echo::start(&bench.outside, bench.there(v6, port))));
    let mut there: Vec<_> = FAMILIES.map(|v6| bench.there(v6, 7)).to_vec();
    there.push(mapped(bench.there(false, 7)));
    for to in there {
        for how in [Datagram::Connected, Datagram::Unconnected] {
            assert_eq!(ask(&bench.app, how, to), Err(ErrorKind::ConnectionRefused), "{how:?} to {to}");
        }
    }
    for v6 in FAMILIES {
        for how in [Datagram::Connected, Datagram::Unconnected] {
            assert_eq!(ask(&bench.app, how, bench.there(v6, 8)), Ok(()), "{how:?} to an allowed port");
        }
    }
}

#[test]
fn answers_to_datagrams_of_the_endpoint_come_back_although_ingress_is_refused() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[class(FlowDirection::Ingress, UDP, 0..=65535, Action::Refuse)]);
    let _echoes = FAMILIES.map(|v6| Echo::start(&bench.outside, bench.there(v6, 7)));
    let mut there: Vec<_> = FAMILIES.map(|v6| bench.there(v6, 7)).to_vec();
    there.push(mapped(bench.there(false, 7)));
    for to in there {
        for how in [Datagram::Connected, Datagram::Unconnected] {
            assert_eq!(ask(&bench.app, how, to), Ok(()), "{how:?} to {to}");
        }
    }
}

#[test]
fn a_datagram_that_policy_wants_steered_is_refused_while_nothing_reads_datagrams() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[class(FlowDirection::Egress, UDP, 7..=7, Action::Steer)]);
    bench.attach_with(|listeners| Listeners { udp4: &[], udp6: &[], ..listeners });
    let _echoes = FAMILIES.map(|v6| Echo::start(&bench.outside, bench.there(v6, 7)));
    for v6 in FAMILIES {
        for how in [Datagram::Connected, Datagram::Unconnected] {
            assert_eq!(ask(&bench.app, how, bench.there(v6, 7)), Err(ErrorKind::ConnectionRefused), "{how:?}");
        }
    }
}

#[test]
fn upstreams_of_ours_do_not_come_back_to_us() {
    if !able() {
        return;
    }
    let both = [FlowDirection::Ingress, FlowDirection::Egress];
    let bench = Bench::with(true, &both.map(|direction| class(direction, TCP, 0..=65535, Action::Steer)));
    let _servers = [Bench::serve(&bench.outside, STEERED), Bench::serve(&bench.app, STEERED)];
    for v6 in FAMILIES {
        let (egress, ingress) = (bench.egress(v6, STEERED), bench.ingress(v6, STEERED));
        assert!(egress.is_steered_from(ip(&bench.app, v6)), "{egress:?}");
        assert!(ingress.is_steered_from(ip(&bench.outside, v6)), "{ingress:?}");
    }
    assert_eq!(bench.proxy.met().len(), 4, "each connection is met once");
}

#[test]
fn every_destination_does_not_mean_the_machine_itself() {
    if !able() {
        return;
    }
    let refuse = class(FlowDirection::Egress, TCP, 0..=65535, Action::Refuse);
    let bench = Bench::with(true, &[refuse]);
    let spelt = ["127.0.0.1:80", "[::1]:80", "127.1.2.3:80", "0.0.0.0:80", "[::]:80", "[::ffff:127.0.0.1]:80"];
    for address in spelt.map(|address| address.parse().unwrap()) {
        let _server = crate::sockets::Server::start(&bench.app, address);
        let outcome = get(&bench.app, address);
        assert!(matches!(outcome, crate::sockets::Outcome::Direct(_)), "{address}: {outcome:?}");
    }
}

#[test]
fn other_namespaces_are_none_of_our_business() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = [STEERED, REFUSED].map(|port| Bench::serve(&bench.app, port));
    let _outside = [STEERED, REFUSED].map(|port| Bench::serve(&bench.outside, port));
    for v6 in FAMILIES {
        for port in [STEERED, REFUSED] {
            let outcome = get(bench.lab.node(), bench.outside.address(v6, port));
            assert!(matches!(outcome, crate::sockets::Outcome::Direct(_)), "{outcome:?}");
        }
    }
}

#[test]
fn a_steered_connection_does_not_leave_unjudged_when_our_route_is_gone() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, STEERED);
    for (v6, family) in FAMILIES.into_iter().zip(["-4", "-6"]) {
        let flush = ["ip", family, "route", "flush", "table", "0x5043"];
        bench.app.run(&flush).unwrap().ok().unwrap();
        let outcome = bench.egress(v6, STEERED);
        assert!(matches!(outcome, crate::sockets::Outcome::Failed(_)), "{outcome:?}");
    }
}

#[test]
fn a_fast_open_is_a_connect() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = [STEERED, REFUSED].map(|port| Bench::serve(&bench.outside, port));
    for v6 in FAMILIES {
        let opened = |port| fast_open(&bench.app, bench.there(v6, port));
        let (steered, refused) = (opened(STEERED), opened(REFUSED));
        assert!(steered.is_steered_from(ip(&bench.app, v6)), "{steered:?}");
        assert!(refused.is_refused(), "{refused:?}");
    }
}

#[test]
fn a_socket_that_is_bound_to_its_device_is_steered() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = [STEERED, REFUSED].map(|port| Bench::serve(&bench.outside, port));
    for v6 in FAMILIES {
        let through = |port| get_bound_to_device(&bench.app, "eth0", bench.there(v6, port));
        let (steered, refused) = (through(STEERED), through(REFUSED));
        assert!(steered.is_steered_from(ip(&bench.app, v6)), "{steered:?}");
        assert!(refused.is_refused(), "{refused:?}");
    }
}

#[test]
fn strict_reverse_path_filters_are_no_obstacle() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = [Bench::serve(&bench.outside, STEERED), Bench::serve(&bench.app, STEERED)];
    bench.app.inside(|| {
        for device in ["all", "default", "eth0", "lo"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{device}/rp_filter"), "1").unwrap();
        }
    });
    let (egress, ingress) = (bench.egress(false, STEERED), bench.ingress(false, STEERED));
    assert!(egress.is_steered_from(ip(&bench.app, false)), "{egress:?}");
    assert!(ingress.is_steered_from(ip(&bench.outside, false)), "{ingress:?}");
}

#[test]
fn a_socket_that_was_to_be_steered_and_then_goes_elsewhere_is_let_go() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, UNSTEERED);
    for (v6, family) in FAMILIES.into_iter().zip(["-4", "-6"]) {
        // Marked by the program, and then there is no way: the socket may try another destination.
        bench.app.run(&["ip", family, "route", "flush", "table", "0x5043"]).unwrap().ok().unwrap();
        let (failed, mark, outcome) = retry(&bench.app, bench.there(v6, STEERED), bench.there(v6, UNSTEERED));
        assert!(failed, "there was a way");
        assert_eq!(mark, MARK);
        assert!(outcome.is_direct_from(ip(&bench.app, v6)), "{outcome:?}");
    }
}

#[test]
fn a_mark_of_the_applications_own_stays_where_policy_lets_it_pass() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, UNSTEERED);
    for v6 in FAMILIES {
        let to = bench.there(v6, UNSTEERED);
        let mark = bench.app.inside(|| {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
            socket.set_mark(0x77).unwrap();
            socket.connect_timeout(&to.into(), HANG).unwrap();
            socket.mark().unwrap()
        });
        assert_eq!(mark, 0x77);
    }
}

#[test]
fn a_server_answers_datagrams_that_were_let_in_and_asks_nobody_by_itself() {
    if !able() {
        return;
    }
    // Only programs at devices tell that a datagram came in.
    for device_links in [true, false] {
        let closed = class(FlowDirection::Egress, UDP, 0..=65535, Action::Refuse);
        let bench = Bench::by(&[closed], |lab| RedirectOptions { device_links, ..options(lab, true) });
        for v6 in FAMILIES {
            let server = bench.app.inside(|| UdpSocket::bind(bench.app.address(v6, 5300)).unwrap());
            let [client, other] =
                [0, 0].map(|port| bench.outside.inside(|| UdpSocket::bind(bench.there(v6, port)).unwrap()));
            for socket in [&server, &client] {
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            }
            let is_refused = |to: &UdpSocket| {
                let sent = server.send_to(b"unasked", to.local_addr().unwrap());
                sent.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            };
            assert!(is_refused(&client) && is_refused(&other));
            client.send_to(b"question", server.local_addr().unwrap()).unwrap();
            let mut buffer = [0; 16];
            let (_, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(from, client.local_addr().unwrap());
            server.send_to(b"answer", from).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 6, "links: {device_links}");
            assert!(is_refused(&other));
        }
    }
}
