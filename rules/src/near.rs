//! Explains why rules do not apply to a flow, from the documents.

use std::sync::Arc;

use crate::{
    bounds::{CompileBounds, Meter},
    compile::{
        grants::is_about,
        identities::Identities,
        peers::{PeerSet, Resolver, Who, names_nobody},
    },
    explain::{FlowQuestion, NearMiss},
    names::never_opens,
    policy::{Policy, PolicyEntry, PolicyKind, PortRef, PortRule, Rule},
    verdict::RuleInfo,
    world::{Direction, Endpoint, ResolvedName, Transport, World},
};

/// Maximum number of rules that are reported.
const MOST: usize = 16;

/// See [`crate::explain::near`].
pub(crate) fn near(world: &World, question: &FlowQuestion<'_>) -> Vec<NearMiss> {
    let Some(endpoint) = world.endpoints.iter().find(|known| known.local == Some(question.endpoint)) else {
        return Vec::new();
    };
    let identities = Identities::new(&world.endpoints);
    let addresses = identities.addresses(&world.endpoints);
    let who = crate::table::who(&addresses, question.peer);
    let outside = crate::table::may_be_learnt(&addresses, question.peer);
    let meter = Meter::new(CompileBounds::NONE, 0);
    let resolver = Resolver::new(&identities, &addresses, world, &meter);
    let mut look = Look { question, world, endpoint, who, outside, resolver, found: Vec::new() };
    for policy in &world.policies {
        for rule in &policy.rules {
            look.rule(policy, rule);
        }
    }
    look.found.truncate(MOST);
    look.found
}

struct Look<'a> {
    question: &'a FlowQuestion<'a>,
    world: &'a World,
    endpoint: &'a Endpoint,
    who: Who,
    /// Names may select the peer.
    outside: bool,
    resolver: Resolver<'a>,
    found: Vec<NearMiss>,
}

impl Look<'_> {
    fn rule(&mut self, policy: &Policy, rule: &Rule) {
        let namespace = policy.namespace.as_deref();
        let subject = if rule.node { rule.subject.clone() } else { rule.subject.for_subject(namespace) };
        if !subject.matches(&self.endpoint.labels) {
            return;
        }
        let (list, entries) = match self.question.direction {
            Direction::Ingress => ("ingress", &rule.ingress),
            Direction::Egress => ("egress", &rule.egress),
        };
        let prefix = if policy.rules.len() > 1 { format!("{}.", rule.path) } else { String::new() };
        for (number, entry) in entries.iter().flatten().enumerate() {
            if policy.kind == PolicyKind::Kubernetes && names_nobody(entry) {
                self.tell(policy, list.to_owned(), "it has no rule for this direction, so it allows nobody".to_owned());
                continue;
            }
            let path = format!("{prefix}{list}[{number}]");
            match self.entry(entry, namespace) {
                Some(why) => self.tell(policy, path, why),
                None => {
                    self.ports(policy, entry, &path);
                    self.servers(policy, entry, namespace, path);
                }
            }
        }
    }

    /// Why an element does not select the peer.
    fn entry(&mut self, entry: &PolicyEntry, namespace: Option<&str>) -> Option<String> {
        let Some(peers) = self.resolver.resolve(entry, namespace, false) else {
            let nobody = if names_nobody(entry) {
                "it names neither peers nor ports, so it selects nobody"
            } else {
                "it selects nobody that is known"
            };
            return Some(nobody.to_owned());
        };
        if peers.contains(self.who) || self.is_named(&peers) {
            return None;
        }
        let by_name = entry.fqdns.as_ref().is_some_and(|names| !names.is_empty());
        let ranges = &self.world.never_open;
        if by_name && never_opens(self.question.peer, |address| ranges.iter().any(|range| range.contains(&address))) {
            return Some("no name opens this address, whatever answers say (fqdn.neverOpen)".to_owned());
        }
        if by_name && !self.knows_names(&peers) {
            return Some("no address is known for its names".to_owned());
        }
        let outside = matches!(self.who, Who::Unknown(_));
        let ranges = entry.cidrs.is_some() || entry.cidr_sets.is_some();
        Some(
            match (outside, ranges) {
                (false, true) => "its ranges select addresses outside of the cluster only, and the peer is inside",
                (true, true) => "the peer is in none of its ranges",
                (true, false) if entry.endpoints.is_some() => {
                    "its selectors select endpoints, and the peer is none that is known"
                }
                _ => "it selects other peers",
            }
            .to_owned(),
        )
    }

    /// Whether the peer has an address that a selected name was resolved to.
    fn is_named(&self, peers: &PeerSet) -> bool {
        let peer = self.question.peer;
        let has = |known: &&ResolvedName| {
            known.addresses.contains(&peer) || known.learnt.iter().any(|(address, _)| *address == peer)
        };
        let names = self.world.names.iter().filter(has);
        self.outside && peers.names_any(&self.resolver.selectors.matching_any(names.map(|known| known.name.as_str())))
    }

    /// Whether any selected name was resolved.
    fn knows_names(&self, peers: &PeerSet) -> bool {
        let names = self.world.names.iter().map(|known| known.name.as_str());
        peers.names_any(&self.resolver.selectors.matching_any(names))
    }

    /// Tells of an element that selects the peer by a name which answers gave, where its ports fit: it would apply if one of
    /// the servers that gave it counted.
    fn servers(&mut self, policy: &Policy, entry: &PolicyEntry, namespace: Option<&str>, path: String) {
        let Some(peers) = self.resolver.resolve(entry, namespace, false) else { return };
        let peer = self.question.peer;
        let given = |known: &&ResolvedName| known.addresses.contains(&peer);
        let given = self.world.names.iter().filter(given).map(|known| known.name.as_str());
        if peers.contains(self.who) || peers.names_any(&self.resolver.selectors.matching_any(given)) {
            return;
        }
        let rules = entry.ports.as_deref().unwrap_or_default();
        let fits = rules.is_empty() || rules.iter().any(|rule| self.port(rule).is_none());
        if fits && entry.icmps.is_none() {
            let why = "its names have this address by answers of servers that no DNS rule of the endpoint names (fqdn.serverMustAgree)";
            self.tell(policy, path, why.to_owned());
        }
    }

    fn ports(&mut self, policy: &Policy, entry: &PolicyEntry, path: &str) {
        for (number, rule) in entry.ports.iter().flatten().enumerate() {
            if let Some(why) = self.port(rule) {
                self.tell(policy, policy.ports_path(path, number), why);
            }
        }
        if entry.icmps.is_some() && !matches!(self.question.transport, Transport::Icmp | Transport::IcmpV6) {
            self.tell(policy, format!("{path}.icmps"), "it is about ICMP only".to_owned());
        }
    }

    /// Why a `toPorts` element does not cover the port, as far as numbers tell.
    fn port(&self, rule: &PortRule) -> Option<String> {
        if rule.ports.is_empty() {
            return Some("its list of ports is empty, which selects nothing".to_owned());
        }
        let number = |spec: &PortRef| match spec {
            PortRef::Range(0, 0) => true,
            PortRef::Range(first, last) => (*first..=*last).contains(&self.question.port),
            PortRef::Named(_) => false,
        };
        let transport = self.question.transport;
        let fits: Vec<_> = rule.ports.iter().filter(|spec| number(&spec.port)).collect();
        if fits.iter().any(|spec| is_about(spec, transport)) {
            return None;
        }
        if !fits.is_empty() || transport.is_extended() {
            return Some(format!("it is about another protocol than {}", transport.as_str()));
        }
        let named = rule.ports.iter().any(|spec| matches!(spec.port, PortRef::Named(_)));
        let names = if named { ", and no name of its ports stands for it here" } else { "" };
        Some(format!("its ports do not include {}{names}", self.question.port))
    }

    fn tell(&mut self, policy: &Policy, rule: String, why: String) {
        let info = RuleInfo { policy: policy.full_name().into(), rule: rule.into() };
        self.found.push(NearMiss { rule: Arc::new(info), why });
    }
}
