//! Echo requests, by every kind of socket that sends them.

use portcullis_integration::{Need, Site, require};
use portcullis_redirect::{Action, FlowDirection, KernelPortClass};

use crate::bench::{self, Bench, FAMILIES};

const ICMP: [u8; 2] = [1, 58];
const ECHO_REQUEST: [u8; 2] = [8, 128];

fn able() -> bool {
    bench::able() && require(&[Need::Program("python3")])
}

/// Asks for an echo by a kind of socket, unconnected or not. Prints `answered`, or what went wrong.
const PING: &str = r#"
import errno, socket, struct, sys
to, kind, how, type = sys.argv[1], getattr(socket, sys.argv[2]), sys.argv[3], int(sys.argv[4])
open('/proc/sys/net/ipv4/ping_group_range', 'w').write('0 2147483647')
v6 = ':' in to
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind, 58 if v6 else 1)
s.settimeout(2)
message = struct.pack('!BBHHH', type, 0, 0, 1, 1)
if not v6: message = struct.pack('!BBHHH', type, 0, 0xffff - (type << 8) - 2, 1, 1)
if how == 'behind options': s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
try:
    if how == 'connected':
        s.connect((to, 0))
        s.send(message)
    else: s.sendto(message, (to, 0))
    if type in (8, 128):
        while s.recv(2048)[20 * (not v6 and kind == socket.SOCK_RAW)] in (8, 128): pass
    print('answered')
except OSError as error: print(errno.errorcode[error.errno] if error.errno else error)
"#;

pub(crate) fn ping(from: &Site, to: &str, kind: &str, how: &str, message: u8) -> String {
    let asked = from.run(&["python3", "-c", PING, to, kind, how, &message.to_string()]).unwrap();
    asked.stdout.trim().to_owned() + &asked.stderr
}

/// Refuses echo requests to everybody but one address of each family.
fn table(but: &[std::net::IpAddr]) -> Vec<KernelPortClass> {
    FAMILIES
        .iter()
        .map(|v6| {
            let (family, everybody) = (usize::from(*v6), if *v6 { "::/0" } else { "0.0.0.0/0" });
            let mut prefixes = vec![(everybody.parse().unwrap(), Action::Refuse)];
            prefixes.extend(but.iter().filter(|ip| ip.is_ipv6() == *v6).map(|ip| ((*ip).into(), Action::Pass)));
            let ports = u16::from(ECHO_REQUEST[family])..=u16::from(ECHO_REQUEST[family]);
            KernelPortClass { direction: FlowDirection::Egress, protocol: ICMP[family], ports, prefixes, learns: false }
        })
        .collect()
}

#[test]
fn echo_requests_are_judged_by_their_destination_whatever_socket_sends_them() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let friend = bench.lab.pod("friend").unwrap();
    bench.redirect.set_table(bench::APP, &table(&friend.addresses())).unwrap();
    bench.redirect.judge_echo().unwrap();
    for v6 in FAMILIES {
        let message = ECHO_REQUEST[usize::from(v6)];
        let [friend, outside] = [&friend, &bench.outside].map(|pod| pod.address(v6, 0).ip().to_string());
        for (kind, how) in [("SOCK_DGRAM", "connected"), ("SOCK_DGRAM", "sendto"), ("SOCK_RAW", "sendto")] {
            assert_eq!(ping(&bench.app, &friend, kind, how, message), "answered", "{kind} {how}");
            // The kernel tells the owner of an IPv6 ping socket nothing.
            let wanted = if v6 && kind == "SOCK_DGRAM" { "timed out" } else { "EPERM" };
            assert_eq!(ping(&bench.app, &outside, kind, how, message), wanted, "{kind} {how}");
            assert_eq!(ping(&bench.outside, &friend, kind, how, message), "answered", "nobody judges the others");
        }
    }
    let behind = ping(&bench.app, &bench.there(true, 0).ip().to_string(), "SOCK_RAW", "behind options", 128);
    assert_eq!(behind, "EPERM", "no extension header hides it");
    let own = bench.app.address(false, 0).ip().to_string();
    assert_eq!(ping(&bench.app, &own, "SOCK_DGRAM", "sendto", 8), "answered", "to itself");
    let answer = ping(&bench.app, &bench.there(false, 0).ip().to_string(), "SOCK_RAW", "sendto", 0);
    assert_eq!(answer, "answered", "other messages are not judged");
    let asked = ping(&bench.outside, &own, "SOCK_DGRAM", "sendto", 8);
    assert_eq!(asked, "answered", "nor is what comes in, and its answer goes out");
}

/// Types of requests that a ping socket sends beside echo requests: extended ones (RFC 8335).
const EXTENDED_REQUEST: [u8; 2] = [42, 160];

#[test]
fn a_message_is_judged_by_its_type() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let mut classes = table(&[]);
    for (class, kind) in classes.iter_mut().zip(EXTENDED_REQUEST) {
        class.ports = kind.into()..=kind.into();
    }
    bench.redirect.set_table(bench::APP, &classes).unwrap();
    bench.redirect.judge_echo().unwrap();
    for v6 in FAMILIES {
        let outside = bench.there(v6, 0).ip().to_string();
        let (extended, plain) = (EXTENDED_REQUEST[usize::from(v6)], ECHO_REQUEST[usize::from(v6)]);
        for kind in ["SOCK_DGRAM", "SOCK_RAW"] {
            // The kernel tells the owner of an IPv6 ping socket nothing.
            let wanted = if v6 && kind == "SOCK_DGRAM" { "answered" } else { "EPERM" };
            assert_eq!(ping(&bench.app, &outside, kind, "sendto", extended), wanted, "{kind} {extended}");
            assert_eq!(
                ping(&bench.outside, &bench.app.address(v6, 0).ip().to_string(), kind, "sendto", extended),
                "answered"
            );
        }
        assert_eq!(ping(&bench.app, &outside, "SOCK_DGRAM", "sendto", plain), "answered");
    }
}

#[test]
fn echo_requests_are_judged_only_while_some_table_speaks_of_them() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &bench::table());
    let judges = |bench: &Bench| {
        let pins = std::fs::read_dir(bench.lab.bpffs().join(crate::bench::LAYOUT)).unwrap().flatten();
        pins.filter(|pin| pin.file_name().to_string_lossy().ends_with("-echo")).count()
    };
    bench.redirect.judge_echo().unwrap();
    assert_eq!(judges(&bench), 0, "no packet is looked at");
    bench.redirect.set_table(bench::APP, &table(&[])).unwrap();
    bench.redirect.judge_echo().unwrap();
    assert_eq!(judges(&bench), 1);
    let outside = bench.there(false, 0).ip().to_string();
    assert_eq!(ping(&bench.app, &outside, "SOCK_RAW", "sendto", 8), "EPERM");
    bench.redirect.set_table(bench::APP, &bench::table()).unwrap();
    bench.redirect.judge_echo().unwrap();
    assert_eq!(judges(&bench), 0);
    assert_eq!(ping(&bench.app, &outside, "SOCK_RAW", "sendto", 8), "answered");
}
