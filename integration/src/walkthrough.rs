//! The cluster of the walkthrough: a client, httpbin and a database behind services, DNS, web servers outside, and a
//! node with resources for all of them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{
    Lab, Pod, Result,
    dns::Unbound,
    documents::{endpoint, remote, service},
    error::trying,
    node::Node,
    servers::{Httpbin, Postgres},
};

/// The Kubernetes namespace of everything.
pub const NAMESPACE: &str = "test-app";

/// Enforcement as the walkthrough begins.
pub const BEFORE: &str = "default";
/// Enforcement of the walkthrough's cluster.
pub const DURING: &str = "always";

/// What is outside: `example.com` and `google.com` in both families, and an address inside and one outside of the range that
/// the policy allows (RFC 5737, RFC 3849).
const OUTSIDE: [(&str, u16); 6] = [
    ("192.0.2.10", 80),
    ("2001:db8::10", 80),
    ("192.0.2.20", 80),
    ("2001:db8::20", 80),
    ("203.0.113.10", 8080),
    ("198.51.100.10", 8080),
];
const RECORDS: [&str; 4] = [
    "example.com. 30 IN A 192.0.2.10",
    "example.com. 30 IN AAAA 2001:db8::10",
    "google.com. 30 IN A 192.0.2.20",
    "google.com. 30 IN AAAA 2001:db8::20",
];

/// The cluster. Fields drop in this order: the laboratory last.
#[derive(Debug)]
pub struct Cluster {
    /// The node under test.
    pub node: Node,
    /// What really arrived at the application is in its log.
    pub httpbin: Httpbin,
    _postgres: Postgres,
    /// What was asked for is in its log.
    pub unbound: Unbound,
    _web: Httpbin,
    /// The pod whose requests are judged.
    pub client: Pod,
    /// The pod of httpbin.
    pub app: Pod,
    /// The pod of PostgreSQL.
    pub database: Pod,
    _dns: Pod,
    _outside: Pod,
    /// Everything else.
    pub lab: Lab,
}

impl Cluster {
    /// Makes the cluster, without any policy.
    ///
    /// # Errors
    /// Something of it does not start.
    pub fn new() -> Result<Self> {
        let mut lab = Lab::new()?;
        let (client, app, database) = (lab.pod("client")?, lab.pod("app")?, lab.pod("database")?);
        let (dns, outside) = (lab.pod("dns")?, lab.pod("outside")?);
        let kube_dns = lab.service("kube-dns.kube-system", 53, &[&dns])?;
        let services = [
            service(NAMESPACE, &lab.service("app-service.test-app", 80, &[&app])?, &[&app]),
            service(NAMESPACE, &lab.service("database-service.test-app", 5432, &[&database])?, &[&database]),
            service("kube-system", &kube_dns, &[&dns]),
            remote("kube-system", &dns, &[("k8s-app", "kube-dns")]),
        ];
        lab.resolve_by(&[kube_dns.v4.into(), kube_dns.v6.into()])?;
        let sockets = OUTSIDE.iter().filter_map(|(address, port)| Some(SocketAddr::new(address.parse().ok()?, *port)));
        let sockets: Vec<SocketAddr> = sockets.collect();
        lab.more_addresses(&outside, &sockets.iter().map(SocketAddr::ip).collect::<Vec<_>>())?;
        let (httpbin, postgres) = (Httpbin::start(&app)?, Postgres::start(&database)?);
        let (web, unbound) = (Httpbin::start_at(&outside, &sockets)?, Unbound::start(&dns, &RECORDS)?);
        let node = Node::start(&lab, &settings(BEFORE))?;
        let endpoints = [&client, &app, &database].map(|pod| endpoint(NAMESPACE, pod, &[("app", &pod.name)]));
        node.apply(&[&endpoints[..], &services[..]].concat())?;
        Ok(Self {
            node,
            httpbin,
            _postgres: postgres,
            unbound,
            _web: web,
            client,
            app,
            database,
            _dns: dns,
            _outside: outside,
            lab,
        })
    }

    /// Switches the enforcement of the running node.
    ///
    /// # Errors
    /// The node does not take it.
    pub fn enforce(&self, enforcement: &str) -> Result<()> {
        self.node.reload(&settings(enforcement), "enforcement", &json!(enforcement))
    }

    /// Applies a manifest of the walkthrough, as a person does.
    ///
    /// # Errors
    /// The node refuses it.
    pub fn apply(&self, manifest: Manifest) -> Result<()> {
        let file = self.lab.node().directory().join(manifest.file());
        trying(format!("write {}", file.display()), std::fs::write(&file, manifest.text()))?;
        self.node.cli(&["apply", "-f", &file.display().to_string()])?.ok().map(|_| ())
    }
}

/// The manifests of the walkthrough, as printed there, and those of Kafka's chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// Step 3: who may talk to whom.
    L3L4,
    /// Step 4: with which requests.
    L7,
    /// Step 5: what is outside, by name and by address.
    External,
    /// Step 7: which topics of Kafka, and whose they are.
    Kafka,
    /// Step 8: the same after a change.
    KafkaChanged,
}

impl Manifest {
    /// Name of the file.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::L3L4 => "cilium-l3-l4-policy.yaml",
            Self::L7 => "cilium-l7-http-policy.yaml",
            Self::External => "cilium-external-access-policy.yaml",
            Self::Kafka => "kafka-policy.yaml",
            Self::KafkaChanged => "kafka-changed-policy.yaml",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::L3L4 => include_str!("../walkthrough/cilium-l3-l4-policy.yaml"),
            Self::L7 => include_str!("../walkthrough/cilium-l7-http-policy.yaml"),
            Self::External => include_str!("../walkthrough/cilium-external-access-policy.yaml"),
            Self::Kafka => include_str!("../walkthrough/kafka-policy.yaml"),
            Self::KafkaChanged => include_str!("../walkthrough/kafka-changed-policy.yaml"),
        }
    }
}

/// Settings of the walkthrough: what its reader expects differs from Cilium in these.
fn settings(enforcement: &str) -> Value {
    json!({
        "enforcement": enforcement,
        "deviations": {
            "emptyRuleAllows": true,
            "l7BindsBesideL4": true,
            "kubeDnsEntity": true,
            "namesWithoutDnsRule": true,
        },
    })
}
