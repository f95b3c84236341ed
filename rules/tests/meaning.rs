//! The meaning of policies at L3 and L4, for the endpoints of a small cluster.

mod kit;

use kit::{
    Ports, allow, anybody, builder, cidr_set, cidrs, egress, endpoint, enters, entities, ingress, key, leaves, passes,
    peers, policy, request, rule, word,
};
use portcullis_rules::{
    policy::{Entity, FqdnSelector, IcmpField, Policy, PolicyEntry, Rule},
    settings::{Deviations, Enforcement},
    snapshot::Snapshot,
    steering::SteeringAction,
    verdict::{Layer, Reason},
    world::{Direction, EndpointId, Transport, World},
};

fn server(entries: Vec<PolicyEntry>) -> World {
    builder(vec![policy("default/p", vec![ingress("app=server", entries)])])
}

/// Asserts who enters, as `peer port word`.
fn assert_enters(world: &World, table: &[(&str, &str, &str)]) {
    for (peer, port, wanted) in table {
        assert_eq!(word(&enters(world, peer, port)), *wanted, "{peer} {port}");
    }
}

fn assert_leaves(world: &World, table: &[(&str, &str, &str)]) {
    for (peer, port, wanted) in table {
        assert_eq!(word(&leaves(world, peer, port)), *wanted, "{peer} {port}");
    }
}

#[test]
fn without_policy_everything_passes() {
    let world = builder(vec![]);
    assert_enters(&world, &[("client", "80", "allow"), ("world", "22", "allow")]);
    assert_eq!(enters(&world, "client", "80").reason, Reason::NotEnforced);
    assert!(
        Snapshot::compile(&world, 1).steering(key(1, Direction::Ingress, "10.0.0.2", "1").endpoint).classes.is_empty()
    );
}

#[test]
fn the_empty_snapshot_knows_nobody() {
    let snapshot = Snapshot::default();
    let flow = snapshot.flow(&key(7, Direction::Egress, "10.0.0.2", "80"));
    assert_eq!((word(&flow), flow.reason), ("deny", Reason::UnknownEndpoint));
    assert_eq!(snapshot.generation(), 0);
    assert!(snapshot.steering(portcullis_rules::world::EndpointId(7)).classes.is_empty());
}

#[test]
fn a_selector_is_bound_to_the_policys_namespace() {
    let world = server(vec![peers(&["app=client"])]);
    assert_enters(&world, &[("client", "80", "allow"), ("other", "80", "deny"), ("world", "80", "deny")]);
    let world = server(vec![peers(&["app=client,io.kubernetes.pod.namespace=other"])]);
    assert_enters(&world, &[("client", "80", "deny"), ("other", "80", "allow")]);
    let everywhere = builder(vec![policy("p", vec![ingress("app=server", vec![peers(&[""])])])]);
    assert_enters(&everywhere, &[("client", "80", "allow"), ("other", "80", "allow"), ("world", "80", "deny")]);
}

#[test]
fn a_policy_binds_only_its_namespace() {
    let world = builder(vec![policy("other/p", vec![ingress("", vec![anybody()])])]);
    assert_enters(&world, &[("client", "80", "allow")]);
    // Whatever its selector says.
    let world = builder(vec![policy("other/p", vec![ingress("io.kubernetes.pod.namespace=default", vec![anybody()])])]);
    assert_enters(&world, &[("client", "80", "allow")]);
}

#[test]
fn three_kinds_of_nothing() {
    for (entry, peer, wanted) in [
        (anybody().port("80"), "world", "allow"),
        (anybody(), "client", "deny"),
        (peers(&[]).port("80"), "client", "deny"),
        (peers(&[""]).port("80"), "client", "allow"),
        (peers(&[""]).port("80"), "other", "deny"),
        (cidrs(&[]).port("80"), "world", "deny"),
        (entities(&[]).port("80"), "world", "deny"),
        (PolicyEntry { ports: Some(vec![]), ..peers(&["app=client"]) }, "client", "allow"),
        (PolicyEntry { ports: Some(vec![]), ..anybody() }, "client", "deny"),
        (PolicyEntry { fqdns: Some(vec![]), ..anybody() }.port("80"), "client", "allow"),
    ] {
        let shown = format!("{entry:?}");
        assert_eq!(word(&enters(&server(vec![entry]), peer, "80")), wanted, "{peer}: {shown}");
    }
}

#[test]
fn an_empty_list_of_ports_selects_nothing_neither_allowed_nor_denied() {
    let none = || portcullis_rules::policy::PortRule::default();
    let world = server(vec![peers(&["app=client"]).push(none())]);
    assert_enters(&world, &[("client", "80", "deny")]);
    let denies =
        Rule { ingress_deny: Some(vec![anybody().push(none())]), ..ingress("app=server", vec![anybody().port("80")]) };
    assert_enters(&builder(vec![policy("default/p", vec![denies])]), &[("client", "80", "allow")]);
}

#[test]
fn ports_are_numbers_ranges_names_and_transports() {
    let world = server(vec![
        anybody().port("80"),
        anybody().port("90-95/udp"),
        anybody().port("7/any"),
        anybody().port("web"),
        anybody().port("absent"),
    ]);
    assert_enters(
        &world,
        &[
            ("client", "80", "allow"),
            ("client", "80/udp", "deny"),
            ("client", "89/udp", "deny"),
            ("client", "90/udp", "allow"),
            ("client", "95/udp", "allow"),
            ("client", "96/udp", "deny"),
            ("client", "7/sctp", "allow"),
            ("client", "7/udp", "allow"),
            ("client", "8080", "allow"),
            ("client", "8080/udp", "deny"),
        ],
    );
    assert_enters(&server(vec![anybody().port("0")]), &[("client", "1", "allow"), ("client", "1/udp", "deny")]);
}

#[test]
fn on_egress_a_port_is_named_by_the_destination() {
    let world =
        builder(vec![policy("default/p", vec![egress("app=server", vec![peers(&["app=client"]).port("web")])])]);
    assert_leaves(&world, &[("client", "80", "allow"), ("client", "8080", "deny"), ("world", "80", "deny")]);
}

#[test]
fn ranges_of_addresses_never_mean_known_endpoints() {
    let world = server(vec![cidrs(&["10.0.0.0/8"]), cidr_set("172.16.0.0/12", &["172.16.5.0/24"])]);
    assert_enters(
        &world,
        &[
            ("client", "80", "deny"),
            ("10.77.0.1", "80", "allow"),
            ("172.16.4.1", "80", "allow"),
            ("172.16.5.1", "80", "deny"),
            ("world", "80", "deny"),
        ],
    );
    // An exception holds for its own element only.
    let world = server(vec![cidr_set("172.16.0.0/12", &["172.16.5.0/24"]), cidrs(&["172.16.5.1/32"])]);
    assert_enters(&world, &[("172.16.5.1", "80", "allow"), ("172.16.5.2", "80", "deny")]);
}

#[test]
fn entities_mean_what_their_names_say() {
    let table: [(Entity, &[&str]); 9] = [
        (Entity::All, &["client", "other", "host", "node", "world", "world6"]),
        (Entity::ClusterMesh, &["client", "other", "host", "node"]),
        (Entity::World, &["world", "world6"]),
        (Entity::WorldIpv4, &["world"]),
        (Entity::WorldIpv6, &["world6"]),
        (Entity::Cluster, &["client", "other", "host", "node"]),
        (Entity::Host, &["host"]),
        (Entity::RemoteNode, &["node"]),
        (Entity::None, &[]),
    ];
    for (entity, members) in table {
        let rules = vec![egress("app=server", vec![entities(&[entity])])];
        let world = builder(vec![policy("default/p", rules)]);
        for peer in ["client", "other", "host", "node", "world", "world6"] {
            let wanted = if members.contains(&peer) { "allow" } else { "deny" };
            assert_eq!(word(&leaves(&world, peer, "80")), wanted, "{entity:?} {peer}");
        }
    }
}

/// Unqualified selectors mean this cluster, and so does the entity.
#[test]
fn an_endpoint_of_another_cluster_is_selected_by_that_cluster_alone() {
    let green = endpoint(0, "default/green", "app=client,io.cilium.k8s.policy.cluster=green", &["10.8.0.2"]);
    for (entry, wanted) in [
        (peers(&["app=client"]), "deny"),
        (peers(&["app=client,io.cilium.k8s.policy.cluster=green"]), "allow"),
        (peers(&["app=client,k8s:io.cilium.k8s.policy.cluster"]), "allow"),
        (peers(&["app=client,io.cilium.k8s.policy.cluster=default"]), "deny"),
        (entities(&[Entity::Cluster]), "deny"),
        (entities(&[Entity::ClusterMesh]), "allow"),
        (entities(&[Entity::World]), "deny"),
        (entities(&[Entity::All]), "allow"),
    ] {
        let mut world = server(vec![entry.clone()]);
        world.endpoints.push(std::sync::Arc::new(green.clone()));
        assert_eq!(word(&enters(&world, "10.8.0.2", "80")), wanted, "{entry:?}");
    }
}

#[test]
fn several_policies_are_united() {
    let one = policy("default/one", vec![ingress("app=server", vec![peers(&["app=client"]).port("80")])]);
    let two = policy("default/two", vec![ingress("app=server", vec![cidrs(&["192.0.2.0/24"])])]);
    let world = builder(vec![one, two]);
    assert_enters(&world, &[("client", "80", "allow"), ("world", "22", "allow"), ("client", "22", "deny")]);
}

#[test]
fn a_denial_beats_every_allow_however_specific() {
    let rule = Rule {
        ingress_deny: Some(vec![peers(&["app=client"]), cidrs(&["192.0.0.0/8"]).port("80")]),
        ..ingress("app=server", vec![peers(&["app=client,tier=x"]).port("80"), cidrs(&["192.0.2.1/32"])])
    };
    let world = builder(vec![policy("default/p", vec![rule])]);
    assert_enters(&world, &[("client", "80", "deny"), ("world", "80", "deny"), ("world", "81", "allow")]);
    let flow = enters(&world, "client", "80");
    assert_eq!((flow.layer, flow.reason), (Layer::L3, Reason::RuleDenies));
    assert_eq!(&*flow.rule.unwrap().rule, "ingressDeny[0]");
    let flow = enters(&world, "world", "80");
    assert_eq!((flow.layer, &*flow.rule.unwrap().rule), (Layer::L4, "ingressDeny[1].toPorts[0]"));
}

#[test]
fn default_deny_can_be_left_off() {
    let quiet = |rule: Rule| Rule { default_deny_ingress: Some(false), ..rule };
    let world = builder(vec![policy("default/p", vec![quiet(ingress("app=server", vec![peers(&["app=client"])]))])]);
    assert_enters(&world, &[("client", "80", "allow"), ("world", "80", "allow")]);
    // Its denials act nevertheless.
    let denies = Rule { ingress_deny: Some(vec![entities(&[Entity::World])]), ..rule("app=server") };
    let world = builder(vec![policy("default/p", vec![quiet(denies.clone())])]);
    assert_enters(&world, &[("client", "80", "allow"), ("world", "80", "deny")]);
    // One rule that switches it on is enough.
    let world = builder(vec![
        policy("default/p", vec![quiet(denies)]),
        policy("default/q", vec![ingress("app=server", vec![anybody()])]),
    ]);
    assert_enters(&world, &[("client", "80", "deny")]);
    // It is a property of rules: without an element there is none.
    let rule = Rule { default_deny_ingress: Some(true), ..egress("app=server", vec![anybody()]) };
    assert_enters(&builder(vec![policy("default/p", vec![rule])]), &[("client", "80", "allow")]);
}

#[test]
fn where_default_deny_is_off_http_rules_show_and_refuse_nothing() {
    let rule = Rule {
        default_deny_ingress: Some(false),
        ..ingress("app=server", vec![anybody().http("80", vec![allow("GET", "/a")])])
    };
    let flow = enters(&builder(vec![policy("default/p", vec![rule])]), "client", "80");
    assert_eq!(word(&flow), "judge");
    assert!(passes(&flow, &request("PUT", "/b")));
}

#[test]
fn enforcement_modes() {
    let allows_client = || vec![policy("default/p", vec![ingress("app=server", vec![peers(&["app=client"])])])];
    let mut world = builder(allows_client());
    assert_leaves(&world, &[("world", "80", "allow")]);
    world.settings.enforcement = Enforcement::Always;
    assert_enters(&world, &[("client", "80", "allow"), ("world", "80", "deny")]);
    assert_leaves(&world, &[("world", "80", "deny")]);
    world.settings.enforcement = Enforcement::Never;
    assert_enters(&world, &[("world", "80", "allow")]);
}

#[test]
fn an_endpoint_without_labels_yet_is_always_enforced_and_the_node_never() {
    let mut world = builder(vec![policy("p", vec![ingress("", vec![anybody()])])]);
    world.endpoints.push(endpoint(8, "default/new", "reserved:init=", &["10.0.0.8"]).into());
    world.endpoints.push(endpoint(9, "node/self", "reserved:host=", &["10.0.0.9"]).into());
    let snapshot = Snapshot::compile(&world, 1);
    assert_eq!(word(&snapshot.flow(&key(8, Direction::Egress, "192.0.2.1", "80"))), "deny");
    assert_eq!(word(&snapshot.flow(&key(9, Direction::Ingress, "192.0.2.1", "80"))), "allow");
}

#[test]
fn the_node_itself_is_let_in() {
    let mut world = server(vec![anybody().http("80", vec![allow("GET", "/a")])]);
    let flow = enters(&world, "host", "22");
    assert_eq!((word(&flow), flow.reason), ("allow", Reason::LocalHost));
    // Cilium lets it past HTTP rules too, but not past a denial, and another node is not it.
    assert_enters(&world, &[("host", "80", "allow"), ("node", "22", "deny"), ("node", "80", "judge")]);
    world.settings.allow_localhost = false;
    assert_enters(&world, &[("host", "22", "deny"), ("host", "80", "judge")]);
    let denies = Rule { ingress_deny: Some(vec![entities(&[Entity::Host])]), ..rule("app=server") };
    assert_enters(&builder(vec![policy("default/p", vec![denies])]), &[("host", "22", "deny")]);
}

/// Nobody has declared the node: what is known are its addresses.
#[test]
fn the_node_is_let_in_by_its_addresses_alone() {
    let at_home = |entries: Vec<PolicyEntry>, denies: Option<Vec<PolicyEntry>>| {
        let rule = Rule { ingress_deny: denies, ..ingress("app=server", entries) };
        let mut world = builder(vec![policy("default/p", vec![rule])]);
        world.endpoints.retain(|endpoint| !endpoint.labels.has_reserved("host"));
        // The second one is the client's.
        world.node_addresses = ["192.0.2.1", "10.0.0.2", "fd00::9:1"].map(kit::ip).into();
        world
    };
    let judged = || vec![peers(&["app=client"]).http("80", vec![allow("GET", "/a")])];
    let world = at_home(judged(), None);
    let flow = enters(&world, "192.0.2.1", "22");
    assert_eq!((word(&flow), flow.reason), ("allow", Reason::LocalHost));
    let all = [("192.0.2.1", "80", "allow"), ("fd00::9:1", "22", "allow"), ("192.0.2.2", "80", "deny")];
    assert_enters(&world, &all);
    assert_enters(&world, &[("10.0.0.2", "80", "judge"), ("10.0.0.2", "22", "deny")]);
    // What denies the node, or its range, denies it.
    for denied in [entities(&[Entity::Host]), peers(&["reserved:host="]), cidrs(&["192.0.2.0/24"])] {
        assert_enters(
            &at_home(judged(), Some(vec![denied])),
            &[("192.0.2.1", "22", "deny"), ("192.0.2.1", "80", "deny")],
        );
    }
    // The kernel is told of it, too.
    let snapshot = Snapshot::compile(&world, 1);
    let table = snapshot.steering(EndpointId(1));
    assert!(format!("{table:?}").contains("192.0.2.1/32"), "{table:?}");
    // To the node goes what ranges allow, as before.
    let mut out = at_home(Vec::new(), None);
    out.policies = vec![policy("default/p", vec![egress("app=server", vec![cidrs(&["192.0.2.0/24"])])]).into()];
    assert_eq!(word(&leaves(&out, "192.0.2.1", "80")), "allow");
    let mut closed = at_home(judged(), None);
    closed.settings.allow_localhost = false;
    assert_enters(&closed, &[("192.0.2.1", "22", "deny")]);
}

#[test]
fn an_endpoint_reaches_itself() {
    let world = server(vec![anybody()]);
    assert_enters(&world, &[("10.0.0.1", "80", "allow"), ("fd00::1", "80", "allow")]);
}

#[test]
fn the_layer_tells_whether_the_peer_or_the_port_was_wrong() {
    let world = server(vec![peers(&["app=client"]).port("80"), cidrs(&["192.0.2.0/24"])]);
    for (peer, port, layer, reason) in [
        ("client", "80", Layer::L4, Reason::RuleAllows),
        ("client", "22", Layer::L4, Reason::NoRule),
        ("client", "80/udp", Layer::L4, Reason::NoRule),
        ("world", "22", Layer::L3, Reason::RuleAllows),
        ("other", "80", Layer::L3, Reason::NoRule),
    ] {
        let flow = enters(&world, peer, port);
        assert_eq!((flow.layer, flow.reason), (layer, reason), "{peer} {port}");
    }
    assert_eq!(&*enters(&world, "client", "80").rule.unwrap().rule, "ingress[0].toPorts[0]");
    assert_eq!(&*enters(&world, "world", "1").rule.unwrap().policy, "default/p");
}

#[test]
fn names_select_no_address_as_long_as_none_is_learnt() {
    let names = PolicyEntry { fqdns: Some(vec![FqdnSelector::Name("a.example".to_owned())]), ..anybody() };
    let world = |entry: PolicyEntry| builder(vec![policy("default/p", vec![egress("app=server", vec![entry])])]);
    assert_leaves(&world(names.clone()), &[("world", "80", "deny")]);
    assert_leaves(&world(names.port("80")), &[("world", "80", "deny")]);
}

fn deviating(policies: Vec<Policy>, deviations: Deviations) -> World {
    let mut world = builder(policies);
    world.settings.deviations = deviations;
    world
}

#[test]
fn deviation_an_empty_element_allows_its_direction() {
    let on = Deviations { empty_rule_allows: true, ..Deviations::default() };
    let world = deviating(vec![policy("default/p", vec![egress("app=server", vec![anybody()])])], on);
    assert_leaves(&world, &[("world", "80", "allow"), ("client", "9/udp", "allow")]);
    // An empty denial denies nobody.
    let denies = Rule { ingress_deny: Some(vec![anybody()]), ..ingress("app=server", vec![anybody()]) };
    assert_enters(&deviating(vec![policy("default/p", vec![denies])], on), &[("client", "80", "allow")]);
}

#[test]
fn deviation_http_rules_bind_beside_a_plain_allow() {
    let both = || {
        let http = vec![allow("GET", "/a")];
        vec![
            policy("default/p", vec![ingress("app=server", vec![anybody().http("80", http)])]),
            policy("default/q", vec![ingress("app=server", vec![peers(&["app=client"])])]),
        ]
    };
    assert_enters(&builder(both()), &[("client", "80", "allow"), ("other", "80", "judge")]);
    let on = Deviations { l7_binds_beside_l4: true, ..Deviations::default() };
    assert_enters(&deviating(both(), on), &[("client", "80", "judge"), ("client", "81", "allow")]);
}

#[test]
fn deviation_kube_dns_is_an_entity() {
    let to_dns =
        || vec![policy("default/p", vec![egress("app=server", vec![entities(&[Entity::KubeDns]).port("53/udp")])])];
    let on = Deviations { kube_dns_entity: true, ..Deviations::default() };
    assert_leaves(&deviating(to_dns(), on), &[("dns", "53/udp", "allow"), ("client", "53/udp", "deny")]);
    assert_leaves(&builder(to_dns()), &[("dns", "53/udp", "deny")]);
}

#[test]
fn the_kernel_is_told_of_echo_requests_on_their_way_out_where_rules_speak_of_icmp() {
    let icmp = |fields: &[(Transport, u8)]| {
        let fields = fields.iter().map(|(family, kind)| IcmpField { family: *family, kind: *kind });
        PolicyEntry { icmps: Some(fields.collect()), ..peers(&["app=client"]) }
    };
    let told = |rule: Rule| -> Vec<String> {
        let world = builder(vec![policy("default/p", vec![rule])]);
        let table = Snapshot::compile(&world, 1).steering(EndpointId(1));
        let about = table.classes.iter().filter(|class| !class.transport.has_ports());
        let all = about.map(|class| {
            let whom = class
                .prefixes
                .iter()
                .filter(|(_, action)| *action == SteeringAction::Pass)
                .map(|(net, _)| net.to_string());
            format!(
                "{:?} {:?} {:?} {}",
                class.direction,
                class.transport,
                class.ports,
                whom.collect::<Vec<_>>().join(" ")
            )
        });
        all.collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(told(egress("app=server", vec![peers(&["app=client"])])), none, "nobody speaks of it");
    assert_eq!(told(ingress("app=server", vec![icmp(&[(Transport::Icmp, 8)])])), none, "no hook meets what comes in");
    // Whatever else is a request is closed with it, in both families.
    let closed = [("Icmp", [8, 13, 15, 17, 42]), ("IcmpV6", [128, 139, 144, 146, 160])];
    let closed: Vec<String> = closed
        .iter()
        .flat_map(|(family, types)| types.iter().map(move |kind| format!("Egress {family} {kind}..={kind} ")))
        .collect();
    let but = |number: usize, whom: &str| {
        let mut told = closed.clone();
        told[number] += whom;
        told
    };
    let client = "10.0.0.2/32 fd00::2/128";
    assert_eq!(told(egress("app=server", vec![icmp(&[(Transport::Icmp, 8)])])), but(0, client));
    assert_eq!(told(egress("app=server", vec![icmp(&[(Transport::Icmp, 42)])])), but(4, client));
    assert_eq!(told(egress("app=server", vec![icmp(&[(Transport::IcmpV6, 160)])])), but(9, client));
    assert_eq!(told(egress("app=server", vec![icmp(&[(Transport::Icmp, 0)])])), closed);
    let denies = Rule { egress_deny: Some(vec![icmp(&[(Transport::Icmp, 8)])]), ..rule("app=server") };
    let denies = Rule { default_deny_egress: Some(false), ..denies };
    assert_eq!(told(denies), ["Egress Icmp 8..=8 0.0.0.0/0 ::/0"], "all but the client");
}
