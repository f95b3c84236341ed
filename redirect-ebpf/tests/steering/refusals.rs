//! Refused flows are reported, each one or as a number of lost ones.

use std::{net::UdpSocket, time::Duration};

use portcullis_redirect::{Action, FlowDirection, RefusalKind, RefusedFlow};
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    bench::{APP, Bench, FAMILIES, REFUSED, STEERED, TCP, UDP, able, class, ip},
    failure::until_nobody_listens,
    sockets::HANG,
};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn each_refused_flow_is_told_with_its_parties_and_why() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let (outside, redirect) = (&bench.outside, &bench.redirect);
    runtime().block_on(async {
        let mut refusals = redirect.refusals().unwrap();
        for v6 in FAMILIES {
            let expected = |direction| RefusedFlow {
                endpoint: APP,
                direction,
                protocol: TCP,
                peer: ip(outside, v6),
                port: REFUSED,
                source_port: 0,
                kind: RefusalKind::Refused,
            };
            assert!(bench.egress(v6, REFUSED).is_refused());
            let told = timeout(HANG, refusals.next()).await.unwrap().unwrap();
            assert_eq!(RefusedFlow { source_port: 0, ..told }, expected(FlowDirection::Egress));
            assert!(bench.ingress(v6, REFUSED).is_refused());
            let told = timeout(HANG, refusals.next()).await.unwrap().unwrap();
            assert_eq!(RefusedFlow { source_port: 0, ..told }, expected(FlowDirection::Ingress));
            assert_ne!(told.source_port, 0, "a packet tells where it came from");
        }
        assert_eq!(refusals.lost().unwrap(), 0);
    });
}

#[test]
fn a_flow_that_finds_no_listener_is_told_as_such() {
    if !able() {
        return;
    }
    let Bench { redirect, proxy, app, outside, lab } = Bench::new();
    drop(proxy);
    until_nobody_listens(&app, &outside);
    runtime().block_on(async {
        let mut refusals = redirect.refusals().unwrap();
        // What was told while the listeners went.
        while timeout(Duration::from_millis(100), refusals.next()).await.is_ok() {}
        for v6 in FAMILIES {
            let outcome = crate::sockets::get(&app, outside.address(v6, STEERED));
            assert!(outcome.is_refused(), "IPv6: {v6}: {outcome:?}");
            let told = timeout(HANG, refusals.next()).await.unwrap().unwrap();
            assert!(
                told.kind == RefusalKind::NoListener && told.direction == FlowDirection::Egress && told.port == STEERED,
                "{told:?}"
            );
            let outcome = crate::sockets::get(&outside, app.address(v6, STEERED));
            assert!(outcome.is_refused(), "IPv6: {v6}: {outcome:?}");
            let told = timeout(HANG, refusals.next()).await.unwrap().unwrap();
            assert!(
                told.kind == RefusalKind::NoListener
                    && told.direction == FlowDirection::Ingress
                    && told.port == STEERED,
                "{told:?}"
            );
        }
    });
    drop((redirect, lab));
}

#[test]
fn what_nobody_reads_in_time_is_counted() {
    if !able() {
        return;
    }
    const SENT: u64 = 20_000;
    let bench = Bench::with(true, &[class(FlowDirection::Egress, UDP, 7..=7, Action::Refuse)]);
    let to = bench.outside.address(false, 7);
    bench.app.inside(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..SENT {
            socket.send_to(b"x", to).unwrap_err();
        }
    });
    runtime().block_on(async {
        let mut refusals = bench.redirect.refusals().unwrap();
        let lost = refusals.lost().unwrap();
        assert!(lost > 0 && lost < SENT, "{lost}");
        for _ in 0..SENT - lost {
            timeout(HANG, refusals.next()).await.unwrap().unwrap();
        }
        assert!(timeout(Duration::from_millis(50), refusals.next()).await.is_err(), "none is told twice");
    });
}
