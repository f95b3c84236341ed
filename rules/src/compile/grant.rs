//! One grant: which peers and ports an element allows or denies, and with which L7 rules.

use std::{ops::RangeInclusive, sync::Arc};

use super::{
    grants::{is_about, is_icmp},
    peers::PeerSet,
};
use crate::{
    policy::{L7Rule, L7Rules, Policy, PortRef, PortRule, PortSpec},
    schema::Schema,
    settings::{DenyScope, DenyWith},
    verdict::RuleInfo,
    world::{Direction, Transport},
};

/// Where a `toPorts` element is written. Grants outlive the world that they were compiled from: an address that is learnt
/// later may bring together rules that no address had in common before.
#[derive(Clone, Debug)]
pub(super) struct GrantSource {
    pub(super) policy: Arc<Policy>,
    pub(super) rule: usize,
    pub(super) direction: Direction,
    pub(super) deny: bool,
    pub(super) entry: usize,
    pub(super) element: usize,
}

impl GrantSource {
    fn element(&self) -> Option<&PortRule> {
        let rule = self.policy.rules.get(self.rule)?;
        let entries = match (self.direction, self.deny) {
            (Direction::Ingress, false) => &rule.ingress,
            (Direction::Ingress, true) => &rule.ingress_deny,
            (Direction::Egress, false) => &rule.egress,
            (Direction::Egress, true) => &rule.egress_deny,
        };
        entries.as_ref()?.get(self.entry)?.ports.as_ref()?.get(self.element)
    }
}

/// What one `toPorts` element (or an element without) allows or denies.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) peers: Arc<PeerSet>,
    /// `None`: every port of every transport.
    pub(crate) ports: Option<Vec<PortSpec>>,
    /// The `toPorts` element that it is made of.
    pub(super) written: Option<GrantSource>,
    /// Number of its selector and ports, where those are told apart: what Cilium merges into one set of rules.
    pub(crate) pair: Option<u32>,
    pub(crate) deny: bool,
    /// Index of its policy in the world.
    pub(crate) policy: u32,
    pub(crate) deny_with: Option<DenyWith>,
    pub(crate) deny_names_with: Option<DenyWith>,
    pub(crate) deny_scope: Option<DenyScope>,
    pub(crate) info: Arc<RuleInfo>,
}

impl Grant {
    fn element(&self) -> Option<&PortRule> {
        self.written.as_ref()?.element()
    }

    pub(crate) fn l7(&self) -> Option<&L7Rules> {
        self.element()?.l7.as_ref()
    }

    pub(crate) fn server_names(&self) -> Option<&L7Rules> {
        self.element()?.server_names.as_ref()
    }

    /// Whether the proxy takes TLS off in front of its rules.
    pub(crate) fn terminates_tls(&self) -> bool {
        self.element().is_some_and(|element| element.terminates_tls)
    }

    /// The ports of a transport, disjoint and in order. `own` resolves names by the endpoint's own ports.
    pub(crate) fn ports(
        &self,
        transport: Transport,
        own: impl Fn(&str, Transport) -> Option<u16>,
    ) -> Vec<RangeInclusive<u16>> {
        let Some(specs) = &self.ports else { return vec![0..=u16::MAX] };
        let ranges = specs.iter().filter(|spec| is_about(spec, transport));
        let mut ranges: Vec<_> = ranges
            .filter_map(|spec| match &spec.port {
                // Of ICMP, 0 is a message type.
                PortRef::Range(0, 0) if !is_icmp(spec.transport) => Some(0..=u16::MAX),
                PortRef::Range(first, last) => Some(*first..=*last),
                PortRef::Named(name) => own(name, transport).map(|port| port..=port),
            })
            .collect();
        ranges.sort_unstable_by_key(|range| (*range.start(), *range.end()));
        let mut disjoint: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            match disjoint.last_mut() {
                Some(last) if range.start() <= last.end() => {
                    *last = *last.start()..=(*last.end()).max(*range.end());
                }
                _ => disjoint.push(range),
            }
        }
        disjoint
    }

    /// The protocols that it has rules of.
    pub(crate) fn protocols(&self) -> impl Iterator<Item = &'static Schema> {
        self.l7().into_iter().chain(self.server_names()).map(|rules| rules.schema)
    }

    /// Whether it has rules of a protocol.
    pub(crate) fn speaks(&self, protocol: Option<&'static Schema>) -> bool {
        self.protocols().any(|schema| protocol.is_some_and(|wanted| std::ptr::eq(wanted, schema)))
    }

    /// Its rules of a protocol.
    pub(crate) fn rules(&self, protocol: &'static Schema) -> impl Iterator<Item = &L7Rule> {
        let both = self.l7().into_iter().chain(self.server_names());
        both.filter(move |rules| std::ptr::eq(rules.schema, protocol)).flat_map(|rules| &rules.rules)
    }

    /// Whether it names a port by its number, and nothing around it.
    pub(crate) fn names_exactly(&self, transport: Transport, port: u16) -> bool {
        self.ports.iter().flatten().any(|spec| is_about(spec, transport) && spec.port == PortRef::Range(port, port))
    }

    /// Whether it is of `icmps`.
    pub(crate) fn is_about_icmp(&self) -> bool {
        self.ports.iter().flatten().any(|spec| is_icmp(spec.transport))
    }

    pub(crate) fn names_own_ports(&self) -> bool {
        self.ports.iter().flatten().any(|spec| matches!(spec.port, PortRef::Named(_)))
    }
}
