//! The cost of a large cluster: time and memory to compile it, to compute the kernel tables, and to change one policy.
//!
//! Prints one measurement each to standard output. Ratios to a cluster of a tenth of the size show the growth.

use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    io::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_codecs::http1;
use portcullis_rules::{
    labels::{LabelSet, Operator, Requirement, Selector},
    policy::{L7Rule, L7Rules, Matcher, Policy, PolicyEntry, PortRef, PortRule, PortSpec, Position, Predicate, Rule},
    schema::FieldIndex,
    snapshot::Snapshot,
    world::{Endpoint, EndpointId, Transport, World},
};

/// Endpoints of the node whose kernel is told.
const LOCAL: u32 = 250;

/// A cluster: so many policies over so many endpoints, and so many identities, of which the endpoints' are a part.
#[derive(Clone, Copy)]
struct Size {
    policies: u32,
    endpoints: u32,
    identities: u32,
}

fn equals(key: &str, value: String) -> Selector {
    Selector { requirements: vec![Requirement { key: key.to_owned(), operator: Operator::In, values: vec![value] }] }
}

/// Each identity is one set of labels; those beyond the policies' reach are other nodes' pods.
fn endpoint(number: u32, size: Size) -> Arc<Endpoint> {
    let [_, a, b, c] = number.to_be_bytes();
    let labels = [
        ("app".to_owned(), format!("app-{}", number % size.endpoints)),
        ("shard".to_owned(), format!("shard-{}", number / size.endpoints)),
        ("team".to_owned(), format!("team-{}", number % 50)),
    ];
    Arc::new(Endpoint {
        local: (number < LOCAL).then(|| EndpointId(number + 1)),
        name: format!("pod-{number}").into(),
        namespace: "default".into(),
        labels: LabelSet::of_pod("default", "", labels),
        addresses: vec![[10, a, b, c].into()],
        ports: vec![],
    })
}

/// Lets one application and one team in: for some requests, and on some ports.
fn policy(number: u32, size: Size) -> Arc<Policy> {
    let port = |port| PortSpec { port: PortRef::Range(port, port), transport: Some(Transport::Tcp) };
    let matcher = Matcher::Regex(format!("/api/v1/items/{number}/.*"));
    let predicate = Predicate { field: FieldIndex(1), key: String::new(), matcher };
    let http =
        L7Rules { schema: &http1::SCHEMA, rules: vec![L7Rule { predicates: vec![predicate], ..L7Rule::default() }] };
    let judged = PolicyEntry {
        endpoints: Some(vec![equals("app", format!("app-{}", (number * 7 + 1) % size.endpoints))]),
        ports: Some(vec![PortRule { ports: vec![port(80)], l7: Some(http), ..PortRule::default() }]),
        ..PolicyEntry::default()
    };
    let passed = PolicyEntry {
        endpoints: Some(vec![equals("team", format!("team-{}", number % 50))]),
        ports: Some(vec![PortRule { ports: vec![port(9090)], ..PortRule::default() }]),
        ..PolicyEntry::default()
    };
    let rule = Rule {
        path: "spec".into(),
        subject: equals("app", format!("app-{}", number % size.endpoints)),
        node: false,
        ingress: Some(vec![judged, passed]),
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
        name: format!("policy-{number}").into(),
        rules: vec![rule],
        deny_with: None,
        deny_names_with: None,
        deny_scope: None,
        open_connections: None,
        origin: "bench".into(),
    })
}

fn world(size: Size) -> World {
    World {
        endpoints: (0..size.identities).map(|number| endpoint(number, size)).collect(),
        policies: (0..size.policies).map(|number| policy(number, size)).collect(),
        ..World::default()
    }
}

/// Resident memory of the process in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (black_box(work()), began.elapsed())
}

struct Cost {
    compile: Duration,
    kibibytes: u64,
    steering: Duration,
    change: Duration,
}

fn measure(size: Size) -> Cost {
    let mut world = world(size);
    let before = resident();
    let (snapshot, compile) = timed(|| Snapshot::compile(&world, 1));
    let kibibytes = resident().saturating_sub(before);
    let (_, steering) = timed(|| (1..=LOCAL).map(|id| snapshot.steering(EndpointId(id)).classes.len()).sum::<usize>());
    world.policies[0] = policy(size.policies, size);
    let (_, change) = timed(|| {
        let snapshot = Snapshot::compile(&world, 2);
        (1..=LOCAL).map(|id| snapshot.steering(EndpointId(id)).classes.len()).sum::<usize>()
    });
    Cost { compile, kibibytes, steering, change }
}

fn main() -> io::Result<()> {
    let large = Size { policies: 10_000, endpoints: 5_000, identities: 20_000 };
    let small = Size { policies: 1_000, endpoints: 500, identities: 2_000 };
    let mut text = String::from(
        "| policies | endpoints with policy | identities | compile ms | memory KiB | steering of 250 endpoints ms | one policy changed ms |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for size in [small, large] {
        let Cost { compile, kibibytes, steering, change } = measure(size);
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {kibibytes} | {:.1} | {:.0} |",
            size.policies,
            size.endpoints,
            size.identities,
            ms(compile),
            ms(steering),
            ms(change),
        );
    }
    io::stdout().write_all(text.as_bytes())
}
