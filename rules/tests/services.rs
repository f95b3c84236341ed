//! Services, and the kernel's tables of endpoints.

mod kit;

use std::sync::Arc;

use ipnet::IpNet;
use kit::{
    Ports, allow, anybody, builder, cidrs, egress, endpoint, ingress, ip, peers, policy,
    protocols::{DNS, names, ports},
    service,
};
use portcullis_rules::{
    policy::{Policy, PolicyEntry, PortRule},
    snapshot::Snapshot,
    steering::{PortClass, SteeringAction},
    world::{Direction, EndpointId, Service, Transport, World},
};

fn with(services: Vec<Service>, policies: Vec<Policy>) -> World {
    World { services: services.into_iter().map(Arc::new).collect(), ..builder(policies) }
}

fn classes(world: &World) -> Vec<PortClass> {
    Snapshot::compile(world, 1).steering(EndpointId(1)).classes
}

/// What the kernel does with a TCP connection of the server to an address and port.
fn egress_action(world: &World, address: &str, port: u16) -> SteeringAction {
    action_of(Transport::Tcp, world, address, port)
}

fn action_of(transport: Transport, world: &World, address: &str, port: u16) -> SteeringAction {
    let classes = classes(world);
    let class = classes.iter().find(|class| {
        (class.direction, class.transport) == (Direction::Egress, transport) && class.ports.contains(&port)
    });
    let matching = class.into_iter().flat_map(|class| &class.prefixes).filter(|(net, _)| net.contains(&ip(address)));
    matching.max_by_key(|(net, _)| net.prefix_len()).map_or(SteeringAction::Pass, |(_, action)| *action)
}

#[test]
fn backends_are_of_the_vips_family_with_the_targets_port() {
    let services =
        vec![service(&["10.96.0.1", "fd96::1"], 80, 8080, Transport::Tcp, &["10.0.0.2", "fd00::2", "10.0.0.3"])];
    let snapshot = Snapshot::compile(&with(services, vec![]), 3);
    let backends = |transport, vip, port| snapshot.backends(transport, ip(vip), port).map(<[_]>::to_vec);
    let tcp = Transport::Tcp;
    assert_eq!(
        backends(tcp, "10.96.0.1", 80),
        Some(vec!["10.0.0.2:8080".parse().unwrap(), "10.0.0.3:8080".parse().unwrap()])
    );
    assert_eq!(backends(tcp, "fd96::1", 80), Some(vec!["[fd00::2]:8080".parse().unwrap()]));
    assert_eq!(backends(tcp, "10.96.0.1", 81), None, "no port of the service");
    assert_eq!(backends(Transport::Udp, "10.96.0.1", 80), None);
    assert_eq!(backends(tcp, "10.0.0.2", 8080), None, "a backend is no VIP");
    assert_eq!(snapshot.generation(), 3);
}

#[test]
fn a_service_without_ready_backends_is_known_but_empty() {
    let services = vec![service(&["10.96.0.1"], 80, 80, Transport::Tcp, &[])];
    let world = with(services, vec![policy("default/p", vec![egress("app=server", vec![anybody().port("80")])])]);
    assert_eq!(Snapshot::compile(&world, 1).backends(Transport::Tcp, ip("10.96.0.1"), 80), Some(&[][..]));
    assert_eq!(egress_action(&world, "10.96.0.1", 80), SteeringAction::Refuse);
}

#[test]
fn a_vip_is_treated_as_its_backends_are() {
    let to_client = |http: bool| {
        let entry = peers(&["app=client"]);
        let entry = if http { entry.http("8080", vec![allow("GET", "")]) } else { entry.port("8080") };
        vec![policy("default/p", vec![egress("app=server", vec![entry])])]
    };
    for (backends, http, wanted) in [
        (&["10.0.0.2"][..], false, SteeringAction::Pass),
        (&["10.0.0.3"], false, SteeringAction::Refuse),
        (&["10.0.0.2", "10.0.0.3"], false, SteeringAction::Steer),
        (&["10.0.0.2"], true, SteeringAction::Steer),
        (&["10.0.0.3"], true, SteeringAction::Refuse),
        // The server behind its own service may be sent to itself.
        (&["10.0.0.1", "10.0.0.3"], false, SteeringAction::Steer),
        (&["10.0.0.1"], false, SteeringAction::Pass),
    ] {
        let world = with(vec![service(&["10.96.0.1"], 80, 8080, Transport::Tcp, backends)], to_client(http));
        assert_eq!(egress_action(&world, "10.96.0.1", 80), wanted, "{backends:?} {http}");
        assert_eq!(
            egress_action(&world, "10.96.0.1", 81),
            SteeringAction::Refuse,
            "no port of the service: an address like any"
        );
    }
}

#[test]
fn a_vip_of_datagrams_has_a_relay_where_a_backend_is_judged() {
    let vip = |backends| service(&["10.96.0.10"], 53, 5353, Transport::Udp, backends);
    let dns = || ports(&["5353/udp"], Some(names(&DNS, &["example.com"])), None);
    let plain = || ports(&["5353/udp"], None, None);
    let to = |peer: &str, rule: PortRule| PolicyEntry { ports: Some(vec![rule]), ..peers(&[peer]) };
    let both: &[&str] = &["10.0.0.2", "10.0.0.3"];
    for (rules, backends, wanted) in [
        (vec![to("app=client", dns())], &["10.0.0.2"][..], SteeringAction::Steer),
        (vec![to("app=client", dns())], both, SteeringAction::Steer),
        (vec![to("app=client", plain())], both, SteeringAction::Refuse),
        (vec![to("app=client", plain())], &["10.0.0.2"], SteeringAction::Pass),
        (vec![to("app=client", dns())], &["10.0.0.3"], SteeringAction::Refuse),
    ] {
        let world = with(vec![vip(backends)], vec![policy("default/p", vec![egress("app=server", rules)])]);
        assert_eq!(action_of(Transport::Udp, &world, "10.96.0.10", 53), wanted, "{backends:?}");
    }
}

#[test]
fn a_loopback_address_that_policy_names_is_told_though_everybody_else_fares_alike() {
    let dns = || ports(&["53/udp"], Some(names(&DNS, &["example.com"])), None);
    let to = |cidr: &str| PolicyEntry { ports: Some(vec![dns()]), ..cidrs(&[cidr]) };
    let rules = vec![egress("app=server", vec![to("0.0.0.0/0"), to("127.0.0.53/32"), to("10.9.9.9/32")])];
    let classes = classes(&builder(vec![policy("default/p", rules)]));
    let class = classes.iter().find(|class| class.transport == Transport::Udp && class.ports.contains(&53)).unwrap();
    let told = |net: &str| class.prefixes.contains(&(net.parse().unwrap(), SteeringAction::Steer));
    assert!(told("127.0.0.53/32") && !told("10.9.9.9/32"), "{:?}", class.prefixes);
}

#[test]
fn an_endpoint_is_found_by_address_and_by_number() {
    let snapshot = Snapshot::compile(&builder(vec![]), 1);
    assert_eq!(&*snapshot.endpoint_at(ip("fd00::2")).unwrap().name, "client");
    assert_eq!(&*snapshot.endpoint(EndpointId(1)).unwrap().name, "server");
    assert!(snapshot.endpoint_at(ip("192.0.2.1")).is_none() && snapshot.endpoint(EndpointId(3)).is_none());
    assert_eq!(snapshot.steering(EndpointId(1)).addresses, [ip("10.0.0.1"), ip("fd00::1")]);
}

#[test]
fn only_what_is_judged_is_steered() {
    let http = peers(&["app=client"]).http("80", vec![allow("GET", "/")]);
    let world = builder(vec![policy("default/p", vec![ingress("app=server", vec![http, cidrs(&["192.0.2.0/24"])])])]);
    let classes = classes(&world);
    let shown: Vec<_> =
        classes.iter().map(|class| (class.transport, class.ports.clone(), class.prefixes.len())).collect();
    // Both /0, the range, the client's two addresses on port 80, and the node, which is let in.
    assert_eq!(
        shown,
        [
            (Transport::Tcp, 0..=79, 4),
            (Transport::Tcp, 80..=80, 6),
            (Transport::Tcp, 81..=65535, 4),
            (Transport::Udp, 0..=65535, 4),
            (Transport::Sctp, 0..=65535, 4),
        ]
    );
    let net: IpNet = "10.0.0.2/32".parse().unwrap();
    assert!(classes[1].prefixes.contains(&(net, SteeringAction::Steer)));
}

#[test]
fn ten_thousand_endpoints_cost_at_most_a_prefix_each() {
    let mut world =
        builder(vec![policy("default/p", vec![ingress("app=server", vec![peers(&["app=many"]).port("80")])])]);
    for number in 0..10_000_u32 {
        let address = format!("10.{}.{}.{}", 100 + number / 65536, number / 256 % 256, number % 256);
        world.endpoints.push(endpoint(0, &format!("default/e{number}"), "app=many", &[&address]).into());
    }
    let classes = classes(&world);
    let sizes: Vec<usize> = classes.iter().map(|class| class.prefixes.len()).collect();
    // Those that are refused like the rest of the world cost nothing.
    assert_eq!(sizes, [3, 10_003, 3, 3, 3]);
}

#[test]
fn endpoints_of_one_identity_are_told_the_same() {
    let mut world =
        builder(vec![policy("default/p", vec![ingress("app=server", vec![peers(&["app=client"]).port("80")])])]);
    let twin = kit::named("web", 8080, endpoint(5, "default/server-2", "app=server", &["10.0.0.55"]));
    world.endpoints.push(twin.into());
    let snapshot = Snapshot::compile(&world, 1);
    assert_eq!(snapshot.steering(EndpointId(1)).classes, snapshot.steering(EndpointId(5)).classes);
}
