//! CIDR groups and secrets that policies name, and `explain` against a running node.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpStream},
    time::Duration,
};

use portcullis_integration::{
    curl::{REFUSED, RESET, curl},
    documents::{cidr_group, policy, secret},
    wait::uninterrupted,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, Scene, able, ingress};

/// Far longer than anything takes here.
const HANG: Duration = Duration::from_secs(20);

/// Lets addresses of the group `office` make a request at the application. A range selects no endpoint that the node knows.
fn by_group() -> Value {
    let rules = json!({
        "endpointSelector": { "matchLabels": { "app": "app" } },
        "ingress": [{
            "fromCIDRSet": [{ "cidrGroupRef": "office" }],
            "toPorts": [{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": [{ "path": "/get" }] } }],
        }],
    });
    policy(SHOP, "app-http", &rules)
}

/// The range of one address.
fn alone(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv6() { 128 } else { 32 })
}

#[test]
fn a_group_that_comes_and_goes_opens_and_closes_also_live_connections() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.node.cli(&["delete", "endpoint", "client", "-n", SHOP]).unwrap().ok().unwrap();
    let applied = scene.node.cli_with(&["apply", "-f", "-"], &by_group().to_string()).unwrap().ok().unwrap();
    assert!(applied.stderr.contains("there is no cidrgroup office"), "{applied:?}");
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().exit, REFUSED);
    }
    let office = cidr_group("office", &scene.client.addresses().map(alone));
    scene.apply(std::slice::from_ref(&office));
    for v6 in FAMILIES {
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        let mut connection = scene.client.inside(|| TcpStream::connect(scene.app.address(v6, 80)).unwrap());
        connection.set_read_timeout(Some(HANG)).unwrap();
        write!(connection, "GET /get HTTP/1.1\r\nHost: app\r\n\r\n").unwrap();
        assert!(uninterrupted(|| connection.read(&mut [0; 16])).unwrap() > 0);
        scene.apply(&[cidr_group("office", &["192.0.2.0/24".to_owned()])]);
        let end = loop {
            match uninterrupted(|| connection.read(&mut [0; 4096])) {
                Ok(0) => panic!("closed in order"),
                Ok(_) => {}
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(end, std::io::ErrorKind::ConnectionReset);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/get")).unwrap().exit, REFUSED);
        scene.apply(std::slice::from_ref(&office));
    }
    scene.node.cli(&["delete", "cidrgroup", "office"]).unwrap().ok().unwrap();
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/get")).unwrap().exit, REFUSED);
}

#[test]
fn a_header_is_compared_with_a_secret_that_nobody_is_told() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let rule = json!([{ "headerMatches": [{ "name": "X-Token", "secret": { "namespace": SHOP, "name": "token" } }] }]);
    scene.apply(&[ingress(&rule)]);
    let asked =
        |token: &str, v6| curl(&scene.client, &["-H", &format!("X-Token: {token}")], &scene.url(v6, "/get")).unwrap();
    assert_eq!(asked("hunter2", false).exit, RESET, "without the secret nothing matches");
    let faults = scene.node.status().unwrap()["faults"].to_string();
    assert!(faults.contains("there is no secret shop/token"), "{faults}");
    scene.apply(&[secret(SHOP, "token", "hunter2")]);
    for v6 in FAMILIES {
        assert_eq!(asked("hunter2", v6).status, 200);
        assert_eq!(asked("hunter3", v6).exit, RESET);
    }
    scene.apply(&[secret(SHOP, "token", "swordfish")]);
    assert_eq!((asked("hunter2", false).exit, asked("swordfish", false).status), (RESET, 200), "rotated");
    let mut told = scene.node.process.log();
    for words in [&["get", "secret", "-o", "yaml"][..], &["get", "secret"], &["status", "-o", "json"]] {
        let finished = scene.node.cli(words).unwrap().ok().unwrap();
        told += &(finished.stdout + &finished.stderr);
    }
    let dump = scene.node.dump().unwrap();
    assert!(dump.contains("token"), "{dump}");
    assert!(!(told + &dump).contains("swordfish"));
    scene.node.cli(&["delete", "secret", "token", "-n", SHOP]).unwrap().ok().unwrap();
    assert_eq!(asked("swordfish", false).exit, RESET);
}

#[test]
fn what_explain_says_of_the_node_is_what_becomes_of_requests() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    scene.apply(&[ingress(&json!([{ "path": "/get" }, { "path": "/token", "headerMatches":
        [{ "name": "X-Token", "secret": { "namespace": SHOP, "name": "token" } }] }]))]);
    scene.apply(&[secret(SHOP, "token", "hunter2")]);
    let asked = |more: &[&str]| {
        let flow = [
            "explain",
            "--direction",
            "ingress",
            "--endpoint",
            "app=app",
            "-n",
            SHOP,
            "--port",
            "80/TCP",
            "-o",
            "json",
        ];
        let finished = scene.node.cli(&[&flow, more].concat()).unwrap();
        let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert!(finished.stderr.contains("revision"), "{finished:?}");
        (finished.code, answer["verdict"].as_str().unwrap().to_owned())
    };
    for (client, path, passes) in
        [(&scene.client, "/get", true), (&scene.client, "/uuid", false), (&scene.other, "/get", false)]
    {
        let line = format!("GET {path}");
        for v6 in FAMILIES {
            let address = client.addresses().into_iter().find(|address| address.is_ipv6() == v6).unwrap().to_string();
            let (code, verdict) = asked(&["--peer", &address, "--http", &line]);
            assert_eq!((code, verdict == "allow"), (Some(i32::from(!passes)), passes), "{address} {path}");
            assert_eq!(curl(client, &[], &scene.url(v6, path)).unwrap().status == 200, passes, "{address} {path}");
        }
    }
    let with_token = ["--peer", "app=client", "--http", "GET /token", "--header", "X-Token: hunter2"];
    assert_eq!(asked(&with_token), (Some(2), "undecided".to_owned()));
}
