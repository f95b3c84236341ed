//! Packet programs: no payload leaves or arrives where policy denies it, whatever sent the packet. A packet socket on
//! the other side is the witness.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
            sockopt::{RcvBuf, ReceiveTimeout},
        },
        time::TimeVal,
    },
};
use portcullis_integration::{Lab, Need, Pod, Site, require};
use portcullis_redirect::{
    Action, FlowDirection, Keep, KernelPortClass, PacketJudge, Redirect, RedirectInspection, RedirectOptions,
};

use crate::{
    bench::{self, APP, Bench, FAMILIES, STEERED, TCP, UDP, UNSTEERED, class, ip},
    bpf,
    proxy::Proxy,
};

/// A port of UDP that policy lets pass.
pub(crate) const OPEN: u16 = 9000;
/// A port that policy refuses.
pub(crate) const SHUT: u16 = 9999;
pub(crate) const DNS: u16 = 53;
pub(crate) const SCTP: u8 = 132;
const SCRIPT: &str = include_str!("packets.py");
/// What the last packet of a test carries.
pub(crate) const DONE: &str = "that-was-all";

pub(crate) fn able() -> bool {
    bench::able() && require(&[Need::Program("python3"), Need::Program("setpriv"), Need::Program("tc")])
}

/// By links at devices, and by filters.
pub(crate) const WAYS: [bool; 2] = [true, false];

/// Attached by a table, with programs that are held by links or by filters.
pub(crate) fn by(links: bool, table: &[KernelPortClass]) -> Bench {
    Bench::by(table, |lab| RedirectOptions { device_links: links, ..bench::options(lab, true) })
}

/// Refuses everything in a direction but a port of UDP and one of TCP; steers one of each.
pub(crate) fn closed(direction: FlowDirection) -> Vec<KernelPortClass> {
    use Action::{Pass, Refuse, Steer};
    let steer = if direction == FlowDirection::Egress { Steer } else { Refuse };
    vec![
        class(direction, UDP, 0..=DNS - 1, Refuse),
        class(direction, UDP, DNS..=DNS, steer),
        class(direction, UDP, DNS + 1..=OPEN - 1, Refuse),
        class(direction, UDP, OPEN..=OPEN, Pass),
        class(direction, UDP, OPEN + 1..=65535, Refuse),
        class(direction, TCP, 0..=STEERED - 1, Refuse),
        class(direction, TCP, STEERED..=STEERED, Steer),
        class(direction, TCP, UNSTEERED..=UNSTEERED, Pass),
        class(direction, TCP, UNSTEERED + 1..=65535, Refuse),
        class(direction, SCTP, 0..=65535, Refuse),
    ]
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Uid 65534 without any capability.
    Nobody,
    /// With all of the root user's.
    Root,
}

/// Sends a marked packet by one of the ways of the script.
pub(crate) fn send(from: &Site, who: Who, way: &str, to: &str, port: u16, mark: &str, argument: &str) -> String {
    let mut words = match who {
        Who::Root => Vec::new(),
        Who::Nobody => {
            "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs --"
                .split(' ')
                .collect()
        }
    };
    let port = port.to_string();
    words.extend(["python3", "-c", SCRIPT, way, to, &port, mark, argument]);
    let done = from.run(&words).unwrap();
    done.stdout.trim().to_owned() + &done.stderr
}

/// Everything that a namespace's devices show.
pub(crate) struct Wire(OwnedFd);

impl Wire {
    pub(crate) fn tap(site: &Site) -> Self {
        site.inside(|| {
            let flags = SockFlag::SOCK_CLOEXEC;
            let tap = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
            setsockopt(&tap, RcvBuf, &(4 << 20)).unwrap();
            setsockopt(&tap, ReceiveTimeout, &TimeVal::new(10, 0)).unwrap();
            Self(tap)
        })
    }

    /// What it showed until a mark came.
    pub(crate) fn until(&self, mark: &str) -> Vec<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 65536]);
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    all.push(buffer[..length].to_vec());
                    if has(&buffer[..length], mark) {
                        return all;
                    }
                }
                Err(Errno::EINTR) => {}
                other => panic!("{mark} never came: {other:?}"),
            }
        }
    }
}

pub(crate) fn has(packet: &[u8], mark: &str) -> bool {
    packet.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// One way of a test: who, how, which port, an argument.
pub(crate) type Way<'a> = (Who, &'a str, u16, String);

/// Sends by each way to a peer, and tells which of them a tap at `there` saw.
pub(crate) fn seen(from: &Site, to: &Pod, there: &Site, v6: bool, ways: &[Way<'_>]) -> Vec<String> {
    let wire = Wire::tap(there);
    let peer = ip(to, v6).to_string();
    let mark = |number: usize| format!("<way-{number:02}>");
    let mut said = Vec::new();
    for (number, (who, way, port, argument)) in ways.iter().enumerate() {
        said.push(send(from, *who, way, &peer, *port, &mark(number), argument));
    }
    assert_eq!(send(from, Who::Root, "udp", &peer, OPEN, DONE, ""), "sent");
    let packets = wire.until(DONE);
    let shown = ways.iter().enumerate().filter(|(number, _)| packets.iter().any(|packet| has(packet, &mark(*number))));
    shown.map(|(number, (who, way, ..))| format!("{who:?}: {way} ({})", said[number])).collect()
}

pub(crate) fn root<'a>(way: &'a str, port: u16, argument: impl ToString) -> Way<'a> {
    (Who::Root, way, port, argument.to_string())
}

pub(crate) fn nobody<'a>(way: &'a str, port: u16, argument: impl ToString) -> Way<'a> {
    (Who::Nobody, way, port, argument.to_string())
}

/// What leaves where nobody judges packets, so that a test knows its tools.
fn egress_ways(bench: &Bench, v6: bool) -> Vec<Way<'static>> {
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
        root("frame", SHUT, ""),
        root("frame around queues", SHUT, ""),
        root("frame around queues", DNS, ""),
        root("ack around queues", STEERED, ""),
        root("tagged", OPEN, ""),
        root("other ethertype", 0, ""),
        root("message", 0, if v6 { 129 } else { 0 }),
        root("message", 0, if v6 { 160 } else { 42 }),
        root("message", 0, if v6 { 1 } else { 3 }),
        root("raw udp from", OPEN, bench.lab_address(v6)),
        root("frame from", OPEN, bench.lab_address(v6)),
    ];
    if v6 {
        ways.extend([
            nobody("freebind", OPEN, "fd77:9::9"),
            nobody("routing header", SHUT, 4),
            root("raw routing header", OPEN, 0),
            root("raw routing header", OPEN, 2),
            root("raw routing header", OPEN, 3),
            root("home address", OPEN, "fd77:9::9"),
        ]);
    } else {
        ways.extend([root("message", 0, 13), root("source route", OPEN, bench.lab_address(false))]);
    }
    ways
}

impl Bench {
    /// Another address than the endpoint's.
    fn lab_address(&self, v6: bool) -> String {
        if v6 { "fd77:9::9".into() } else { ip(&self.outside, false).to_string() }
    }
}

#[test]
fn nothing_that_policy_denies_leaves_whatever_made_the_packet() {
    if !able() {
        return;
    }
    for links in WAYS {
        let bench = by(links, &closed(FlowDirection::Egress));
        assert_eq!(bench.redirect.guard(APP), PacketJudge::Outside);
        let _servers = Bench::serve(&bench.outside, STEERED);
        for v6 in FAMILIES {
            let ways = egress_ways(&bench, v6);
            assert_eq!(seen(&bench.app, &bench.outside, &bench.outside, v6, &ways), [""; 0], "links: {links}");
        }
    }
}

#[test]
fn the_witness_sees_what_leaves_where_no_policy_is() {
    if !able() {
        return;
    }
    // The hooks at sockets refuse some of these of their own, and so does the kernel.
    const BEFORE: [&str; 3] = ["source route", "freebind", "routing header"];
    let bench = Bench::with(true, &[]);
    assert_eq!(bench.redirect.guard(APP), PacketJudge::Off, "nobody pays who has no policy");
    let _servers = Bench::serve(&bench.outside, STEERED);
    for v6 in FAMILIES {
        let ways = egress_ways(&bench, v6);
        let shown = seen(&bench.app, &bench.outside, bench.lab.node(), v6, &ways);
        let missing: Vec<_> =
            ways.iter().filter(|way| !shown.iter().any(|shown| shown.contains(&format!(": {} (", way.1)))).collect();
        assert!(missing.iter().all(|way| BEFORE.contains(&way.1)), "{missing:?}");
    }
}

#[test]
fn nothing_that_policy_denies_arrives_whoever_receives_it() {
    if !able() {
        return;
    }
    for (links, v6) in WAYS.into_iter().flat_map(|links| FAMILIES.map(|v6| (links, v6))) {
        let bench = by(links, &closed(FlowDirection::Ingress));
        let mut ways = vec![
            nobody("udp", SHUT, ""),
            nobody("lite", SHUT, ""),
            root("raw ack", SHUT, ""),
            root("raw ack", STEERED, ""),
            root("raw syn", SHUT, ""),
            root("raw syn", STEERED, ""),
            root("raw sctp", SHUT, ""),
            root("raw protocol", SHUT, 47),
            root("fragments", SHUT, ""),
            root("later fragment", SHUT, ""),
            root("message", 0, if v6 { 129 } else { 0 }),
            root("message", 0, if v6 { 160 } else { 42 }),
            root("message", 0, if v6 { 1 } else { 3 }),
            root("raw udp port", SHUT, 5353),
        ];
        if v6 {
            ways.extend([root("raw routing header", OPEN, 2), root("home address", OPEN, "fd77:9::9")]);
        }
        // A tap sees what comes to the device; what is judged outside never does.
        assert_eq!(seen(&bench.outside, &bench.app, &bench.app, v6, &ways), [""; 0], "links: {links}");
    }
}

#[test]
fn groups_and_everybody_on_the_link_are_judged_as_one_peer_is() {
    if !able() {
        return;
    }
    WAYS.into_iter().for_each(groups);
}

fn groups(links: bool) {
    let bench = by(links, &closed(FlowDirection::Ingress));
    let (wire, node) = (Wire::tap(&bench.app), bench.lab.node());
    let (v4, link) = (bench.app.v4.octets(), "v1");
    let all = format!("{}.{}.{}.255", v4[0], v4[1], v4[2]);
    node.ip("route add 224.0.0.0/4 dev v1\n").unwrap();
    for (mark, way, to, argument) in [
        ("<directed>", "broadcast", all.as_str(), ""),
        ("<group-v4>", "multicast", "224.0.0.1", link),
        ("<group-v6>", "multicast", "ff02::1", link),
    ] {
        assert_eq!(send(node, Who::Nobody, way, to, SHUT, mark, argument), "sent");
    }
    assert_eq!(send(node, Who::Root, "udp", &ip(&bench.app, false).to_string(), OPEN, DONE, ""), "sent");
    let packets = wire.until(DONE);
    for mark in ["<directed>", "<group-v4>", "<group-v6>"] {
        assert!(!packets.iter().any(|packet| has(packet, mark)), "{mark} arrived");
    }
    // Where policy lets the port pass they come.
    assert_eq!(send(node, Who::Nobody, "broadcast", &all, OPEN, "<open>", ""), "sent");
    assert!(wire.until("<open>").len() < 100);
}

/// Whether a connection that is older than the policy that denies it still gets through.
fn goes_on(links: bool, keep_open: bool) -> bool {
    let mut lab = Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    let mut redirect = Redirect::open(RedirectOptions { device_links: links, ..bench::options(&lab, true) }).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    bench::attach(&mut redirect, &app, &proxy, &app.addresses());
    let listener = outside.inside(|| TcpListener::bind(outside.address(false, SHUT)).unwrap());
    let mut from = app.inside(|| TcpStream::connect(outside.address(false, SHUT)).unwrap());
    let (mut to, _) = listener.accept().unwrap();
    redirect.set_table(APP, &[closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat()).unwrap();
    assert_eq!(redirect.guard(APP), PacketJudge::Outside);
    if keep_open {
        assert_eq!(redirect.connections(APP).unwrap().unwrap().cut(Keep::ALL).unwrap().denied, 0);
    }
    from.write_all(b"late").unwrap();
    to.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut buffer = [0; 4];
    to.read_exact(&mut buffer).is_ok()
}

#[test]
fn connections_that_are_older_than_the_policy_go_on_only_where_that_is_wanted() {
    if !able() {
        return;
    }
    for links in WAYS {
        assert!(goes_on(links, true));
        assert!(!goes_on(links, false));
    }
}

#[test]
fn a_connection_that_a_peer_opened_before_the_policy_goes_on_though_only_the_endpoint_speaks() {
    if !able() {
        return;
    }
    for links in WAYS {
        let mut bench = by(links, &[]);
        // Nobody's packets are judged yet, so nothing is older than that.
        bench.redirect.connections(APP).unwrap().unwrap().cut(Keep::default()).unwrap();
        let listener = bench.app.inside(|| TcpListener::bind(bench.app.address(false, UNSTEERED)).unwrap());
        let mut to = bench.outside.inside(|| TcpStream::connect(bench.app.address(false, UNSTEERED)).unwrap());
        let (mut from, _) = listener.accept().unwrap();
        bench
            .redirect
            .set_table(APP, &[closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat())
            .unwrap();
        let cut = bench.redirect.connections(APP).unwrap().unwrap().cut(Keep::default()).unwrap();
        assert_eq!((cut.denied, cut.unjudged), (0, 0));
        from.write_all(b"late").unwrap();
        to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        to.read_exact(&mut [0; 4]).unwrap();
    }
}

/// Whether this kernel has links at devices. Tests of filters are others.
#[allow(clippy::print_stderr, reason = "whoever runs the tests sees what was left out")]
pub(crate) fn has_links(bench: &Bench) -> bool {
    let linked = pins(&bench.lab).iter().any(|pin| pin.to_string_lossy().contains("/packets-"));
    if !linked {
        eprintln!("SKIPPED: this kernel has no links at devices (Linux 6.6)");
    }
    linked
}

/// How many of two ways of one who may send raw packets lead to the outside.
pub(crate) fn passing(bench: &Bench) -> usize {
    let ways = [root("raw udp", SHUT, ""), root("frame", SHUT, "")];
    seen(&bench.app, &bench.outside, &bench.outside, false, &ways).len()
}

/// The pins of the programs at the devices of the endpoint: leaving, outside of it, arriving.
pub(crate) fn pins(lab: &Lab) -> Vec<PathBuf> {
    let entries = fs::read_dir(lab.bpffs().join(crate::bench::LAYOUT)).unwrap().flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| {
            name.to_string_lossy().starts_with("packets-") || name.to_string_lossy().starts_with("filters-")
        })
    };
    let mut pins: Vec<_> = entries.filter(is_ours).collect();
    pins.sort();
    pins
}

#[test]
fn programs_at_devices_that_somebody_detaches_or_swaps_are_seen_and_made_again() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &closed(FlowDirection::Egress));
    if !has_links(&bench) {
        return;
    }
    let made = pins(&bench.lab);
    assert_eq!((made.len(), passing(&bench)), (4, 0), "{made:?}");
    for somebody in [bpf::detach as fn(&Path), bpf::swap_at_device] {
        // Each alone is seen, and all of them together would let everything pass.
        for some in made.iter().map(std::slice::from_ref).chain([made.as_slice()]) {
            some.iter().for_each(|pin| somebody(pin));
            assert_eq!(passing(&bench) == 2, some.len() == made.len(), "{some:?}");
            let found = bench.redirect.inspect();
            assert!(found.detached.keys().eq([&APP]) && found.broken.is_empty(), "{some:?}: {found:?}");
            bench.attach_with(|listeners| listeners);
            assert_eq!(bench.redirect.inspect(), RedirectInspection::default(), "{some:?}");
            assert_eq!(
                (passing(&bench), bench.redirect.guard(APP), pins(&bench.lab)),
                (0, PacketJudge::Outside, made.clone())
            );
        }
    }
    // Whose pins are gone ends with the policy all the same.
    made.iter().for_each(|pin| fs::remove_file(pin).unwrap());
    assert_eq!(passing(&bench), 0);
    bench.redirect.set_table(APP, &[]).unwrap();
    assert_eq!((passing(&bench), bench.redirect.guard(APP)), (2, PacketJudge::Off));
    assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
}
