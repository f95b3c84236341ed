//! Sockets that were created in another cgroup and handed to a service of the host, as by socket activation.

use std::{os::fd::AsFd, thread};

use portcullis_integration::{Lab, Need, Pod, Site, require, wait};
use portcullis_redirect::{Action, AttachPoint, FlowDirection, Keep, KernelAttachment, KernelPortClass, Redirect};

use crate::{
    bench::{self, APP, FAMILIES, TCP, UDP, class, options},
    proxy::Proxy,
    resolver::{DNS, Resolver, steered},
};

/// Fields drop in this order: the laboratory last.
struct Host {
    redirect: Redirect,
    _proxy: Proxy,
    outside: Pod,
    service: Site,
    other: Site,
    lab: Lab,
}

/// A service with a policy that refuses port 82 and has DNS judged.
fn host() -> Host {
    let mut lab = Lab::new().unwrap();
    let outside = lab.pod("outside").unwrap();
    let [service, other] = ["service", "other"].map(|name| lab.node().in_cgroup(&lab.make_cgroup(name).unwrap()));
    let addresses = ["10.77.1.1".parse().unwrap(), "fd77:1::1".parse().unwrap()];
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(lab.node(), APP, &addresses, redirect.upstreams());
    let refuse = |protocol| class(FlowDirection::Egress, protocol, 82..=82, Action::Refuse);
    let table: Vec<KernelPortClass> = [vec![refuse(TCP), refuse(UDP)], steered(&[DNS])].concat();
    redirect.set_table(APP, &table).unwrap();
    let netns = Redirect::open_netns(&service.netns).unwrap();
    let place = AttachPoint::Host { netns: netns.as_fd(), cgroup: &service.cgroup, ports: &[] };
    let listeners = proxy.listeners();
    redirect.attach(&KernelAttachment { id: APP, place, addresses: &addresses, listeners }).unwrap();
    Host { redirect, _proxy: proxy, outside, service, other, lab }
}

fn able() -> bool {
    bench::able() && require(&[Need::Program("python3")])
}

/// Makes sockets, moves to the cgroup of the service, and uses them: an own one, a UDP socket and a listener made before.
const HANDED_IN: &str = "import socket, sys
cgroup, refused, steered = sys.argv[1:]
family = socket.AF_INET6 if ':' in refused else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM)
tcp = socket.socket(family)
tcp.listen()
open(cgroup + '/cgroup.procs', 'w').write('0')
def attempt(name, work):
    try:
        print(name, work() or 'done')
    except OSError as error:
        print(name, error.__class__.__name__)
def connect():
    tcp.shutdown(socket.SHUT_RDWR)
    tcp.connect((refused, 82))
attempt('udp', lambda: udp.sendto(b'x', (refused, 82)))
attempt('tcp', connect)
attempt('first', lambda: udp.sendto(b'x', (refused, 53)))
import time; time.sleep(1.1)
udp.settimeout(5)
def ask():
    udp.sendto(b'x', (steered, 53))
    return udp.recv(99).decode()
attempt('later', ask)
";

#[test]
fn sockets_that_are_handed_to_a_service_of_the_host_are_judged_as_its_own() {
    if !able() {
        return;
    }
    let Host { outside, service, other, .. } = &host();
    let _resolvers = Resolver::both(outside, DNS);
    let to_service = service.cgroup.display().to_string();
    for v6 in FAMILIES {
        let to = outside.address(v6, 0).ip().to_string();
        let told = other.run(&["python3", "-c", HANDED_IN, &to_service, &to, &to]).unwrap().ok().unwrap().stdout;
        let lines: Vec<&str> = told.lines().collect();
        let refused = ["udp ConnectionRefusedError", "tcp ConnectionRefusedError", "first BlockingIOError"];
        assert_eq!(lines[..3], refused, "{told}");
        assert!(lines[3].starts_with("later steered "), "{told}");
    }
}

/// Connects by TCP and UDP, moves to the cgroup of the service, and waits to be told.
const CONNECTED: &str = "import socket, sys
cgroup, ip, ready = sys.argv[1:]
family = socket.AF_INET6 if ':' in ip else socket.AF_INET
udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family)
for s in udp, tcp:
    s.settimeout(20)
    s.connect((ip, 82))
open(cgroup + '/cgroup.procs', 'w').write('0')
open(ready, 'w').close()
for s in udp, tcp:
    try:
        print(s.recv(99))
    except OSError as error:
        print(error.__class__.__name__)";

#[test]
fn connections_that_are_handed_to_a_service_of_the_host_are_cut_as_its_own() {
    if !able() {
        return;
    }
    let Host { redirect, outside, service, other, lab, .. } = &host();
    for v6 in FAMILIES {
        let at = outside.address(v6, 82);
        let listener = outside.inside(|| std::net::TcpListener::bind(at).unwrap());
        let ready = lab.node().directory().join(format!("connected-{v6}"));
        let words = [&service.cgroup, &at.ip().to_string().into(), &ready].map(|word| word.display().to_string());
        thread::scope(|scope| {
            let told = scope.spawn(|| {
                let words = ["python3", "-c", CONNECTED, &words[0], &words[1], &words[2]];
                other.run(&words).unwrap().ok().unwrap().stdout
            });
            wait::until("connected sockets", String::new, || Ok(ready.exists().then_some(()))).unwrap();
            let cut = redirect.connections(APP).unwrap().unwrap().cut(Keep::default()).unwrap();
            assert_eq!((cut.denied, cut.unjudged), (2, 0), "{cut:?}");
            let told = told.join().unwrap();
            assert_eq!(told.lines().collect::<Vec<_>>(), ["ConnectionAbortedError"; 2]);
        });
        drop(listener);
    }
}
