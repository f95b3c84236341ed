//! A client, a DNS server behind a service, and web servers outside the cluster.

use std::net::{IpAddr, SocketAddr};

use portcullis_integration::{
    Lab, Need, Pod,
    dns::Unbound,
    documents::{endpoint, service},
    node::Node,
    require,
    servers::Httpbin,
};
use serde_json::Value;

use crate::scene::SHOP;

/// Addresses of the world (RFC 5737, RFC 3849).
pub(super) const EXAMPLE: [&str; 2] = ["192.0.2.10", "2001:db8::10"];
pub(super) const GOOGLE: [&str; 2] = ["192.0.2.20", "2001:db8::20"];

const RECORDS: &[&str] = &[
    "example.com. 30 IN A 192.0.2.10",
    "example.com. 30 IN AAAA 2001:db8::10",
    "www.example.com. 30 IN CNAME alias.example.com.",
    "alias.example.com. 20 IN CNAME example.com.",
    "google.com. 30 IN A 192.0.2.20",
    "google.com. 30 IN AAAA 2001:db8::20",
];

pub(super) fn able() -> bool {
    let programs = ["ip", "nft", "curl", "gunicorn", "unbound", "dig"].map(Need::Program);
    let others = [Need::Root, Need::Bpf, Need::Ipv6, Need::PythonModule("httpbin"), Need::Portcullis];
    require(&[&others[..], &programs[..]].concat())
}

/// Fields drop in this order: the laboratory last.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) unbound: Unbound,
    _web: Httpbin,
    pub(super) client: Pod,
    pub(super) dns: Pod,
    _outside: Pod,
    _lab: Lab,
}

impl World {
    pub(super) fn new(settings: &Value) -> Self {
        let mut lab = Lab::new().unwrap();
        let [client, dns, outside] = ["client", "dns", "outside"].map(|name| lab.pod(name).unwrap());
        let addresses: Vec<IpAddr> = EXAMPLE.iter().chain(&GOOGLE).map(|address| address.parse().unwrap()).collect();
        lab.more_addresses(&outside, &addresses).unwrap();
        let sockets: Vec<SocketAddr> =
            addresses.iter().flat_map(|address| [80, 8080].map(|port| SocketAddr::new(*address, port))).collect();
        let web = Httpbin::start_at(&outside, &sockets).unwrap();
        let unbound = Unbound::start(&dns, RECORDS).unwrap();
        let kube_dns = lab.service("kube-dns.kube-system", 53, &[&dns]).unwrap();
        lab.resolve_by(&[kube_dns.v4.into(), kube_dns.v6.into()]).unwrap();
        let node = Node::start(&lab, settings).unwrap();
        node.apply(&[
            endpoint(SHOP, &client, &[("app", "client")]),
            endpoint("kube-system", &dns, &[("k8s-app", "kube-dns")]),
            service("kube-system", &kube_dns, &[&dns]),
        ])
        .unwrap();
        Self { node, unbound, _web: web, client, dns, _outside: outside, _lab: lab }
    }

    pub(super) fn apply(&self, documents: &[Value]) {
        self.node.apply(documents).unwrap();
    }
}
