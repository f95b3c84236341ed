//! Which DNS answers count for which endpoints.

mod kit;

use std::{collections::BTreeMap, sync::Arc};

use kit::{
    Ports, anybody, builder, cidrs, egress, endpoint, entities, fqdns, ip, key, peers, policy, protocols::names, word,
};
use portcullis_rules::{
    policy::{Entity, L7Rule, L7Rules, Policy, PolicyEntry},
    schema::{FieldForm, FieldSpec, ProtocolTraits, Schema},
    snapshot::{KnownName, Snapshot},
    world::{Direction, EndpointId, LearnedFrom, ResolvedName, Transport, World},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// DNS as far as it matters here.
static DNS: Schema = Schema {
    protocol: "dns",
    fields: &[FieldSpec { name: "matchName", form: FieldForm::Words, checked: true }],
    nature: &ProtocolTraits {
        priority: 121,
        datagrams: true,
        ingress: false,
        exact_port: true,
        resolves: true,
        ..ProtocolTraits::STREAM
    },
};

const SERVER: &str = "10.0.0.4";
const STRANGER: &str = "192.0.2.53";
const PEER: &str = "198.51.100.10";

/// Somebody may be asked for these names, all if there is none.
fn asks(entry: PolicyEntry, allowed: &[&str]) -> PolicyEntry {
    let rules = match allowed {
        [] => L7Rules { schema: &DNS, rules: vec![L7Rule::default()] },
        _ => names(&DNS, allowed),
    };
    entry.push(kit::protocols::ports(&["53/any"], Some(rules), None))
}

fn cluster_dns() -> PolicyEntry {
    peers(&["io.kubernetes.pod.namespace=kube-system,k8s-app=kube-dns"])
}

fn origin(asked_by: u32, server: &str) -> LearnedFrom {
    let known = ip(server) == ip(SERVER);
    LearnedFrom { endpoint: EndpointId(asked_by), server: ip(server), port: 53, transport: Transport::Udp, known }
}

/// The server (1) and the client (2) have rules of their own; what they may ask comes first.
fn world(server: Vec<PolicyEntry>, client: Vec<PolicyEntry>) -> World {
    let rule = |subject, mut entries: Vec<PolicyEntry>| {
        entries.push(fqdns(&["*.test"]).port("443"));
        egress(subject, entries)
    };
    builder(vec![policy("default/p", vec![rule("app=server", server), rule("app=client", client)])])
}

/// Whom a name opens an address for.
fn opened(world: &World, name: &str, origins: &[LearnedFrom]) -> Vec<u32> {
    let resolutions = Snapshot::compile(world, 1);
    resolutions.learn_from(ip(PEER), &[KnownName { name, origins }]);
    let learnt = vec![(ip(PEER), origins.to_vec())];
    let names = vec![ResolvedName { name: format!("{name}."), learnt, ..ResolvedName::default() }];
    let compiled = Snapshot::compile(&World { names, ..world.clone() }, 2);
    let opened = |snapshot: &Snapshot| {
        let open = |id: &u32| word(&snapshot.flow(&key(*id, Direction::Egress, PEER, "443"))) == "allow";
        (1..3).filter(open).collect::<Vec<u32>>()
    };
    assert_eq!(opened(&resolutions), opened(&compiled), "a resolution comes to what a compilation comes to");
    for id in 1..3 {
        let (one, other) = (resolutions.steering(EndpointId(id)), compiled.steering(EndpointId(id)));
        assert_eq!(one, other, "the kernel is told the same");
        let names = resolutions.names_for(&key(id, Direction::Egress, PEER, "443"));
        assert_eq!(!names.is_empty(), opened(&resolutions).contains(&id), "and so is who compares hosts");
    }
    opened(&resolutions)
}

#[test]
fn an_answer_counts_for_whoever_names_the_server_that_gave_it() {
    let cluster = || asks(cluster_dns(), &[]);
    let any = || asks(anybody(), &[]);
    let stranger = || asks(cidrs(&["192.0.2.53/32"]), &[]);
    let all = || asks(cidrs(&["0.0.0.0/0", "::/0"]), &[]);
    let world_entity = || asks(entities(&[Entity::World]), &[]);
    for (why, server, client, (asked_by, from), wanted) in [
        ("both name it, whoever asked", vec![cluster()], vec![cluster()], (1, SERVER), vec![1, 2]),
        ("one names it, the other may ask anybody", vec![cluster()], vec![any()], (1, SERVER), vec![1]),
        ("who may ask anybody is learned by what it asked", vec![cluster()], vec![any()], (2, SERVER), vec![1, 2]),
        ("and tells nobody else", vec![cluster()], vec![any()], (2, STRANGER), vec![2]),
        ("not even one that may ask anybody too", vec![any()], vec![any()], (2, STRANGER), vec![2]),
        ("all addresses are anybody", vec![all()], vec![all()], (2, STRANGER), vec![2]),
        ("so is the world", vec![world_entity()], vec![world_entity()], (2, STRANGER), vec![2]),
        ("a range is somebody", vec![stranger()], vec![any()], (2, STRANGER), vec![1, 2]),
        ("what is named beside anybody is named", vec![any(), stranger()], vec![any()], (2, STRANGER), vec![1, 2]),
        ("whoever asks nobody learns nothing", vec![], vec![cluster()], (2, SERVER), vec![2]),
        ("nor from a server that may not be asked any more", vec![cluster()], vec![cluster()], (2, STRANGER), vec![]),
    ] {
        assert_eq!(opened(&world(server, client), "a.test", &[origin(asked_by, from)]), wanted, "{why}");
    }
}

#[test]
fn an_answer_counts_where_the_server_may_be_asked_for_that_name_on_that_port() {
    let rules = || vec![asks(cluster_dns(), &["a.test."])];
    let world = world(rules(), vec![asks(cluster_dns(), &[])]);
    assert_eq!(opened(&world, "a.test", &[origin(2, SERVER)]), [1, 2]);
    assert_eq!(opened(&world, "b.test", &[origin(2, SERVER)]), [2], "the server may be asked, but not for this name");
    let other_port = LearnedFrom { port: 5353, ..origin(2, SERVER) };
    assert_eq!(opened(&world, "a.test", &[other_port]), [0; 0]);
    assert_eq!(opened(&world, "a.test", &[other_port, origin(9, SERVER)]), [1, 2], "one that counts is enough");
    assert_eq!(opened(&world, "a.test", &[]), [1, 2], "what nobody has asked for is known for all");
}

#[test]
fn an_answer_of_a_server_that_is_gone_holds_on_for_those_that_asked_it() {
    let mut world = world(vec![asks(cluster_dns(), &[])], vec![asks(cidrs(&["10.0.0.4/32"]), &[])]);
    assert_eq!(opened(&world, "a.test", &[origin(1, SERVER)]), [1]);
    world.endpoints.retain(|endpoint| !endpoint.addresses.contains(&ip(SERVER)));
    assert_eq!(opened(&world, "a.test", &[origin(1, SERVER)]), [1, 2], "the address is the other's range now");
    assert_eq!(
        opened(&world, "a.test", &[LearnedFrom { known: false, ..origin(1, SERVER) }]),
        [2],
        "it was no endpoint"
    );
    world.endpoints.push(endpoint(0, "default/new", "app=new", &[SERVER]).into());
    assert_eq!(opened(&world, "a.test", &[origin(1, SERVER)]), [0; 0], "somebody else has the address");
}

#[test]
fn a_setting_makes_one_cache_for_the_whole_node() {
    let mut world = world(vec![asks(cluster_dns(), &[])], vec![asks(anybody(), &[])]);
    world.settings.server_must_agree = false;
    assert_eq!(opened(&world, "a.test", &[origin(2, STRANGER)]), [1, 2]);
}

#[test]
fn whoever_is_listened_to_without_a_rule_for_dns_is_installed_by_what_it_asked() {
    let mut world = world(vec![anybody().port("53/any")], vec![asks(cluster_dns(), &[])]);
    world.naming = Some(&DNS);
    world.settings.deviations.names_without_dns_rule = true;
    assert_eq!(opened(&world, "a.test", &[origin(1, STRANGER)]), [1]);
    assert_eq!(opened(&world, "a.test", &[origin(2, STRANGER)]), [0; 0]);
    assert_eq!(opened(&world, "a.test", &[origin(2, SERVER)]), [2]);
}

#[test]
fn one_name_that_counts_gives_the_rules_of_that_name_and_of_no_other() {
    let client = vec![asks(anybody(), &[]), fqdns(&["a.test"]).port("80"), fqdns(&["b.test"]).port("81")];
    let world = world(vec![], client);
    let snapshot = Snapshot::compile(&world, 1);
    let (own, other) = ([origin(2, STRANGER)], [origin(1, STRANGER)]);
    let names = [KnownName { name: "a.test", origins: &own }, KnownName { name: "b.test", origins: &other }];
    snapshot.learn_from(ip(PEER), &names);
    let leaves = |port| word(&snapshot.flow(&key(2, Direction::Egress, PEER, port)));
    assert_eq!([leaves("80"), leaves("81")], ["allow", "deny"]);
    assert!(snapshot.knows(ip(PEER), "b.test.", &other[0]) && !snapshot.knows(ip(PEER), "b.test.", &own[0]));
    // The other one's answer comes from itself now, too.
    let both = [own[0], other[0]];
    snapshot.learn_from(ip(PEER), &[KnownName { name: "b.test", origins: &both }]);
    assert_eq!([leaves("80"), leaves("81")], ["deny", "allow"]);
}

fn any_policy() -> impl Strategy<Value = Arc<Policy>> {
    let entry = (0_usize..6, any::<bool>()).prop_map(|(kind, all)| {
        let allowed: &[&str] = if all { &[] } else { &["a.test."] };
        match kind {
            0 => asks(cluster_dns(), allowed),
            1 => asks(anybody(), allowed),
            2 => asks(cidrs(&["192.0.2.0/24"]), allowed),
            3 => asks(cidrs(&["0.0.0.0/0"]), allowed),
            4 => fqdns(&["*.test"]).port("443"),
            _ => fqdns(&["a.test"]),
        }
    });
    (select(&["app=server", "app=client", ""][..]), vec(entry, 1..4))
        .prop_map(|(subject, entries)| Arc::new(policy("default/p", vec![egress(subject, entries)])))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_one_by_one_come_to_what_compiling_with_them_comes_to(
        policies in vec(any_policy(), 1..4),
        answers in vec((select(&["a.test.", "b.test."][..]), select(&[PEER, "198.51.100.11"][..]), 1_u32..4,
            select(&[SERVER, STRANGER, "203.0.113.53"][..])), 1..10),
    ) {
        let world = World { policies, ..builder(vec![]) };
        let snapshot = Snapshot::compile(&world, 1);
        let mut known: BTreeMap<&str, BTreeMap<&str, Vec<LearnedFrom>>> = BTreeMap::new();
        for (name, address, asked_by, server) in answers {
            known.entry(address).or_default().entry(name).or_default().push(origin(asked_by, server));
            let names: Vec<_> = known[address].iter().map(|(name, origins)| KnownName { name, origins }).collect();
            snapshot.learn_from(ip(address), &names);
        }
        let names = known.iter().flat_map(|(address, names)| names.iter().map(|(name, origins)| ResolvedName {
            name: (*name).to_owned(), learnt: vec![(ip(address), origins.clone())], ..ResolvedName::default()
        }));
        let compiled = Snapshot::compile(&World { names: names.collect(), ..world }, 2);
        for id in 1..3 {
            prop_assert_eq!(compiled.steering(EndpointId(id)), snapshot.steering(EndpointId(id)));
            // A policy without a rule for the server that was asked opens nothing.
            for address in [PEER, "198.51.100.11"] {
                let key = key(id, Direction::Egress, address, "443");
                prop_assert_eq!(compiled.names_for(&key), snapshot.names_for(&key));
            }
        }
    }
}
