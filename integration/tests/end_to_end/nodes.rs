//! Policies for the node itself. The laboratory's node takes its place, and the laboratory's cgroup that of the root:
//! the binary under test runs below it, as everything else does.

use std::net::{IpAddr, SocketAddr};

use portcullis_integration::{
    Process, Site,
    curl::{REFUSED, RESET, curl},
};
use serde_json::{Value, json};

use crate::scene::{SHOP, Scene, able, ingress};

/// The node's addresses towards the client.
const HOST: [&str; 2] = ["10.77.1.1", "fd77:1::1"];

/// All its addresses.
const ADDRESSES: [&str; 6] = [HOST[0], HOST[1], "10.77.2.1", "fd77:2::1", "10.77.3.1", "fd77:3::1"];

fn serve(site: &Site, port: u16) -> Process {
    let words = ["python3", "-m", "http.server", &port.to_string(), "--bind", "::"];
    let mut server = site.spawn(&format!("server-{port}"), &words).unwrap();
    site.wait_for_port(SocketAddr::new(HOST[0].parse().unwrap(), port), &mut server).unwrap();
    server
}

fn node(scene: &Scene, zone: &str) -> Value {
    json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "Endpoint",
        "metadata": { "name": "node", "labels": { "reserved:host": "", "zone": zone } },
        // All of them: from one that is not named the node would be a stranger to its pods.
        "spec": { "addresses": ADDRESSES, "cgroup": scene.lab.cgroup() },
    })
}

fn host_policy() -> Value {
    let port = |number: &str| json!({ "port": number, "protocol": "TCP" });
    let client = json!([{ "matchLabels": { "app": "client" } }]);
    let http = |path: &str| json!([{ "ports": [port("80")], "rules": { "http": [{ "path": path }] } }]);
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": { "name": "host" },
        "spec": {
            "nodeSelector": { "matchLabels": { "zone": "a" } },
            "ingress": [
                { "fromEndpoints": client, "toPorts": http("/") },
                { "fromEndpoints": client, "toPorts": [{ "ports": [port("81")] }] },
            ],
            "egress": [{ "toEndpoints": [{ "matchLabels": { "app": "app" } }], "toPorts": http("/get") }],
        },
    })
}

#[test]
fn a_policy_for_nodes_binds_every_process_and_port_of_the_host_and_no_pod() {
    if !able() {
        return;
    }
    let scene = Scene::with(&json!({ "deviations": { "l7OnNodes": true } }));
    let [agent, shell] =
        ["agent", "shell"].map(|name| scene.lab.node().in_cgroup(&scene.lab.make_cgroup(name).unwrap()));
    let _servers = [80, 81, 82].map(|port| serve(&agent, port));
    scene.apply(&[node(&scene, "a"), host_policy()]);
    for (v6, host) in [false, true].into_iter().zip(HOST.map(|host| host.parse::<IpAddr>().unwrap())) {
        let at = |port, path: &str| format!("http://{}{path}", SocketAddr::new(host, port));
        assert_eq!(curl(&scene.client, &[], &at(80, "/")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &at(80, "/proc")).unwrap().exit, RESET, "judged by its path");
        assert_eq!(curl(&scene.client, &[], &at(81, "/etc/")).unwrap().status, 200, "at layer 4 alone");
        assert_eq!(curl(&scene.client, &[], &at(82, "/")).unwrap().exit, REFUSED, "a port that no rule names");
        assert_eq!(curl(&scene.other, &[], &at(81, "/")).unwrap().exit, REFUSED, "a peer that no rule names");
        for program in [&agent, &shell] {
            assert_eq!(curl(program, &[], &scene.url(v6, "/get")).unwrap().status, 200);
            assert_eq!(curl(program, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
            let elsewhere = format!("http://{}/", scene.other.address(v6, 80));
            assert_eq!(curl(program, &[], &elsewhere).unwrap().exit, REFUSED);
            assert_eq!(curl(program, &[], &at(82, "/")).unwrap().status, 200, "the host to itself");
        }
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().status, 200, "pods are not the node");
    }
    assert!(scene.node.metric("portcullis_verdicts_total", &[r#"policy="host""#, r#"verdict="deny""#]).unwrap() > 0.0);
}

#[test]
fn relays_of_pods_and_of_the_node_are_not_in_each_others_way() {
    if !able() {
        return;
    }
    let scene = Scene::with(&json!({ "deviations": { "l7OnNodes": true } }));
    let agent = scene.lab.node().in_cgroup(&scene.lab.make_cgroup("agent").unwrap());
    scene.apply(&[node(&scene, "a"), host_policy(), ingress(&json!([{ "path": "/(get|uuid)" }]))]);
    for v6 in [false, true] {
        // Judged on the node's way out, and let in by the pod because it is the node.
        assert_eq!(curl(&agent, &[], &scene.url(v6, "/get")).unwrap().status, 200);
        assert_eq!(curl(&agent, &[], &scene.url(v6, "/uuid")).unwrap().exit, RESET);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().status, 200);
        assert_eq!(curl(&scene.client, &[], &scene.url(v6, "/ip")).unwrap().exit, RESET);
        assert_eq!(curl(&scene.other, &[], &scene.url(v6, "/get")).unwrap().exit, REFUSED);
    }
    let removed = scene.node.cli(&["delete", "policy", "host"]).unwrap();
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
    assert_eq!(curl(&agent, &[], &scene.url(false, "/uuid")).unwrap().status, 200, "nothing binds the node any more");
}

#[test]
fn a_policy_for_another_node_binds_nothing_here_and_says_so() {
    if !able() {
        return;
    }
    let scene = Scene::with(&json!({ "deviations": { "l7OnNodes": true } }));
    let agent = scene.lab.node().in_cgroup(&scene.lab.make_cgroup("agent").unwrap());
    scene.apply(&[node(&scene, "b")]);
    let told = scene.node.cli_with(&["apply", "-f", "-"], &host_policy().to_string()).unwrap();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(
        told.stderr.contains("spec.nodeSelector: binds nothing here: it does not select this node"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("rules.http of nodes are judged here, but Cilium refuses"), "{}", told.stderr);
    assert_eq!(curl(&agent, &[], &scene.url(false, "/uuid")).unwrap().status, 200);
    let listed = scene.node.cli(&["get", "policy"]).unwrap().ok().unwrap().stdout;
    assert!(listed.contains("host") && !listed.contains(SHOP), "{listed}");
}
