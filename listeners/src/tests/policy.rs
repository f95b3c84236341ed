//! Which flows are admitted, and what a policy change does to open ones.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use portcullis_rules::{
    labels::LabelSet,
    world::{Direction, Service, ServicePort, Transport},
};

use crate::tests::{CLIENT, Rig, Rules, assert_reset, exchange, expect, get};

#[test]
fn until_there_is_a_policy_in_force_everybody_is_turned_away() {
    let mut rig = Rig::new();
    let mut early = rig.client();
    assert_reset(&mut early);
    assert_eq!(rig.dials(), 0);
    rig.publish(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    client.write_all(b"hello").unwrap();
    expect(&mut server, "hello");
}

#[test]
fn a_flow_that_no_rule_names_is_reset() {
    let rig = Rig::under(&Rules::DenyAll);
    assert_reset(&mut rig.client());
    assert_eq!(rig.dials(), 0);
    let line = r#"portcullis_verdicts_total{protocol="tcp",direction="ingress",verdict="deny",reason="no_rule",policy="",rule=""} 1"#;
    rig.await_metric(line);
}

#[test]
fn the_next_request_on_an_open_connection_is_judged_by_the_new_policy() {
    let mut rig = Rig::under(&Rules::Paths(&["/a"]));
    let mut client = rig.client();
    client.write_all(get("/a").as_bytes()).unwrap();
    let mut server = rig.accept();
    expect(&mut server, &get("/a"));
    server.write_all(super::answer("a").as_bytes()).unwrap();
    expect(&mut client, &super::answer("a"));
    rig.publish(&Rules::Paths(&["/b"]));
    exchange(&mut client, &mut server, "/b");
    client.write_all(get("/a").as_bytes()).unwrap();
    assert_reset(&mut client);
    assert_reset(&mut server);
}

#[test]
fn a_policy_that_denies_resets_connections_that_are_idle() {
    let mut rig = Rig::under(&Rules::NotEnforced);
    let mut pairs: Vec<_> = (0..20).map(|_| (rig.client(), rig.accept())).collect();
    rig.publish(&Rules::DenyAll);
    for (client, server) in &mut pairs {
        assert_reset(client);
        assert_reset(server);
    }
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="denied"} 20"#);
}

#[test]
fn a_policy_that_changes_nothing_for_a_connection_leaves_it_alone() {
    let mut rig = Rig::under(&Rules::NotEnforced);
    let (mut client, mut server) = (rig.client(), rig.accept());
    for _ in 0..3 {
        rig.publish(&Rules::NotEnforced);
        client.write_all(b"hello").unwrap();
        expect(&mut server, "hello");
    }
}

#[test]
fn a_connection_that_was_not_judged_cannot_be_judged_from_its_middle() {
    let mut rig = Rig::under(&Rules::NotEnforced);
    let (mut client, _server) = (rig.client(), rig.accept());
    rig.publish(&Rules::Paths(&["/.*"]));
    assert_reset(&mut client);
    rig.await_metric(r#"portcullis_connections_total{direction="ingress",outcome="policy_changed"} 1"#);
}

#[test]
fn a_upstream_goes_from_the_client_to_where_the_client_wanted() {
    let rig = Rig::under(&Rules::NotEnforced);
    let client = rig.client();
    let _server = rig.accept();
    let way = rig.ways.lock().unwrap()[0];
    assert_eq!(way.direction, Direction::Ingress);
    assert_eq!(way.client, client.local_addr().unwrap());
    assert_eq!(way.destination, rig.address);
}

fn service(vip: SocketAddr, target_port: u16, backends: &[Ipv4Addr]) -> Arc<Service> {
    let port = ServicePort { name: String::new(), port: vip.port(), transport: Transport::Tcp, target_port };
    Arc::new(Service {
        namespace: Arc::from("shop"),
        name: Arc::from("backend"),
        labels: LabelSet::default(),
        vips: vec![vip.ip()],
        ports: vec![port],
        backends: backends.iter().copied().map(IpAddr::V4).collect(),
    })
}

/// A rig whose endpoint is the client.
fn outbound(backends: &[Ipv4Addr]) -> Rig {
    let mut rig = Rig::new();
    rig.own = CLIENT;
    rig.services = vec![service(rig.address, 8080, backends)];
    rig.publish(&Rules::NotEnforced);
    rig
}

#[test]
fn a_service_is_reached_at_one_of_its_backends() {
    let backends = [Ipv4Addr::new(127, 0, 0, 11), Ipv4Addr::new(127, 0, 0, 12)];
    let rig = outbound(&backends);
    let mut drawn = [0, 0];
    while drawn.contains(&0) {
        let _client = rig.client();
        let _server = rig.accept();
        let way = *rig.ways.lock().unwrap().last().unwrap();
        assert_eq!((way.direction, way.destination.port()), (Direction::Egress, 8080));
        let index = backends.iter().position(|backend| way.destination.ip() == *backend).unwrap();
        drawn[index] += 1;
        assert!(drawn[0] + drawn[1] < 1000, "one backend is never drawn");
    }
}

#[test]
fn a_service_without_backends_is_refused_by_name() {
    let rig = outbound(&[]);
    assert_reset(&mut rig.client());
    let line = r#"portcullis_verdicts_total{protocol="tcp",direction="egress",verdict="deny",reason="no_backend",policy="",rule=""} 1"#;
    rig.await_metric(line);
}

#[test]
fn what_was_published_before_a_client_comes_holds_for_it() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        rig.publish(&Rules::DenyAll);
        assert_reset(&mut rig.client());
        rig.publish(&Rules::NotEnforced);
        let (mut client, mut server) = (rig.client(), rig.accept());
        client.write_all(b"hello").unwrap();
        expect(&mut server, "hello");
    }
}

#[test]
fn what_was_published_before_a_request_holds_for_it() {
    let mut rig = Rig::under(&Rules::Paths(&["/.*"]));
    for round in 0..50 {
        let mut client = rig.client();
        client.write_all(get("/a").as_bytes()).unwrap();
        let mut server = rig.accept();
        expect(&mut server, &get("/a"));
        server.write_all(super::answer("a").as_bytes()).unwrap();
        expect(&mut client, &super::answer("a"));
        rig.publish(&Rules::Paths(&["/[a-y]"]));
        client.write_all(get("/z").as_bytes()).unwrap();
        assert_reset(&mut client);
        rig.publish(&Rules::Paths(&["/.*"]));
        assert_eq!(rig.telemetry.totals().denied, round + 1);
    }
}
