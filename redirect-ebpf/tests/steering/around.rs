//! Bypasses of the connection and listener hooks that need no capability. Each was once possible.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::OwnedFd,
};

use ipnet::IpNet;
use portcullis_integration::wait::until;
use portcullis_redirect::{Action, FlowDirection, KernelPortClass, RedirectOptions};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{
    bench::{APP, Bench, FAMILIES, STEERED, TCP, UDP, class, ip, options, table},
    datagrams::Asked,
    people::{NOBODYS, ROOT, ROOT_WITHOUT_CAPABILITIES, Somebody, able, run},
    proxy::NOBODY,
    resolver::{self, DNS, Resolver, query, steered},
    sockets::{Datagram, HANG, Outcome, Server, get, get_with},
};

/// Sets an option that has packets go another way than they say, or one that does not.
const OPTION: &str = r"
kind = sys.argv[1]
s6, s4 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stop = socket.inet_pton(socket.AF_INET6, '2001:db8::1')
header = struct.pack('!BBBBBBH', 0, 4, 4, 1, 1, 0, 0) + stop + stop
mobile = struct.pack('!BBBBI', 0, 2, 2, 1, 0) + stop
control = struct.pack('@Qii', 16 + len(mobile), 41, 57) + mobile
label = stop + struct.pack('!I', 0) + struct.pack('@BBHHHI', 0, 1, 1, 0, 60, 0)
if kind == 'header': s6.setsockopt(41, 57, header)
if kind == 'mobile': s6.setsockopt(41, 57, mobile)
if kind == 'none': s6.setsockopt(41, 57, b'')
if kind == 'control': s6.setsockopt(41, 6, control)
if kind == 'label': s6.setsockopt(41, 32, label + control)
if kind == 'plain label': s6.setsockopt(41, 32, label)
if kind == 'loose': s4.setsockopt(0, 4, bytes([1, 131, 7, 4, 192, 0, 2, 1]))
if kind == 'strict': s4.setsockopt(0, 4, bytes([7, 3, 4, 137, 7, 4, 192, 0, 2, 1, 0, 0]))
if kind == 'mapped': s6.setsockopt(0, 4, bytes([1, 131, 7, 4, 192, 0, 2, 1]))
if kind == 'record': s4.setsockopt(0, 4, bytes([7, 7, 4, 0, 0, 0, 0, 0]))
if kind == 'other': s6.setsockopt(41, 67, 3)
if kind == 'long':
    try: s4.setsockopt(0, 64, bytes(8192))
    except OSError as error: assert error.errno != errno.EFAULT
print('set')
";

#[test]
fn no_socket_of_an_endpoint_has_a_routing_header_or_a_source_route() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    // Of IPv4 some kernels want a capability, so it is there.
    for (who, kind, taken) in [
        (NOBODYS, "header", "EPERM"),
        (NOBODYS, "mobile", "EPERM"),
        (NOBODYS, "control", "EPERM"),
        (NOBODYS, "label", "EPERM"),
        (NOBODYS, "none", "set"),
        (NOBODYS, "plain label", "set"),
        (NOBODYS, "other", "set"),
        (ROOT, "loose", "EPERM"),
        (ROOT, "strict", "EPERM"),
        (ROOT, "mapped", "EPERM"),
        (ROOT, "record", "set"),
        (ROOT, "long", "set"),
    ] {
        assert_eq!(run(&bench.app, who, OPTION, &[kind]), taken, "{kind}");
        // Some headers only a kernel with mobile IPv6 knows.
        let other = run(&bench.outside, who, OPTION, &[kind]);
        assert!(other == "set" || (other == "EINVAL" && taken == "EPERM"), "{kind}, of no endpoint: {other}");
    }
}

/// Joins the group of a listener, and tells in the end whether anything came.
const JOIN: &str = r"
v6, kind, port = ':' in sys.argv[1], getattr(socket, sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.setsockopt(41 if v6 else 0, 78 if v6 else 15, 1)
s.bind((sys.argv[1], port))
if kind == socket.SOCK_STREAM: s.listen(64)
print('joined', flush=True)
sys.stdin.readline()
print('stole' if select.select([s], [], [], 0)[0] else 'nothing', flush=True)
";

/// Somebody in the group of a listener: uid 0 as its owner, without a capability.
fn thief(from: &Bench, nobody: IpAddr, kind: &str, listener: &OwnedFd) -> Somebody {
    let port = SockRef::from(listener).local_addr().unwrap().as_socket().unwrap().port();
    let arguments = [&nobody.to_string(), kind, &port.to_string()];
    let mut thief = Somebody::start(&from.app, ROOT_WITHOUT_CAPABILITIES, JOIN, &arguments);
    assert_eq!(thief.says(), "joined");
    thief
}

#[test]
fn who_joins_the_group_of_a_listener_gets_nothing_of_what_is_steered_to_it() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[table(), steered(&[DNS])].concat());
    let _servers = [Bench::serve(&bench.app, STEERED), Bench::serve(&bench.outside, STEERED)];
    let _resolvers = Resolver::both(&bench.outside, DNS);
    let listeners = bench.proxy.listeners();
    for (v6, nobody) in FAMILIES.into_iter().zip(NOBODY) {
        let (tcp, udp) = if v6 { (listeners.tcp6, listeners.udp6) } else { (listeners.tcp4, listeners.udp4) };
        for (kind, group) in [("SOCK_STREAM", tcp), ("SOCK_DGRAM", udp)] {
            let thieves: Vec<_> = group.iter().map(|listener| thief(&bench, nobody, kind, listener)).collect();
            for _ in 0..8 {
                let (app, outside) = (ip(&bench.app, v6), ip(&bench.outside, v6));
                if kind == "SOCK_STREAM" {
                    assert!(bench.ingress(v6, STEERED).is_steered_from(outside));
                    assert!(bench.egress(v6, STEERED).is_steered_from(app));
                } else {
                    let asked = query(&bench.app, Datagram::Unconnected, bench.there(v6, DNS));
                    assert!(asked.is_steered_from(app), "{asked:?}");
                }
            }
            for mut thief in thieves {
                assert_eq!(thief.goes_on(), "nothing", "{kind} {nobody}");
            }
        }
    }
}

#[test]
fn all_that_one_socket_asks_one_server_meets_one_worker_and_every_worker_has_something_to_do() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &steered(&[DNS]));
    let _resolvers = Resolver::both(&bench.outside, DNS);
    for v6 in FAMILIES {
        for _ in 0..24 {
            let socket = resolver::socket(&bench.app, v6);
            for _ in 0..3 {
                let outcome = resolver::exchange(&socket, Datagram::Unconnected, bench.there(v6, DNS));
                assert!(outcome.is_steered_from(ip(&bench.app, v6)), "{outcome:?}");
            }
        }
    }
    let mut by_client: BTreeMap<SocketAddr, Vec<u32>> = BTreeMap::new();
    for Asked { client, worker, .. } in bench.proxy.datagrams.asked() {
        by_client.entry(client).or_default().push(worker);
    }
    assert!(by_client.values().all(|workers| workers.iter().all(|worker| *worker == workers[0])), "{by_client:?}");
    let mut workers: Vec<u32> = by_client.values().map(|workers| workers[0]).collect();
    workers.sort_unstable();
    workers.dedup();
    assert_eq!(workers, [0, 1, 2, 3], "two of each family");
}

#[test]
fn addresses_that_look_like_loopback_in_some_bytes_are_judged() {
    if !able() {
        return;
    }
    let bench = Bench::with(
        true,
        &[TCP, UDP].map(|protocol| class(FlowDirection::Egress, protocol, 0..=65535, Action::Refuse)),
    );
    for address in
        ["64:ff9b:1::ffff:7f00:1", "64:ff9b:1:aaaa:bbbb:ffff:7fcb:710a", "0:1::ffff:7f00:1", "::1:ffff:7f00:1"]
    {
        let to = SocketAddr::new(address.parse().unwrap(), 80);
        let connected = bench.app.inside(|| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&to.into()).unwrap_err().kind()
        });
        assert_eq!(connected, ErrorKind::ConnectionRefused, "{to}");
        let sent = bench.app.inside(|| UdpSocket::bind("[::]:0").unwrap().send_to(b"hello", to).map_err(|e| e.kind()));
        assert_eq!(sent, Err(ErrorKind::ConnectionRefused), "{to}");
    }
}

#[test]
fn nobody_is_taken_for_a_upstream_to_a_resolver_on_a_loopback_address() {
    if !able() {
        return;
    }
    let stub: SocketAddr = "127.0.0.53:53".parse().unwrap();
    let named = |protocol| KernelPortClass {
        direction: FlowDirection::Egress,
        protocol,
        ports: DNS..=DNS,
        prefixes: vec![(IpNet::from(stub.ip()), Action::Steer)],
        learns: false,
    };
    let bench = Bench::with(true, &[named(UDP), named(TCP)]);
    let _resolver = (Resolver::start(&bench.app, stub), Server::start(&bench.app, stub));
    assert!(matches!(get(&bench.app, stub), Outcome::Steered(_)));
    let upstream = bench.proxy.met().pop().unwrap().upstream;
    let other = SocketAddr::new("127.0.0.2".parse().unwrap(), upstream.port());
    for bound in [other, upstream] {
        let asked = bench.app.inside(|| {
            let socket = UdpSocket::bind(bound).unwrap();
            socket.set_read_timeout(Some(HANG)).unwrap();
            resolver::exchange(&socket, Datagram::Unconnected, stub)
        });
        assert!(matches!(asked, Outcome::Steered(_)), "by UDP from {bound}: {asked:?}");
    }
    let outcome = get_with(&bench.app, Domain::IPV4, Protocol::TCP, Some(other), stub);
    assert!(matches!(outcome, Outcome::Steered(_)), "by TCP: {outcome:?}");
}

#[test]
fn an_announcement_of_a_upstream_by_any_device_is_for_one_connection_to_one_address() {
    if !able() {
        return;
    }
    for packets in [false, true] {
        let bench = Bench::by(&table(), |lab| RedirectOptions { packets, ..options(lab, true) });
        let _servers = Bench::serve(&bench.app, STEERED);
        FAMILIES.into_iter().for_each(|v6| upstream_by_any_device(&bench, v6, packets));
    }
}

fn upstream_by_any_device(bench: &Bench, v6: bool, packets: bool) {
    let to = bench.app.address(v6, STEERED);
    let come = |from: SocketAddr| get_with(&bench.outside, Domain::for_address(to), Protocol::TCP, Some(from), to);
    let elsewhere = bench.outside.address(v6, STEERED);
    let upstream = bench.outside.address(v6, 12345);
    bench.redirect.upstreams().announce_by_any_device(APP, upstream, elsewhere).unwrap();
    assert!(come(upstream).is_steered_from(upstream.ip()), "the upstream connection is for another address");
    let upstream = bench.outside.address(v6, 12346);
    bench.redirect.upstreams().announce_by_any_device(APP, upstream, to).unwrap();
    // The hook takes it for the upstream connection. Where packets are judged, what comes by a device of the pod is none.
    let taken = come(upstream);
    assert_eq!(taken.is_direct_from(upstream.ip()), !packets, "{taken:?}");
    // The client's own end has to be over before it has the port again.
    let again = until("the port", String::new, || {
        let outcome = come(upstream);
        Ok((outcome != Outcome::Failed(ErrorKind::AddrNotAvailable)).then_some(outcome))
    });
    let again = again.unwrap();
    assert!(again.is_steered_from(upstream.ip()), "{again:?}");
}
