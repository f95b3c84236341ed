//! Benchmarks: reading and judging a query by the number of rules, and reading an answer.

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_codecs::{
    datagram::{AnswerStep, DatagramSession, QueryStep},
    dns,
    dns::Limits,
    relay::{Checker, Decision, ProtocolViolation, ResponseSummary},
};
use portcullis_rules::{
    policy::{L7Rule, Predicate},
    request::Request,
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

/// Asks the rules.
struct Rules {
    set: RuleSet,
    learns: bool,
}

impl Checker for Rules {
    fn check(&mut self, request: &dyn Request) -> Decision {
        if self.set.check(request).outcome.passes() { Decision::Allow } else { Decision::Respond }
    }

    fn answered(&mut self, answer: ResponseSummary) {
        black_box(answer);
    }

    fn learns(&self) -> bool {
        self.learns
    }

    fn violated(&mut self, violation: &dyn ProtocolViolation) {
        panic!("{violation}");
    }
}

fn rules(field: &str, texts: impl Iterator<Item = String>) -> Rules {
    let field = dns::SCHEMA.field(field).expect("a field of DNS");
    let read = |text: String| (dns::SCHEMA.nature.read)(field, &text).expect("a name or pattern");
    let predicate = |matcher| Predicate { field, key: String::new(), matcher };
    let rules: Vec<L7Rule> = texts
        .map(|text| L7Rule { predicates: read(text).into_iter().map(predicate).collect(), ..L7Rule::default() })
        .collect();
    let info = Arc::new(RuleInfo { policy: "default/p".into(), rule: "egress[0]".into() });
    let rules = rules.iter().map(|rule| (rule, Arc::clone(&info)));
    Rules { set: RuleSet::new(&dns::SCHEMA, rules, DenyWith::Respond), learns: true }
}

fn question(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0, 0, 1, 0, 1]).collect()
}

/// As glibc asks, with EDNS.
fn query(name: &str) -> Vec<u8> {
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    [&header[..], &question(name), &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]].concat()
}

/// That many addresses.
fn answer(name: &str, count: u16) -> Vec<u8> {
    let [high, low] = count.to_be_bytes();
    let header = [0x12, 0x34, 0x81, 0x80, 0, 1, high, low, 0, 0, 0, 1];
    let records = (0..count).flat_map(|number| {
        let [high, low] = number.to_be_bytes();
        [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, high, low]
    });
    let records: Vec<u8> = records.collect();
    [&header[..], &question(name), &records, &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]].concat()
}

fn session() -> Box<dyn DatagramSession> {
    dns::session(&Limits::default())
}

/// A query is read, judged and noted; the rule that allows is the last one.
fn queries(criterion: &mut Criterion) {
    type Shape = (&'static str, &'static str, fn(usize) -> String, fn(usize) -> String);
    let shapes: [Shape; 3] = [
        ("name", "matchName", |n| format!("www.dom-{n}.example"), |n| format!("www.dom-{n}.example")),
        ("pattern", "matchPattern", |n| format!("*.dom-{n}.example"), |n| format!("www.dom-{n}.example")),
        ("deep", "matchPattern", |n| format!("**.dom-{n}.example"), |n| format!("a.www.dom-{n}.example")),
    ];
    for (shape, field, text, name) in shapes {
        let mut group = criterion.benchmark_group(format!("dns/{shape}"));
        group.throughput(Throughput::Elements(1));
        for count in [1, 1000, 100_000] {
            let mut rules = rules(field, (0..count).map(text));
            let mut session = session();
            let allowed = query(&name(count - 1));
            group.bench_function(BenchmarkId::new("allow", count), |bencher| {
                bencher.iter(|| {
                    assert_eq!(session.query(black_box(&allowed), 0, &mut rules), QueryStep::Forward);
                    session.expire(1, &mut rules)
                });
            });
            let denied = query(&name(count));
            group.bench_function(BenchmarkId::new("deny", count), |bencher| {
                bencher.iter(|| {
                    let step = session.query(black_box(&denied), 0, &mut rules);
                    assert!(matches!(step, QueryStep::Answer(_)));
                });
            });
        }
        group.finish();
    }
}

/// A query and its answer, which tells its addresses.
fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dns/answer");
    let mut rules = rules("matchPattern", ["*.dom.example".to_owned()].into_iter());
    let query = query("www.dom.example");
    for count in [1, 8, 500] {
        let answer = answer("www.dom.example", count);
        for learns in [false, true] {
            rules.learns = learns;
            let mut session = session();
            let name = if learns { "learnt" } else { "passed" };
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    session.query(black_box(&query), 0, &mut rules);
                    let step = session.answer(black_box(&answer), &mut rules);
                    assert_eq!(matches!(step, AnswerStep::Hold(_)), learns);
                    step
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, queries, answers);
criterion_main!(benches);
