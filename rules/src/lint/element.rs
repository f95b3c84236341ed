//! All policies as one list of elements that can be compared.

use std::sync::Arc;

use ipnet::IpNet;

use crate::{
    labels::Selector,
    policy::{
        CidrGroupUse, Entity, FqdnSelector, L7Rules, Policy, PolicyEntry, PolicyKind, PortRule, PortSpec, Rule,
        ServiceSelector,
    },
    world::Direction,
};

/// One element of `ingress`, `egress`, `ingressDeny` or `egressDeny`, with what it takes from its surroundings.
pub(super) struct Element<'a> {
    /// Index of its policy.
    pub(super) policy: usize,
    pub(super) written: &'a Policy,
    pub(super) rule: &'a Rule,
    pub(super) entry: &'a PolicyEntry,
    /// Elements of its list, itself among them.
    pub(super) siblings: usize,
    pub(super) direction: Direction,
    pub(super) deny: bool,
    /// Path of its field.
    pub(super) path: String,
    /// Whom the rule concerns, bound to the policy's namespace.
    pub(super) subject: Selector,
    /// Whom the element names.
    pub(super) peers: LintPeers,
}

/// Whom an element names.
#[derive(Debug, PartialEq)]
pub(super) enum LintPeers {
    /// Nobody, whatever the ports.
    Nobody,
    /// Whoever it is.
    Anybody,
    /// One of these.
    Listed(Vec<LintPeer>),
}

/// One peer of an element.
#[derive(Debug, PartialEq)]
pub(super) enum LintPeer {
    /// Bound to the policy's namespace.
    Endpoints(Selector),
    Cidr(IpNet, Vec<IpNet>),
    Entity(Entity),
    Nodes(Selector),
    Service(ServiceSelector),
    Group(CidrGroupUse),
    Name(FqdnSelector),
}

/// All elements of all policies, in order.
pub(super) fn all(policies: &[Arc<Policy>]) -> Vec<Element<'_>> {
    let mut elements = Vec::new();
    for (number, policy) in policies.iter().enumerate() {
        for rule in &policy.rules {
            for (list, direction, deny, entries) in lists(rule) {
                let new = |(index, entry)| Element {
                    siblings: entries.len(),
                    ..element(number, policy, rule, direction, deny, list, index, entry)
                };
                elements.extend(entries.iter().enumerate().map(new));
            }
        }
    }
    elements
}

/// The four lists of a rule that are there, with their names.
fn lists(rule: &Rule) -> impl Iterator<Item = (&'static str, Direction, bool, &[PolicyEntry])> {
    [
        ("ingress", Direction::Ingress, false, &rule.ingress),
        ("egress", Direction::Egress, false, &rule.egress),
        ("ingressDeny", Direction::Ingress, true, &rule.ingress_deny),
        ("egressDeny", Direction::Egress, true, &rule.egress_deny),
    ]
    .into_iter()
    .filter_map(|(name, direction, deny, entries)| Some((name, direction, deny, entries.as_deref()?)))
}

#[allow(clippy::too_many_arguments, reason = "each is one field of what is made")]
fn element<'a>(
    policy: usize,
    written: &'a Policy,
    rule: &'a Rule,
    direction: Direction,
    deny: bool,
    list: &str,
    index: usize,
    entry: &'a PolicyEntry,
) -> Element<'a> {
    let namespace = written.namespace.as_deref();
    Element {
        policy,
        written,
        rule,
        entry,
        siblings: 1,
        direction,
        deny,
        path: format!("{}.{list}[{index}]", rule.path),
        subject: rule.subject.for_subject(namespace),
        peers: peers(entry, namespace),
    }
}

fn peers(entry: &PolicyEntry, namespace: Option<&str>) -> LintPeers {
    let mut listed = Vec::new();
    let selectors = entry.endpoints.iter().flatten();
    listed.extend(selectors.map(|selector| LintPeer::Endpoints(selector.for_peer(namespace))));
    listed.extend(entry.cidrs.iter().flatten().map(|cidr| LintPeer::Cidr(*cidr, Vec::new())));
    listed.extend(entry.cidr_sets.iter().flatten().map(|set| LintPeer::Cidr(set.cidr, set.except.clone())));
    listed.extend(entry.entities.iter().flatten().map(|entity| LintPeer::Entity(*entity)));
    listed.extend(entry.nodes.iter().flatten().cloned().map(LintPeer::Nodes));
    listed.extend(entry.services.iter().flatten().cloned().map(LintPeer::Service));
    listed.extend(entry.cidr_groups.iter().cloned().map(LintPeer::Group));
    listed.extend(entry.fqdns.iter().flatten().cloned().map(LintPeer::Name));
    let named =
        entry.endpoints.is_some() || entry.cidrs.is_some() || entry.cidr_sets.is_some() || entry.entities.is_some();
    match (listed.is_empty(), named, ports(entry).next().is_some() || icmps(entry)) {
        (false, ..) => LintPeers::Listed(listed),
        (true, false, true) => LintPeers::Anybody,
        (true, ..) => LintPeers::Nobody,
    }
}

/// `toPorts` with their numbers; none where the element means every port.
fn ports(entry: &PolicyEntry) -> impl Iterator<Item = (usize, &PortRule)> {
    entry.ports.iter().flatten().enumerate()
}

/// Whether it is about ICMP messages and no ports.
fn icmps(entry: &PolicyEntry) -> bool {
    entry.icmps.as_ref().is_some_and(|fields| !fields.is_empty())
}

impl<'a> Element<'a> {
    /// The `toPorts` elements with their paths; none where the element means every port.
    pub(super) fn ports(&self) -> impl Iterator<Item = (String, &'a PortRule)> + '_ {
        ports(self.entry).map(|(number, rule)| (self.written.ports_path(&self.path, number), rule))
    }

    /// Whether it means every port.
    pub(super) fn every_port(&self) -> bool {
        ports(self.entry).next().is_none() && !icmps(self.entry)
    }

    /// The `toPorts` elements that have L7 rules, with the paths of these.
    pub(super) fn l7(&self) -> impl Iterator<Item = (String, &'a PortRule, &'a L7Rules)> + '_ {
        self.ports().filter_map(|(path, rule)| {
            let l7 = rule.l7.as_ref()?;
            Some((format!("{path}.rules.{}", l7.schema.protocol), rule, l7))
        })
    }

    /// The ports that it allows or denies without looking at requests.
    pub(super) fn plain(&self) -> impl Iterator<Item = &'a PortSpec> + '_ {
        ports(self.entry)
            .filter(|(_, rule)| rule.l7.is_none() && rule.server_names.is_none())
            .flat_map(|(_, rule)| &rule.ports)
    }

    /// All its ports.
    pub(super) fn specs(&self) -> impl Iterator<Item = &'a PortSpec> + '_ {
        ports(self.entry).flat_map(|(_, rule)| &rule.ports)
    }

    /// `from` or `to`.
    pub(super) fn preposition(&self) -> &'static str {
        if self.direction == Direction::Ingress { "from" } else { "to" }
    }

    /// The path of a peer, an item of `fromEndpoints`, `toCIDRSet` and so on. In Kubernetes' own policies one list has all
    /// kinds of peers, and the path is the list's.
    pub(super) fn peer_path(&self, kind: &str, number: usize) -> String {
        match self.written.kind {
            PolicyKind::Cilium => format!("{}.{}{kind}[{number}]", self.path, self.preposition()),
            PolicyKind::Kubernetes => format!("{}.{}", self.path, self.preposition()),
        }
    }

    /// Where default deny stands for its direction, as written.
    pub(super) fn default_deny(&self) -> Option<bool> {
        match self.direction {
            Direction::Ingress => self.rule.default_deny_ingress,
            Direction::Egress => self.rule.default_deny_egress,
        }
    }
}
