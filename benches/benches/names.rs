//! Benchmarks names: installing one DNS answer by the number of names in force, and judging a flow to a learned
//! address.
#![allow(missing_docs)]

use std::{hint::black_box, net::IpAddr, sync::Arc};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis_rules::{
    labels::{LabelSet, Selector},
    policy::{FqdnSelector, Policy, PolicyEntry, PortRef, PortRule, PortSpec, Position, Rule},
    snapshot::{FlowKey, Snapshot},
    world::{Direction, Endpoint, EndpointId, ResolvedName, Transport, World},
};

const POD: EndpointId = EndpointId(1);

/// One endpoint that may connect to port 443 of all names of one domain, and of a thousand others by name.
fn policy() -> Policy {
    let ports = vec![PortSpec { port: PortRef::Range(443, 443), transport: Some(Transport::Tcp) }];
    let mut fqdns = vec![FqdnSelector::Pattern("*.names.example".to_owned())];
    fqdns.extend((0..1_000).map(|number| FqdnSelector::Name(format!("host-{number}.other.example"))));
    let entry = PolicyEntry {
        fqdns: Some(fqdns),
        ports: Some(vec![PortRule { ports, ..PortRule::default() }]),
        ..PolicyEntry::default()
    };
    let rule = Rule {
        path: "spec".into(),
        subject: Selector::default(),
        node: false,
        ingress: None,
        egress: Some(vec![entry]),
        ingress_deny: None,
        egress_deny: None,
        default_deny_ingress: None,
        default_deny_egress: None,
        position: Position::default(),
    };
    Policy {
        kind: portcullis_rules::policy::PolicyKind::Cilium,
        namespace: Some("default".into()),
        name: "names".into(),
        rules: vec![rule],
        deny_with: None,
        deny_names_with: None,
        deny_scope: None,
        open_connections: None,
        origin: "bench".into(),
    }
}

fn address(number: u32) -> IpAddr {
    let [_, a, b, c] = number.to_be_bytes();
    IpAddr::from([100, a, b, c])
}

fn name(number: u32) -> String {
    format!("n{number}.names.example.")
}

/// A node that knows so many names.
fn world(count: u32) -> World {
    let pod = Endpoint {
        local: Some(POD),
        name: "pod".into(),
        namespace: "default".into(),
        labels: LabelSet::of_pod("default", "", []),
        addresses: vec![IpAddr::from([10, 0, 0, 1])],
        ports: Vec::new(),
    };
    let names = (0..count).map(|number| ResolvedName {
        name: name(number),
        addresses: vec![address(number)],
        ..ResolvedName::default()
    });
    World {
        endpoints: vec![Arc::new(pod)],
        policies: vec![Arc::new(policy())],
        names: names.collect(),
        ..World::default()
    }
}

fn names(criterion: &mut Criterion) {
    for count in [1, 1_000, 100_000] {
        let world = world(count);
        let snapshot = Snapshot::compile(&world, 1);
        let (fresh, text) = (address(count + 7), name(count + 7));
        // Two resolutions: it comes, and it goes.
        criterion.bench_function(&format!("names/learn_and_forget/{count}"), |bencher| {
            bencher.iter(|| {
                assert_eq!(snapshot.learn(black_box(fresh), &[&text]).len(), 1);
                assert_eq!(snapshot.learn(black_box(fresh), &[]).len(), 1);
            });
        });
        let key = FlowKey {
            endpoint: POD,
            direction: Direction::Egress,
            transport: Transport::Tcp,
            peer: address(0),
            port: 443,
        };
        criterion.bench_function(&format!("names/flow/{count}"), |bencher| {
            bencher.iter(|| snapshot.flow(black_box(&key)));
        });
        let mut group = criterion.benchmark_group("names/compile");
        group.sample_size(10);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| Snapshot::compile(black_box(&world), 2));
        });
        group.finish();
    }
}

criterion_group!(benches, names);
criterion_main!(benches);
