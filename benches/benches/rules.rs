//! Benchmarks: judging a request by the number of rules, and compiling a whole cluster.

use std::{borrow::Cow, hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_benches::requests::{SCHEMA, rule};
use portcullis_rules::{
    labels::{LabelSet, Operator, Requirement, Selector},
    policy::{L7Rule, L7Rules, Matcher, Policy, PolicyEntry, PortRef, PortRule, PortSpec, Position, Predicate, Rule},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    settings::DenyWith,
    snapshot::{FlowKey, RuleSet, Snapshot},
    verdict::RuleInfo,
    world::{Direction, Endpoint, EndpointId, Transport, World},
};

/// A request of method and path.
struct Asked(&'static str, String);

impl Request for Asked {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _key: &str) -> FieldValue<'_> {
        let value = if field.0 == 0 { self.0 } else { self.1.as_str() };
        FieldValue::Value(Cow::Borrowed(value.as_bytes()))
    }
}

fn rule_set(count: usize, path: fn(usize) -> String) -> RuleSet {
    let rules: Vec<L7Rule> = (0..count).map(|number| rule("GET", &path(number))).collect();
    let info = Arc::new(RuleInfo { policy: "default/p".into(), rule: "ingress[0]".into() });
    RuleSet::new(&SCHEMA, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Reset)
}

type Shape = (&'static str, fn(usize) -> String, fn(usize) -> String);

const SHAPES: [Shape; 3] = [
    ("exact", |n| format!("/api/v1/items/{n}"), |n| format!("/api/v1/items/{n}")),
    ("prefix", |n| format!("/api/v1/items/{n}/.*"), |n| format!("/api/v1/items/{n}/parts/7")),
    ("regex", |n| format!("/api/v[0-9]+/items/{n}/[a-z]+"), |n| format!("/api/v1/items/{n}/parts")),
];

/// The rule that allows is the last one.
fn check(criterion: &mut Criterion) {
    for (name, pattern, path) in SHAPES {
        let mut group = criterion.benchmark_group(format!("check/{name}"));
        group.throughput(Throughput::Elements(1));
        for count in [1, 10, 100, 1000, 10_000] {
            let set = rule_set(count, pattern);
            let allowed = Asked("GET", path(count - 1));
            assert!(set.check(&allowed).outcome.passes());
            group.bench_function(BenchmarkId::new("allow", count), |bencher| {
                bencher.iter(|| set.check(black_box(&allowed)).outcome.passes());
            });
            let denied = Asked("GET", path(count));
            assert!(!set.check(&denied).outcome.passes());
            group.bench_function(BenchmarkId::new("deny", count), |bencher| {
                bencher.iter(|| set.check(black_box(&denied)).outcome.passes());
            });
        }
        group.finish();
    }
}

/// A protocol of whose requests each topic has to be allowed.
static QUEUE: Schema = Schema {
    protocol: "queue",
    fields: &[
        FieldSpec { name: "kind", form: FieldForm::Exact, checked: true },
        FieldSpec { name: "topic", form: FieldForm::Each, checked: true },
    ],
    nature: &ProtocolTraits::STREAM,
};

/// A request of the queue: its topics.
struct Topics(Vec<String>);

impl Request for Topics {
    fn schema(&self) -> &'static Schema {
        &QUEUE
    }

    fn field(&self, field: FieldIndex, _key: &str) -> FieldValue<'_> {
        let value = if field.0 == 0 { "produce" } else { self.0.first().map_or("", String::as_str) };
        FieldValue::Value(Cow::Borrowed(value.as_bytes()))
    }

    fn count(&self, _field: FieldIndex) -> Option<usize> {
        Some(self.0.len())
    }

    fn nth(&self, _field: FieldIndex, number: usize) -> &[u8] {
        self.0.get(number).map_or(b"", String::as_bytes)
    }
}

/// A rule for each topic.
fn topic_rules(count: usize) -> RuleSet {
    let exact = |field, value: String| Predicate {
        field: FieldIndex(field),
        key: String::new(),
        matcher: Matcher::Exact(value),
    };
    let rule = |number| L7Rule {
        predicates: vec![exact(0, "produce".to_owned()), exact(1, format!("topic-{number}"))],
        ..L7Rule::default()
    };
    let rules: Vec<L7Rule> = (0..count).map(rule).collect();
    let info = Arc::new(RuleInfo { policy: "default/p".into(), rule: "ingress[0]".into() });
    RuleSet::new(&QUEUE, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Respond)
}

/// Requests of one topic and of ten, the last of which is refused in the second kind.
fn topics(criterion: &mut Criterion) {
    for asked in [1, 10] {
        let mut group = criterion.benchmark_group(format!("check/{asked} topics"));
        group.throughput(Throughput::Elements(asked));
        for count in [1, 100, 10_000] {
            let set = topic_rules(count);
            let named = |number| format!("topic-{}", number % count);
            let mut topics: Vec<String> =
                (count..).take(usize::try_from(asked).unwrap_or_default()).map(named).collect();
            let allowed = Topics(topics.clone());
            assert!(set.check(&allowed).outcome.passes());
            group.bench_function(BenchmarkId::new("allow", count), |bencher| {
                bencher.iter(|| set.check(black_box(&allowed)).outcome.passes());
            });
            if let Some(last) = topics.last_mut() {
                *last = "another".to_owned();
            }
            let denied = Topics(topics);
            assert_eq!(set.check(&denied).refused.len(), 1);
            group.bench_function(BenchmarkId::new("deny", count), |bencher| {
                bencher.iter(|| set.check(black_box(&denied)).outcome.passes());
            });
        }
        group.finish();
    }
}

fn select(value: String) -> Selector {
    Selector { requirements: vec![Requirement { key: "app".to_owned(), operator: Operator::In, values: vec![value] }] }
}

/// As many policies as endpoints: each lets one other endpoint in, for some requests.
fn world(count: u16) -> World {
    let endpoint = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Arc::new(Endpoint {
            local: Some(EndpointId(u32::from(number) + 1)),
            name: format!("e{number}").into(),
            namespace: "default".into(),
            labels: LabelSet::of_pod("default", "", [("app".to_owned(), format!("a{number}"))]),
            addresses: vec![[10, 0, high, low].into()],
            ports: vec![],
        })
    };
    let policy = |number: u16| {
        let ports = vec![PortSpec { port: PortRef::Range(80, 80), transport: Some(Transport::Tcp) }];
        let l7 = L7Rules { schema: &SCHEMA, rules: vec![rule("GET", &format!("/{number}/.*"))] };
        let entry = PolicyEntry {
            endpoints: Some(vec![select(format!("a{}", (number + 1) % count))]),
            ports: Some(vec![PortRule { ports, l7: Some(l7), ..PortRule::default() }]),
            ..PolicyEntry::default()
        };
        let rule = Rule {
            path: "spec".into(),
            subject: select(format!("a{number}")),
            node: false,
            ingress: Some(vec![entry]),
            egress: None,
            ingress_deny: None,
            egress_deny: None,
            default_deny_ingress: None,
            default_deny_egress: None,
            position: Position::default(),
        };
        Arc::new(Policy {
            kind: portcullis_rules::policy::PolicyKind::Cilium,
            namespace: Some("default".into()),
            name: format!("p{number}").into(),
            rules: vec![rule],
            deny_with: None,
            deny_names_with: None,
            deny_scope: None,
            open_connections: None,
            origin: "bench".into(),
        })
    };
    World {
        endpoints: (0..count).map(endpoint).collect(),
        policies: (0..count).map(policy).collect(),
        ..World::default()
    }
}

fn compile(criterion: &mut Criterion) {
    let world = world(1000);
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    group.bench_function("1000 policies over 1000 endpoints", |bencher| {
        bencher.iter(|| Snapshot::compile(black_box(&world), 1));
    });
    let snapshot = Snapshot::compile(&world, 1);
    group.bench_function("what the kernel is told of 1000 endpoints", |bencher| {
        bencher.iter(|| (1..=1000).map(|id| snapshot.steering(EndpointId(id)).classes.len()).sum::<usize>());
    });
    group.finish();
    let key = FlowKey {
        endpoint: EndpointId(1),
        direction: Direction::Ingress,
        transport: Transport::Tcp,
        peer: [10, 0, 0, 1].into(),
        port: 80,
    };
    criterion.bench_function("flow", |bencher| bencher.iter(|| snapshot.flow(black_box(&key))));
}

criterion_group!(benches, check, topics, compile);
criterion_main!(benches);
