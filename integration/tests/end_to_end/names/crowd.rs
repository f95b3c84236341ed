//! A network with many names: each has an address of its own, and one web server answers on all of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_integration::{
    Lab, Need, Pod, Process,
    dns::Unbound,
    documents::{endpoint, service},
    node::Node,
    require,
    services::Service,
};
use serde_json::{Value, json};

use super::names;
use crate::scene::SHOP;

/// What many names have in common, and the first of their addresses in each family (RFC 2544, RFC 3849).
pub(super) const PLAIN: (&str, [u8; 4], &str) = ("n#.race.example", [198, 18, 0, 0], "2001:db8:a::");
pub(super) const JUDGED: (&str, [u8; 4], &str) = ("h#.race.example", [198, 19, 0, 0], "2001:db8:b::");

/// A program of ours that tests run.
pub(super) fn client(name: &str) -> String {
    format!("{}/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn able() -> bool {
    let programs = ["ip", "nft", "curl", "unbound", "python3"].map(Need::Program);
    let others = [Need::Root, Need::Bpf, Need::Ipv6, Need::Portcullis];
    require(&[&others[..], &programs[..]].concat())
}

/// The addresses of a numbered name.
pub(super) fn addresses(kind: (&str, [u8; 4], &str), number: u32) -> [String; 2] {
    let v4 = Ipv4Addr::from(u32::from(Ipv4Addr::from(kind.1)) + number);
    let v6 = Ipv6Addr::from(u128::from(kind.2.parse::<Ipv6Addr>().unwrap()) + u128::from(number));
    [v4.to_string(), v6.to_string()]
}

/// Records of so many names.
pub(super) fn records(kind: (&str, [u8; 4], &str), count: u32, ttl: u32) -> Vec<String> {
    (0..count)
        .flat_map(|number| {
            let (name, [v4, v6]) = (kind.0.replace('#', &number.to_string()), addresses(kind, number));
            [format!("{name}. {ttl} IN A {v4}"), format!("{name}. {ttl} IN AAAA {v6}")]
        })
        .collect()
}

/// Lets the client ask for everything and connect to all these names, some of them judged.
pub(super) fn all_names() -> Value {
    let all = json!([{ "matchPattern": "**" }]);
    let mut policy = names(&all, &json!([{ "matchPattern": "n*.race.example" }]), &super::port_80());
    let judged = json!([{ "ports": [{ "port": "80", "protocol": "TCP" }], "rules": { "http": [{ "path": "/get" }] } }]);
    let rule = json!({ "toFQDNs": [{ "matchPattern": "h*.race.example" }], "toPorts": judged });
    policy["spec"]["egress"].as_array_mut().unwrap().push(rule);
    policy
}

/// Fields drop in this order: the laboratory last.
pub(super) struct Crowd {
    pub(super) node: Node,
    pub(super) unbound: Unbound,
    _web: Process,
    /// Labelled `app=client`.
    pub(super) client: Pod,
    /// Policy says nothing of it.
    pub(super) other: Pod,
    pub(super) dns: Pod,
    /// The client may ask it as it may ask `dns`; nothing runs there.
    pub(super) mirror: Pod,
    _outside: Pod,
    pub(super) kube_dns: Service,
    records: Vec<String>,
    pub(super) lab: Lab,
}

impl Crowd {
    /// With these records and further settings.
    pub(super) fn new(records: Vec<String>, settings: &Value) -> Self {
        let mut lab = Lab::new().unwrap();
        let [client, other, dns, mirror, outside] =
            ["client", "other", "dns", "mirror", "outside"].map(|name| lab.pod(name).unwrap());
        let (v4, v6) = ("198.18.0.0/15", "2001:db8::/32");
        outside.ip(&format!("route add local {v4} dev lo\nroute add local {v6} dev lo\n")).unwrap();
        lab.node().ip(&format!("route add {v4} via {}\nroute add {v6} via {}\n", outside.v4, outside.v6)).unwrap();
        let mut web = outside.spawn("web", &["/usr/bin/python3", &self::client("anywhere.py")]).unwrap();
        outside.wait_for_port(outside.address(false, 80), &mut web).unwrap();
        let unbound = serve(&dns, &records);
        let kube_dns = lab.service("kube-dns.kube-system", 53, &[&dns]).unwrap();
        lab.resolve_by(&[kube_dns.v4.into(), kube_dns.v6.into()]).unwrap();
        let node = Node::start(&lab, settings).unwrap();
        let crowd =
            Self { node, unbound, _web: web, client, other, dns, mirror, _outside: outside, kube_dns, records, lab };
        crowd.apply(&[
            endpoint(SHOP, &crowd.client, &[("app", "client")]),
            endpoint(SHOP, &crowd.other, &[("app", "other")]),
            endpoint("kube-system", &crowd.dns, &[("k8s-app", "kube-dns")]),
            endpoint("kube-system", &crowd.mirror, &[("k8s-app", "kube-dns")]),
            service("kube-system", &crowd.kube_dns, &[&crowd.dns]),
        ]);
        crowd
    }

    pub(super) fn apply(&self, documents: &[Value]) {
        self.node.apply(documents).unwrap();
    }

    /// The DNS server comes up anew, with what it had.
    pub(super) fn revive(&mut self) {
        self.unbound = serve(&self.dns, &self.records);
    }

    /// Words that run our DNS client.
    pub(super) fn words(&self, what: &str, v6: bool, more: &[&str]) -> Vec<String> {
        let server = self.kube_dns.address(v6).ip().to_string();
        let mut words = vec!["/usr/bin/python3".to_owned(), client("resolve.py"), what.to_owned(), server];
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    /// Runs our DNS client to its end; gives what it tells.
    pub(super) fn ask(&self, pod: &Pod, what: &str, v6: bool, more: &[&str]) -> Value {
        let words = self.words(what, v6, more);
        let ended = pod.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().ok();
        told(&ended.unwrap_or_else(|error| panic!("{error}\n{}", self.node.process.log())).stdout)
    }

    /// Starts our DNS client.
    pub(super) fn start(&self, name: &str, what: &str, v6: bool, more: &[&str]) -> Process {
        let words = self.words(what, v6, more);
        self.client.spawn(name, &words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    }

    /// Sum of a metric of the node.
    pub(super) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.node.metric(name, labels).unwrap()
    }
}

fn serve(dns: &Pod, records: &[String]) -> Unbound {
    Unbound::start(dns, &records.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

/// The last line that a client has written.
pub(super) fn told(log: &str) -> Value {
    let last = log.lines().rfind(|line| line.starts_with(['{', '['])).unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {log}"))
}

/// A number that a client has told.
pub(super) fn count(told: &Value, what: &str) -> u64 {
    told[what].as_u64().unwrap_or_else(|| panic!("{what} of {told}"))
}
