//! Peers that are not pods: entities and address ranges, in both directions, each with real traffic.

use std::net::{IpAddr, SocketAddr};

use portcullis_integration::{
    Lab, Need, Pod, Process, Site,
    curl::{REFUSED, RESET, curl},
    documents::{endpoint, policy, remote},
    node::Node,
    require,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP};

/// Addresses of the node towards its pods, in the order in which those are made.
const NODE: [&str; 10] = [
    "10.77.1.1",
    "10.77.2.1",
    "10.77.3.1",
    "10.77.4.1",
    "10.77.5.1",
    "fd77:1::1",
    "fd77:2::1",
    "fd77:3::1",
    "fd77:4::1",
    "fd77:5::1",
];

fn able() -> bool {
    let programs = ["ip", "nft", "curl", "python3"].map(Need::Program);
    let others = [Need::Root, Need::Bpf, Need::Ipv6, Need::Portcullis];
    require(&[&others[..], &programs[..]].concat())
}

/// Answers 200 on port 80 of every address that a site has.
fn serve(site: &Site) -> Process {
    let program = format!("{}/clients/anywhere.py", env!("CARGO_MANIFEST_DIR"));
    let mut server = site.spawn("web", &["/usr/bin/python3", &program]).unwrap();
    site.wait_for_port(SocketAddr::from(([127, 0, 0, 1], 80)), &mut server).unwrap();
    server
}

fn ask(from: &Site, more: &[&str], to: IpAddr, path: &str) -> i32 {
    let answer = curl(from, more, &format!("http://{}{path}", SocketAddr::new(to, 80))).unwrap();
    assert!(answer.exit != 0 || answer.status == 200, "{answer:?}");
    answer.exit
}

/// An endpoint that is elsewhere, with a label that says what it is.
fn reserved(name: &str, labels: &[&str], addresses: &Value) -> Value {
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|label| (format!("reserved:{label}"), json!(""))).collect();
    json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "Endpoint",
        "metadata": { "name": name, "labels": labels },
        "spec": { "addresses": addresses },
    })
}

/// The endpoint whose policy is in question, and everybody else. Fields drop in this order: the laboratory last.
struct Builder {
    node: Node,
    _servers: Vec<Process>,
    app: Pod,
    /// Another pod of this node.
    peer: Pod,
    /// Another node.
    remote_node: Pod,
    /// The API server, on another node too.
    api: Pod,
    /// Nobody knows it.
    world: Pod,
    lab: Lab,
}

impl Builder {
    fn new() -> Self {
        let mut lab = Lab::new().unwrap();
        let [app, peer, remote_node, api, world] =
            ["app", "peer", "remote-node", "api", "world"].map(|name| lab.pod(name).unwrap());
        let mut servers: Vec<Process> = [&app, &peer, &remote_node, &api, &world].map(|pod| serve(pod)).into();
        servers.push(serve(lab.node()));
        // The node is let in by its rules alone.
        let node = Node::start(&lab, &json!({ "allowLocalhost": false })).unwrap();
        node.apply(&[
            endpoint(SHOP, &app, &[("app", "app")]),
            remote(SHOP, &peer, &[("app", "peer")]),
            reserved("remote-node", &["remote-node"], &json!(remote_node.addresses())),
            reserved("api", &["kube-apiserver", "remote-node"], &json!(api.addresses())),
            reserved("node", &["host"], &json!(NODE)),
        ])
        .unwrap();
        Self { node, _servers: servers, app, peer, remote_node, api, world, lab }
    }

    /// Everybody but the endpoint: what it is, where its programs run, and its addresses.
    fn others(&self) -> [(&'static str, &Site, [IpAddr; 2]); 5] {
        let pod = |what, pod: &'_ Pod| (what, pod.addresses());
        let [peer, remote_node, api, world] = [
            pod("peer", &self.peer),
            pod("remote-node", &self.remote_node),
            pod("api", &self.api),
            pod("world", &self.world),
        ];
        let node = [NODE[0].parse().unwrap(), NODE[5].parse().unwrap()];
        [
            (peer.0, &*self.peer, peer.1),
            (remote_node.0, &*self.remote_node, remote_node.1),
            (api.0, &*self.api, api.1),
            (world.0, &*self.world, world.1),
            ("host", self.lab.node(), node),
        ]
    }

    /// Puts a rule for each direction into force; `rules` are elements whose keys begin with `to`.
    fn allow(&self, rules: &Value, denied: &Value) {
        let port = json!({ "port": "80", "protocol": "TCP" });
        let turned = |rules: &Value, ingress: bool| -> Value {
            let turn = |rule: &Value| {
                let mut turned = json!({});
                for (key, value) in rule.as_object().unwrap() {
                    let key = if ingress && key != "toPorts" { key.replacen("to", "from", 1) } else { key.clone() };
                    turned[key] = value.clone();
                }
                if turned.get("toPorts").is_none() {
                    turned["toPorts"] = json!([{ "ports": [port] }]);
                }
                turned
            };
            rules.as_array().unwrap().iter().map(turn).collect()
        };
        let mut spec = json!({ "endpointSelector": { "matchLabels": { "app": "app" } } });
        for (ingress, allow, deny) in [(true, "ingress", "ingressDeny"), (false, "egress", "egressDeny")] {
            spec[allow] = turned(rules, ingress);
            spec[deny] = turned(denied, ingress);
        }
        self.node.apply(&[policy(SHOP, "peers", &spec)]).unwrap();
    }
}

#[test]
fn each_entity_opens_to_those_that_it_names_and_to_nobody_else_both_ways() {
    if !able() {
        return;
    }
    let builder = Builder::new();
    let in_cluster = &["peer", "remote-node", "api", "host"][..];
    let everybody = &["peer", "remote-node", "api", "host", "world"][..];
    for (entities, wanted) in [
        (&["world"][..], [&["world"][..]; 2]),
        (&["world-ipv4"], [&["world"], &[]]),
        (&["world-ipv6"], [&[], &["world"]]),
        (&["host"], [&["host"]; 2]),
        (&["remote-node"], [&["remote-node", "api"]; 2]),
        (&["kube-apiserver"], [&["api"]; 2]),
        (&["cluster"], [in_cluster; 2]),
        (&["host", "world"], [&["host", "world"]; 2]),
        (&["all"], [everybody; 2]),
        (&["none"], [&[]; 2]),
    ] {
        builder.allow(&json!([{ "toEntities": entities }]), &json!([]));
        for (what, site, addresses) in builder.others() {
            for v6 in FAMILIES {
                let place = usize::from(v6);
                let exit = if wanted[place].contains(&what) { 0 } else { REFUSED };
                let out = ask(&builder.app, &[], addresses[place], "/");
                assert_eq!(out, exit, "{entities:?}: to {what} at {}", addresses[place]);
                let back = ask(site, &[], builder.app.address(v6, 0).ip(), "/");
                assert_eq!(back, exit, "{entities:?}: from {what}, IPv6: {v6}");
            }
        }
    }
    let denied = json!([{ "toEntities": ["remote-node"] }]);
    builder.allow(&json!([{ "toEntities": ["cluster"] }]), &denied);
    for (what, site, addresses) in builder.others() {
        let exit = if ["peer", "host"].contains(&what) { 0 } else { REFUSED };
        assert_eq!(ask(&builder.app, &[], addresses[0], "/"), exit, "what is denied stays denied: to {what}");
        assert_eq!(ask(site, &[], builder.app.address(false, 0).ip(), "/"), exit, "from {what}");
    }
}

/// A range with a hole, addresses inside the hole, a judged range inside the first one, and a denied one; an address
/// of each by family, what becomes of `/get`, and of another path.
const RANGES: [([&str; 2], i32, i32); 8] = [
    (["192.0.2.10", "2001:db8::10"], 0, 0),
    (["192.0.2.17", "2001:db8::16:17"], REFUSED, REFUSED),
    (["192.0.2.24", "2001:db8::16:24"], 0, 0),
    (["192.0.2.66", "2001:db8::64:66"], 0, RESET),
    (["192.0.2.65", "2001:db8::64:65"], 0, 0),
    (["192.0.2.201", "2001:db8::200:1"], REFUSED, REFUSED),
    (["192.0.2.202", "2001:db8::200:2"], REFUSED, REFUSED),
    (["198.51.100.1", "2001:db8:1::1"], REFUSED, REFUSED),
];

#[test]
fn of_ranges_inside_ranges_the_longest_prefix_decides_both_ways() {
    if !able() {
        return;
    }
    let builder = Builder::new();
    let addresses: Vec<IpAddr> = RANGES.iter().flat_map(|(both, ..)| both).map(|text| text.parse().unwrap()).collect();
    builder.lab.more_addresses(&builder.world, &addresses).unwrap();
    let http = json!([{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": [{ "path": "/get" }] } }]);
    let rules = json!([
        { "toCIDRSet": [
            { "cidr": "192.0.2.0/24", "except": ["192.0.2.16/28", "192.0.2.64/26"] },
            { "cidr": "2001:db8::/64", "except": ["2001:db8::16:0/112", "2001:db8::64:0/112"] },
        ] },
        { "toCIDR": ["192.0.2.24/32", "192.0.2.65/32", "192.0.2.202/32"] },
        { "toCIDR": ["2001:db8::16:24/128", "2001:db8::64:65/128", "2001:db8::200:2/128"] },
        { "toCIDR": ["192.0.2.64/26", "2001:db8::64:0/112"], "toPorts": http },
        // Pods and nodes are not meant by ranges.
        { "toCIDR": ["10.0.0.0/8", "fd00::/8"] },
    ]);
    let denied = json!([{ "toCIDR": ["192.0.2.200/29", "2001:db8::200:0/112"] }]);
    builder.allow(&rules, &denied);
    for (both, get, other) in RANGES {
        for (text, v6) in both.into_iter().zip(FAMILIES) {
            for (path, exit) in [("/get", get), ("/other", other)] {
                let out = ask(&builder.app, &[], text.parse().unwrap(), path);
                assert_eq!(out, exit, "to {text}{path}\n{}", builder.node.process.log());
                let back = ask(&builder.world, &["--interface", text], builder.app.address(v6, 0).ip(), path);
                assert_eq!(back, exit, "from {text}, {path}\n{}", builder.node.process.log());
            }
        }
    }
    for (what, site, addresses) in builder.others() {
        // The stranger has an address of the pods' range, and no endpoint is known to have it.
        let exit = if what == "world" { 0 } else { REFUSED };
        assert_eq!(ask(&builder.app, &[], addresses[0], "/"), exit, "to {what}");
        assert_eq!(ask(site, &[], builder.app.address(false, 0).ip(), "/"), exit, "from {what}");
    }
}
