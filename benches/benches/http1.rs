//! Benchmarks HTTP/1: each head is found, read, judged by a checker that reads the fields and allows everything, and
//! forwarded.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_codecs::{
    http,
    http::Limits,
    relay::{Checker, Decision, ProtocolViolation, Relay, RelayOutput, ResponseSummary, Side},
};
use portcullis_rules::{
    request::{FieldValue, Request},
    schema::FieldIndex,
};

const CURL: &[u8] =
    b"GET /status/200 HTTP/1.1\r\nHost: app-service.test-app\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";

const BROWSER: &[u8] = b"GET /shop/articles/4711?colour=blue&size=42 HTTP/1.1\r\nHost: www.example.com\r\n\
    Connection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
    Referer: https://www.example.com/shop/articles\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08; theme=dark; consent=yes\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\nServer: gunicorn/19.9.0\r\nDate: Tue, 04 Mar 2025 10:11:12 GMT\r\n\
    Connection: keep-alive\r\nContent-Type: text/html; charset=utf-8\r\nAccess-Control-Allow-Origin: *\r\n\
    Access-Control-Allow-Credentials: true\r\n\r\n";

/// Looks at method and path, as a policy does, and allows.
struct Look;

impl Checker for Look {
    fn check(&mut self, request: &dyn Request) -> Decision {
        let method = request.field(FieldIndex(0), "");
        let path = request.field(FieldIndex(1), "");
        let fine = matches!((&method, &path), (FieldValue::Value(_), FieldValue::Value(_)));
        if black_box(fine) { Decision::Allow } else { Decision::Reset }
    }

    fn answered(&mut self, answer: ResponseSummary) {
        black_box(answer);
    }

    fn violated(&mut self, violation: &dyn ProtocolViolation) {
        panic!("{violation}");
    }
}

fn new() -> Box<dyn Relay> {
    http::relay(&Limits::default())
}

/// Shows all of `input`, until it is taken.
fn feed(relay: &mut dyn Relay, from: Side, input: &[u8]) {
    let mut out = RelayOutput::default();
    let mut rest = input;
    while !rest.is_empty() {
        let step = relay.receive(from, rest, &mut Look, &mut out);
        assert!(step.taken() > 0 && out.close.is_none());
        rest = &rest[step.taken()..];
    }
}

/// One exchange on a living connection.
fn exchange(relay: &mut dyn Relay, request: &[u8]) {
    feed(relay, Side::Downstream, request);
    feed(relay, Side::Upstream, ANSWER);
}

fn http1(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http1");
    for (name, head) in [("curl", CURL), ("browser", BROWSER)] {
        group.throughput(Throughput::Bytes(head.len() as u64));
        group.bench_function(format!("{name}_request"), |bench| {
            bench.iter_batched_ref(
                new,
                |relay| feed(relay.as_mut(), Side::Downstream, black_box(head)),
                BatchSize::SmallInput,
            );
        });
        group.throughput(Throughput::Bytes((head.len() + ANSWER.len()) as u64));
        group.bench_function(format!("{name}_exchange"), |bench| {
            let mut relay = new();
            bench.iter(|| exchange(relay.as_mut(), black_box(head)));
        });
    }
    let batch = CURL.repeat(64);
    let answers = ANSWER.repeat(64);
    group.throughput(Throughput::Elements(64));
    group.bench_function("pipelined_64", |bench| {
        let mut relay = http::relay(&Limits { pipelined: 64, ..Limits::default() });
        bench.iter(|| {
            feed(relay.as_mut(), Side::Downstream, black_box(&batch));
            feed(relay.as_mut(), Side::Upstream, black_box(&answers));
        });
    });
    let mut chunked = b"POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..64 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b'x'; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    group.throughput(Throughput::Elements(64));
    group.bench_function("chunked_64", |bench| {
        let mut relay = new();
        bench.iter(|| exchange(relay.as_mut(), black_box(&chunked)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("byte_by_byte_curl", |bench| {
        let mut relay = new();
        bench.iter(|| {
            let mut out = RelayOutput::default();
            for end in 1..=CURL.len() {
                black_box(relay.receive(Side::Downstream, &CURL[..end], &mut Look, &mut out));
            }
            feed(relay.as_mut(), Side::Upstream, ANSWER);
        });
    });
    group.bench_function("connection", |bench| bench.iter(new));
    group.finish();
}

criterion_group!(benches, http1);
criterion_main!(benches);
