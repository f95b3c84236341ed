//! A service of the host itself, identified by its cgroup.

use std::net::{IpAddr, SocketAddr};

use portcullis_integration::{
    Process, Site,
    curl::{REFUSED, RESET, curl},
    documents::policy,
    wait,
};
use serde_json::{Value, json};

use crate::scene::{SHOP, Scene, able};

/// The node's addresses towards the client.
const HOST: [&str; 2] = ["10.77.1.1", "fd77:1::1"];

fn serve(site: &Site, port: u16) -> Process {
    let mut server = site
        .spawn(&format!("server-{port}"), &["python3", "-m", "http.server", &port.to_string(), "--bind", "::"])
        .unwrap();
    site.wait_for_port(SocketAddr::new(HOST[0].parse().unwrap(), port), &mut server).unwrap();
    server
}

/// Probes of a kubelet come from the node, which nobody has declared.
#[test]
fn the_node_reaches_its_pods_under_policy_without_being_declared() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let spec = |deny: &serde_json::Value| {
        json!({
            "endpointSelector": { "matchLabels": { "app": "app" } },
            "ingress": [{
                "fromEndpoints": [{ "matchLabels": { "app": "client" } }],
                "toPorts": [{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": [{ "path": "/get" }] } }],
            }],
            "ingressDeny": deny,
        })
    };
    scene.apply(&[policy(SHOP, "app", &spec(&json!([])))]);
    let node = scene.lab.node();
    for v6 in [false, true] {
        for path in ["/get", "/uuid"] {
            assert_eq!(curl(node, &[], &scene.url(v6, path)).unwrap().status, 200, "{path}");
        }
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
        assert_eq!(curl(&scene.other, &[], &scene.url(v6, "/get")).unwrap().exit, REFUSED);
    }
    assert!(!scene.node.status().unwrap()["notes"].to_string().contains("allowLocalhost"));
    // An address that the node gets later is its own within a second or two.
    node.run(&["ip", "addr", "add", "198.18.77.7/32", "dev", "lo"]).unwrap().ok().unwrap();
    let by_it = || curl(node, &["--interface", "198.18.77.7"], &scene.url(false, "/get"));
    wait::until(
        "the new address to be the node's",
        || scene.node.process.log(),
        || Ok((by_it()?.status == 200).then_some(())),
    )
    .unwrap();
    // What denies the node denies it, and a setting says that it is nobody.
    scene.apply(&[policy(SHOP, "app", &spec(&json!([{ "fromEntities": ["host"] }])))]);
    assert_eq!(curl(node, &[], &scene.url(false, "/get")).unwrap().exit, REFUSED);
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/get")).unwrap().status, 200);
    scene.apply(&[policy(SHOP, "app", &spec(&json!([])))]);
    assert_eq!(by_it().unwrap().status, 200);
    scene
        .node
        .reload(&json!({ "allowLocalhost": false, "denyWith": "respond" }), "denyWith", &json!("respond"))
        .unwrap();
    assert_eq!(curl(node, &[], &scene.url(false, "/get")).unwrap().exit, REFUSED);
}

#[test]
fn requests_to_and_from_a_service_of_the_host_are_judged_and_nobody_elses() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let [service, rest] =
        ["service", "rest"].map(|name| scene.lab.node().in_cgroup(&scene.lab.make_cgroup(name).unwrap()));
    let _servers = [serve(&service, 80), serve(&rest, 81)];
    let endpoint = json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "Endpoint",
        "metadata": { "name": "web", "namespace": SHOP, "labels": { "app": "web" } },
        "spec": { "addresses": HOST, "cgroup": service.cgroup, "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] },
    });
    let port80 = |rules| json!([{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": rules } }]);
    let spec = json!({
        "endpointSelector": { "matchLabels": { "app": "web" } },
        "ingress": [{ "fromEndpoints": [{ "matchLabels": { "app": "client" } }], "toPorts": port80(json!([{ "path": "/" }])) }],
        "egress": [{ "toEndpoints": [{ "matchLabels": { "app": "app" } }], "toPorts": port80(json!([{ "path": "/get" }])) }],
    });
    scene.apply(&[endpoint, policy(SHOP, "web", &spec)]);
    for (v6, host) in [false, true].into_iter().zip(HOST.map(|host| host.parse::<IpAddr>().unwrap())) {
        let at = |port, path: &str| format!("http://{}{path}", SocketAddr::new(host, port));
        assert_eq!(curl(&scene.client, &[], &at(80, "/")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &at(80, "/proc")).unwrap().exit, RESET);
        assert_eq!(curl(&scene.other, &[], &at(80, "/")).unwrap().exit, REFUSED);
        assert_eq!(curl(&scene.other, &[], &at(81, "/")).unwrap().status, 200, "somebody else's port");

        assert_eq!(curl(&service, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        assert_eq!(curl(&service, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
        assert_eq!(curl(&service, &[], &format!("http://{}/", scene.other.address(v6, 80))).unwrap().exit, REFUSED);
        assert_eq!(curl(&rest, &[], &scene.url(v6, "/uuid")).unwrap().status, 200, "somebody else's process");
    }
}

/// Waits for a datagram of UDP-Lite, which no hook at a socket sees, and tells what it carries.
const RECEIVER: &str = "import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, 136)
s.bind(('::', 9000))
print('ready', flush=True)
while True: print(s.recv(99).decode(), flush=True)";

/// Sends one, and tells what the kernel says.
const SENDER: &str = "import errno, socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM, 136)
try: print(s.sendto(sys.argv[2].encode(), (sys.argv[1], 9000)))
except OSError as error: print(errno.errorcode[error.errno])";

#[test]
fn packets_of_a_service_of_the_host_are_judged_whatever_made_them() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let service = scene.lab.node().in_cgroup(&scene.lab.make_cgroup("service").unwrap());
    let endpoint = json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "Endpoint",
        "metadata": { "name": "web", "namespace": SHOP, "labels": { "app": "web" } },
        "spec": { "addresses": HOST, "cgroup": service.cgroup, "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] },
    });
    let spec = json!({
        "endpointSelector": { "matchLabels": { "app": "web" } },
        "egress": [{
            "toEndpoints": [{ "matchLabels": { "app": "app" } }],
            "toPorts": [{ "ports": [{ "port": "9000", "protocol": "UDP" }] }],
        }],
    });
    let mut receivers = [&scene.app, &scene.other].map(|pod| {
        let mut receiver = pod.spawn("receiver", &["python3", "-c", RECEIVER]).unwrap();
        receiver.wait_for_line("ready").unwrap();
        receiver
    });
    let send = |to: IpAddr, text: &str| {
        service.run(&["python3", "-c", SENDER, &to.to_string(), text]).unwrap().ok().unwrap().stdout.trim().to_owned()
    };
    scene.apply(&[endpoint]);
    let judged = || scene.node.status().unwrap()["packets"].clone();
    assert_eq!(judged()["cgroup"], 0);
    assert_eq!(send(scene.other.address(false, 0).ip(), "before"), "6");
    receivers[1].wait_for_line("before").unwrap();
    scene.apply(&[policy(SHOP, "web", &spec)]);
    assert_eq!(judged()["cgroup"], 1, "{}", judged());
    let listed = scene.node.cli(&["get", "endpoint", "-o", "json"]).unwrap().ok().unwrap().stdout;
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let packets = |name: &str| listed.iter().find(|one| one["name"] == name).unwrap()["packets"].clone();
    assert_eq!((packets("web"), packets("app")), (json!("cgroup"), json!("off")));
    for v6 in [false, true] {
        let text = format!("allowed-{v6}");
        assert_eq!(send(scene.app.address(v6, 0).ip(), &text), text.len().to_string());
        receivers[0].wait_for_line(&text).unwrap();
        assert_eq!(send(scene.other.address(v6, 0).ip(), "denied"), "EPERM");
    }
    assert!(scene.node.metric("portcullis_verdicts_total", &[r#"verdict="deny""#]).unwrap() > 0.0);
    assert_eq!(scene.node.cli(&["delete", "policy", "web", "-n", SHOP]).unwrap().code, Some(0));
    assert_eq!(send(scene.other.address(false, 0).ip(), "after"), "5");
    receivers[1].wait_for_line("after").unwrap();
    assert!(!receivers[1].log().contains("denied"));
}
