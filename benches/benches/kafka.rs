//! Benchmarks the Kafka relay: requests are walked, judged by a checker that reads kind and topics and allows
//! everything, and forwarded. Their responses pass.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_benches::compare::kafka::message;
use portcullis_codecs::{
    kafka::{self, Limits},
    relay::{Checker, Decision, ProtocolViolation, Relay, RelayOutput, ResponseSummary, Side},
};
use portcullis_rules::{
    request::{FieldValue, Request},
    schema::FieldIndex,
};

const KIND: FieldIndex = FieldIndex(0);
const TOPIC: FieldIndex = FieldIndex(4);
const TOPICS: [&str; 3] = ["orders", "orders.returned", "payments"];
/// Of the answers.
const SESSION: i32 = 5;
/// Bytes of a record.
const RECORD: usize = 1024;

/// Looks at the kind and all topics, as a policy does.
struct Look(Decision);

impl Checker for Look {
    fn check(&mut self, request: &dyn Request) -> Decision {
        let kind = matches!(request.field(KIND, ""), FieldValue::Value(_));
        let topics = request.count(TOPIC).unwrap_or(0);
        assert!(kind && (0..topics).all(|number| !request.nth(TOPIC, number).is_empty()));
        self.0
    }

    fn answered(&mut self, answer: ResponseSummary) {
        black_box(answer);
    }

    fn violated(&mut self, violation: &dyn ProtocolViolation) {
        panic!("{violation}");
    }
}

/// A connection and what it says.
struct Connection {
    relay: Box<dyn Relay>,
    look: Look,
    out: RelayOutput,
}

impl Connection {
    fn new(decision: Decision) -> Self {
        let relay = kafka::relay(&Limits::default(), &Arc::default(), ([192, 0, 2, 7], 9092).into());
        Self { relay, look: Look(decision), out: RelayOutput::default() }
    }

    /// Shows all of `input`, until it is taken, as the driver does.
    fn feed(&mut self, from: Side, input: &[u8]) {
        let mut rest = input;
        while !rest.is_empty() {
            let step = self.relay.receive(from, rest, &mut self.look, &mut self.out);
            assert!(step.taken() > 0 && self.out.close.is_none());
            rest = &rest[step.taken()..];
        }
        self.out.downstream.clear();
        self.out.upstream.clear();
    }

    fn exchange(&mut self, request: &[u8], answer: &[u8]) {
        self.feed(Side::Downstream, request);
        self.feed(Side::Upstream, answer);
    }
}

/// A frame with its length in front.
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let message = parts.concat();
    [&u32::try_from(message.len()).expect("a frame").to_be_bytes(), &message[..]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len() + 1).expect("a short name")], text.as_bytes()].concat()
}

/// Metadata 12.
fn metadata(topics: &[&str]) -> Vec<u8> {
    let entries: Vec<u8> = topics.iter().flat_map(|topic| [&[0; 16][..], &text(topic), &[0]].concat()).collect();
    let count = [u8::try_from(topics.len() + 1).expect("few")];
    frame(&[&[0, 3, 0, 12, 0, 0, 0, 0, 0, 4], b"load", &[0], &count, &entries, &[0, 0, 0]])
}

/// Its answer: one broker, and three partitions of each topic.
fn described(topics: &[&str]) -> Vec<u8> {
    let broker = [&[0, 0, 0, 1][..], &text("kafka-1.shop.svc"), &[0, 0, 0x23, 0x84, 0, 0]].concat();
    let partition =
        |index| [&[0, 0, 0, 0, 0, index, 0, 0, 0, 1, 0, 0, 0, 0][..], &[2, 0, 0, 0, 1].repeat(2), &[1, 0]].concat();
    let topic = |(number, topic): (usize, &&str)| {
        let id = [u8::try_from(number + 1).expect("few"); 16];
        [&[0, 0][..], &text(topic), &id, &[0, 4], &[0, 1, 2].map(partition).concat(), &[0x80, 0, 0, 0, 0]].concat()
    };
    let entries: Vec<u8> = topics.iter().enumerate().flat_map(topic).collect();
    let count = [u8::try_from(topics.len() + 1).expect("few")];
    frame(&[&[0; 5], &[0; 4], &[2], &broker, &text("cluster"), &[0, 0, 0, 1], &count, &entries, &[0]])
}

/// The answer to Produce 12.
fn written(topic: &str) -> Vec<u8> {
    frame(&[&[0; 5], &[2], &text(topic), &[2], &[0; 6], &[0; 24], &[1, 0, 0, 0], &[0; 5]])
}

/// The answer to Fetch 12.
fn fetched(topic: &str, batch: &[u8]) -> Vec<u8> {
    let length = batch.len() + 1;
    let length = [u8::try_from(length & 0x7f).expect("seven bits") | 0x80, u8::try_from(length >> 7).expect("some")];
    let head = [&[0; 5][..], &[0; 6], &SESSION.to_be_bytes(), &[2], &text(topic), &[2], &[0; 6], &[0; 24]].concat();
    frame(&[&head, &[1], &[0xff; 4], &length, batch, &[0, 0, 0]])
}

fn kafka(criterion: &mut Criterion) {
    let batch = message::batch(RECORD);
    let mut group = criterion.benchmark_group("kafka");
    group.throughput(Throughput::Elements(1));
    let (request, answer) = (message::produce("orders", &batch), written("orders"));
    group.bench_function("produce_1k", |bench| {
        let mut connection = Connection::new(Decision::Allow);
        bench.iter(|| connection.exchange(black_box(&request), black_box(&answer)));
    });
    group.bench_function("produce_1k_denied", |bench| {
        let mut connection = Connection::new(Decision::Respond);
        bench.iter(|| connection.feed(Side::Downstream, black_box(&request)));
    });
    let (request, answer) = (metadata(&TOPICS), described(&TOPICS));
    group.bench_function("metadata_3_topics", |bench| {
        let mut connection = Connection::new(Decision::Allow);
        bench.iter(|| connection.exchange(black_box(&request), black_box(&answer)));
    });
    let answer = fetched("orders", &batch);
    group.bench_function("fetch_1k_in_a_session", |bench| {
        let mut connection = Connection::new(Decision::Allow);
        let mut epoch = 0;
        bench.iter(|| {
            let session = if epoch == 0 { 0 } else { SESSION };
            let request = message::fetch("orders", 0, (session, epoch));
            connection.exchange(black_box(&request), black_box(&answer));
            epoch += 1;
        });
    });
    group.finish();
}

criterion_group!(benches, kafka);
criterion_main!(benches);
