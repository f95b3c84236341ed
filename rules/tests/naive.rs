//! For random worlds, the compiled form gives the same answers as the naive evaluator, and the kernel's table the same
//! as the compiled form.

mod kit;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;

use kit::{
    Ports, allow, anybody, cidr_set, cidrs, endpoint, entities, fqdns, ip, key,
    naive::{self, Answer},
    named, peers, policy, request, resolved, rule, service, spec,
};
use portcullis_rules::{
    policy::{Entity, PolicyEntry, PortRule, Rule},
    settings::{Deviations, Enforcement, PolicySettings},
    snapshot::{FlowKey, Snapshot},
    steering::{SteeredAddressChange, SteeringAction, SteeringTable},
    verdict::Outcome,
    world::{Direction, EndpointId, ResolvedName, Transport, World},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

const SELECTORS: [&str; 10] = [
    "",
    "app=a",
    "app=b",
    "tier=x|y",
    "!tier",
    "app=a,tier",
    "reserved:host",
    "reserved:world-ipv4",
    "!reserved:host",
    "io.kubernetes.pod.namespace=two",
];
const SUBJECTS: [&str; 4] = ["", "app=a", "app=b", "!tier"];
const CIDRS: [&str; 6] = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "fd00::/8", "::/0"];
const PORTS: [&str; 10] = ["80", "81", "80-90", "85-65535", "0", "0/any", "80/udp", "web", "web/any", "80-8080/any"];
const FQDNS: [&str; 5] = ["a.test", "*.test", "**.b.test", "*", "x.b.test"];
/// The world, an endpoint, a VIP, and the outer backend of others.
const RESOLVED: [&str; 6] = ["192.0.2.1", "2001:db8::1", "10.1.2.3", "10.1.9.9", "10.0.0.2", "10.96.0.1"];
const NAMES: [&str; 5] = ["a.test.", "c.test.", "x.b.test.", "y.x.b.test.", "elsewhere.example."];
const PEERS: [&str; 16] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.4",
    "10.0.0.9",
    "fd00::1",
    "fd00::9",
    "10.1.2.3",
    "10.1.9.9",
    "192.0.2.1",
    "2001:db8::1",
    "10.96.0.1",
    "10.96.0.2",
    "fd96::1",
    "10.96.0.3",
    "10.1.2.4",
];
const NUMBERS: [u16; 9] = [0, 79, 80, 81, 90, 91, 443, 8080, 65535];

fn any_entry() -> impl Strategy<Value = PolicyEntry> {
    let who = prop_oneof![
        3 => Just(anybody()),
        4 => vec(select(&SELECTORS[..]), 0..3).prop_map(|selectors| peers(&selectors)),
        2 => vec(select(&CIDRS[..]), 0..3).prop_map(|some| cidrs(&some)),
        1 => Just(cidr_set("10.0.0.0/8", &["10.1.0.0/16"])),
        3 => vec(select(&FQDNS[..]), 1..3).prop_map(|names| fqdns(&names)),
        1 => Just(cidr_set("0.0.0.0/0", &["10.0.0.0/8", "192.0.2.0/24"])),
        2 => vec(select(&[
            Entity::All, Entity::World, Entity::WorldIpv6, Entity::Cluster, Entity::ClusterMesh, Entity::Host, Entity::None, Entity::KubeDns,
        ][..]), 0..3).prop_map(|some| entities(&some)),
    ];
    (who, option::of(vec(any_ports(), 0..3))).prop_map(|(entry, ports)| PolicyEntry { ports, ..entry })
}

fn any_ports() -> impl Strategy<Value = PortRule> {
    let http = select(vec![
        vec![allow("GET", "")],
        vec![allow("", "/a.*")],
        vec![allow("", "")],
        vec![allow("GET", "/a"), allow("PUT", "/b")],
    ]);
    prop_oneof![
        3 => vec(select(&PORTS[..]), 0..3).prop_map(|ports| {
            PortRule { ports: ports.into_iter().map(spec).collect(), l7: None, ..PortRule::default() }
        }),
        2 => (select(&["80", "81", "web", "80-90"][..]), http).prop_map(|(port, rules)| {
            anybody().http(port, rules).ports.unwrap_or_default().remove(0)
        }),
    ]
}

/// Deny rules have no L7 rules.
fn denying(entries: Option<Vec<PolicyEntry>>) -> Option<Vec<PolicyEntry>> {
    let mut entries = entries?;
    entries.iter_mut().flat_map(|entry| entry.ports.iter_mut().flatten()).for_each(|rule| rule.l7 = None);
    Some(entries)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let list = || option::of(vec(any_entry(), 0..3));
    let rarely = || option::weighted(0.2, vec(any_entry(), 0..2));
    let switch = || option::weighted(0.3, any::<bool>());
    (select(&SUBJECTS[..]), list(), list(), rarely(), rarely(), switch(), switch()).prop_map(
        |(subject, ingress, egress, ingress_deny, egress_deny, default_deny_ingress, default_deny_egress)| Rule {
            ingress,
            egress,
            ingress_deny: denying(ingress_deny),
            egress_deny: denying(egress_deny),
            default_deny_ingress,
            default_deny_egress,
            ..rule(subject)
        },
    )
}

fn any_settings() -> impl Strategy<Value = PolicySettings> {
    let modes =
        prop_oneof![8 => Just(Enforcement::Default), 1 => Just(Enforcement::Always), 1 => Just(Enforcement::Never)];
    (modes, any::<bool>(), vec(prop::bool::weighted(0.2), 3)).prop_map(|(enforcement, allow_localhost, on)| {
        PolicySettings {
            enforcement,
            allow_localhost,
            deviations: Deviations {
                empty_rule_allows: on[0],
                l7_binds_beside_l4: on[1],
                kube_dns_entity: on[2],
                names_without_dns_rule: false,
                l7_on_nodes: false,
            },
            ..PolicySettings::default()
        }
    })
}

fn any_world() -> impl Strategy<Value = World> {
    let named_policy = (select(&["one/p", "two/p", "p"][..]), vec(any_rule(), 1..3));
    let policies = vec(named_policy.prop_map(|(name, rules)| Arc::new(policy(name, rules))), 0..4);
    (policies, any_settings(), any_names()).prop_map(|(policies, settings, names)| {
        let endpoints = vec![
            named("web", 80, endpoint(1, "one/a", "app=a", &["10.0.0.1", "fd00::1"])),
            named("web", 8080, endpoint(2, "one/b", "app=b,tier=x", &["10.0.0.2"])),
            // Pods of one identity that disagree on a port.
            named("web", 80, endpoint(0, "two/a", "app=a", &["10.0.0.3"])),
            named("web", 81, endpoint(0, "two/aa", "app=a", &["10.0.0.33"])),
            endpoint(0, "kube-system/dns", "k8s-app=kube-dns", &["10.0.0.4"]),
            endpoint(3, "one/init", "reserved:init=", &["10.0.0.5"]),
            endpoint(0, "node/host", "reserved:host=", &["10.0.0.9", "fd00::9"]),
        ];
        let services = vec![
            service(&["10.96.0.1", "fd96::1"], 80, 8080, Transport::Tcp, &["10.0.0.1", "10.0.0.2"]),
            service(&["10.96.0.1"], 80, 80, Transport::Udp, &["10.0.0.2", "10.1.2.3"]),
            service(&["10.96.0.2"], 443, 80, Transport::Tcp, &[]),
            service(&["10.96.0.3"], 443, 8080, Transport::Tcp, &["10.1.2.3", "10.0.0.2"]),
            service(&["10.96.0.3"], 80, 81, Transport::Tcp, &["10.1.9.9"]),
        ];
        World {
            endpoints: endpoints.into_iter().map(Arc::new).collect(),
            services: services.into_iter().map(Arc::new).collect(),
            policies,
            settings,
            names,
            ..World::default()
        }
    })
}

fn any_names() -> impl Strategy<Value = Vec<ResolvedName>> {
    let name = (select(&NAMES[..]), vec(select(&RESOLVED[..]), 0..4));
    vec(name.prop_map(|(name, addresses)| resolved(name, &addresses)), 0..4)
}

fn any_key() -> impl Strategy<Value = FlowKey> {
    let directions = select(&[Direction::Ingress, Direction::Egress][..]);
    let transports = select(&[Transport::Tcp, Transport::Tcp, Transport::Udp, Transport::Sctp][..]);
    let numbers = prop_oneof![5 => select(&NUMBERS[..]), 1 => any::<u16>()];
    (1_u32..5, directions, transports, select(&PEERS[..]), numbers).prop_map(
        |(number, direction, transport, peer, port)| FlowKey {
            endpoint: EndpointId(number),
            direction,
            transport,
            peer: ip(peer),
            port,
        },
    )
}

fn agrees(world: &World, snapshot: &Snapshot, key: &FlowKey) -> Result<(), TestCaseError> {
    let flow = snapshot.flow(key);
    match (naive::answer(world, key), flow.outcome, &flow.plan.requests) {
        (Answer::Allow(layer, reason), Outcome::Allow, None) | (Answer::Deny(layer, reason), Outcome::Deny, None) => {
            prop_assert_eq!((layer, reason), (flow.layer, flow.reason), "{:?}", key);
        }
        (Answer::Judge(rules, open), Outcome::Allow, Some(set)) => {
            prop_assert_eq!(rules.len() + usize::from(open), set.len(), "{:?}", key);
            for (method, path) in [("GET", "/a"), ("PUT", "/a"), ("PUT", "/b"), ("GET", "/b"), ("PUT", "/abc")] {
                // Each rule alone, judged by itself, is the union.
                let wanted = open
                    || rules.iter().any(|rule| {
                        let says = |index: usize, value: &str| {
                            rule.predicates.iter().filter(|p| usize::from(p.field.0) == index).all(|p| {
                                let portcullis_rules::policy::Matcher::Regex(pattern) = &p.matcher else {
                                    return false;
                                };
                                pattern.strip_suffix(".*").map_or(value == pattern, |head| value.starts_with(head))
                            })
                        };
                        says(0, method) && says(1, path)
                    });
                prop_assert_eq!(
                    set.check(&request(method, path)).outcome.passes(),
                    wanted,
                    "{:?} {} {}",
                    key,
                    method,
                    path
                );
            }
        }
        (answer, ..) => prop_assert!(false, "{key:?}: {answer:?}, compiled: {flow:?}"),
    }
    Ok(())
}

/// What the kernel does by a table.
fn kernel(table: &SteeringTable, key: &FlowKey) -> SteeringAction {
    if table.addresses.contains(&key.peer) {
        return SteeringAction::Pass;
    }
    let mut classes = table.classes.iter().filter(|class| {
        class.direction == key.direction && class.transport == key.transport && class.ports.contains(&key.port)
    });
    let Some(class) = classes.next() else { return SteeringAction::Pass };
    assert!(classes.next().is_none(), "classes overlap: {table:?}");
    let matching = class.prefixes.iter().filter(|(net, _)| net.contains(&key.peer));
    matching.max_by_key(|(net, _)| net.prefix_len()).expect("every address is covered").1
}

/// What the kernel does with a resolution: it changes single addresses of classes that learn, and nothing else.
fn take(table: &mut SteeringTable, learnt: &SteeredAddressChange) {
    let mut found = 0;
    for class in table.classes.iter_mut().filter(|class| {
        (class.direction, class.transport) == (learnt.direction, learnt.transport)
            && learnt.ports.contains(class.ports.start())
    }) {
        assert!(class.learns && learnt.ports.contains(class.ports.end()), "{learnt:?}");
        let net = IpNet::from(learnt.address);
        class.prefixes.retain(|(known, _)| *known != net);
        class.prefixes.extend(learnt.action.map(|action| (net, action)));
        class.prefixes.sort_unstable_by_key(|(net, _)| *net);
        found += class.ports.len();
    }
    assert_eq!(found, learnt.ports.len(), "{learnt:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_form_answers_as_the_naive_one(world in any_world(), keys in vec(any_key(), 40)) {
        let snapshot = Snapshot::compile(&world, 1);
        for key in &keys {
            agrees(&world, &snapshot, key)?;
        }
    }

    #[test]
    fn the_kernel_is_told_what_a_flow_is_answered(world in any_world(), keys in vec(any_key(), 40)) {
        let snapshot = Snapshot::compile(&world, 1);
        for key in keys.iter().filter(|key| key.transport != Transport::Sctp && key.endpoint.0 < 4) {
            let table = snapshot.steering(key.endpoint);
            prop_assert_eq!(kernel(&table, key), naive::action(&world, key), "{:?} in {:#?}", key, table);
            let vip = key.direction == Direction::Egress
                && snapshot.backends(key.transport, key.peer, key.port).is_some();
            if !vip {
                let flow = snapshot.flow(key);
                let told = match (flow.outcome, flow.plan.is_empty()) {
                    (Outcome::Allow, true) => SteeringAction::Pass,
                    (Outcome::Allow, false) => SteeringAction::Steer,
                    (Outcome::Deny, _) => SteeringAction::Refuse,
                    (Outcome::Audit, _) => SteeringAction::PassAndReport,
                };
                prop_assert_eq!(kernel(&table, key), told);
            }
        }
    }

    #[test]
    fn learning_names_one_by_one_comes_to_what_compiling_with_them_comes_to(
        world in any_world(), resolutions in vec((select(&RESOLVED[..]), vec(select(&NAMES[..]), 0..3)), 1..12), keys in vec(any_key(), 30),
    ) {
        let snapshot = Snapshot::compile(&world, 1);
        let mut told: Vec<SteeringTable> = (1..4).map(|id| snapshot.steering(EndpointId(id))).collect();
        let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (address, names) in RESOLVED.iter().flat_map(|address| {
            let of = world.names.iter().filter(|name| name.addresses.contains(&ip(address)));
            of.map(move |name| (*address, NAMES.iter().find(|known| **known == name.name).unwrap()))
        }) {
            known.entry(address).or_default().insert(names);
        }
        for (address, names) in &resolutions {
            known.insert(address, names.iter().copied().collect());
            for learnt in snapshot.learn(ip(address), names) {
                let table = &mut told[learnt.endpoint.0 as usize - 1];
                take(table, &learnt);
            }
            for (number, told) in (1..4).zip(&told) {
                prop_assert_eq!(told, &snapshot.steering(EndpointId(number)), "after {} is {:?}", address, names);
            }
        }
        let names = NAMES.iter().map(|name| {
            let addresses: Vec<&str> = known.iter().filter(|(_, names)| names.contains(name)).map(|(address, _)| *address).collect();
            resolved(name, &addresses)
        });
        let wanted = World { names: names.collect(), ..world };
        for key in &keys {
            agrees(&wanted, &snapshot, key)?;
        }
        let compiled = Snapshot::compile(&wanted, 2);
        for number in 1..4 {
            prop_assert_eq!(compiled.steering(EndpointId(number)), snapshot.steering(EndpointId(number)));
        }
        for address in RESOLVED {
            prop_assert_eq!(compiled.names_of(ip(address)), snapshot.names_of(ip(address)));
        }
    }

    #[test]
    fn tables_are_whole_sorted_and_without_redundancy(world in any_world()) {
        let snapshot = Snapshot::compile(&world, 1);
        for number in 1..4 {
            let table = snapshot.steering(EndpointId(number));
            let order: Vec<_> = table.classes.iter().map(|c| (c.direction, c.transport, *c.ports.start())).collect();
            prop_assert!(order.is_sorted());
            for class in &table.classes {
                let nets: BTreeSet<_> = class.prefixes.iter().map(|(net, _)| *net).collect();
                prop_assert_eq!(nets.len(), class.prefixes.len());
                prop_assert!(nets.contains(&"0.0.0.0/0".parse().unwrap()) && nets.contains(&"::/0".parse().unwrap()));
                prop_assert!(class.transport != Transport::Udp || class.prefixes.iter().all(|(_, a)| *a != SteeringAction::Steer));
                for (net, action) in class.prefixes.iter().filter(|(net, _)| net.prefix_len() > 0) {
                    let outer = class.prefixes.iter().filter(|(outer, _)| outer != net && outer.contains(net));
                    let nearest = outer.max_by_key(|(outer, _)| outer.prefix_len()).unwrap();
                    prop_assert_ne!(nearest.1, *action, "{} is redundant", net);
                }
            }
        }
    }
}

#[test]
fn the_keys_of_the_builder_are_read_as_written() {
    let read = key(1, Direction::Egress, "10.0.0.2", "80/udp");
    assert_eq!((read.port, read.transport), (80, Transport::Udp));
}
