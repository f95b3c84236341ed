//! Protocols beyond HTTP, and peers beyond pods and ranges.

mod kit;

use std::{collections::HashSet, sync::Arc};

use kit::{
    Ports, anybody, builder, cidrs, egress, endpoint, enters, entities, ingress, key, leaves, passes, peers, policy,
    protocols::{DNS, Named, QUEUE, TLS, Topics, exact, http, names, ports},
    request, rule, select, word,
};
use portcullis_rules::{
    explain::{FlowQuestion, How, explain, near},
    labels::{Label, LabelSet},
    params::FlowParams,
    policy::{
        CidrGroupSelector, CidrGroupUse, Entity, FqdnSelector, IcmpField, L7Rule, L7Rules, PolicyEntry, PortRef,
        PortRule, PortSpec, Rule, ServiceName, ServiceSelector,
    },
    snapshot::Snapshot,
    steering::SteeringAction,
    verdict::{Outcome, PolicyMode, Reason},
    world::{CidrGroup, Direction, EndpointId, ResolvedName, Service, Transport, World},
};
use proptest::{collection::vec, prelude::*, sample};

fn with(entry: PolicyEntry, rule: portcullis_rules::policy::PortRule) -> PolicyEntry {
    entry.push(rule)
}

fn server(entries: Vec<PolicyEntry>) -> World {
    builder(vec![policy("default/p", vec![egress("app=server", entries)])])
}

fn resolves(world: &World, name: &'static str, to: &str, port: &str) -> bool {
    passes(&leaves(world, to, port), &Named(&DNS, name))
}

#[test]
fn only_a_rule_for_exactly_the_port_opens_dns() {
    let judged = || with(peers(&["app=client"]), ports(&["53/any"], Some(names(&DNS, &["a."])), None));
    let table = [
        (peers(&["app=client"]), false, "an element without ports"),
        (peers(&["app=client"]).port("0/any"), false, "every port"),
        (peers(&["app=client"]).port("50-60/udp"), false, "a range"),
        (peers(&["app=client"]).port("53/tcp"), false, "another protocol"),
        (peers(&["app=client"]).port("53/udp"), true, "this port"),
        (anybody().port("53/any"), true, "this port for anybody"),
        (entities(&[Entity::World]).port("53/any"), false, "this port for others"),
    ];
    for (wider, opens, what) in table {
        let world = server(vec![judged(), wider]);
        assert!(resolves(&world, "a.", "client", "53/udp"), "{what}");
        assert_eq!(resolves(&world, "b.", "client", "53/udp"), opens, "{what}");
        assert_eq!(leaves(&world, "client", "53/udp").redirect, Some("dns"), "{what}");
    }
}

#[test]
fn server_names_bind_what_else_the_same_selector_and_port_allow() {
    let named = || with(entities(&[Entity::All]), ports(&["443"], None, Some(names(&TLS, &["a"]))));
    let table = [
        (anybody().port("443"), false, "the same selector and port"),
        (with(anybody(), ports(&["443"], None, Some(names(&TLS, &["b"])))), true, "another name for them"),
        (anybody().port("440-450"), true, "another range"),
        (cidrs(&["192.0.2.0/24"]).port("443"), true, "another selector"),
        (entities(&[Entity::WorldIpv4]).port("443"), true, "an entity, which is another selector"),
    ];
    // Beside `all` no other entity is a selector of its own.
    let with_another =
        || with(entities(&[Entity::All, Entity::WorldIpv4]), ports(&["443"], None, Some(names(&TLS, &["a"]))));
    for (other, allows, what) in table {
        for named in [named(), with_another()] {
            let world = server(vec![named, other.clone()]);
            let flow = leaves(&world, "world", "443");
            assert_eq!(passes(&flow, &Named(&TLS, "b")), allows, "{what}");
            assert!(passes(&flow, &Named(&TLS, "a")), "{what}");
            assert_eq!(flow.redirect, Some("tls"), "{what}");
        }
    }
}

#[test]
fn where_protocols_meet_the_stronger_judges_and_the_others_rules_allow_nothing() {
    let world = server(vec![
        with(anybody(), ports(&["443"], None, Some(names(&TLS, &["a"])))),
        with(peers(&["app=client"]), ports(&["443"], Some(http()), None)),
    ]);
    let flow = leaves(&world, "client", "443");
    assert_eq!(flow.redirect, Some("http"));
    assert!(passes(&flow, &request("GET", "/never")) && !passes(&flow, &request("GET", "/")));
    assert_eq!(leaves(&world, "world", "443").redirect, Some("tls"));
}

#[test]
fn names_of_servers_bind_beside_the_requests_of_the_same_selector_and_port() {
    let both = || {
        with(anybody(), PortRule { terminates_tls: true, ..ports(&["443"], Some(http()), Some(names(&TLS, &["a"]))) })
    };
    let named = || with(anybody(), ports(&["443"], None, Some(names(&TLS, &["b"]))));
    let judged = || with(anybody(), ports(&["443"], Some(http()), None));
    let table = [
        (vec![both()], &["a"][..], true, "one element"),
        (vec![both(), named()], &["a", "b"], true, "another name for the same selector"),
        (vec![judged(), named()], &["b"], false, "two elements"),
        (
            vec![both(), with(peers(&["app=client"]), ports(&["443"], Some(http()), None))],
            &["a", "b", "c"],
            true,
            "a selector that leaves the name open",
        ),
    ];
    for (entries, allowed, terminates, what) in table {
        let world = server(entries);
        let snapshot = Snapshot::compile(&world, 1);
        let flow = leaves(&world, "client", "443");
        assert_eq!((flow.redirect, flow.plan.terminates_tls), (Some("http"), terminates), "{what}");
        for name in ["a", "b", "c"] {
            for (path, right) in [("/never", true), ("/", false)] {
                let (hello, request) = (Named(&TLS, name), request("GET", path));
                let question = FlowQuestion {
                    direction: Direction::Egress,
                    requests: &[&hello, &request],
                    ..question("10.0.0.2", 443, &[])
                };
                let answer = explain(&world, &snapshot, &question);
                assert_eq!(answer.outcome.passes(), right && allowed.contains(&name), "{what}: {name} {path}");
                assert_eq!(answer.rule.is_some_and(|rule| rule.rule.contains("serverNames")), !allowed.contains(&name));
            }
        }
    }
}

#[test]
fn what_is_denied_is_an_audit_where_policy_is_only_tried_out() {
    let params = FlowParams { mode: PolicyMode::Audit, ..FlowParams::default() };
    let web = with(peers(&["app=client"]), ports(&["80"], Some(http()), None));
    let world = World { params: Arc::new(params), ..server(vec![web]) };
    let snapshot = Snapshot::compile(&world, 1);
    assert_eq!(leaves(&world, "world", "80").outcome, Outcome::Audit);
    let flow = leaves(&world, "client", "80");
    assert_eq!((flow.outcome, flow.outcome_of(&request("GET", "/"))), (Outcome::Allow, Outcome::Audit));
    assert_eq!(flow.outcome_of(&request("GET", "/never")), Outcome::Allow);
    let classes = snapshot.steering(EndpointId(1)).classes;
    let prefixes = classes.iter().filter(|class| class.transport == Transport::Tcp).flat_map(|class| &class.prefixes);
    let actions: HashSet<_> = prefixes.map(|(_, action)| *action).collect();
    assert_eq!(actions, [SteeringAction::PassAndReport, SteeringAction::Steer].into());
}

#[test]
fn names_select_the_addresses_they_were_resolved_to() {
    let names = |name: &str| ResolvedName {
        name: name.to_owned(),
        addresses: vec![kit::ip("192.0.2.1")],
        ..ResolvedName::default()
    };
    let entry = |selector| PolicyEntry { fqdns: Some(vec![selector]), ..anybody() };
    let table = [
        (FqdnSelector::Name("API.example.com".to_owned()), "api.example.com.", "allow"),
        (FqdnSelector::Pattern("*.example.com".to_owned()), "api.example.com.", "allow"),
        (FqdnSelector::Pattern("*.example.com".to_owned()), "a.b.example.com.", "deny"),
        (FqdnSelector::Name("example.com".to_owned()), "api.example.com.", "deny"),
    ];
    for (selector, name, wanted) in table {
        let world = World { names: vec![names(name)], ..server(vec![entry(selector.clone())]) };
        assert_eq!(word(&leaves(&world, "world", "443")), wanted, "{selector:?} and {name}");
        assert_eq!(word(&leaves(&world, "192.0.2.2", "443")), "deny", "{selector:?} and {name}");
    }
}

#[test]
fn groups_services_and_nodes_are_peers() {
    let label = Label { source: "cidrgroup".to_owned(), key: "team".to_owned(), value: "a".to_owned() };
    let cidrs = vec!["192.0.2.0/24".parse().unwrap()];
    let group = CidrGroup { name: "office".into(), labels: LabelSet::new([label]), cidrs };
    let grouped = |groups, except: &[&str]| PolicyEntry {
        cidr_sets: Some(vec![]),
        cidr_groups: vec![CidrGroupUse { groups, except: except.iter().map(|net| net.parse().unwrap()).collect() }],
        ..anybody()
    };
    let by_name = || CidrGroupSelector::Name("office".to_owned());
    let by_label = || CidrGroupSelector::Labels(select("cidrgroup:team=a"));
    let service = kit::service(&["10.96.0.1"], 80, 8080, Transport::Tcp, &["10.0.0.2", "192.0.2.7"]);
    let within = |namespace: Option<&str>, services| {
        let selector = ServiceSelector { namespace: namespace.map(str::to_owned), services };
        PolicyEntry { services: Some(vec![selector]), ..anybody() }
    };
    let to = |services| within(None, services);
    let nodes = |text: &str| PolicyEntry { nodes: Some(vec![select(text)]), ..anybody() };
    let table = [
        (grouped(by_name(), &[]), "world", "allow"),
        (grouped(by_label(), &[]), "world", "allow"),
        (grouped(by_name(), &["192.0.2.0/30"]), "world", "deny"),
        (grouped(CidrGroupSelector::Name("home".to_owned()), &[]), "world", "deny"),
        (to(ServiceName::Name("service".to_owned())), "client", "allow"),
        // Of any namespace where none is named.
        (to(ServiceName::Name("far".to_owned())), "dns", "allow"),
        (to(ServiceName::Labels(select(""))), "dns", "allow"),
        (within(Some("other"), ServiceName::Name("far".to_owned())), "dns", "allow"),
        (within(Some("default"), ServiceName::Name("far".to_owned())), "dns", "deny"),
        (to(ServiceName::Name("service".to_owned())), "192.0.2.7", "allow"),
        (to(ServiceName::Name("service".to_owned())), "other", "deny"),
        (to(ServiceName::Name("else".to_owned())), "client", "deny"),
        (nodes(""), "node", "allow"),
        (nodes("zone=b"), "node", "deny"),
        (nodes(""), "client", "deny"),
    ];
    for (entry, peer, wanted) in table {
        let mut world = server(vec![entry.clone()]);
        world.cidr_groups.push(Arc::new(group.clone()));
        world.services.push(Arc::new(service.clone()));
        let far = kit::service(&["10.96.0.2"], 80, 8080, Transport::Tcp, &["10.0.0.4"]);
        world.services.push(Arc::new(Service { name: "far".into(), namespace: "other".into(), ..far }));
        assert_eq!(word(&leaves(&world, peer, "8080")), wanted, "{entry:?} and {peer}");
    }
}

#[test]
fn an_outside_address_with_a_label_is_of_the_world_and_of_its_range() {
    let mut world = builder(vec![]);
    let text = "reserved:kube-apiserver=,reserved:world-ipv4=";
    world.endpoints.push(Arc::new(endpoint(0, "node/api", text, &["203.0.113.7"])));
    world.endpoints.push(Arc::new(endpoint(0, "node/api2", text, &["198.51.100.7"])));
    let table = [
        (entities(&[Entity::World]), "allow"),
        (entities(&[Entity::KubeApiServer]), "allow"),
        (entities(&[Entity::Cluster]), "allow"),
        (cidrs(&["203.0.113.0/24"]), "allow"),
        (cidrs(&["198.51.100.0/24"]), "deny"),
        (kit::cidr_set("203.0.113.0/24", &["203.0.113.7/32"]), "deny"),
        (entities(&[Entity::RemoteNode]), "deny"),
    ];
    for (entry, wanted) in table {
        world.policies = vec![Arc::new(policy("default/p", vec![ingress("app=server", vec![entry.clone()])]))];
        assert_eq!(word(&enters(&world, "203.0.113.7", "80")), wanted, "{entry:?}");
    }
}

#[test]
fn protocols_without_ports_are_named_one_by_one() {
    let of = |transport: Option<Transport>| {
        let ports = vec![PortSpec { port: PortRef::Range(0, 0), transport }];
        PolicyEntry { ports: Some(vec![PortRule { ports, ..PortRule::default() }]), ..peers(&["app=client"]) }
    };
    let asked = |entry: &PolicyEntry, deny: Option<PolicyEntry>, transport| {
        let flow = kit::key(1, Direction::Ingress, "10.0.0.2", "80");
        let key = portcullis_rules::snapshot::FlowKey { transport, port: 0, ..flow };
        let mut rule = ingress("app=server", vec![entry.clone()]);
        rule.ingress_deny = deny.map(|entry| vec![entry]);
        word(&Snapshot::compile(&builder(vec![policy("default/p", vec![rule])]), 1).flow(&key))
    };
    for (entry, deny, transport, wanted) in [
        (of(Some(Transport::Vrrp)), None, Transport::Vrrp, "allow"),
        (of(Some(Transport::Vrrp)), None, Transport::Gre, "deny"),
        (of(Some(Transport::Vrrp)), None, Transport::Tcp, "deny"),
        (of(Some(Transport::Ah)), None, Transport::Ah, "allow"),
        (of(None), None, Transport::Tcp, "allow"),
        (of(None), None, Transport::Vrrp, "deny"),
        (peers(&["app=client"]), None, Transport::Esp, "allow"),
        (peers(&["app=client"]), Some(of(Some(Transport::Esp))), Transport::Esp, "deny"),
        (peers(&["app=client"]), Some(of(Some(Transport::Esp))), Transport::Igmp, "allow"),
        (peers(&["app=other"]), None, Transport::Ipip, "deny"),
    ] {
        assert_eq!(asked(&entry, deny, transport), wanted, "{entry:?} {transport:?}");
    }
}

#[test]
fn icmp_is_named_by_type_and_no_port_covers_it() {
    let icmp =
        |kind| PolicyEntry { icmps: Some(vec![IcmpField { family: Transport::Icmp, kind }]), ..peers(&["app=client"]) };
    let asked = |entry: &PolicyEntry, transport, kind| {
        let flow = kit::key(1, Direction::Ingress, "10.0.0.2", "80");
        let key = portcullis_rules::snapshot::FlowKey { transport, port: kind, ..flow };
        let world = builder(vec![policy("default/p", vec![ingress("app=server", vec![entry.clone()])])]);
        word(&Snapshot::compile(&world, 1).flow(&key))
    };
    for (entry, transport, kind, wanted) in [
        (icmp(8), Transport::Icmp, 8, "allow"),
        (icmp(8), Transport::Icmp, 0, "deny"),
        (icmp(0), Transport::Icmp, 0, "allow"),
        (icmp(0), Transport::Icmp, 8, "deny"),
        (icmp(8), Transport::IcmpV6, 8, "deny"),
        (icmp(8), Transport::Tcp, 8, "deny"),
        (peers(&["app=client"]).port("0/any"), Transport::Icmp, 8, "deny"),
        (peers(&["app=client"]), Transport::Icmp, 8, "allow"),
    ] {
        assert_eq!(asked(&entry, transport, kind), wanted, "{entry:?} {transport:?} {kind}");
    }
}

#[test]
fn rules_for_nodes_bind_the_node_and_no_pod() {
    let mut world = builder(vec![]);
    world.endpoints.push(Arc::new(endpoint(9, "node/me", "reserved:host=,zone=a", &["10.9.9.9"])));
    let node = Rule { node: true, ..ingress("", vec![peers(&["app=client"]).port("80")]) };
    world.policies = vec![Arc::new(policy("p", vec![node]))];
    let snapshot = Snapshot::compile(&world, 1);
    let asked = |id, port: &str| word(&snapshot.flow(&key(id, Direction::Ingress, "10.9.9.2", port)));
    assert_eq!((asked(9, "80"), asked(1, "81")), ("deny", "allow"), "another node, and a pod that no rule selects");
    world.policies = vec![Arc::new(policy("p", vec![ingress("", vec![anybody()])]))];
    let snapshot = Snapshot::compile(&world, 1);
    assert_eq!(
        word(&snapshot.flow(&key(9, Direction::Ingress, "10.9.9.2", "80"))),
        "allow",
        "no rule for pods binds it"
    );
}

fn queue(rules: &[(Option<&str>, Option<&str>)], asked: &Topics) -> bool {
    let rule = |(client, topic): &(Option<&str>, Option<&str>)| {
        let client = client.map(|client| exact(0, client));
        let topic = topic.map(|topic| exact(1, topic));
        L7Rule { predicates: client.into_iter().chain(topic).collect(), ..L7Rule::default() }
    };
    let l7 = L7Rules { schema: &QUEUE, rules: rules.iter().map(rule).collect() };
    let world = builder(vec![policy(
        "default/p",
        vec![ingress("app=server", vec![with(anybody(), ports(&["9092"], Some(l7), None))])],
    )]);
    passes(&enters(&world, "client", "9092"), asked)
}

#[test]
fn every_topic_has_to_be_allowed_by_some_rule() {
    let topic = |topic| (None, Some(topic));
    for (rules, topics, wanted) in [
        (vec![topic("a")], Some(&["a"][..]), true),
        (vec![topic("a")], Some(&["a", "b"][..]), false),
        (vec![topic("a"), topic("b")], Some(&["a", "b"][..]), true),
        (vec![(Some("me"), Some("a")), topic("b")], Some(&["a", "b"][..]), true),
        (vec![(Some("you"), Some("a")), topic("b")], Some(&["a", "b"][..]), false),
        (vec![(Some("me"), None)], Some(&["a", "b"][..]), true),
        (vec![topic("a")], Some(&[][..]), false),
        (vec![topic("a")], None, true),
        (vec![], Some(&["a"][..]), true),
    ] {
        let rules = if rules.is_empty() { vec![(None, None)] } else { rules };
        assert_eq!(queue(&rules, &Topics("me", topics)), wanted, "{rules:?} and {topics:?}");
    }
}

fn question<'a>(peer: &str, port: u16, requests: &'a [&'a dyn portcullis_rules::request::Request]) -> FlowQuestion<'a> {
    let (endpoint, direction, transport) = (EndpointId(1), Direction::Ingress, Transport::Tcp);
    FlowQuestion { endpoint, direction, transport, peer: kit::ip(peer), port, requests }
}

#[test]
fn an_answer_says_why_each_rule_did_not_apply() {
    let entries = vec![
        peers(&["app=client"]).port("80"),
        peers(&["app=nobody"]),
        cidrs(&["10.0.0.0/8"]),
        PolicyEntry::default(),
        peers(&["app=client"]).port("81/udp"),
    ];
    let world = builder(vec![policy("default/p", vec![ingress("app=server", entries)])]);
    let snapshot = Snapshot::compile(&world, 1);
    let asked = question("10.0.0.2", 81, &[]);
    let answer = explain(&world, &snapshot, &asked);
    assert_eq!((answer.outcome.passes(), answer.reason, answer.how), (false, Reason::NoRule, How::Drop));
    let told: Vec<_> =
        near(&world, &asked).into_iter().map(|near| format!("{}: {}", near.rule.rule, near.why)).collect();
    assert_eq!(
        told,
        [
            "ingress[0].toPorts[0]: its ports do not include 81",
            "ingress[1]: it selects nobody that is known",
            "ingress[2]: its ranges select addresses outside of the cluster only, and the peer is inside",
            "ingress[3]: it names neither peers nor ports, so it selects nobody",
            "ingress[4].toPorts[0]: it is about another protocol than TCP",
        ]
    );
}

fn any_rule() -> impl Strategy<Value = PolicyEntry> {
    let who = sample::select(vec![
        anybody(),
        entities(&[Entity::All]),
        peers(&["app=client"]),
        peers(&["tier=x"]),
        peers(&["app=client", "app=server"]),
        cidrs(&["192.0.2.0/24"]),
        cidrs(&["192.0.0.0/16", "192.0.2.0/24"]),
    ]);
    let rules = sample::select(vec![
        ports(&["53/any"], Some(names(&DNS, &["a"])), None),
        ports(&["53/udp"], Some(names(&DNS, &["b"])), None),
        ports(&["53/any", "443/tcp"], None, None),
        ports(&["50-60/any"], None, None),
        ports(&["0/any"], None, None),
        ports(&["443/tcp"], None, Some(names(&TLS, &["a"]))),
        ports(&["440-450/tcp"], None, Some(names(&TLS, &["a", "b"]))),
        ports(&["443/tcp", "440-450/tcp"], None, None),
        ports(&["443/tcp"], Some(http()), None),
    ]);
    (who, vec(rules, 1..3)).prop_map(|(entry, rules)| rules.into_iter().fold(entry, Ports::push))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_filters_and_selectors(
        entries in vec(any_rule(), 1..5),
        peer in sample::select(&["10.0.0.2", "10.0.0.3", "192.0.2.1", "192.0.3.1", "8.8.8.8"][..]),
        port in sample::select(&["53/udp", "53/tcp", "443/tcp", "445/tcp", "55/udp"][..]),
        name in sample::select(&["a", "b", "c"][..]),
    ) {
        let world = builder(vec![policy("default/p", vec![egress("app=server", entries)])]);
        let key = key(1, Direction::Egress, peer, port);
        let flow = Snapshot::compile(&world, 1).flow(&key);
        for schema in [&DNS, &TLS] {
            let said = Named(schema, name);
            if let Some(wanted) = kit::protocols::passes(&world, &key, &said) {
                prop_assert_eq!(passes(&flow, &said), wanted, "{} {}", schema.protocol, name);
            }
        }
    }
}

#[test]
fn deny_rules_beat_names_too() {
    let denies = Rule { egress_deny: Some(vec![anybody().port("443")]), ..rule("app=server") };
    let allows = egress("app=server", vec![with(anybody(), ports(&["443"], None, Some(names(&TLS, &["a"]))))]);
    let world = builder(vec![policy("default/p", vec![allows, denies])]);
    let flow = leaves(&world, "world", "443");
    assert_eq!((word(&flow), flow.redirect, flow.reason), ("deny", None, Reason::RuleDenies));
}
