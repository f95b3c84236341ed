//! Addresses of names are installed and removed one by one.

mod kit;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use kit::{
    Ports, allow, builder, cidr_set, cidrs, egress, endpoint, fqdns, ip, key, passes, peers, policy,
    protocols::{DNS, Named},
    request, resolved, service, word,
};
use portcullis_rules::{
    policy::{IcmpField, PolicyEntry, PortRef, PortRule, PortSpec, Rule},
    snapshot::{Flow, FlowKey, Snapshot},
    steering::{PortClass, SteeringAction},
    verdict::Layer,
    world::{Direction, EndpointId, Transport, World},
};

fn world(entries: Vec<PolicyEntry>) -> World {
    builder(vec![policy("default/p", vec![egress("app=server", entries)])])
}

fn compiled(entries: Vec<PolicyEntry>) -> Snapshot {
    Snapshot::compile(&world(entries), 1)
}

fn leaves(snapshot: &Snapshot, peer: &str, port: &str) -> Flow {
    snapshot.flow(&key(1, Direction::Egress, peer, port))
}

/// What the kernel is told: ports, address and action.
fn told(snapshot: &Snapshot, address: &str, names: &[&str]) -> Vec<String> {
    let told = snapshot.learn(ip(address), names).into_iter().filter(|learnt| learnt.transport == Transport::Tcp);
    told.map(|learnt| format!("{} {:?} {} {:?}", learnt.endpoint.0, learnt.ports, learnt.address, learnt.action))
        .collect()
}

#[test]
fn a_learnt_address_is_allowed_where_its_name_is_and_forgotten_with_it() {
    let snapshot = compiled(vec![fqdns(&["api.test", "*.cdn.test"]).port("443")]);
    assert_eq!(word(&leaves(&snapshot, "192.0.2.1", "443")), "deny");
    assert_eq!(told(&snapshot, "192.0.2.1", &["API.test"]), ["1 443..=443 192.0.2.1 Some(Pass)"]);
    assert_eq!(word(&leaves(&snapshot, "192.0.2.1", "443")), "allow");
    let elsewhere = leaves(&snapshot, "192.0.2.1", "80");
    assert_eq!((word(&elsewhere), elsewhere.layer), ("deny", Layer::L4), "its name is allowed on another port");
    assert_eq!(leaves(&snapshot, "192.0.2.2", "80").layer, Layer::L3);
    assert_eq!(told(&snapshot, "192.0.2.1", &["api.test.", "x.cdn.test"]), [""; 0], "nothing changes for the kernel");
    assert_eq!(told(&snapshot, "192.0.2.1", &["x.cdn.test"]), [""; 0]);
    assert_eq!(told(&snapshot, "192.0.2.1", &["other.test"]), ["1 443..=443 192.0.2.1 None"]);
    assert_eq!(word(&leaves(&snapshot, "192.0.2.1", "443")), "deny");
    assert!(!snapshot.has_names(ip("192.0.2.1")));
}

#[test]
fn a_learnt_address_is_allowed_by_protocols_without_ports_too() {
    let ports = vec![PortSpec { port: PortRef::Range(0, 0), transport: Some(Transport::Gre) }];
    let entry = PolicyEntry { ports: Some(vec![PortRule { ports, ..PortRule::default() }]), ..fqdns(&["api.test"]) };
    let snapshot = compiled(vec![entry]);
    let flow = |transport| {
        let key = FlowKey { transport, ..key(1, Direction::Egress, "192.0.2.1", "0") };
        word(&snapshot.flow(&key))
    };
    assert_eq!(flow(Transport::Gre), "deny");
    assert!(snapshot.learn(ip("192.0.2.1"), &["api.test"]).is_empty(), "the kernel is told nothing of it");
    assert_eq!((flow(Transport::Gre), flow(Transport::Vrrp), flow(Transport::Tcp)), ("allow", "deny", "deny"));
}

#[test]
fn a_learnt_address_may_be_sent_echo_requests_at_once_where_a_rule_has_icmps() {
    let fields = [(Transport::Icmp, 8), (Transport::IcmpV6, 128), (Transport::Icmp, 0)];
    let icmps = fields.map(|(family, kind)| IcmpField { family, kind }).to_vec();
    let snapshot = compiled(vec![PolicyEntry { icmps: Some(icmps), ..fqdns(&["api.test"]) }]);
    let before = snapshot.steering(EndpointId(1));
    let learnt = |names: &[&str]| {
        let learnt = snapshot.learn(ip("192.0.2.1"), names).into_iter();
        learnt.map(|change| (change.transport, change.ports, change.action)).collect::<Vec<_>>()
    };
    let told = |action| vec![(Transport::Icmp, 8..=8, action), (Transport::IcmpV6, 128..=128, action)];
    assert_eq!(learnt(&["api.test"]), told(Some(SteeringAction::Pass)), "other types are not judged by the kernel");
    let table = snapshot.steering(EndpointId(1));
    let echo = |class: &&PortClass| class.transport == Transport::Icmp && class.ports == (8..=8);
    let echo: Vec<_> = table.classes.iter().filter(echo).collect();
    let address = ("192.0.2.1/32".parse().unwrap(), SteeringAction::Pass);
    assert!(echo.len() == 1 && echo[0].learns && echo[0].prefixes.contains(&address), "{echo:?}");
    assert_eq!(learnt(&[]), told(None));
    assert_eq!(snapshot.steering(EndpointId(1)), before);
    // Without any `icmps` echo requests pass, so there is nothing to tell of them.
    let snapshot = compiled(vec![fqdns(&["api.test"])]);
    let told = snapshot.learn(ip("192.0.2.1"), &["api.test"]);
    assert!(told.iter().all(|change| change.transport.has_ports()), "{told:?}");
}

#[test]
fn only_names_that_some_policy_selects_are_worth_a_resolution() {
    let snapshot = compiled(vec![fqdns(&["api.test", "*.cdn.test"])]);
    for (name, selected) in
        [("api.test", true), ("API.TEST.", true), ("x.cdn.test", true), ("cdn.test", false), ("", false)]
    {
        assert_eq!(snapshot.selects(name), selected, "{name}");
        assert_eq!(told(&snapshot, "192.0.2.9", &[name]).len(), usize::from(selected), "{name}");
        snapshot.learn(ip("192.0.2.9"), &[]);
    }
    let none = compiled(vec![cidrs(&["0.0.0.0/0"])]);
    assert!(!none.selects("api.test") && none.learn(ip("192.0.2.1"), &["api.test"]).is_empty());
}

#[test]
fn rules_of_all_names_of_an_address_count_and_what_else_selects_it_too() {
    let rules = |path| vec![allow("GET", path)];
    let snapshot = compiled(vec![
        fqdns(&["a.test"]).http("80", rules("/a")),
        fqdns(&["b.test"]).http("80", rules("/b")),
        fqdns(&["plain.test"]).port("80"),
        cidr_set("198.51.100.0/24", &[]).http("80", rules("/range")),
    ]);
    let asked = |address| {
        let flow = leaves(&snapshot, address, "80");
        ["/a", "/b", "/range"].map(|path| passes(&flow, &request("GET", path)))
    };
    for (address, names, wanted, kernel) in [
        ("192.0.2.1", vec!["a.test"], [true, false, false], Some("Some(Steer)")),
        ("192.0.2.1", vec!["a.test", "b.test"], [true, true, false], None),
        ("192.0.2.1", vec!["b.test"], [false, true, false], None),
        ("192.0.2.1", vec!["b.test", "plain.test"], [true, true, true], Some("Some(Pass)")),
        ("192.0.2.1", vec![], [false, false, false], Some("None")),
        ("198.51.100.7", vec!["a.test"], [true, false, true], None),
        ("198.51.100.7", vec!["plain.test"], [true, true, true], Some("Some(Pass)")),
        ("198.51.100.7", vec![], [false, false, true], Some("None")),
    ] {
        let kernel: Vec<_> = kernel.map(|action| format!("1 80..=80 {address} {action}")).into_iter().collect();
        assert_eq!(told(&snapshot, address, &names), kernel, "{address} is {names:?}");
        assert_eq!(asked(address), wanted, "{address} is {names:?}");
    }
}

#[test]
fn a_denied_range_stays_denied_whatever_its_addresses_are_called() {
    let rule = Rule { egress_deny: Some(vec![cidrs(&["192.0.2.0/24"])]), ..egress("app=server", vec![fqdns(&["*"])]) };
    let snapshot = Snapshot::compile(&builder(vec![policy("default/p", vec![rule])]), 1);
    assert_eq!(told(&snapshot, "192.0.2.1", &["a.test"]), [""; 0]);
    assert_eq!(word(&leaves(&snapshot, "192.0.2.1", "80")), "deny");
    assert_eq!(told(&snapshot, "203.0.113.1", &["a.test"]), ["1 0..=65535 203.0.113.1 Some(Pass)"]);
}

#[test]
fn names_never_mean_endpoints_of_the_cluster_but_those_outside_of_it() {
    let mut world = world(vec![fqdns(&["*"]).port("80")]);
    let outside = endpoint(0, "node/outside", "reserved:world=,app=legacy", &["203.0.113.5", "203.0.113.6"]);
    world.endpoints.push(outside.into());
    let snapshot = Snapshot::compile(&world, 1);
    assert_eq!(told(&snapshot, "10.0.0.2", &["client.test"]), [""; 0]);
    assert_eq!(word(&leaves(&snapshot, "10.0.0.2", "80")), "deny");
    assert_eq!(told(&snapshot, "203.0.113.5", &["legacy.test"]), ["1 80..=80 203.0.113.5 Some(Pass)"]);
    assert_eq!(word(&leaves(&snapshot, "203.0.113.5", "80")), "allow");
    assert_eq!(word(&leaves(&snapshot, "203.0.113.6", "80")), "deny", "the name has the one address only");
}

#[test]
fn a_vip_fares_as_its_backends_do_when_they_are_learnt() {
    let mut world = world(vec![fqdns(&["back.test"]).port("8080"), fqdns(&["vip.test"])]);
    world.services.push(service(&["10.96.0.1"], 80, 8080, Transport::Tcp, &["192.0.2.1"]).into());
    let snapshot = Snapshot::compile(&world, 1);
    assert_eq!(
        told(&snapshot, "192.0.2.1", &["back.test"]),
        ["1 8080..=8080 192.0.2.1 Some(Pass)", "1 80..=80 10.96.0.1 Some(Pass)"]
    );
    let mut ports = told(&snapshot, "10.96.0.1", &["vip.test"]);
    ports.sort();
    let wanted = ["0..=79", "8080..=8080", "8081..=65535", "81..=8079"];
    assert_eq!(ports, wanted.map(|ports| format!("1 {ports} 10.96.0.1 Some(Pass)")), "at port 80 its backends decide");
}

#[test]
fn an_address_of_the_machine_itself_is_told_even_where_those_around_it_fare_alike() {
    let snapshot = compiled(vec![fqdns(&["localhost"]).port("80"), cidrs(&["0.0.0.0/0"]).port("80")]);
    assert_eq!(told(&snapshot, "192.0.2.1", &["localhost"]), [""; 0]);
    assert_eq!(told(&snapshot, "127.0.0.53", &["localhost"]), ["1 80..=80 127.0.0.53 Some(Pass)"]);
    let told = snapshot.steering(EndpointId(1)).classes;
    assert!(
        told.iter().any(|class| class.prefixes.contains(&("127.0.0.53/32".parse().unwrap(), SteeringAction::Pass)))
    );
}

#[test]
fn the_names_that_let_a_flow_pass_are_those_that_its_own_rules_select() {
    let server = egress("app=server", vec![fqdns(&["a.test"]).port("80"), fqdns(&["b.test"]).port("443")]);
    let client = egress("app=client", vec![fqdns(&["*.test"])]);
    let snapshot = Snapshot::compile(&builder(vec![policy("default/p", vec![server, client])]), 1);
    snapshot.learn(ip("192.0.2.1"), &["b.test", "a.test", "c.test", "elsewhere"]);
    let names = |endpoint, port| {
        let names = snapshot.names_for(&key(endpoint, Direction::Egress, "192.0.2.1", port));
        names.iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(1, "80"), ["a.test."]);
    assert_eq!(names(1, "443"), ["b.test."]);
    assert_eq!(names(1, "22"), [""; 0]);
    assert_eq!(names(2, "22"), ["a.test.", "b.test.", "c.test."]);
    assert_eq!(names(9, "80"), [""; 0]);
    let all = snapshot.names_of(ip("192.0.2.1"));
    assert_eq!(all.iter().map(|name| &**name).collect::<Vec<_>>(), ["a.test.", "b.test.", "c.test."]);
    let selecting = World { names: vec![resolved("c.test.", &["192.0.2.1"])], ..world(vec![fqdns(&["c.test"])]) };
    assert_eq!(Snapshot::compile(&selecting, 2).names_of(ip("192.0.2.1")).len(), 1);
}

#[test]
fn a_table_tells_everything_that_was_learnt_and_resolutions_are_counted_when_they_change_something() {
    let snapshot = compiled(vec![fqdns(&["*.test"]).port("443")]);
    let before = (snapshot.steering(EndpointId(1)), snapshot.resolutions());
    assert_eq!(snapshot.steering(EndpointId(1)), before.0);
    snapshot.learn(ip("192.0.2.1"), &["a.test"]);
    let table = snapshot.steering(EndpointId(1));
    let class =
        table.classes.iter().find(|class| class.transport == Transport::Tcp && class.ports == (443..=443)).unwrap();
    assert!(
        class.learns && class.prefixes.contains(&("192.0.2.1/32".parse().unwrap(), SteeringAction::Pass)),
        "{class:?}"
    );
    let resolutions = snapshot.resolutions();
    assert!(resolutions > before.1);
    snapshot.learn(ip("192.0.2.1"), &["a.test"]);
    assert_eq!(snapshot.resolutions(), resolutions);
    snapshot.learn(ip("192.0.2.1"), &[]);
    assert_eq!(snapshot.steering(EndpointId(1)), before.0);
}

#[test]
fn an_address_that_stays_allowed_is_never_refused_while_its_names_change() {
    let snapshot = compiled(vec![fqdns(&["a.test"]).http("80", vec![allow("", "/a")]), fqdns(&["b.test"]).port("80")]);
    snapshot.learn(ip("192.0.2.1"), &["a.test"]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut asked = 0_u32;
            while !done.load(Ordering::Relaxed) || asked == 0 {
                assert!(passes(&leaves(&snapshot, "192.0.2.1", "80"), &request("GET", "/a")));
                assert_eq!(word(&leaves(&snapshot, "192.0.2.2", "80")), "deny");
                asked += 1;
            }
        });
        for round in 0..2000_u16 {
            let other = ip(&format!("198.51.{}.{}", round >> 8, round & 255));
            snapshot.learn(other, &["b.test"]);
            let names: &[&str] = if round % 2 == 0 { &["a.test", "b.test"] } else { &["a.test"] };
            snapshot.learn(ip("192.0.2.1"), names);
        }
        done.store(true, Ordering::Relaxed);
        asked.join().unwrap();
    });
}

#[test]
fn names_may_be_followed_without_a_rule_for_dns_by_judging_what_passes_on_its_port() {
    let entries = vec![fqdns(&["api.test"]).port("443"), peers(&["app=client"]).port("1-100/any")];
    let mut world = world(entries);
    world.naming = Some(&DNS);
    let by_cilium = Snapshot::compile(&world, 1);
    assert_eq!(word(&leaves(&by_cilium, "10.0.0.2", "53")), "allow");
    world.settings.deviations.names_without_dns_rule = true;
    let snapshot = Snapshot::compile(&world, 2);
    for (port, wanted) in [("52", "allow"), ("53", "judge"), ("53/udp", "judge"), ("54", "allow"), ("101", "deny")] {
        assert_eq!(word(&leaves(&snapshot, "10.0.0.2", port)), wanted, "{port}");
    }
    let Some(rules) = leaves(&snapshot, "10.0.0.2", "53").plan.requests else { panic!("it is judged") };
    let query = Named(&DNS, "anything.test.");
    let verdict = rules.check(&query);
    assert!(verdict.outcome.passes());
    assert_eq!(verdict.rule.map(|rule| &*rule.rule), Some("egress[1].toPorts[0]"));
    // Who follows no names is not listened to.
    world.policies = vec![Arc::new(policy("default/p", vec![egress("app=server", vec![peers(&["app=client"])])]))];
    assert_eq!(word(&leaves(&Snapshot::compile(&world, 3), "10.0.0.2", "53")), "allow");
}
