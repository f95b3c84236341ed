//! Benchmarks the HTTP/2 relay: frames are found, header blocks read, judged by a checker that reads the fields and
//! allows everything, and written again. DATA and WINDOW_UPDATE frames pass.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_codecs::{
    http,
    http::Limits,
    http2::hpack::{
        Encoder, HeaderField,
        Representation::{self, Incremental, WithoutIndexing},
    },
    relay::{Checker, Decision, ProtocolViolation, Relay, RelayOutput, ResponseSummary, Side},
};
use portcullis_rules::{
    request::{FieldValue, Request},
    schema::FieldIndex,
};

type Line = (&'static str, &'static str, Representation);

/// A call of gRPC as its clients send it.
const CALL: &[Line] = &[
    (":method", "POST", Incremental),
    (":scheme", "http", Incremental),
    (":path", "/shop.Cart/AddItem", Incremental),
    (":authority", "cart.shop:50051", Incremental),
    ("te", "trailers", Incremental),
    ("content-type", "application/grpc", Incremental),
    ("user-agent", "grpc-go/1.70.0", Incremental),
    ("grpc-timeout", "4999827u", WithoutIndexing),
];
const HEAD: &[Line] = &[(":status", "200", Incremental), ("content-type", "application/grpc", Incremental)];
const TRAILERS: &[Line] = &[("grpc-status", "0", Incremental), ("grpc-message", "", Incremental)];

/// Looks at method and path, as a policy does.
struct Look(Decision);

impl Checker for Look {
    fn check(&mut self, request: &dyn Request) -> Decision {
        let method = request.field(FieldIndex(0), "");
        let path = request.field(FieldIndex(1), "");
        assert!(matches!((&method, &path), (FieldValue::Value(_), FieldValue::Value(_))));
        self.0
    }

    fn answered(&mut self, answer: ResponseSummary) {
        black_box(answer);
    }

    fn violated(&mut self, violation: &dyn ProtocolViolation) {
        panic!("{violation}");
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// One end of a connection: its encoder, so that header blocks are as small as on a living connection.
struct End(Encoder);

impl End {
    fn headers(&mut self, stream: u32, flags: u8, lines: &[Line]) -> Vec<u8> {
        let field = |(name, value, representation): &Line| HeaderField {
            name: name.as_bytes(),
            value: value.as_bytes(),
            representation: *representation,
        };
        let mut block = Vec::new();
        self.0.encode(lines.iter().map(field), &mut block);
        frame(0x1, flags | 0x4, stream, &block)
    }
}

/// A relay between two ends.
struct Connection {
    relay: Box<dyn Relay>,
    client: End,
    server: End,
    stream: u32,
    look: Look,
    out: RelayOutput,
}

impl Connection {
    fn new(decision: Decision) -> Self {
        let mut connection = Self {
            relay: http::relay(&Limits::default()),
            client: End(Encoder::new(4096)),
            server: End(Encoder::new(4096)),
            stream: 1,
            look: Look(decision),
            out: RelayOutput::default(),
        };
        connection.feed(Side::Downstream, &[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(0x4, 0, 0, b"")].concat());
        connection.feed(Side::Upstream, &[frame(0x4, 0, 0, b""), frame(0x4, 0x1, 0, b"")].concat());
        connection.feed(Side::Downstream, &frame(0x4, 0x1, 0, b""));
        connection
    }

    /// Shows all of `input`, until it is taken, as the driver does.
    fn feed(&mut self, from: Side, input: &[u8]) {
        let mut rest = input;
        while !rest.is_empty() {
            let step = self.relay.receive(from, rest, &mut self.look, &mut self.out);
            assert!(step.taken() > 0 && self.out.close.is_none());
            rest = &rest[step.taken()..];
            self.out.downstream.clear();
            self.out.upstream.clear();
        }
    }

    /// Calls on so many streams at a time: what the client and the server send.
    fn calls(&mut self, streams: u32) -> (Vec<u8>, Vec<u8>) {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..streams {
            let stream = self.stream;
            self.stream += 2;
            asked.extend(self.client.headers(stream, 0, CALL));
            asked.extend(frame(0x0, 0x1, stream, &[0; 100]));
            answered.extend(self.server.headers(stream, 0, HEAD));
            answered.extend(frame(0x0, 0, stream, &[0; 100]));
            answered.extend(self.server.headers(stream, 0x1, TRAILERS));
        }
        (asked, answered)
    }
}

fn http2(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http2");
    for streams in [1, 32, 100] {
        group.throughput(Throughput::Elements(streams.into()));
        group.bench_function(BenchmarkId::new("calls", streams), |bench| {
            let mut connection = Connection::new(Decision::Allow);
            bench.iter(|| {
                let (asked, answered) = connection.calls(streams);
                connection.feed(Side::Downstream, black_box(&asked));
                connection.feed(Side::Upstream, black_box(&answered));
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("denied", |bench| {
        let mut connection = Connection::new(Decision::Reset);
        bench.iter(|| {
            let stream = connection.stream;
            connection.stream += 2;
            let asked = connection.client.headers(stream, 0x1, CALL);
            connection.feed(Side::Downstream, black_box(&asked));
        });
    });
    group.throughput(Throughput::Bytes(16 * 16_384));
    group.bench_function("download", |bench| {
        let mut connection = Connection::new(Decision::Allow);
        let asked = connection.client.headers(1, 0x1, CALL);
        connection.feed(Side::Downstream, &asked);
        let head = connection.server.headers(1, 0, HEAD);
        connection.feed(Side::Upstream, &head);
        let data = frame(0x0, 0, 1, &[0; 16_384]).repeat(16);
        let credit = [0, 1].map(|stream| frame(0x8, 0, stream, &(16_u32 * 16_384).to_be_bytes())).concat();
        bench.iter(|| {
            connection.feed(Side::Upstream, black_box(&data));
            connection.feed(Side::Downstream, black_box(&credit));
        });
    });
    group.bench_function("connection", |bench| bench.iter(|| Connection::new(Decision::Allow)));
    group.finish();
}

criterion_group!(benches, http2);
criterion_main!(benches);
