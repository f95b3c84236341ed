//! UDP sockets that exist when a policy arrives.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use portcullis_integration::{
    Lab, Need, require,
    wait::{self, uninterrupted},
};
use portcullis_redirect::{Action, CutConnections, FlowDirection, Keep, KernelPortClass, Redirect};

use crate::{
    bench::{self, APP, Bench, FAMILIES, UDP, attach, class, ip, options},
    proxy::Proxy,
    resolver::{DNS, Resolver, exchange, socket, steered},
    sockets::{Datagram, Outcome},
};

fn able() -> bool {
    bench::able() && require(&[Need::Program("python3")])
}

fn cut(redirect: &Redirect, keep: Keep) -> CutConnections {
    redirect.connections(APP).unwrap().unwrap().cut(keep).unwrap()
}

/// Everything that is sent is refused.
fn closed() -> Vec<KernelPortClass> {
    vec![class(FlowDirection::Egress, UDP, 0..=65535, Action::Refuse)]
}

/// DNS is steered, all else refused.
fn dns_alone() -> Vec<KernelPortClass> {
    let refuse = |ports| class(FlowDirection::Egress, UDP, ports, Action::Refuse);
    [vec![refuse(0..=52), refuse(54..=65535)], steered(&[DNS])].concat()
}

/// One server passes and all others are refused, so that the port cannot be shut as a whole.
fn one_server() -> Vec<KernelPortClass> {
    let mut class = class(FlowDirection::Egress, UDP, 0..=65535, Action::Refuse);
    class.prefixes.push(("192.0.2.1/32".parse().unwrap(), Action::Pass));
    vec![class]
}

#[test]
fn a_judged_socket_never_goes_on_unjudged_when_its_server_is_refused() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &dns_alone());
    let (counted, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let servers = FAMILIES.map(|v6| {
        let at = bench.there(v6, DNS);
        bench.outside.inside(|| UdpSocket::bind(at).unwrap())
    });
    for server in &servers {
        server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    }
    let (done, app) = (AtomicBool::new(false), bench.app.addresses());
    let there = FAMILIES.map(|v6| bench.there(v6, DNS));
    let sockets: Vec<UdpSocket> = FAMILIES.iter().map(|v6| socket(&bench.app, *v6)).collect();
    thread::scope(|scope| {
        // The proxy's own upstream connections ask from its ports; whatever comes from another one was not judged.
        for server in &servers {
            let (done, counted) = (&done, &counted);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = server.recv_from(&mut [0; 64]) {
                        let upstream = crate::proxy::UPSTREAM_PORTS.contains(&from.port());
                        counted.fetch_add(usize::from(!upstream), Ordering::Relaxed);
                        let _ = server.send_to(b"answer", from);
                    }
                }
            });
        }
        for (socket, to) in sockets.iter().zip(there) {
            let (done, sent) = (&done, &sent);
            scope.spawn(move || {
                socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                while !done.load(Ordering::Relaxed) {
                    sent.fetch_add(1, Ordering::Relaxed);
                    // Refused while policy says so; connected again as soon as it is allowed.
                    if socket.send(b"secret?").is_err() {
                        let _ = socket.connect(to);
                    }
                    let _ = socket.recv(&mut [0; 64]);
                }
            });
        }
        for _ in 0..4 {
            for table in [closed(), dns_alone(), one_server(), dns_alone()] {
                bench.redirect.set_table(APP, &table).unwrap();
                cut(&bench.redirect, Keep::default());
                let before = sent.load(Ordering::Relaxed);
                let tried = || Ok((sent.load(Ordering::Relaxed) > before + 200).then_some(()));
                wait::until("datagrams in vain", String::new, tried).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(counted.load(Ordering::Relaxed), 0, "datagrams that nobody judged, from {app:?}");
    assert!(!bench.proxy.datagrams.asked().is_empty(), "and some were judged");
}

#[test]
fn a_port_that_was_steered_is_shut_before_its_sockets_are_told() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &dns_alone());
    let _resolvers = Resolver::both(&bench.outside, DNS);
    let rules =
        || ["-4", "-6"].map(|family| bench.app.run(&["ip", family, "rule"]).unwrap().ok().unwrap().stdout).concat();
    let count = |text: &str| rules().lines().filter(|line| line.contains("dport 53") && line.contains(text)).count();
    assert_eq!((count("lookup 20547"), count("unreachable")), (2, 2));
    bench.redirect.set_table(APP, &closed()).unwrap();
    let shut = ["-4", "-6"].map(|family| bench.app.run(&["ip", family, "rule"]).unwrap().ok().unwrap().stdout).concat();
    let left = |text: &str| shut.lines().filter(|line| line.contains("dport 53") && line.contains(text)).count();
    assert_eq!((left("lookup 20547"), left("unreachable")), (0, 2), "{shut}");
    bench.redirect.set_table(APP, &[]).unwrap();
    let open = bench.app.run(&["ip", "rule"]).unwrap().ok().unwrap().stdout;
    assert!(!open.contains("dport 53"), "where nothing is enforced nothing is shut: {open}");
}

#[test]
fn connected_sockets_are_cut_where_they_are_denied_or_unjudged_and_no_others() {
    if !able() {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    let _resolvers = [DNS, 54, 55].map(|port| Resolver::both(&outside, port));
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    let older = |port| {
        FAMILIES.map(|v6| {
            let socket = socket(&app, v6);
            socket.connect(outside.address(v6, port)).unwrap();
            socket
        })
    };
    let [asking, passing, refused] = [DNS, 54, 55].map(older);
    let table = [steered(&[DNS]), vec![class(FlowDirection::Egress, UDP, 55..=55, Action::Refuse)]].concat();
    redirect.set_table(APP, &table).unwrap();
    attach(&mut redirect, &app, &proxy, &app.addresses());
    let told = cut(&redirect, Keep::ALL);
    assert_eq!((told.denied, told.unjudged), (0, 0), "{told:?}");
    let told = cut(&redirect, Keep::default());
    assert_eq!((told.denied, told.unjudged), (2, 2), "{told:?}");
    for socket in asking.iter().chain(&refused) {
        assert_eq!(uninterrupted(|| socket.recv(&mut [0; 9])).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(socket.send(b"?").unwrap_err().raw_os_error(), Some(libc::EDESTADDRREQ));
    }
    for socket in &passing {
        socket.send(b"?").unwrap();
        assert!(uninterrupted(|| socket.recv(&mut [0; 64])).unwrap() > 0);
    }
    let judged = FAMILIES.map(|v6| {
        let socket = socket(&app, v6);
        socket.connect(outside.address(v6, DNS)).unwrap();
        socket
    });
    assert_eq!(cut(&redirect, Keep::default()).unjudged, 0, "those that came later are judged");
    drop(judged);
}

#[test]
fn a_socket_older_than_the_programs_loses_its_first_questions_and_nothing_gets_away() {
    if !able() {
        return;
    }
    for policy_comes_first in [true, false] {
        older_than_the_programs(policy_comes_first);
    }
}

/// Connects with the mark of an upstream connection of ours, says so, and waits to be told.
const FORGED: &str = "import socket, sys
ip, ready = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.connect((ip, 53))
s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x504302)
open(ready, 'w').close()
try:
    print(s.recv(99))
except OSError as error:
    print(error.__class__.__name__)";

#[test]
fn our_own_upstreams_are_not_cut_and_whoever_has_their_mark_is() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &steered(&[DNS]));
    for v6 in FAMILIES {
        let to = bench.there(v6, DNS);
        let server = bench.outside.inside(|| UdpSocket::bind(to).unwrap());
        server.set_read_timeout(Some(crate::sockets::HANG)).unwrap();
        let asking = socket(&bench.app, v6);
        asking.send_to(b"who am I?", to).unwrap();
        // The upstream connection that asks is open as long as there is no answer.
        let (_, upstream) = uninterrupted(|| server.recv_from(&mut [0; 64])).unwrap();
        let ready = bench.app.directory().join(format!("forged-{v6}"));
        let words = [to.ip().to_string(), ready.display().to_string()];
        thread::scope(|scope| {
            let forged = scope.spawn(|| bench.app.run(&["python3", "-c", FORGED, &words[0], &words[1]]).unwrap());
            wait::until("a connected socket", String::new, || Ok(ready.exists().then_some(()))).unwrap();
            let told = cut(&bench.redirect, Keep::default());
            assert_eq!((told.denied, told.unjudged), (0, 1), "{told:?}");
            assert_eq!(forged.join().unwrap().ok().unwrap().stdout.trim(), "ConnectionAbortedError");
        });
        server.send_to(upstream.to_string().as_bytes(), upstream).unwrap();
        let mut heard = [0; 64];
        let (length, _) = uninterrupted(|| asking.recv_from(&mut heard)).unwrap();
        assert_eq!(std::str::from_utf8(&heard[..length]).unwrap(), format!("steered {upstream}"));
    }
}

/// What becomes of a question when the socket's mark has settled.
fn settled(socket: &UdpSocket, to: SocketAddr) -> Outcome {
    let ask = || {
        let outcome = exchange(socket, Datagram::Unconnected, to);
        Ok((outcome != Outcome::Failed(ErrorKind::WouldBlock)).then_some(outcome))
    };
    wait::until("a settled mark", String::new, ask).unwrap()
}

fn older_than_the_programs(policy_comes_first: bool) {
    let mut lab = Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    let old = FAMILIES.map(|v6| socket(&app, v6));
    let _resolvers = Resolver::both(&outside, DNS);
    let connected = FAMILIES.map(|v6| {
        let socket = socket(&app, v6);
        assert!(exchange(&socket, Datagram::Connected, outside.address(v6, DNS)).is_direct_from(ip(&app, v6)));
        socket
    });
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    if policy_comes_first {
        redirect.set_table(APP, &steered(&[DNS])).unwrap();
        attach(&mut redirect, &app, &proxy, &app.addresses());
    } else {
        attach(&mut redirect, &app, &proxy, &app.addresses());
        redirect.set_table(APP, &steered(&[DNS])).unwrap();
    }
    for (socket, v6) in old.iter().zip(FAMILIES) {
        let to = outside.address(v6, DNS);
        assert_eq!(exchange(socket, Datagram::Unconnected, to), Outcome::Failed(ErrorKind::WouldBlock));
    }
    // Other threads may have datagrams on their way that have no mark yet.
    for (socket, v6) in old.iter().zip(FAMILIES) {
        let to = outside.address(v6, DNS);
        assert!(settled(socket, to).is_steered_from(ip(&app, v6)));
        assert!(exchange(socket, Datagram::Connected, to).is_steered_from(ip(&app, v6)));
    }
    assert_eq!(proxy.datagrams.asked().len(), 4);
    // What they send meets no hook.
    assert_eq!(cut(&redirect, Keep::default()).unjudged, connected.len());
    for (socket, v6) in connected.iter().zip(FAMILIES) {
        assert_eq!(socket.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        let outcome = exchange(socket, Datagram::Connected, outside.address(v6, DNS));
        assert!(outcome.is_steered_from(ip(&app, v6)), "{outcome:?}");
    }
    drop((redirect, lab));
}

#[test]
fn threads_that_share_an_older_socket_get_no_question_past_the_judge() {
    if !able() {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    redirect.set_table(APP, &steered(&[DNS])).unwrap();
    let to = outside.address(false, DNS);
    let server = outside.inside(|| UdpSocket::bind(to).unwrap());
    server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let older: Vec<UdpSocket> = (0..300).map(|_| socket(&app, false)).collect();
    let ports: Vec<u16> = older.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
    attach(&mut redirect, &app, &proxy, &app.addresses());
    for socket in &older {
        let start = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    (0..20).for_each(|_| drop(socket.send_to(b"secret?", to)));
                });
            }
        });
    }
    let mut escaped = 0;
    while let Ok((_, from)) = server.recv_from(&mut [0; 64]) {
        escaped += usize::from(ports.contains(&from.port()));
    }
    assert_eq!(escaped, 0, "of {}", older.len() * 40);
    // And later it is judged.
    drop(server);
    let _resolver = Resolver::start(&outside, to);
    assert!(settled(&older[0], to).is_steered_from(ip(&app, false)));
}
