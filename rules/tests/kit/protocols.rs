//! Protocols with different properties, and a naive evaluation of their rules.

use std::{borrow::Cow, collections::BTreeMap};

use portcullis_rules::{
    policy::{Entity, L7Rule, L7Rules, Matcher, PolicyEntry, PortRef, PortRule, PortSpec, Predicate},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    snapshot::FlowKey,
    world::{Direction, World},
};

use super::HTTP;

/// Only a rule for exactly its port opens it.
pub static DNS: Schema = Schema {
    protocol: "dns",
    fields: &[FieldSpec { name: "matchName", form: FieldForm::Words, checked: true }],
    nature: &ProtocolTraits {
        priority: 121,
        datagrams: true,
        ingress: false,
        exact_port: true,
        ..ProtocolTraits::STREAM
    },
};

/// Its rules are a list of names beside the ports.
pub static TLS: Schema = Schema {
    protocol: "tls",
    fields: &[FieldSpec { name: "serverNames", form: FieldForm::Words, checked: true }],
    nature: &ProtocolTraits { priority: 116, list: Some("serverNames"), ..ProtocolTraits::STREAM },
};

/// Each of its topics has to be allowed.
pub static QUEUE: Schema = Schema {
    protocol: "queue",
    fields: &[
        FieldSpec { name: "client", form: FieldForm::Exact, checked: true },
        FieldSpec { name: "topic", form: FieldForm::Each, checked: true },
    ],
    nature: &ProtocolTraits { priority: 106, ..ProtocolTraits::STREAM },
};

/// A request of DNS or TLS: a name.
#[derive(Clone, Debug)]
pub struct Named(pub &'static Schema, pub &'static str);

impl Request for Named {
    fn schema(&self) -> &'static Schema {
        self.0
    }

    fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
        if self.1.is_empty() { FieldValue::Absent } else { FieldValue::Value(Cow::Borrowed(self.1.as_bytes())) }
    }
}

/// A request of the queue: a client, and topics where its kind has some.
#[derive(Clone, Debug)]
pub struct Topics(pub &'static str, pub Option<&'static [&'static str]>);

impl Request for Topics {
    fn schema(&self) -> &'static Schema {
        &QUEUE
    }

    fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
        FieldValue::Value(Cow::Borrowed(self.0.as_bytes()))
    }

    fn count(&self, _: FieldIndex) -> Option<usize> {
        self.1.map(<[_]>::len)
    }

    fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
        self.1.map_or(b"", |topics| topics[number].as_bytes())
    }
}

pub fn exact(field: u8, value: &str) -> Predicate {
    Predicate { field: FieldIndex(field), key: String::new(), matcher: Matcher::Exact(value.to_owned()) }
}

/// Rules of one protocol, each for one name.
pub fn names(schema: &'static Schema, names: &[&str]) -> L7Rules {
    let rule = |name: &&str| L7Rule { predicates: vec![exact(0, name)], ..L7Rule::default() };
    L7Rules { schema, rules: names.iter().map(rule).collect() }
}

pub fn ports(specs: &[&str], l7: Option<L7Rules>, server_names: Option<L7Rules>) -> PortRule {
    PortRule { ports: specs.iter().map(|text| super::spec(text)).collect(), l7, server_names, ..PortRule::default() }
}

/// What one selector allows on one list of ports, as Cilium keeps it: by filter and selector.
struct Allowed<'w> {
    pair: (String, Option<PortRef>),
    rule: Option<&'w PortRule>,
}

impl Allowed<'_> {
    fn schemas(&self) -> Vec<&'static Schema> {
        let both = self.rule.into_iter().flat_map(|rule| [&rule.l7, &rule.server_names]);
        both.flatten().map(|rules| rules.schema).collect()
    }

    fn rules(&self, schema: &Schema) -> Vec<&L7Rule> {
        let both = self.rule.into_iter().flat_map(|rule| [&rule.l7, &rule.server_names]);
        both.flatten().filter(|rules| std::ptr::eq(rules.schema, schema)).flat_map(|rules| &rules.rules).collect()
    }
}

/// Whether a flow passes and the name, if one is needed: the subject is endpoint 1, and every rule selects it. `None`
/// where another protocol judges.
pub fn passes(world: &World, key: &FlowKey, said: &Named) -> Option<bool> {
    let mut allowed = Vec::new();
    let rules = || world.policies.iter().flat_map(|policy| policy.rules.iter().map(move |rule| (policy, rule)));
    for (policy, rule) in rules() {
        let list = if key.direction == Direction::Ingress { &rule.ingress } else { &rule.egress };
        for entry in list.iter().flatten() {
            for selector in selectors(world, entry, policy.namespace.as_deref(), key) {
                match entry.ports.as_deref() {
                    None | Some([]) => allowed.push(Allowed { pair: (selector, None), rule: None }),
                    Some(rules) => {
                        for rule in rules {
                            for spec in rule.ports.iter().filter(|spec| covers(spec, key)) {
                                let pair = (selector.clone(), Some(spec.port.clone()));
                                allowed.push(Allowed { pair, rule: Some(rule) });
                            }
                        }
                    }
                }
            }
        }
    }
    if allowed.is_empty() {
        return Some(false);
    }
    let judges = allowed.iter().flat_map(Allowed::schemas).min_by_key(|schema| schema.nature.priority);
    let Some(schema) = judges else { return Some(true) };
    let mut named: BTreeMap<String, bool> = BTreeMap::new();
    for one in &allowed {
        let bound = one.rule.is_some_and(|rule| rule.server_names.is_some());
        *named.entry(format!("{:?}", one.pair)).or_default() |= bound;
    }
    let plain = allowed.iter().any(|one| {
        let exact = one.pair.1 == Some(PortRef::Range(key.port, key.port));
        one.schemas().is_empty() && !named[&format!("{:?}", one.pair)] && (exact || !schema.nature.exact_port)
    });
    if plain {
        return Some(true);
    }
    if !std::ptr::eq(schema, said.0) {
        return None;
    }
    let says =
        |rule: &&L7Rule| rule.predicates.iter().all(|predicate| predicate.matcher == Matcher::Exact(said.1.to_owned()));
    Some(allowed.iter().flat_map(|one| one.rules(schema)).any(|rule| says(&rule)))
}

fn covers(spec: &PortSpec, key: &FlowKey) -> bool {
    let PortRef::Range(first, last) = spec.port else { return false };
    let port = (first, last) == (0, 0) || (first..=last).contains(&key.port);
    port && spec.transport.is_none_or(|transport| transport == key.transport)
}

/// The selectors of an element that select the peer, each by what makes it that one.
fn selectors(world: &World, entry: &PolicyEntry, namespace: Option<&str>, key: &FlowKey) -> Vec<String> {
    let peer = world.endpoints.iter().find(|endpoint| endpoint.addresses.contains(&key.peer));
    let mut found = Vec::new();
    let unnamed = entry.endpoints.is_none() && entry.entities.is_none() && entry.cidrs.is_none();
    if (unnamed && entry.ports.is_some()) || entry.entities.iter().flatten().any(|entity| *entity == Entity::All) {
        found.push("*".to_owned());
    }
    for selector in entry.endpoints.iter().flatten() {
        let bound = selector.for_peer(namespace);
        if peer.is_some_and(|peer| bound.matches(&peer.labels)) {
            found.push(bound.to_string());
        }
    }
    for cidr in entry.cidrs.iter().flatten().filter(|cidr| peer.is_none() && cidr.contains(&key.peer)) {
        found.push(cidr.to_string());
    }
    found
}

/// Rules of HTTP that let nothing pass but a path that nobody asks for: to have a third protocol.
pub fn http() -> L7Rules {
    L7Rules { schema: &HTTP, rules: vec![super::allow("GET", "/never")] }
}
