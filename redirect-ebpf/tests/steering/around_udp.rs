//! Bypasses of the datagram hooks that need no capability. Each was once possible.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use portcullis_integration::{
    Site,
    wait::{uninterrupted, until},
};
use portcullis_redirect::{Action, FlowDirection, KernelPortClass, RedirectOptions};

use crate::{
    bench::{APP, Bench, FAMILIES, UDP, UNSTEERED, class, ip, options},
    people::{NOBODYS, Somebody, able, run},
    resolver::{DNS, steered},
    sockets::{Datagram, Echo, ask},
};

/// Longer than a datagram takes here, where it comes at all.
const SOON: Duration = Duration::from_millis(400);

/// Refuses all datagrams of a direction.
fn closed(direction: FlowDirection) -> KernelPortClass {
    class(direction, UDP, 0..=65535, Action::Refuse)
}

fn bind(site: &Site, at: SocketAddr) -> UdpSocket {
    let socket = site.inside(|| UdpSocket::bind(at).unwrap());
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

/// What comes next, if it comes soon.
fn heard(at: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 64];
    let (length, from) = uninterrupted(|| at.recv_from(&mut buffer)).ok()?;
    Some((buffer[..length].to_vec(), from))
}

/// Sends from an address of somebody else, in several ways. Prints `sent`.
const FORGE: &str = r"
how, source, to, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if how == 'stream' else socket.SOCK_DGRAM)
s.setblocking(False)
s.setsockopt(41, 78, 1)
packet = [(41, 50, socket.inet_pton(socket.AF_INET6, source) + struct.pack('@I', socket.if_nametoindex('eth0')))]
if how in ('stream', 'bound', 'bound and connected'): s.bind((source, 0, 0, socket.if_nametoindex('eth0')))
if how == 'stream':
    try: s.connect((to, port))
    except BlockingIOError: pass
if how == 'bound': s.sendto(b'forged', (to, port))
if how == 'bound and connected':
    s.connect((to, port))
    s.send(b'forged')
if how == 'packet': s.sendmsg([b'forged'], packet, 0, (to, port))
if how == 'connected and packet':
    s.connect((to, port))
    s.sendmsg([b'forged'], packet)
print('sent')
";

#[test]
fn an_endpoint_sends_from_its_own_addresses_only() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let friend = bench.lab.pod("friend").unwrap();
    let outside = bind(&bench.outside, bench.there(true, 9000));
    let [own, theirs, there] = [&bench.app, &friend, &bench.outside].map(|pod| pod.v6.to_string());
    for how in ["stream", "bound", "bound and connected", "packet", "connected and packet"] {
        for source in [&theirs, &there, "fe80::77"] {
            let forged = run(&bench.app, NOBODYS, FORGE, &[how, source, &there, "9000"]);
            assert_eq!(forged, "ECONNREFUSED", "{how}, from {source}");
        }
        assert_eq!(run(&bench.app, NOBODYS, FORGE, &[how, &own, &there, "9000"]), "sent", "{how}");
    }
    let came: Vec<_> = std::iter::from_fn(|| heard(&outside)).collect();
    assert!(came.len() == 4 && came.iter().all(|(_, from)| from.ip() == ip(&bench.app, true)), "{came:?}");
}

#[test]
fn who_forges_the_endpoints_own_address_is_not_taken_for_it() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[closed(FlowDirection::Ingress)]);
    let unnamed = "fd77:1::9".parse().unwrap();
    bench.app.ip("address add fd77:1::9/64 dev eth0 nodad\n").unwrap();
    for to in [bench.app.v6, unnamed] {
        let app = bind(&bench.app, SocketAddr::new(to.into(), 9001));
        for source in [bench.app.v6, to] {
            let arguments = ["bound", &source.to_string(), &to.to_string(), "9001"];
            assert_eq!(run(&bench.outside, NOBODYS, FORGE, &arguments), "sent", "nobody judges those outside");
            assert_eq!(heard(&app), None, "from {source} to {to}");
        }
    }
}

#[test]
fn an_endpoint_talks_to_itself_whatever_policy_says() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[FlowDirection::Ingress, FlowDirection::Egress].map(closed));
    for at in [bench.app.address(false, 7), bench.app.address(true, 7), "[::1]:8".parse().unwrap()] {
        let _echo = Echo::start(&bench.app, at);
        for how in [Datagram::Connected, Datagram::Unconnected] {
            assert_eq!(ask(&bench.app, how, at), Ok(()), "{how:?} {at}");
        }
    }
}

/// Asks everybody who hears. Prints `sent`.
const SHOUT: &str = r"
to, how = sys.argv[1], sys.argv[2]
v6 = ':' in to
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
where = (to, 53, 0, socket.if_nametoindex('eth0')) if v6 else (to, 53)
if how == 'connected':
    s.connect(where)
    s.send(b'who am I?')
else: s.sendto(b'who am I?', where)
print('sent')
";

#[test]
fn questions_to_everybody_do_not_leave_unjudged() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &steered(&[DNS]));
    bench.app.ip("address add 10.77.200.1/24 broadcast 10.77.200.127 dev eth0\n").unwrap();
    bench.attach_with(|listeners| listeners);
    let groups = ["224.0.0.251", "239.1.2.3", "ff02::1", "ff02::fb", "ff05::2"];
    for to in ["255.255.255.255", "10.77.200.255", "10.77.200.127"].into_iter().chain(groups) {
        for how in ["connected", "unconnected"] {
            assert_eq!(run(&bench.app, NOBODYS, SHOUT, &[to, how]), "ECONNREFUSED", "{to} {how}");
        }
    }
    // What policy passes needs no listener, and that some peer is judged does not change it.
    let mut passed = class(FlowDirection::Egress, UDP, DNS..=DNS, Action::Pass);
    passed.prefixes.push(("192.0.2.53/32".parse().unwrap(), Action::Steer));
    bench.redirect.set_table(APP, &[passed]).unwrap();
    for to in ["255.255.255.255", "224.0.0.251", "ff02::1"] {
        assert_eq!(run(&bench.app, NOBODYS, SHOUT, &[to, "unconnected"]), "sent", "{to}");
    }
}

/// A socket of the endpoint that has asked the outside, and the outside's.
fn asked(bench: &Bench, v6: bool) -> (UdpSocket, UdpSocket) {
    let (app, outside) = (bind(&bench.app, bench.app.address(v6, 7007)), bind(&bench.outside, bench.there(v6, 5005)));
    app.send_to(b"a question", bench.there(v6, 5005)).unwrap();
    assert!(heard(&outside).is_some());
    (app, outside)
}

/// Whether what the outside sends is read.
fn comes(from: &UdpSocket, to: SocketAddr, at: &UdpSocket) -> bool {
    // That the one before was refused is told now.
    let _ = from.send_to(b"an answer", to).or_else(|_| from.send_to(b"an answer", to));
    heard(at).is_some()
}

#[test]
fn an_answer_comes_to_the_socket_that_asked_while_it_is_open() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &[closed(FlowDirection::Ingress)]);
    for v6 in FAMILIES {
        let to = bench.app.address(v6, 7007);
        let (app, outside) = asked(&bench, v6);
        assert!(comes(&outside, to, &app));
        drop(app);
        let other = bind(&bench.app, to);
        assert!(!comes(&outside, to, &other), "another process has the port now");
    }
}

#[test]
fn an_answer_comes_only_while_its_peer_may_be_asked() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[closed(FlowDirection::Ingress)]);
    let (app, outside) = asked(&bench, false);
    let to = bench.app.address(false, 7007);
    assert!(comes(&outside, to, &app));
    bench.redirect.set_table(APP, &[FlowDirection::Ingress, FlowDirection::Egress].map(closed)).unwrap();
    assert!(!comes(&outside, to, &app));
    bench.redirect.set_table(APP, &[closed(FlowDirection::Ingress)]).unwrap();
    assert!(comes(&outside, to, &app));
}

#[test]
fn an_answer_comes_only_as_long_as_answers_may() {
    if !able() {
        return;
    }
    let answers = Duration::from_secs(2);
    let bench = Bench::by(&[closed(FlowDirection::Ingress)], |lab| RedirectOptions { answers, ..options(lab, true) });
    let to = bench.app.address(true, 7007);
    let began = Instant::now();
    let (app, outside) = asked(&bench, true);
    assert!(comes(&outside, to, &app) || began.elapsed() > answers);
    until("the time for answers is over", String::new, || Ok((!comes(&outside, to, &app)).then_some(()))).unwrap();
    app.send_to(b"a question", bench.there(true, 5005)).unwrap();
    assert!(heard(&outside).is_some());
    assert!(comes(&outside, to, &app), "it asked again");
}

/// Sends on a connected socket with a control message, whenever it is told to.
const AGAIN: &str = r"
to, port = sys.argv[1], int(sys.argv[2])
v6 = ':' in to
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((to, port))
control = [(41, 67, struct.pack('@i', 0))] if v6 else [(0, 1, struct.pack('@i', 0))]
for line in sys.stdin:
    try:
        s.sendmsg([b'hello'], control)
        print('sent', flush=True)
    except OSError as error: print(errno.errorcode[error.errno], flush=True)
";

#[test]
fn what_a_connected_socket_sends_with_a_control_message_is_judged_by_its_peer() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    for v6 in FAMILIES {
        let to = bench.there(v6, UNSTEERED);
        let _outside = bind(&bench.outside, to);
        let (address, port) = (to.ip().to_string(), to.port().to_string());
        let mut somebody = Somebody::start(&bench.app, NOBODYS, AGAIN, &[&address, &port]);
        assert_eq!(somebody.goes_on(), "sent");
        bench.redirect.set_table(APP, &[closed(FlowDirection::Egress)]).unwrap();
        assert_eq!(somebody.goes_on(), "ECONNREFUSED");
        bench.redirect.set_table(APP, &[]).unwrap();
        assert_eq!(somebody.goes_on(), "sent");
    }
}
