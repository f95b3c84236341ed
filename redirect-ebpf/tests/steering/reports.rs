//! Flows that pass and are reported, because policy is only tried out.

use std::{net::UdpSocket, time::Duration};

use portcullis_integration::{Need, require};
use portcullis_redirect::{Action, FlowDirection, KernelPortClass, RefusalKind, Refusals};
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    bench::{APP, Bench, FAMILIES, TCP, UDP, able, class, ip},
    icmp::ping,
    sockets::HANG,
};

/// A port of which policy would deny everything.
const TRIED: u16 = 83;
/// Long enough for a report that is one too many.
const QUIET: Duration = Duration::from_millis(100);
/// IP protocol number and type of echo requests, by family.
const ECHO: [(u8, u16); 2] = [(1, 8), (58, 128)];

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn tried(direction: FlowDirection, protocol: u8, port: u16) -> KernelPortClass {
    class(direction, protocol, port..=port, Action::PassAndReport)
}

fn table() -> Vec<KernelPortClass> {
    let of = |direction| {
        let ports = [TCP, UDP].map(|protocol| tried(direction, protocol, TRIED));
        ports.into_iter().chain(ECHO.map(|(protocol, kind)| tried(direction, protocol, kind)))
    };
    [FlowDirection::Ingress, FlowDirection::Egress].into_iter().flat_map(of).collect()
}

/// Takes the one report that is there: of a flow between the endpoint and the outside.
async fn only(refusals: &mut Refusals, bench: &Bench, v6: bool, direction: FlowDirection, (protocol, port): (u8, u16)) {
    let told = timeout(HANG, refusals.next()).await.expect("no report").unwrap();
    assert_eq!((told.endpoint, told.direction, told.protocol, told.port), (APP, direction, protocol, port), "{told:?}");
    assert_eq!((told.peer, told.kind), (ip(&bench.outside, v6), RefusalKind::Passed), "{told:?}");
    let more = timeout(QUIET, refusals.next()).await;
    assert!(more.is_err(), "{direction:?} {protocol} IPv6 {v6}: {more:?}");
}

/// Sends three datagrams from one socket to another.
fn datagrams(bench: &Bench, v6: bool, direction: FlowDirection, connected: bool) {
    let (from, to) = match direction {
        FlowDirection::Egress => (&bench.app, &bench.outside),
        FlowDirection::Ingress => (&bench.outside, &bench.app),
    };
    let server = to.inside(|| UdpSocket::bind(to.address(v6, TRIED)).unwrap());
    server.set_read_timeout(Some(HANG)).unwrap();
    from.inside(|| {
        let client = UdpSocket::bind(from.address(v6, 0)).unwrap();
        if connected {
            client.connect(to.address(v6, TRIED)).unwrap();
        }
        for number in 0..3 {
            let sent =
                if connected { client.send(&[number]) } else { client.send_to(&[number], to.address(v6, TRIED)) };
            assert_eq!(sent.unwrap(), 1);
        }
    });
    for number in 0..3 {
        let mut datagram = [9; 8];
        assert_eq!((server.recv(&mut datagram).unwrap(), datagram[0]), (1, number));
    }
}

#[test]
fn a_flow_that_passes_and_is_reported_passes_at_each_hook_and_is_reported_once() {
    if !able() || !require(&[Need::Program("python3")]) {
        return;
    }
    let mut bench = Bench::with(true, &table());
    bench.redirect.judge_echo().unwrap();
    let _servers = [Bench::serve(&bench.app, TRIED), Bench::serve(&bench.outside, TRIED)];
    runtime().block_on(async {
        let mut refusals = bench.redirect.refusals().unwrap();
        for v6 in FAMILIES {
            let outcome = bench.egress(v6, TRIED);
            assert!(outcome.is_direct_from(ip(&bench.app, v6)), "{outcome:?}");
            only(&mut refusals, &bench, v6, FlowDirection::Egress, (TCP, TRIED)).await;
            let outcome = bench.ingress(v6, TRIED);
            assert!(outcome.is_direct_from(ip(&bench.outside, v6)), "{outcome:?}");
            only(&mut refusals, &bench, v6, FlowDirection::Ingress, (TCP, TRIED)).await;
            for direction in [FlowDirection::Egress, FlowDirection::Ingress] {
                for connected in [false, true] {
                    datagrams(&bench, v6, direction, connected);
                    only(&mut refusals, &bench, v6, direction, (UDP, TRIED)).await;
                }
            }
            let echo = ECHO[usize::from(v6)];
            let kind = u8::try_from(echo.1).unwrap();
            let (app, outside) = (ip(&bench.app, v6).to_string(), ip(&bench.outside, v6).to_string());
            assert_eq!(ping(&bench.app, &outside, "SOCK_RAW", "sendto", kind), "answered");
            only(&mut refusals, &bench, v6, FlowDirection::Egress, echo).await;
            assert_eq!(ping(&bench.outside, &app, "SOCK_RAW", "sendto", kind), "answered");
            only(&mut refusals, &bench, v6, FlowDirection::Ingress, echo).await;
        }
        assert_eq!(refusals.lost().unwrap(), 0);
    });
}

#[test]
fn reports_of_flows_that_pass_have_a_budget_and_what_is_above_is_counted() {
    if !able() {
        return;
    }
    const FIRST: u16 = 10_000;
    const SENT: u16 = 20_000;
    let class = class(FlowDirection::Egress, UDP, FIRST..=FIRST + SENT - 1, Action::PassAndReport);
    let bench = Bench::with(true, &[class]);
    let to = |port| bench.outside.address(false, port);
    bench.app.inside(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for port in FIRST..FIRST + SENT {
            socket.send_to(b"x", to(port)).unwrap();
        }
    });
    runtime().block_on(async {
        let mut refusals = bench.redirect.refusals().unwrap();
        let lost = refusals.lost().unwrap();
        assert!(lost > 0 && lost < u64::from(SENT), "{lost}");
        for _ in 0..u64::from(SENT) - lost {
            let told = timeout(HANG, refusals.next()).await.unwrap().unwrap();
            assert_eq!(told.kind, RefusalKind::Passed);
        }
        assert!(timeout(QUIET, refusals.next()).await.is_err(), "none is told twice");
    });
}
