//! A service of the host itself, told from the rest by its cgroup.

use std::net::{IpAddr, SocketAddr};

use portcullis_integration::{
    Process, Site,
    curl::{REFUSED, RESET, curl},
    documents::policy,
};
use serde_json::json;

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
