//! Benchmarks header compression: the block of a request is read and written again for the server, on a connection
//! that stays open.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_codecs::http2::hpack::{
    DEFAULT_TABLE_SIZE, Decoder, Encoder, FieldList, HeaderField, HpackLimits,
    Representation::{self, Incremental, NeverIndexed, WithoutIndexing},
};

const LIMITS: HpackLimits = HpackLimits { list_size: 128 * 1024, fields: 512, work: 1024 * 1024 };

type Line = (&'static str, &'static str, Representation);

/// As browsers send it: the path stays out of the table.
const BROWSER: &[Line] = &[
    (":method", "GET", Incremental),
    (":authority", "www.example.com", Incremental),
    (":scheme", "https", Incremental),
    (":path", "/shop/articles/4711?colour=blue&size=42", WithoutIndexing),
    ("sec-ch-ua", "\"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"", Incremental),
    ("sec-ch-ua-mobile", "?0", Incremental),
    ("sec-ch-ua-platform", "\"Linux\"", Incremental),
    ("upgrade-insecure-requests", "1", Incremental),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0",
        Incremental,
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", Incremental),
    ("sec-fetch-site", "same-origin", Incremental),
    ("sec-fetch-mode", "navigate", Incremental),
    ("sec-fetch-dest", "document", Incremental),
    ("referer", "https://www.example.com/shop/articles", Incremental),
    ("accept-encoding", "gzip, deflate, br, zstd", Incremental),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8", Incremental),
    ("cookie", "session=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Incremental),
    ("cookie", "theme=dark", NeverIndexed),
];

/// As gRPC's clients send it.
const GRPC: &[Line] = &[
    (":method", "POST", Incremental),
    (":scheme", "http", Incremental),
    (":path", "/grpc.health.v1.Health/Check", Incremental),
    (":authority", "app-service.test-app:50051", Incremental),
    ("te", "trailers", Incremental),
    ("content-type", "application/grpc", Incremental),
    ("user-agent", "grpc-go/1.64.0", Incremental),
    ("grpc-timeout", "4999876u", WithoutIndexing),
    ("authorization", "Bearer 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", NeverIndexed),
];

fn fields<'a>(lines: &'a [Line]) -> impl Iterator<Item = HeaderField<'a>> {
    lines.iter().map(|(name, value, representation)| HeaderField {
        name: name.as_bytes(),
        value: value.as_bytes(),
        representation: *representation,
    })
}

/// A block of these lines: the first on its connection, or a later one.
fn block(lines: &[Line], first: bool) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(DEFAULT_TABLE_SIZE), Vec::new());
    for _ in 0..if first { 1 } else { 2 } {
        out.clear();
        encoder.encode(fields(lines), &mut out);
    }
    out
}

fn hpack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpack");
    for (name, lines) in [("browser", BROWSER), ("grpc", GRPC)] {
        let (cold, warm) = (block(lines, true), block(lines, false));
        let (mut decoder, mut list) = (Decoder::new(), FieldList::default());
        decoder.decode(&cold, &LIMITS, &mut list).expect("a block");
        group.throughput(Throughput::Bytes(list.size() as u64));
        group.bench_function(format!("{name}_decode_first"), |bench| {
            // Each round finds the entries of the last, so it evicts as a long connection does.
            bench.iter(|| decoder.decode(black_box(&cold), &LIMITS, &mut list));
        });
        group.bench_function(format!("{name}_decode"), |bench| {
            bench.iter(|| decoder.decode(black_box(&warm), &LIMITS, &mut list));
        });
        let (mut encoder, mut out) = (Encoder::new(DEFAULT_TABLE_SIZE), Vec::new());
        group.bench_function(format!("{name}_encode"), |bench| {
            bench.iter(|| {
                out.clear();
                encoder.encode(black_box(&list).iter(), &mut out);
            });
        });
        group.bench_function(format!("{name}_encode_first"), |bench| {
            bench.iter(|| {
                let mut encoder = Encoder::new(DEFAULT_TABLE_SIZE);
                out.clear();
                encoder.encode(black_box(&list).iter(), &mut out);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hpack);
criterion_main!(benches);
