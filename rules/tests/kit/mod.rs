//! Short helpers to build worlds, policies and requests, and the naive evaluator.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "each test uses a part of it")]

pub mod naive;
pub mod protocols;

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use portcullis_rules::{
    labels::{LabelSet, Operator, Requirement, Selector},
    policy::{
        CidrSet, Entity, FqdnSelector, L7Rule, L7Rules, Matcher, Policy, PolicyEntry, PortRef, PortRule, PortSpec,
        Position, Predicate, Rule,
    },
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    snapshot::{Flow, FlowKey, Snapshot},
    tunnel::{Tunnel, TunnelKind},
    world::{Direction, Endpoint, EndpointId, NamedPort, ResolvedName, Service, ServicePort, Transport, World},
};

pub static HTTP: Schema = Schema {
    protocol: "http",
    fields: &[
        FieldSpec { name: "method", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "path", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "host", form: FieldForm::Regex, checked: false },
        FieldSpec { name: "headers", form: FieldForm::Headers, checked: true },
    ],
    nature: &ProtocolTraits { tunnel: Some((METHOD, "CONNECT")), ..ProtocolTraits::STREAM },
};

pub const METHOD: FieldIndex = FieldIndex(0);
pub const PATH: FieldIndex = FieldIndex(1);
pub const HOST: FieldIndex = FieldIndex(2);
pub const HEADERS: FieldIndex = FieldIndex(3);

/// A request as a test writes it.
#[derive(Clone, Debug, Default)]
pub struct Http {
    pub method: &'static str,
    pub path: &'static str,
    pub host: Option<&'static str>,
    pub headers: Vec<(&'static str, &'static str)>,
    /// The path has two readings.
    pub ambiguous: bool,
    /// The header has two readings.
    pub ambiguous_header: Option<&'static str>,
}

pub fn request(method: &'static str, path: &'static str) -> Http {
    Http { method, path, host: Some("server"), ..Http::default() }
}

impl Request for Http {
    fn schema(&self) -> &'static Schema {
        &HTTP
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        let value = match field {
            METHOD => Some(self.method),
            PATH if self.ambiguous => return FieldValue::Ambiguous("dot segment"),
            PATH => Some(self.path),
            HOST => self.host,
            _ if self.ambiguous_header == Some(key) => return FieldValue::Ambiguous("nominated"),
            _ => self.headers.iter().find(|(name, _)| *name == key).map(|(_, value)| *value),
        };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value.as_bytes())))
    }

    fn tunnel(&self) -> Option<Tunnel> {
        let upgrade = self.headers.iter().find(|(name, _)| *name == "upgrade").map(|(_, protocol)| *protocol);
        let (kind, field, key) = match (self.method, upgrade) {
            ("CONNECT", _) => (TunnelKind::Connect, METHOD, ""),
            (_, Some("websocket")) => (TunnelKind::WebSocket, HEADERS, "upgrade"),
            (_, Some(_)) => (TunnelKind::Upgrade, HEADERS, "upgrade"),
            _ => return None,
        };
        Some(Tunnel { kind, field, key })
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        (field == PATH).then_some(Cow::Borrowed(self.path.as_bytes()))
    }
}

pub fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// A selector of `key=value`, `key` (exists) or `!key`, separated by commas; empty selects everything.
pub fn select(text: &str) -> Selector {
    let requirement = |part: &str| {
        let (key, operator, values) = match (part.split_once('='), part.strip_prefix('!')) {
            (Some((key, values)), _) => (key, Operator::In, values.split('|').map(str::to_owned).collect()),
            (None, Some(key)) => (key, Operator::DoesNotExist, vec![]),
            (None, None) => (part, Operator::Exists, vec![]),
        };
        Requirement { key: key.to_owned(), operator, values }
    };
    Selector { requirements: text.split(',').filter(|part| !part.is_empty()).map(requirement).collect() }
}

/// LabelSet of `key=value`, separated by commas.
fn labels(namespace: &str, text: &str) -> LabelSet {
    let pairs = text.split(',').filter(|part| !part.is_empty()).map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (key.to_owned(), value.to_owned())
    });
    LabelSet::of_pod(namespace, "", pairs)
}

/// An endpoint `namespace/name`; local if it has a number.
pub fn endpoint(number: u32, name: &str, text: &str, addresses: &[&str]) -> Endpoint {
    let (namespace, name) = name.split_once('/').unwrap();
    Endpoint {
        local: (number > 0).then_some(EndpointId(number)),
        name: name.into(),
        namespace: namespace.into(),
        labels: labels(namespace, text),
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        ports: vec![],
    }
}

pub fn named(name: &str, port: u16, mut endpoint: Endpoint) -> Endpoint {
    endpoint.ports.push(NamedPort { name: name.to_owned(), port, transport: Transport::Tcp });
    endpoint
}

pub fn service(vips: &[&str], port: u16, target_port: u16, transport: Transport, backends: &[&str]) -> Service {
    Service {
        namespace: "default".into(),
        name: "service".into(),
        labels: LabelSet::default(),
        vips: vips.iter().map(|vip| ip(vip)).collect(),
        ports: vec![ServicePort { name: String::new(), port, transport, target_port }],
        backends: backends.iter().map(|backend| ip(backend)).collect(),
    }
}

pub fn policy(name: &str, rules: Vec<Rule>) -> Policy {
    let (namespace, name) =
        name.split_once('/').map_or((None, name), |(namespace, name)| (Some(namespace.into()), name));
    let several = rules.len() > 1;
    let named = |(number, rule): (usize, Rule)| Rule {
        path: if several { format!("specs[{number}]").into() } else { "spec".into() },
        ..rule
    };
    let rules = rules.into_iter().enumerate().map(named).collect();
    Policy {
        kind: portcullis_rules::policy::PolicyKind::Cilium,
        namespace,
        name: name.into(),
        rules,
        deny_with: None,
        deny_names_with: None,
        deny_scope: None,
        open_connections: None,
        origin: "test".into(),
    }
}

pub fn rule(subject: &str) -> Rule {
    Rule {
        path: "spec".into(),
        subject: select(subject),
        node: false,
        ingress: None,
        egress: None,
        ingress_deny: None,
        egress_deny: None,
        default_deny_ingress: None,
        default_deny_egress: None,
        position: Position::default(),
    }
}

pub fn ingress(subject: &str, entries: Vec<PolicyEntry>) -> Rule {
    Rule { ingress: Some(entries), ..rule(subject) }
}

pub fn egress(subject: &str, entries: Vec<PolicyEntry>) -> Rule {
    Rule { egress: Some(entries), ..rule(subject) }
}

/// An element without peers: everybody, as soon as it has ports.
pub fn anybody() -> PolicyEntry {
    PolicyEntry::default()
}

pub fn peers(selectors: &[&str]) -> PolicyEntry {
    PolicyEntry { endpoints: Some(selectors.iter().map(|text| select(text)).collect()), ..PolicyEntry::default() }
}

pub fn cidrs(cidrs: &[&str]) -> PolicyEntry {
    PolicyEntry { cidrs: Some(cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect()), ..PolicyEntry::default() }
}

pub fn cidr_set(cidr: &str, except: &[&str]) -> PolicyEntry {
    let except = except.iter().map(|cidr| cidr.parse().unwrap()).collect();
    PolicyEntry { cidr_sets: Some(vec![CidrSet { cidr: cidr.parse().unwrap(), except }]), ..PolicyEntry::default() }
}

/// `toFQDNs`; what has a star is a pattern.
pub fn fqdns(names: &[&str]) -> PolicyEntry {
    let selector = |name: &&str| match name.contains('*') {
        true => FqdnSelector::Pattern((*name).to_owned()),
        false => FqdnSelector::Name((*name).to_owned()),
    };
    PolicyEntry { fqdns: Some(names.iter().map(selector).collect()), ..PolicyEntry::default() }
}

/// A name that was resolved.
pub fn resolved(name: &str, addresses: &[&str]) -> ResolvedName {
    ResolvedName {
        name: name.to_owned(),
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        ..ResolvedName::default()
    }
}

pub fn entities(entities: &[Entity]) -> PolicyEntry {
    PolicyEntry { entities: Some(entities.to_vec()), ..PolicyEntry::default() }
}

pub trait Ports: Sized {
    fn push(self, rule: PortRule) -> Self;

    /// A `toPorts` element of one port: `80`, `80-90`, `http`, with `/udp`, `/sctp` or `/any` behind it.
    fn port(self, port: &str) -> Self {
        self.push(PortRule { ports: vec![spec(port)], l7: None, ..PortRule::default() })
    }

    fn http(self, port: &str, rules: Vec<L7Rule>) -> Self {
        self.push(PortRule {
            ports: vec![spec(port)],
            l7: Some(L7Rules { schema: &HTTP, rules }),
            ..PortRule::default()
        })
    }
}

impl Ports for PolicyEntry {
    fn push(mut self, rule: PortRule) -> Self {
        self.ports.get_or_insert_default().push(rule);
        self
    }
}

pub fn spec(text: &str) -> PortSpec {
    let (port, transport) = text.split_once('/').unwrap_or((text, "tcp"));
    let transport = match transport {
        "udp" => Some(Transport::Udp),
        "sctp" => Some(Transport::Sctp),
        "any" => None,
        _ => Some(Transport::Tcp),
    };
    let port = match port.split_once('-').map_or((port, port), |(first, last)| (first, last)) {
        (first, last) if first.starts_with(|c: char| c.is_ascii_digit()) => {
            PortRef::Range(first.parse().unwrap(), last.parse().unwrap())
        }
        (name, _) => PortRef::Named(name.to_owned()),
    };
    PortSpec { port, transport }
}

/// An HTTP rule of method and path; empty means any.
pub fn allow(method: &str, path: &str) -> L7Rule {
    let predicate = |field, pattern: &str| {
        let matcher = Matcher::Regex(pattern.to_owned());
        (!pattern.is_empty()).then(|| Predicate { field, key: String::new(), matcher })
    };
    let predicates = [predicate(METHOD, method), predicate(PATH, path)].into_iter().flatten().collect();
    L7Rule { predicates, ..L7Rule::default() }
}

pub fn with_header(mut rule: L7Rule, name: &str, value: Option<&str>) -> L7Rule {
    let matcher = value.map_or(Matcher::Present, |value| Matcher::Exact(value.to_owned()));
    rule.predicates.push(Predicate { field: HEADERS, key: name.to_owned(), matcher });
    rule
}

/// Server 1 in namespace `default`, a client, one of another namespace, a node, and the world.
pub fn builder(policies: Vec<Policy>) -> World {
    let endpoints = vec![
        named("web", 8080, endpoint(1, "default/server", "app=server", &["10.0.0.1", "fd00::1"])),
        named("web", 80, endpoint(2, "default/client", "app=client,tier=x", &["10.0.0.2", "fd00::2"])),
        endpoint(0, "other/client", "app=client", &["10.0.0.3"]),
        endpoint(0, "kube-system/dns", "k8s-app=kube-dns", &["10.0.0.4"]),
        endpoint(0, "node/here", "reserved:host=", &["10.9.9.1"]),
        endpoint(0, "node/there", "reserved:remote-node=", &["10.9.9.2"]),
    ];
    World {
        endpoints: endpoints.into_iter().map(Arc::new).collect(),
        services: vec![],
        policies: policies.into_iter().map(Arc::new).collect(),
        ..World::default()
    }
}

pub fn key(endpoint: u32, direction: Direction, peer: &str, port: &str) -> FlowKey {
    let PortSpec { port: PortRef::Range(port, _), transport: Some(transport) } = spec(port) else {
        panic!("no single port: {port}");
    };
    FlowKey { endpoint: EndpointId(endpoint), direction, transport, peer: ip(peer), port }
}

/// Who may open a connection to the server, in the names of the cluster.
pub fn enters(world: &World, peer: &str, port: &str) -> Flow {
    Snapshot::compile(world, 1).flow(&key(1, Direction::Ingress, address(peer), port))
}

/// Where the server may connect to.
pub fn leaves(world: &World, peer: &str, port: &str) -> Flow {
    Snapshot::compile(world, 1).flow(&key(1, Direction::Egress, address(peer), port))
}

fn address(name: &str) -> &str {
    match name {
        "client" => "10.0.0.2",
        "other" => "10.0.0.3",
        "dns" => "10.0.0.4",
        "host" => "10.9.9.1",
        "node" => "10.9.9.2",
        "world" => "192.0.2.1",
        "world6" => "2001:db8::1",
        address => address,
    }
}

/// `allow`, `deny` or `judge`.
pub fn word(flow: &Flow) -> &'static str {
    if flow.plan.is_empty() { flow.outcome.as_str() } else { "judge" }
}

/// Whether a request passes: the flow, and where it is judged, the request.
pub fn passes(flow: &Flow, request: &dyn Request) -> bool {
    flow.outcome_of(request).passes()
}
