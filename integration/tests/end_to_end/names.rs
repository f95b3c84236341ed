//! Names: DNS is judged, addresses are learned from its answers, and connections to them are allowed.

mod crowd;
mod expiry;
mod failures;
mod load;
mod messages;
mod neighbours;
mod race;
mod resolvers;
mod world;

use portcullis_integration::{
    curl::{REFUSED, RESET, curl},
    documents::policy,
};
use serde_json::{Value, json};

use self::world::{World, able};
use crate::{
    icmp::ping_address,
    scene::{FAMILIES, SHOP},
};

/// Lets the client ask for some names, and follow some.
fn names(dns: &Value, fqdns: &Value, ports: &Value) -> Value {
    let kube_dns =
        json!({ "matchLabels": { "k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns" } });
    policy(
        SHOP,
        "client-names",
        &json!({
            "endpointSelector": { "matchLabels": { "app": "client" } },
            "egress": [
                {
                    "toEndpoints": [kube_dns],
                    "toPorts": [{ "ports": [{ "port": "53", "protocol": "ANY" }], "rules": { "dns": dns } }],
                },
                { "toFQDNs": fqdns, "toPorts": ports },
            ],
        }),
    )
}

fn port_80() -> Value {
    json!([{ "ports": [{ "port": "80", "protocol": "TCP" }] }])
}

#[test]
fn a_name_that_is_allowed_is_reached_and_another_refused_although_it_resolves() {
    if !able() {
        return;
    }
    let world = World::new(&json!({}));
    let all = json!([{ "matchPattern": "*" }]);
    world.apply(&[names(&all, &json!([{ "matchName": "example.com" }]), &port_80())]);
    for v6 in FAMILIES {
        let family = if v6 { "-6" } else { "-4" };
        let answer = curl(&world.client, &[family], "http://example.com/get").unwrap();
        assert_eq!((answer.exit, answer.status), (0, 200), "{answer:?}\n{}", world.node.process.log());
        let refused = curl(&world.client, &[family], "http://google.com/").unwrap();
        assert_eq!(refused.exit, REFUSED, "{refused:?}");
        let elsewhere = curl(&world.client, &[family], "http://example.com:8080/").unwrap();
        assert_eq!(elsewhere.exit, REFUSED, "{elsewhere:?}");
    }
    assert!(world.unbound.arrived("google.com.") > 0, "it was asked for");
    // What was learnt is told to people, and counted.
    let told = world.node.cli(&["get", "fqdn", "-o", "json"]).unwrap().ok().unwrap().stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    for (place, name, addresses, selected) in
        [(0, "example.com.", world::EXAMPLE, true), (1, "google.com.", world::GOOGLE, false)]
    {
        let learnt: Vec<&Value> =
            told[place]["addresses"].as_array().into_iter().flatten().map(|learnt| &learnt["address"]).collect();
        assert_eq!((&told[place]["name"], &told[place]["selected"]), (&json!(name), &json!(selected)), "{told}");
        assert_eq!(learnt, addresses.map(|address| json!(address)).iter().collect::<Vec<_>>(), "{told}");
    }
    let table = world.node.cli(&["get", "fqdn", "*.com"]).unwrap().ok().unwrap().stdout;
    assert!(table.starts_with("NAME ") && table.lines().count() == 5, "{table}");
    let answered = world.node.metric("portcullis_dns_answers_total", &["rcode=\"NOERROR\""]).unwrap();
    assert!(answered >= 4.0, "{answered}");
}

#[test]
fn a_name_that_is_not_allowed_is_refused_and_never_asked_for() {
    if !able() {
        return;
    }
    let world = World::new(&json!({}));
    let some = json!([{ "matchName": "example.com" }, { "matchPattern": "*.example.com" }]);
    world.apply(&[names(&some, &json!([{ "matchPattern": "*.example.com" }]), &port_80())]);
    for (tcp, server) in [(false, world.dns.v4.to_string()), (true, world.dns.v6.to_string())] {
        let server = format!("@{server}");
        let dig = |name: &str| {
            let mut words = vec!["dig", "+tries=1", "+time=5", &server, name];
            words.extend(tcp.then_some("+tcp"));
            world.client.run(&words).unwrap().stdout
        };
        assert!(dig("www.example.com").contains("status: NOERROR"), "{}", dig("www.example.com"));
        assert!(dig("GOOGLE.com").contains("status: REFUSED"), "{}", dig("GOOGLE.com"));
    }
    assert_eq!(world.unbound.arrived("google.com."), 0);
    // The name was asked for by an alias, and it is that which is known.
    let answer = curl(&world.client, &["-4"], "http://www.example.com/get").unwrap();
    assert_eq!((answer.exit, answer.status), (0, 200), "{answer:?}");
}

#[test]
fn the_monitor_shows_what_was_answered_what_it_installed_and_how_long_it_was_held() {
    if !able() {
        return;
    }
    let world = World::new(&json!({}));
    let all = json!([{ "matchPattern": "*" }]);
    world.apply(&[names(&all, &json!([{ "matchName": "example.com" }]), &port_80())]);
    let mut lines = world.node.monitor("monitor", &["--protocol", "dns"]).unwrap();
    let mut objects = world.node.monitor("objects", &["-o", "json"]).unwrap();
    let ask = |more: &[&str]| {
        let server = format!("@{}", world.dns.v4);
        world.client.run(&[&["dig", "+tries=1", "+time=5", &server][..], more].concat()).unwrap().ok().unwrap()
    };
    ask(&["example.com", "A"]);
    ask(&["example.com", "AAAA", "+tcp"]);
    ask(&["nowhere.test", "A"]);
    for (asked, answered) in [
        ("allowed A example.com., ", "answered A example.com. NOERROR 192.0.2.10, held "),
        ("allowed AAAA example.com., ", "answered AAAA example.com. NOERROR 2001:db8::10, held "),
        ("allowed A nowhere.test., ", "answered A nowhere.test. NXDOMAIN"),
    ] {
        let in_order = |log: &str| {
            let place = |text| log.lines().position(|line| line.contains("-> dns ") && line.contains(text));
            (place(asked)? < place(answered)?).then_some(())
        };
        lines.until(answered, in_order).unwrap();
    }
    let object = objects
        .until("an object with the answer", |log| {
            let mut objects = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            objects.find(|object| object["dns"]["answer"]["addresses"] == json!(["192.0.2.10"]))
        })
        .unwrap();
    let answer = &object["dns"]["answer"];
    assert_eq!((&object["verdict"], &answer["rcode"]), (&json!("allow"), &json!("NOERROR")), "{object}");
    assert!(answer["held_us"].is_u64() && object["time"].is_string(), "{object}");
}

#[test]
fn echo_requests_go_to_a_name_as_soon_as_it_is_resolved() {
    if !able() {
        return;
    }
    let world = World::new(&json!({}));
    let fqdns = json!([{ "matchName": "example.com" }]);
    let mut policy = names(&json!([{ "matchPattern": "*" }]), &fqdns, &port_80());
    let echo = json!([{ "fields": [{ "type": "EchoRequest" }, { "family": "IPv6", "type": 128 }] }]);
    policy["spec"]["egress"].as_array_mut().unwrap().push(json!({ "toFQDNs": fqdns, "icmps": echo }));
    world.apply(&[policy]);
    let server = format!("@{}", world.dns.v4);
    for (kind, [address, other]) in
        [("A", [world::EXAMPLE[0], world::GOOGLE[0]]), ("AAAA", [world::EXAMPLE[1], world::GOOGLE[1]])]
    {
        assert_eq!(ping_address(&world.client, address)[1], "refused", "nobody has asked for it");
        for name in ["example.com", "google.com"] {
            world.client.run(&["dig", "+tries=1", "+time=5", &server, name, kind]).unwrap().ok().unwrap();
        }
        assert_eq!(ping_address(&world.client, address), ["answered", "answered"], "{}", world.node.process.log());
        assert_eq!(ping_address(&world.client, other)[1], "refused");
    }
}

#[test]
fn requests_to_a_name_are_judged_too() {
    if !able() {
        return;
    }
    let world = World::new(&json!({}));
    let http = json!([{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": [{ "path": "/get" }] } }]);
    world.apply(&[names(&json!([{ "matchPattern": "**" }]), &json!([{ "matchName": "example.com" }]), &http)]);
    let answer = curl(&world.client, &["-4"], "http://example.com/get").unwrap();
    assert_eq!((answer.exit, answer.status), (0, 200), "{answer:?}");
    let reset = curl(&world.client, &["-4"], "http://example.com/uuid").unwrap();
    assert_eq!(reset.exit, RESET, "{reset:?}");
}

#[test]
fn one_address_does_not_open_every_site_on_it() {
    if !able() {
        return;
    }
    let world = World::new(&json!({}));
    let http = json!([{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": [{ "path": "/get" }] } }]);
    world.apply(&[names(&json!([{ "matchPattern": "**" }]), &json!([{ "matchName": "example.com" }]), &http)]);
    let ask =
        |host: &str| curl(&world.client, &["-4", "-H", &format!("Host: {host}")], "http://example.com/get").unwrap();
    for host in ["example.com", "EXAMPLE.com.", "example.com:80"] {
        assert_eq!(ask(host).status, 200, "{host}: {:?}", ask(host));
    }
    for host in ["google.com", "192.0.2.10", "x.example.com"] {
        assert_eq!(ask(host).exit, RESET, "{host}: {:?}", ask(host));
    }
    assert!(world.node.metric("portcullis_verdicts_total", &["reason=\"host_mismatch\""]).unwrap() >= 3.0);
}
