//! Packet programs for endpoints in the host's namespace: a service by its cgroup, and the host itself. The
//! laboratory's node takes the host's place.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis_integration::{Lab, Need, Pod, Site, require};
use portcullis_redirect::{
    Action, AttachPoint, FlowDirection, Keep, KernelAttachment, KernelPortClass, PacketJudge, Redirect,
    RedirectInspection, RedirectOptions, cgroup_path,
};

use crate::{
    bench::{self, APP, FAMILIES, STEERED, TCP, UDP, UNSTEERED, class, ip},
    bpf,
    host::read,
    icmp::ping,
    packets::{DNS, OPEN, SCTP, SHUT, Way, Who, able, closed, nobody, pins, root, seen, send},
    people::{ROOT, Somebody},
    proxy::Proxy,
    resolver::Resolver,
    sockets::{Echo, Server, get},
};

/// What the endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Service,
    Node,
}

/// Those that this kernel can do.
fn kinds() -> Vec<Kind> {
    let node = require(&[NODE]).then_some(Kind::Node);
    std::iter::once(Kind::Service).chain(node).collect()
}

/// Before, the kernel does not tell the host's packets from those of pods.
const NODE: Need<'_> = Need::Linux(6, 15);

/// Fields drop in this order: the laboratory last.
pub(crate) struct Host {
    pub(crate) redirect: Redirect,
    proxy: Proxy,
    pub(crate) outside: Pod,
    /// In the cgroup of the endpoint.
    program: Site,
    /// The cgroup above all.
    whole: PathBuf,
    kind: Kind,
    addresses: [IpAddr; 2],
    pub(crate) lab: Lab,
}

impl Host {
    /// With options that are changed.
    pub(crate) fn by(kind: Kind, table: &[KernelPortClass], change: impl FnOnce(&mut RedirectOptions)) -> Self {
        let mut lab = Lab::new().unwrap();
        let outside = lab.pod("outside").unwrap();
        let program = lab.node().in_cgroup(&lab.make_cgroup("program").unwrap());
        let addresses = ["10.77.1.1".parse().unwrap(), "fd77:1::1".parse().unwrap()];
        // Never the machine's root: its own programs are none of this.
        let mut options = RedirectOptions { cgroup: Some(lab.cgroup().to_owned()), ..bench::options(&lab, true) };
        change(&mut options);
        let whole = options.cgroup.clone().unwrap_or_else(|| cgroup_path(Path::new("/")).unwrap());
        let mut redirect = Redirect::open(options).unwrap();
        let proxy = Proxy::start(lab.node(), APP, &addresses, redirect.upstreams());
        redirect.set_table(APP, table).unwrap();
        let mut host = Self { redirect, proxy, outside, program, whole, kind, addresses, lab };
        host.attach();
        host
    }

    fn with(kind: Kind, table: &[KernelPortClass]) -> Self {
        Self::by(kind, table, |_| ())
    }

    fn attach(&mut self) {
        let netns = Redirect::open_netns(&self.lab.node().netns).unwrap();
        let cgroup = if self.kind == Kind::Node { &self.whole } else { &self.program.cgroup };
        let ports = [(TCP, STEERED), (TCP, UNSTEERED), (TCP, SHUT), (UDP, OPEN), (UDP, SHUT), (SCTP, SHUT)];
        let place = AttachPoint::Host { netns: netns.as_fd(), cgroup, ports: &ports };
        let listeners = self.proxy.listeners();
        self.redirect.attach(&KernelAttachment { id: APP, place, addresses: &self.addresses, listeners }).unwrap();
    }

    /// Takes connections outside, and says and ends nothing.
    fn listen_outside(&self, port: u16) -> [TcpListener; 2] {
        FAMILIES.map(|v6| self.outside.inside(|| TcpListener::bind(self.outside.address(v6, port)).unwrap()))
    }

    /// Address of the host that the outside reaches.
    fn own(&self, v6: bool) -> String {
        self.addresses[usize::from(v6)].to_string()
    }
}

/// Addresses that nobody has at first.
const FOREIGN: [&str; 2] = ["10.99.0.1", "fd99::1"];

/// What leaves where nobody judges packets.
fn egress_ways(host: &Host, v6: bool) -> Vec<Way<'static>> {
    let mut ways = vec![
        nobody("lite", SHUT, ""),
        root("raw udp", SHUT, ""),
        root("raw udp", DNS, ""),
        root("mark", DNS, ""),
        root("stream mark", STEERED, ""),
        root("raw syn", SHUT, ""),
        root("raw ack", SHUT, ""),
        root("raw ack", STEERED, ""),
        root("raw rst", SHUT, ""),
        root("raw lite", SHUT, ""),
        root("raw sctp", SHUT, ""),
        root("raw protocol", SHUT, 47),
        root("raw protocol", SHUT, 253),
        root("fragments", SHUT, ""),
        root("later fragment", SHUT, ""),
        root("message", 0, if v6 { 129 } else { 0 }),
        root("message", 0, if v6 { 160 } else { 42 }),
        root("message", 0, if v6 { 1 } else { 3 }),
        root("raw udp from", OPEN, FOREIGN[usize::from(v6)]),
    ];
    if v6 {
        ways.extend([
            nobody("freebind", OPEN, FOREIGN[1]),
            nobody("routing header", SHUT, 4),
            root("raw routing header", OPEN, 0),
            root("raw routing header", OPEN, 2),
            root("raw routing header", OPEN, 3),
            root("home address", OPEN, "fd77:9::9"),
        ]);
    } else {
        ways.extend([root("message", 0, 13), root("source route", OPEN, ip(&host.outside, false))]);
    }
    ways
}

#[test]
fn nothing_that_policy_denies_leaves_a_socket_of_the_host_whatever_made_the_packet() {
    if !able() {
        return;
    }
    for kind in kinds() {
        let host = Host::with(kind, &closed(FlowDirection::Egress));
        let _listeners = host.listen_outside(STEERED);
        assert_eq!(host.redirect.guard(APP), PacketJudge::Cgroup);
        for v6 in FAMILIES {
            let ways = egress_ways(&host, v6);
            assert_eq!(seen(&host.program, &host.outside, &host.outside, v6, &ways), [""; 0], "{kind:?}");
        }
    }
}

#[test]
fn the_witness_sees_what_leaves_the_host_where_no_policy_is_or_packets_are_not_to_be_judged() {
    if !able() {
        return;
    }
    // The hooks at sockets refuse these of their own, and so does the kernel.
    const BEFORE: [&str; 2] = ["source route", "routing header"];
    for kind in kinds() {
        for (table, judged) in [(vec![], true), (closed(FlowDirection::Egress), false)] {
            let host = Host::by(kind, &table, |options| options.packets = judged);
            let _listeners = host.listen_outside(STEERED);
            assert_eq!(host.redirect.guard(APP), PacketJudge::Off, "nobody pays who has no policy");
            for v6 in FAMILIES {
                // What meets a hook is judged there.
                let hooked = |way: &Way<'_>| way.1 == "mark" && !judged;
                let ways: Vec<_> = egress_ways(&host, v6).into_iter().filter(|way| !hooked(way)).collect();
                let shown = seen(&host.program, &host.outside, &host.outside, v6, &ways);
                let missing: Vec<_> = ways
                    .iter()
                    .filter(|way| !shown.iter().any(|shown| shown.contains(&format!(": {} (", way.1))))
                    .collect();
                assert!(missing.iter().all(|way| BEFORE.contains(&way.1)), "{kind:?}: {missing:?}");
            }
        }
    }
}

/// Gets what it can by sockets of every kind, and tells on each line that it reads which marks came since the last one.
const RECEIVER: &str = r"
import re, time
v6, shut, open_ = sys.argv[1] == 'true', int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if v6 else socket.AF_INET
def bound(kind, protocol, port):
    s = socket.socket(family, kind, protocol)
    if v6: s.setsockopt(41, 26, 1)
    s.bind(('', port))
    return s
all = [bound(socket.SOCK_DGRAM, protocol, shut) for protocol in (17, 136)] + [bound(socket.SOCK_DGRAM, 17, open_)]
all += [socket.socket(family, socket.SOCK_RAW, protocol) for protocol in (6, 17, 47, 132, 136, 58 if v6 else 1)]
print('ready', flush=True)
for line in sys.stdin:
    got, until, some = set(), time.time() + 10, True
    while some or '<done>' not in got and time.time() < until:
        some = select.select(all, [], [], 0.2)[0]
        for s in some: got |= set(re.findall('<[a-z0-9 -]+>', s.recv(70000).decode('latin1')))
    print(sorted(got), flush=True)
";

/// What leaves the outside for the host.
fn ingress_ways(v6: bool) -> Vec<Way<'static>> {
    vec![
        nobody("udp", SHUT, ""),
        nobody("lite", SHUT, ""),
        root("raw ack", SHUT, ""),
        root("raw ack", STEERED, ""),
        root("raw syn", SHUT, ""),
        root("raw syn", STEERED, ""),
        root("raw sctp", SHUT, ""),
        root("raw protocol", SHUT, 47),
        root("fragments", SHUT, ""),
        root("message", 0, if v6 { 129 } else { 0 }),
        root("message", 0, if v6 { 160 } else { 42 }),
        root("message", 0, if v6 { 1 } else { 3 }),
        root("raw udp port", SHUT, 5353),
    ]
}

/// Which marks a program of the host got of what the outside sends it: by these ways, and to groups.
fn got(host: &Host, v6: bool) -> String {
    let ports = [SHUT, OPEN].map(|port| port.to_string());
    let mut receiver = Somebody::start(&host.program, ROOT, RECEIVER, &[&v6.to_string(), &ports[0], &ports[1]]);
    assert_eq!(receiver.says(), "ready");
    for (number, (who, way, port, argument)) in ingress_ways(v6).iter().enumerate() {
        let said = send(&host.outside, *who, way, &host.own(v6), *port, &format!("<{number:02} {way}>"), argument);
        assert_eq!(said, "sent", "{way}");
    }
    let group = if v6 { "ff02::1" } else { "224.0.0.1" };
    assert_eq!(send(&host.outside, Who::Nobody, "multicast", group, SHUT, "<group>", "eth0"), "sent");
    if !v6 {
        let all = host.own(false).replace(".1.1", ".1.255");
        assert_eq!(send(&host.outside, Who::Nobody, "broadcast", &all, SHUT, "<everybody>", ""), "sent");
    }
    assert_eq!(send(&host.outside, Who::Root, "udp", &host.own(v6), OPEN, "<done>", ""), "sent");
    receiver.goes_on()
}

#[test]
fn nothing_that_policy_denies_arrives_at_a_socket_of_the_host() {
    if !able() {
        return;
    }
    for kind in kinds() {
        let mut host = Host::with(kind, &closed(FlowDirection::Ingress));
        host.lab.node().ip("route add 224.0.0.0/4 dev v1\n").unwrap();
        for v6 in FAMILIES {
            assert_eq!(got(&host, v6), "['<done>']", "{kind:?}");
        }
        host.redirect.set_table(APP, &[]).unwrap();
        for v6 in FAMILIES {
            // Without policy all of it arrives.
            let all = got(&host, v6);
            for (number, (_, way, ..)) in ingress_ways(v6).iter().enumerate() {
                assert!(all.contains(&format!("<{number:02} {way}>")), "{kind:?}, {way}: {all}");
            }
            assert!(all.contains("<group>") && (v6 || all.contains("<everybody>")), "{all}");
        }
    }
}

/// Answers on ports of TCP with the address of who connects, on ports of UDP with what is asked.
const SERVER: &str = r"
import threading
def accepts(s):
    while True:
        c, who = s.accept()
        c.sendall((('[%s]:%d' if ':' in who[0] else '%s:%d') % who[:2]).encode())
        c.close()
def answers(s):
    while True:
        what, who = s.recvfrom(9000)
        s.sendto(what, who)
for address in sys.argv[2].split(','):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for port in sys.argv[1].split(','):
        t, u = socket.socket(family), socket.socket(family, socket.SOCK_DGRAM)
        for s in t, u:
            s.setsockopt(1, 2, 1)
            s.bind((address, int(port)))
        t.listen()
        for work, s in (accepts, t), (answers, u): threading.Thread(target=work, args=(s,), daemon=True).start()
print('serves', flush=True)
sys.stdin.readline()
";

fn serve(site: &Site, ports: &[u16], addresses: &[&str]) -> Somebody {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let mut server = Somebody::start(site, ROOT, SERVER, &[&ports.join(","), &addresses.join(",")]);
    assert_eq!(server.says(), "serves");
    server
}

/// Asks by UDP and tells the answer.
const ASK: &str = "
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
if sys.argv[3] == 'connected':
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.send(b'asked')
else: s.sendto(b'asked', (sys.argv[1], int(sys.argv[2])))
try: print(s.recv(9000).decode())
except TimeoutError: print('silence')
";

fn ask(from: &Site, to: &str, port: u16, how: &str) -> String {
    crate::people::run(from, ROOT, ASK, &[to, &port.to_string(), how])
}

const HOWS: [&str; 2] = ["connected", "sendto"];

#[test]
fn what_policy_lets_pass_goes_on_as_before() {
    if !able() {
        return;
    }
    for kind in kinds() {
        let host = Host::with(kind, &[closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat());
        let own = FAMILIES.map(|v6| host.own(v6));
        let _serves = serve(&host.program, &[STEERED, UNSTEERED, SHUT], &[&own[0], &own[1]]);
        let _servers = FAMILIES
            .map(|v6| [STEERED, UNSTEERED].map(|port| Server::start(&host.outside, host.outside.address(v6, port))));
        let _echo = FAMILIES.map(|v6| Echo::start(&host.outside, host.outside.address(v6, OPEN)));
        let _resolvers = Resolver::both(&host.outside, DNS);
        for v6 in FAMILIES {
            let (there, client) = (|port| host.outside.address(v6, port), host.outside.address(v6, 0).ip());
            let here = |port| SocketAddr::new(host.addresses[usize::from(v6)], port);
            for _ in 0..3 {
                assert!(read(&host.program, there(STEERED)).unwrap().starts_with("steered "), "{kind:?}");
                assert!(!read(&host.program, there(UNSTEERED)).unwrap().starts_with("steered "), "{kind:?}");
                assert!(get(&host.outside, here(STEERED)).is_steered_from(client), "{kind:?}");
                assert!(get(&host.outside, here(UNSTEERED)).is_direct_from(client), "{kind:?}");
            }
            assert!(read(&host.program, there(SHUT)).unwrap_err().contains("refused"));
            assert!(get(&host.outside, here(SHUT)).is_refused());
            let there = client.to_string();
            for how in HOWS {
                assert_eq!(ask(&host.program, &there, OPEN, how), "asked", "{kind:?} {how}");
                assert!(ask(&host.program, &there, DNS, how).starts_with("steered "), "{kind:?} {how}");
                // To itself.
                for to in [own[usize::from(v6)].as_str(), if v6 { "::1" } else { "127.0.0.1" }] {
                    let _serves =
                        to.parse::<IpAddr>().unwrap().is_loopback().then(|| serve(&host.program, &[SHUT], &[to]));
                    assert_eq!(ask(&host.program, to, SHUT, how), "asked", "{kind:?} {to} {how}");
                    assert!(read(&host.program, SocketAddr::new(to.parse().unwrap(), SHUT)).is_ok(), "{kind:?} {to}");
                }
            }
            for (socket, how) in [("SOCK_DGRAM", "connected"), ("SOCK_DGRAM", "sendto"), ("SOCK_RAW", "sendto")] {
                let request = if v6 { 128 } else { 8 };
                assert_eq!(ping(&host.program, &there, socket, how, request), "answered", "{kind:?} {socket} {how}");
                let own = &own[usize::from(v6)];
                assert_eq!(ping(&host.outside, own, socket, how, request), "answered", "{kind:?} {socket} {how}");
            }
        }
    }
}

#[test]
fn a_server_of_the_host_answers_datagrams_of_those_who_may_ask() {
    if !able() {
        return;
    }
    for kind in kinds() {
        let host = Host::with(kind, &closed(FlowDirection::Ingress));
        let own = FAMILIES.map(|v6| host.own(v6));
        let unnamed = 9001;
        let _serves = serve(&host.program, &[OPEN, SHUT, unnamed], &[&own[0], &own[1]]);
        let _echo = FAMILIES.map(|v6| Echo::start(&host.outside, host.outside.address(v6, SHUT)));
        for v6 in FAMILIES {
            let own = &own[usize::from(v6)];
            for how in HOWS {
                assert_eq!(ask(&host.outside, own, OPEN, how), "asked", "{kind:?} {how}");
                assert_ne!(ask(&host.outside, own, SHUT, how), "asked", "{kind:?} {how}");
                // Ports that a service does not name are not judged; the host has them all.
                let wanted = if kind == Kind::Service { "asked" } else { "" };
                assert_eq!(ask(&host.outside, own, unnamed, how) == "asked", wanted == "asked", "{kind:?} {how}");
                // Answers to what it asks come in.
                let there = host.outside.address(v6, 0).ip().to_string();
                assert_eq!(ask(&host.program, &there, SHUT, how), "asked", "{kind:?} {how}");
            }
        }
    }
}

#[test]
fn packets_of_pods_are_not_the_hosts() {
    if !able() || !require(&[NODE]) {
        return;
    }
    let mut host = Host::with(Kind::Node, &[closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat());
    let pod = host.lab.pod("pod").unwrap();
    let pod = pod.in_cgroup(&host.program.cgroup);
    for v6 in FAMILIES {
        let ways = [root("raw udp", SHUT, ""), nobody("udp", SHUT, ""), root("raw syn", SHUT, "")];
        assert_eq!(seen(&pod, &host.outside, &host.outside, v6, &ways).len(), ways.len(), "IPv6: {v6}");
    }
}

#[test]
fn programs_at_cgroups_that_somebody_detaches_or_swaps_are_seen_and_made_again() {
    if !able() {
        return;
    }
    for kind in kinds() {
        let mut host = Host::with(kind, &closed(FlowDirection::Egress));
        let ways = [root("raw udp", SHUT, ""), nobody("lite", SHUT, "")];
        let passing = |host: &Host| seen(&host.program, &host.outside, &host.outside, false, &ways).len();
        let made = pins(&host.lab);
        assert_eq!((made.len(), passing(&host)), (2, 0), "{made:?}");
        for somebody in [bpf::detach as fn(&Path), bpf::swap_at_cgroup] {
            for pin in &made {
                somebody(pin);
                let sends = pin.file_name().unwrap().to_string_lossy().contains("-send-");
                assert_eq!(passing(&host), if sends { ways.len() } else { 0 }, "{pin:?}");
                let found = host.redirect.inspect();
                assert!(found.detached.keys().eq([&APP]) && found.broken.is_empty(), "{pin:?}: {found:?}");
                host.attach();
                assert_eq!(host.redirect.inspect(), RedirectInspection::default(), "{pin:?}");
                assert_eq!((passing(&host), host.redirect.guard(APP)), (0, PacketJudge::Cgroup));
                assert_eq!(pins(&host.lab), made);
            }
        }
        // Whose pins are gone ends with the policy all the same.
        made.iter().for_each(|pin| fs::remove_file(pin).unwrap());
        assert_eq!(passing(&host), 0);
        host.redirect.set_table(APP, &[]).unwrap();
        assert_eq!((passing(&host), host.redirect.guard(APP)), (ways.len(), PacketJudge::Off));
        assert_eq!(host.redirect.inspect(), RedirectInspection::default());
    }
}

/// Connects, tells so, and sends and reads when it is told to.
const OLDER: &str = r"
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print('connected', flush=True)
for line in sys.stdin:
    s.settimeout(2)
    try:
        s.sendall(b'late')
        print(s.recv(9).decode(), flush=True)
    except TimeoutError: print('silence', flush=True)
";

/// Whether a connection that is older than the policy goes on, by a port of the peer.
fn goes_on(kind: Kind, port: u16, keep_open: bool, first: &str) -> bool {
    let mut host = Host::by(kind, &[], |_| {});
    let listener = host.outside.inside(|| TcpListener::bind(host.outside.address(false, port)).unwrap());
    let to = [host.outside.v4.to_string(), port.to_string()];
    let mut older = Somebody::start(&host.program, ROOT, OLDER, &[&to[0], &to[1]]);
    assert_eq!(older.says(), "connected");
    let (mut peer, _) = listener.accept().unwrap();
    host.redirect.set_table(APP, &[closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat()).unwrap();
    assert_eq!(host.redirect.guard(APP), PacketJudge::Cgroup);
    if keep_open {
        assert_eq!(host.redirect.connections(APP).unwrap().unwrap().cut(Keep::ALL).unwrap().denied, 0);
    }
    peer.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    if first == "peer" {
        peer.write_all(b"answer").unwrap();
        return older.goes_on() == "answer";
    }
    std::thread::scope(|scope| {
        let said = scope.spawn(|| older.goes_on());
        let mut buffer = [0; 4];
        let came = peer.read_exact(&mut buffer).is_ok();
        let _ = peer.write_all(b"answer");
        came && said.join().unwrap() == "answer"
    })
}

#[test]
fn connections_of_the_host_that_are_older_than_the_policy_are_judged_by_it() {
    if !able() {
        return;
    }
    for kind in kinds() {
        for first in ["peer", "host"] {
            assert!(goes_on(kind, UNSTEERED, false, first), "{kind:?}: policy lets it pass, {first} speaks first");
            assert!(goes_on(kind, SHUT, true, first), "{kind:?}: it is to go on, {first} speaks first");
            assert!(!goes_on(kind, SHUT, false, first), "{kind:?}: {first} speaks first");
        }
    }
}

#[test]
fn every_address_of_the_host_is_its_own_as_soon_as_that_is_noticed() {
    if !able() {
        return;
    }
    for kind in kinds() {
        let mut host = Host::with(kind, &closed(FlowDirection::Egress));
        let changes = host.redirect.watch().unwrap();
        let passing = |host: &Host| {
            FAMILIES.map(|v6| {
                let ways = [root("raw udp from", OPEN, FOREIGN[usize::from(v6)])];
                seen(&host.program, &host.outside, &host.outside, v6, &ways).len()
            })
        };
        assert_eq!(passing(&host), [0, 0], "{kind:?}");
        for (change, wanted) in [("add", [1, 1]), ("del", [0, 0])] {
            while changes.recv_timeout(Duration::from_millis(600)).is_ok() {}
            host.lab
                .node()
                .ip(&format!("address {change} 10.99.0.1/32 dev lo\naddress {change} fd99::1/128 dev lo\n"))
                .unwrap();
            assert_eq!(changes.recv_timeout(Duration::from_secs(5)), Ok(APP));
            host.attach();
            assert_eq!(passing(&host), wanted, "{kind:?}");
        }
    }
}

/// Sends a datagram with so many hops to go, and tells which error comes back.
const UNHEARD: &str = "
v6 = ':' in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.setsockopt(41 if v6 else 0, 25 if v6 else 11, 1)
s.setsockopt(41 if v6 else 0, 16 if v6 else 2, int(sys.argv[3]))
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b'asked' * 100)
try: print(s.recv(9000).decode())
except TimeoutError: print('silence')
";

#[test]
fn the_kernel_of_the_host_answers_for_itself_and_for_what_it_forwards() {
    if !able() || !require(&[NODE]) {
        return;
    }
    // The kernel's sockets are in the root cgroup. Packets of other namespaces are not looked at.
    let mut host = Host::by(Kind::Node, &[], |options| options.cgroup = None);
    let pod = host.lab.pod("pod").unwrap();
    let both = [closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat();
    let refused = |kind: u8| class(FlowDirection::Ingress, kind, 0..=255, Action::Refuse);
    for pings in [true, false] {
        let more = if pings { vec![] } else { vec![refused(1), refused(58)] };
        host.redirect.set_table(APP, &[both.clone(), more].concat()).unwrap();
        assert_eq!(host.redirect.guard(APP), PacketJudge::Cgroup);
        for v6 in FAMILIES {
            let (own, request) = (host.own(v6), if v6 { 128 } else { 8 });
            let answer = ping(&host.outside, &own, "SOCK_RAW", "sendto", request);
            assert_eq!(answer == "answered", pings, "{answer}");
            let unheard = |to: &str, port: u16, hops: &str| {
                crate::people::run(&host.outside, ROOT, UNHEARD, &[to, &port.to_string(), hops])
            };
            assert_eq!(unheard(&own, OPEN, "64"), "ECONNREFUSED");
            let beyond = pod.address(v6, 0).ip().to_string();
            assert_eq!(unheard(&beyond, SHUT, "1"), "EHOSTUNREACH");
            assert_eq!(unheard(&beyond, SHUT, "64"), "ECONNREFUSED");
            // Nobody serves there.
            assert!(get(&host.outside, SocketAddr::new(own.parse().unwrap(), UNSTEERED)).is_refused());
        }
    }
}
