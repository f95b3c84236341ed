//! Requests that must be held as a whole, beyond the limit for a head.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::Ordering,
};

use portcullis_codecs::{
    Live, Protocol, Registry,
    relay::{Checker, Close, Decision, Relay, RelayOutput, RelayStep, Side},
};
use portcullis_rules::{
    limits::Capacity,
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
};

use crate::{
    DataPlaneOptions,
    share::{EndpointHoldings, ShareExhausted},
    telemetry::TelemetryOptions,
    tests::{Rig, Rules, assert_reset, expect},
};

pub(super) static SCHEMA: Schema = Schema {
    protocol: "parcels",
    fields: &[FieldSpec { name: "kind", form: FieldForm::Exact, checked: true }],
    nature: &ProtocolTraits::STREAM,
};

/// A protocol whose requests go on as a whole: eight digits say how many bytes follow.
static PARCELS: Protocol = Protocol {
    live: Some(Live {
        share: Live::nothing,
        relay: |_| Box::new(Parcels::default()),
        session: None,
        // Little, so that nearly all that is held comes out of the budget.
        held: |_| KIB,
    }),
    ..Protocol::new(&SCHEMA)
};

/// The protocols of a data plane that has parcels.
static WITH_PARCELS: Registry = Registry::new(&[&PARCELS]);

const HEAD: usize = 8;

#[derive(Default)]
struct Parcels {
    /// Bytes of the parcel that is not there as a whole.
    wanted: usize,
    /// It begins with `!`: the relay does not care whether there is room.
    stubborn: bool,
    /// Bytes of a refused parcel that are still to be dropped.
    dropping: usize,
}

struct Parcel;

impl Request for Parcel {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
        FieldValue::Absent
    }
}

impl Relay for Parcels {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        if from == Side::Upstream {
            return RelayStep { forward: input.len(), discard: 0 };
        }
        if self.dropping > 0 {
            let dropped = input.len().min(self.dropping);
            self.dropping -= dropped;
            return RelayStep { forward: 0, discard: dropped };
        }
        let Some((head, body)) = input.split_first_chunk::<HEAD>() else { return RelayStep::HOLD };
        let length: usize = std::str::from_utf8(head).unwrap().parse().unwrap();
        if body.len() < length {
            (self.wanted, self.stubborn) = (HEAD + length, body.first() == Some(&b'!'));
            return RelayStep::HOLD;
        }
        self.wanted = 0;
        if checker.check(&Parcel) != Decision::Allow {
            out.close = Some(Close::Reset);
            return RelayStep::HOLD;
        }
        RelayStep { forward: HEAD + length, discard: 0 }
    }

    fn receive_eof(&mut self, _: Side, _: usize, _: &mut dyn Checker, out: &mut RelayOutput) {
        out.close = Some(Close::Graceful);
    }

    fn wants(&self, _: Side) -> bool {
        true
    }

    fn head_pending(&self) -> bool {
        false
    }

    fn head_timeout(&mut self, _: &mut dyn Checker, _: &mut RelayOutput) {}

    fn client_first(&self) -> bool {
        true
    }

    fn to_hold(&self, from: Side) -> usize {
        if from == Side::Downstream { self.wanted } else { 0 }
    }

    fn cannot_hold(&mut self, _: Side, _: &mut dyn Checker, out: &mut RelayOutput) {
        if !self.stubborn {
            self.dropping = std::mem::take(&mut self.wanted);
            out.downstream.extend_from_slice(b"busy\n");
        }
    }
}

const KIB: usize = 1024;
const BUDGET: usize = 256 * KIB;

fn rig(per_endpoint: Option<usize>) -> Rig {
    let options = DataPlaneOptions {
        buffer: 16 * KIB,
        capacity: Capacity { buffered_bytes: BUDGET, buffered_bytes_per_endpoint: per_endpoint, ..Capacity::default() },
        protocols: WITH_PARCELS,
        ..DataPlaneOptions::default()
    };
    let mut rig = Rig::with(options, &TelemetryOptions { protocols: WITH_PARCELS, ..TelemetryOptions::default() });
    rig.publish(&Rules::Parcels);
    rig
}

fn parcel(length: usize) -> Vec<u8> {
    [format!("{length:08}").into_bytes(), vec![b'x'; length]].concat()
}

fn arrives(server: &mut TcpStream, parcel: &[u8]) {
    let mut read = vec![0; parcel.len()];
    server.read_exact(&mut read).unwrap();
    assert!(read == parcel, "another parcel of {} bytes", read.len());
}

/// Waits until so much of the budget is taken.
fn await_taken(rig: &Rig, taken: impl Fn(usize) -> bool) {
    let began = std::time::Instant::now();
    while !taken(rig.plane.shared().buffered.load(Ordering::Relaxed)) {
        assert!(began.elapsed() < super::PATIENCE, "{:?}", rig.plane.shared().buffered);
        std::thread::yield_now();
    }
}

#[test]
fn what_goes_on_as_a_whole_is_held_as_long_as_there_is_room_and_gives_it_back() {
    let rig = rig(Some(BUDGET));
    let mut client = rig.client();
    let (parcel, last) = (parcel(200 * KIB), 1);
    client.write_all(&parcel[..parcel.len() - last]).unwrap();
    await_taken(&rig, |taken| taken >= parcel.len() - last - 16 * KIB);
    client.write_all(&parcel[parcel.len() - last..]).unwrap();
    let mut server = rig.accept();
    arrives(&mut server, &parcel);
    await_taken(&rig, |taken| taken == 0);
    // The connection ends within a parcel: that gives back what it had as well.
    client.write_all(&parcel[..100 * KIB]).unwrap();
    await_taken(&rig, |taken| taken > 0);
    drop(client);
    await_taken(&rig, |taken| taken == 0);
    assert!(!rig.metrics().contains("limit=\"buffered_bytes\""), "{}", rig.metrics());
}

#[test]
fn what_finds_no_room_is_refused_in_the_words_of_its_protocol_and_the_connection_goes_on() {
    let rig = rig(Some(BUDGET));
    let mut client = rig.client();
    client.write_all(&parcel(1024 * KIB)).unwrap();
    expect(&mut client, "busy\n");
    client.write_all(&parcel(10)).unwrap();
    let mut server = rig.accept();
    arrives(&mut server, &parcel(10));
    rig.await_metric("portcullis_limits_hit_total{limit=\"buffered_bytes\"} 1");
    await_taken(&rig, |taken| taken == 0);
}

#[test]
fn an_endpoint_that_holds_all_it_can_get_leaves_room_for_another() {
    let rig = rig(None);
    let (mut slow, mut next) = (rig.client(), rig.client());
    let parcel = parcel(120 * KIB);
    slow.write_all(&parcel[..parcel.len() - 1]).unwrap();
    await_taken(&rig, |taken| taken >= 100 * KIB);
    next.write_all(&parcel).unwrap();
    expect(&mut next, "busy\n");
    rig.await_metric(
        r#"portcullis_endpoint_limits_hit_total{limit="bufferedBytesPerEndpoint",endpoint="shop/server-0"} 1"#,
    );
    let other = EndpointHoldings::of(&rig.plane.shared().buffered);
    assert!(other.take(60 * KIB, BUDGET, None).is_ok(), "nothing is left for another endpoint");
    assert_eq!(other.take(BUDGET, BUDGET, Some(BUDGET)).unwrap_err(), ShareExhausted::Node);
    // What is held goes on, and then there is room again.
    slow.write_all(&parcel[parcel.len() - 1..]).unwrap();
    arrives(&mut rig.accept(), &parcel);
    await_taken(&rig, |taken| taken == 0);
    next.write_all(&parcel).unwrap();
    arrives(&mut rig.accept(), &parcel);
}

#[test]
fn a_relay_that_does_not_do_without_is_reset() {
    let rig = rig(Some(BUDGET));
    let mut client = rig.client();
    let mut parcel = parcel(1024 * KIB);
    parcel[HEAD] = b'!';
    // The reset may come while it is still sent.
    let _ = client.write_all(&parcel);
    assert_reset(&mut client);
    rig.await_metric("portcullis_limits_hit_total{limit=\"held_bytes\"} 1");
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="overflow"} 1"#);
    await_taken(&rig, |taken| taken == 0);
}
