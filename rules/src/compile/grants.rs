//! Policies as a flat list of grants: one for each element of `ingress` and its like, and each of its `toPorts`.

use std::{ops::RangeInclusive, sync::Arc};

use super::{
    identities::{Identities, Identity},
    peers::{Peers, Resolver},
};
use crate::{
    policy::{Entry, L7Rules, Policy, PortRef, PortRule, PortSpec, Rule},
    settings::DenyWith,
    verdict::RuleInfo,
    world::{Direction, Transport},
};

/// Number of a grant within one compilation; grants of earlier policies come first.
pub(crate) type GrantId = u32;

/// All transports.
pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

/// What one `toPorts` element (or an element without) allows or denies.
#[derive(Debug)]
pub(crate) struct Grant<'w> {
    pub(crate) peers: Arc<Peers>,
    /// `None`: every port of every transport.
    pub(crate) ports: Option<Vec<PortSpec>>,
    pub(crate) l7: Option<&'w L7Rules>,
    pub(crate) deny: bool,
    pub(crate) deny_with: Option<DenyWith>,
    pub(crate) info: Arc<RuleInfo>,
}

impl Grant<'_> {
    /// The ports of a transport, disjoint and in order. `own` resolves names by the endpoint's own ports.
    pub(crate) fn ports(
        &self,
        transport: Transport,
        own: impl Fn(&str, Transport) -> Option<u16>,
    ) -> Vec<RangeInclusive<u16>> {
        let Some(specs) = &self.ports else { return vec![0..=u16::MAX] };
        let ranges = specs.iter().filter(|spec| spec.transport.is_none_or(|wanted| wanted == transport));
        let mut ranges: Vec<_> = ranges
            .filter_map(|spec| match &spec.port {
                PortRef::Range(0, 0) => Some(0..=u16::MAX),
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

    pub(crate) fn names_own_ports(&self) -> bool {
        self.ports.iter().flatten().any(|spec| matches!(spec.port, PortRef::Named(_)))
    }
}

/// What one rule says of one direction.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) grants: Vec<GrantId>,
    /// There is an element, even if it selects nobody.
    pub(crate) speaks: bool,
    /// It switches on default deny.
    pub(crate) default_deny: bool,
}

/// One rule, its subjects resolved.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) subjects: Arc<[Identity]>,
    pub(crate) sides: [Side; 2],
}

/// Lists all grants.
#[derive(Debug)]
pub(crate) struct Lister<'w> {
    pub(crate) resolver: Resolver<'w>,
    pub(crate) identities: &'w Identities<'w>,
    pub(crate) grants: Vec<Grant<'w>>,
}

/// What all grants of one list of elements have in common.
struct Context<'w> {
    policy: &'w Policy,
    name: Arc<str>,
    path: String,
    direction: Direction,
    deny: bool,
}

impl<'w> Lister<'w> {
    pub(crate) fn policy(&mut self, policy: &'w Policy) -> Vec<Selected> {
        let name: Arc<str> = match &policy.namespace {
            Some(namespace) => format!("{namespace}/{}", policy.name).into(),
            None => Arc::clone(&policy.name),
        };
        policy.rules.iter().map(|rule| self.rule(policy, &name, rule)).collect()
    }

    fn rule(&mut self, policy: &'w Policy, name: &Arc<str>, rule: &'w Rule) -> Selected {
        let prefix = if policy.rules.len() > 1 { format!("{}.", rule.path) } else { String::new() };
        let mut side = |direction, lists: [(&'w Option<Vec<Entry>>, bool, &str); 2], default_deny: Option<bool>| {
            let first = self.grants.len();
            for (entries, deny, list) in lists {
                let path = format!("{prefix}{list}");
                let context = Context { policy, name: Arc::clone(name), path, direction, deny };
                for (number, entry) in entries.iter().flatten().enumerate() {
                    self.entry(&context, number, entry);
                }
            }
            let speaks = lists.iter().any(|(entries, ..)| entries.as_ref().is_some_and(|entries| !entries.is_empty()));
            let grants = (first..self.grants.len()).filter_map(|id| GrantId::try_from(id).ok()).collect();
            Side { grants, speaks, default_deny: speaks && default_deny.unwrap_or(true) }
        };
        let sides = [
            side(
                Direction::Ingress,
                [(&rule.ingress_deny, true, "ingressDeny"), (&rule.ingress, false, "ingress")],
                rule.default_deny_ingress,
            ),
            side(
                Direction::Egress,
                [(&rule.egress_deny, true, "egressDeny"), (&rule.egress, false, "egress")],
                rule.default_deny_egress,
            ),
        ];
        let subjects = self.resolver.select(rule.subject.for_subject(policy.namespace.as_deref()));
        Selected { subjects, sides }
    }

    fn entry(&mut self, context: &Context<'w>, number: usize, entry: &'w Entry) {
        let namespace = context.policy.namespace.as_deref();
        let Some(peers) = self.resolver.resolve(entry, namespace, context.deny) else { return };
        let path = format!("{}[{number}]", context.path);
        match entry.ports.as_deref() {
            None | Some([]) => self.push(context, peers, None, None, path),
            Some(rules) => {
                for (number, rule) in rules.iter().enumerate() {
                    self.ports(context, &peers, rule, &format!("{path}.toPorts[{number}]"));
                }
            }
        }
    }

    /// Names of ports are resolved by who is connected to. On egress those are the peers, so the grant is split by
    /// the number that they give the name.
    fn ports(&mut self, context: &Context<'w>, peers: &Arc<Peers>, rule: &'w PortRule, path: &str) {
        let here =
            |spec: &&PortSpec| context.direction == Direction::Ingress || matches!(spec.port, PortRef::Range(..));
        let (kept, theirs): (Vec<&PortSpec>, Vec<&PortSpec>) = rule.ports.iter().partition(here);
        if !kept.is_empty() {
            let ports = kept.into_iter().cloned().collect();
            self.push(context, Arc::clone(peers), Some(ports), rule.l7.as_ref(), path.to_owned());
        }
        for spec in theirs {
            let PortRef::Named(name) = &spec.port else { continue };
            for transport in TRANSPORTS.into_iter().filter(|some| spec.transport.is_none_or(|wanted| wanted == *some)) {
                for (port, among) in self.identities.with_port(name, transport) {
                    let Some(peers) = self.resolver.narrow(peers, &among) else { continue };
                    let spec = PortSpec { port: PortRef::Range(port, port), transport: Some(transport) };
                    self.push(context, peers, Some(vec![spec]), rule.l7.as_ref(), path.to_owned());
                }
            }
        }
    }

    fn push(
        &mut self,
        context: &Context<'w>,
        peers: Arc<Peers>,
        ports: Option<Vec<PortSpec>>,
        l7: Option<&'w L7Rules>,
        path: String,
    ) {
        let info = Arc::new(RuleInfo { policy: Arc::clone(&context.name), rule: path.into() });
        let deny_with = context.policy.deny_with;
        self.grants.push(Grant { peers, ports, l7, deny: context.deny, deny_with, info });
    }
}
