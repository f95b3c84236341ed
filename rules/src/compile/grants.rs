//! Flattens policies into a list of grants: one for each element of `ingress`, `egress` and so on, and each of its
//! `toPorts`.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub(crate) use super::grant::Grant;
use super::{
    grant::GrantSource,
    identities::{Identities, IdentityNumber},
    peers::{PeerSet, Resolver},
    set::IdentitySet,
};
use crate::{
    bounds::Meter,
    policy::{IcmpField, L7Rules, Policy, PolicyEntry, PortRef, PortRule, PortSpec, Rule},
    settings::OpenConnections,
    verdict::RuleInfo,
    world::{Direction, Transport, World},
};

/// Number of a grant within one compilation; grants of earlier policies come first.
pub(crate) type GrantId = u32;

/// Whether a port spec is about a transport. `ANY` is every one that has ports.
pub(crate) fn is_about(spec: &PortSpec, transport: Transport) -> bool {
    spec.transport.map_or(transport.has_ports(), |wanted| wanted == transport)
}

pub(super) fn is_icmp(transport: Option<Transport>) -> bool {
    matches!(transport, Some(Transport::Icmp | Transport::IcmpV6))
}

/// The protocols without ports that some grant names.
pub(crate) fn extended(grants: &[Grant]) -> Vec<Transport> {
    let named = |transport: &Transport| {
        let mut specs = grants.iter().flat_map(|grant| grant.ports.iter().flatten());
        specs.any(|spec| spec.transport == Some(*transport))
    };
    Transport::ALL.into_iter().filter(|transport| transport.is_extended()).filter(named).collect()
}

/// What one rule says of one direction.
#[derive(Debug, Default)]
pub(crate) struct RuleDirection {
    pub(crate) grants: Vec<GrantId>,
    /// There is an element, even if it selects nobody.
    pub(crate) speaks: bool,
    /// It switches on default deny.
    pub(crate) default_deny: bool,
}

/// One rule, its subjects resolved.
#[derive(Debug)]
pub(crate) struct SelectedRule {
    pub(crate) subjects: Arc<IdentitySet>,
    /// Index of its policy in the world.
    pub(crate) policy: u32,
    /// The subjects are nodes.
    pub(crate) node: bool,
    pub(crate) sides: [RuleDirection; 2],
    /// What its policy says of open connections.
    pub(crate) open_connections: Option<OpenConnections>,
}

/// About what a grant takes, in bytes, beside the path of its rule and its list of ports.
const GRANT: usize = 2 * size_of::<Grant>();

/// Who has a port of some name, by its number.
type ByNumber = Arc<[(u16, Vec<IdentityNumber>)]>;

/// Lists all grants.
#[derive(Debug)]
pub(crate) struct Lister<'w> {
    pub(crate) resolver: Resolver<'w>,
    pub(crate) identities: &'w Identities<'w>,
    pub(crate) grants: Vec<Grant>,
    /// Each selector and each port becomes a grant of its own. Only rules that ask which port or which selector it was
    /// need that: server names, protocols with [`exact ports`](crate::schema::Nature::exact_port), and rules that change
    /// headers, which Cilium does once for each selector and port.
    apart: bool,
    pairs: HashMap<(String, Option<PortRef>), u32>,
    meter: &'w Meter,
    /// Who has a port of some name, by its number, as far as somebody asked.
    by_port: HashMap<(String, Transport), ByNumber>,
}

/// Whether some policy has rules that ask which port or which selector allowed.
fn asks_apart(world: &World) -> bool {
    let acts = |l7: &L7Rules| l7.rules.iter().any(|rule| !rule.actions.is_empty());
    let l7_asks = |l7: &L7Rules| l7.schema.nature.exact_port || acts(l7);
    let asks = |rule: &PortRule| rule.server_names.is_some() || rule.l7.as_ref().is_some_and(l7_asks);
    world.policies.iter().flat_map(|policy| &policy.rules).any(|rule| {
        let lists = [&rule.ingress, &rule.egress].into_iter().flatten().flatten();
        lists.flat_map(|entry| entry.ports.iter().flatten()).any(asks)
    })
}

/// What all grants of one list of elements have in common.
struct GrantContext<'w> {
    policy: &'w Arc<Policy>,
    /// Its index in the world.
    number: u32,
    /// Index of the rule in it.
    rule: usize,
    name: Arc<str>,
    path: String,
    direction: Direction,
    deny: bool,
}

impl<'w> Lister<'w> {
    pub(crate) fn new(
        resolver: Resolver<'w>,
        identities: &'w Identities<'w>,
        world: &'w World,
        meter: &'w Meter,
    ) -> Self {
        let (apart, grants, pairs, by_port) = (asks_apart(world), Vec::new(), HashMap::new(), HashMap::new());
        Self { resolver, identities, grants, apart, pairs, meter, by_port }
    }

    /// The rules of all policies, as far as the meter goes.
    pub(crate) fn all(&mut self, policies: &'w [Arc<Policy>]) -> Vec<SelectedRule> {
        let mut rules = Vec::new();
        for (number, policy) in (0..).zip(policies).take_while(|_| !self.meter.is_over()) {
            self.meter.turn_to(number);
            rules.extend(self.policy(policy));
        }
        rules
    }

    fn policy(&mut self, policy: &'w Arc<Policy>) -> Vec<SelectedRule> {
        let name: Arc<str> = policy.full_name().into();
        policy.rules.iter().enumerate().map(|(number, rule)| self.rule(policy, &name, number, rule)).collect()
    }

    fn rule(&mut self, policy: &'w Arc<Policy>, name: &Arc<str>, index: usize, rule: &'w Rule) -> SelectedRule {
        let prefix = if policy.rules.len() > 1 { format!("{}.", rule.path) } else { String::new() };
        let mut side = |direction,
                        lists: [(&'w Option<Vec<PolicyEntry>>, bool, &str); 2],
                        default_deny: Option<bool>| {
            let first = self.grants.len();
            for (entries, deny, list) in lists {
                let path = format!("{prefix}{list}");
                let number = self.meter.current();
                let context =
                    GrantContext { policy, number, rule: index, name: Arc::clone(name), path, direction, deny };
                for (number, entry) in entries.iter().flatten().enumerate() {
                    self.entry(&context, number, entry);
                }
            }
            let speaks = lists.iter().any(|(entries, ..)| entries.as_ref().is_some_and(|entries| !entries.is_empty()));
            let grants = (first..self.grants.len()).filter_map(|id| GrantId::try_from(id).ok()).collect();
            RuleDirection { grants, speaks, default_deny: speaks && default_deny.unwrap_or(true) }
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
        let subject =
            if rule.node { rule.subject.clone() } else { rule.subject.for_subject(policy.namespace.as_deref()) };
        let open_connections = policy.open_connections;
        let policy = self.meter.current();
        SelectedRule { subjects: self.resolver.select(subject), policy, node: rule.node, sides, open_connections }
    }

    fn entry(&mut self, context: &GrantContext<'w>, number: usize, entry: &PolicyEntry) {
        let namespace = context.policy.namespace.as_deref();
        let path = format!("{}[{number}]", context.path);
        if !self.apart {
            let Some(peers) = self.resolver.resolve(entry, namespace, context.deny) else { return };
            self.peers(context, &Selection { name: None, peers, entry: number }, entry, &path);
            return;
        }
        // A selector that is written twice is one.
        let mut seen = HashSet::new();
        for (name, peers) in self.resolver.parts(entry, namespace, context.deny) {
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(peers) = self.resolver.whole(peers) else { continue };
            self.peers(context, &Selection { name: Some(name), peers, entry: number }, entry, &path);
        }
    }

    fn peers(&mut self, context: &GrantContext<'w>, selection: &Selection, entry: &PolicyEntry, path: &str) {
        if self.meter.is_over() {
            return;
        }
        if let Some(fields) = &entry.icmps {
            let spec = |field: &IcmpField| PortSpec {
                port: PortRef::Range(field.kind.into(), field.kind.into()),
                transport: Some(field.family),
            };
            let ports = fields.iter().map(spec).collect();
            self.push(context, selection, Some(ports), None, format!("{path}.icmps"));
            return;
        }
        match entry.ports.as_deref() {
            None | Some([]) => self.push(context, selection, None, None, path.to_owned()),
            Some(rules) => {
                for (number, rule) in rules.iter().enumerate() {
                    self.ports(context, selection, (number, rule), &context.policy.ports_path(path, number));
                }
            }
        }
    }

    /// Names of ports are resolved by who is connected to. On egress those are the peers, so the grant is split by
    /// the number that they give the name.
    fn ports(
        &mut self,
        context: &GrantContext<'w>,
        selection: &Selection,
        (number, rule): (usize, &PortRule),
        path: &str,
    ) {
        let written = context.written(selection, number);
        let here =
            |spec: &&PortSpec| context.direction == Direction::Ingress || matches!(spec.port, PortRef::Range(..));
        let (kept, theirs): (Vec<&PortSpec>, Vec<&PortSpec>) = rule.ports.iter().partition(here);
        let kept: Vec<PortSpec> = kept.into_iter().cloned().collect();
        let lists: Vec<Vec<PortSpec>> =
            if self.apart { kept.into_iter().map(|spec| vec![spec]).collect() } else { vec![kept] };
        for ports in lists.into_iter().filter(|ports| !ports.is_empty()) {
            self.push(context, selection, Some(ports), Some(written.clone()), path.to_owned());
        }
        for theirs in theirs {
            let PortRef::Named(name) = &theirs.port else { continue };
            for transport in Transport::ALL.into_iter().filter(|some| is_about(theirs, *some)) {
                for (port, among) in self.with_port(name, transport).iter() {
                    let Some(peers) = self.resolver.narrow(&selection.peers, among) else { continue };
                    let spec = PortSpec { port: PortRef::Range(*port, *port), transport: Some(transport) };
                    if !self.meter.take(GRANT + path.len(), 1) {
                        return;
                    }
                    let grant = context.grant(&peers, Some(vec![spec]), Some(written.clone()), path.to_owned());
                    // Cilium keeps ports by name apart from those by number.
                    let pair = self.pair(selection, Some(theirs));
                    self.grants.push(Grant { pair, ..grant });
                }
            }
        }
    }

    fn with_port(&mut self, name: &str, transport: Transport) -> ByNumber {
        let key = (name.to_owned(), transport);
        let (identities, meter) = (self.identities, self.meter);
        let find = || {
            meter.take(identities.len() * size_of::<IdentityNumber>(), identities.len());
            identities.with_port(name, transport).into_iter().collect()
        };
        Arc::clone(self.by_port.entry(key).or_insert_with(find))
    }

    fn push(
        &mut self,
        context: &GrantContext<'w>,
        selection: &Selection,
        ports: Option<Vec<PortSpec>>,
        written: Option<GrantSource>,
        path: String,
    ) {
        let listed = ports.as_ref().map_or(0, Vec::len);
        if !self.meter.take(GRANT + path.len() + listed * size_of::<PortSpec>(), 1 + listed) {
            return;
        }
        let pair = self.pair(selection, ports.as_deref().and_then(<[_]>::first));
        let grant = context.grant(&selection.peers, ports, written, path);
        self.grants.push(Grant { pair, ..grant });
    }

    /// The number of a selector and port. The transport is that of the flow, so it tells nothing apart.
    fn pair(&mut self, selection: &Selection, port: Option<&PortSpec>) -> Option<u32> {
        let name = selection.name.clone()?;
        let next = u32::try_from(self.pairs.len()).unwrap_or(u32::MAX);
        Some(*self.pairs.entry((name, port.map(|spec| spec.port.clone()))).or_insert(next))
    }
}

impl GrantContext<'_> {
    fn written(&self, selection: &Selection, element: usize) -> GrantSource {
        let Self { policy, rule, direction, deny, .. } = self;
        let policy = Arc::clone(policy);
        GrantSource { policy, rule: *rule, direction: *direction, deny: *deny, entry: selection.entry, element }
    }

    fn grant(
        &self,
        peers: &Arc<PeerSet>,
        ports: Option<Vec<PortSpec>>,
        written: Option<GrantSource>,
        path: String,
    ) -> Grant {
        Grant {
            peers: Arc::clone(peers),
            ports,
            written,
            pair: None,
            deny: self.deny,
            policy: self.number,
            deny_with: self.policy.deny_with,
            deny_names_with: self.policy.deny_names_with,
            deny_scope: self.policy.deny_scope,
            info: Arc::new(RuleInfo { policy: Arc::clone(&self.name), rule: path.into() }),
        }
    }
}

/// Peers, and where selectors are told apart the one that selects them.
struct Selection {
    name: Option<String>,
    peers: Arc<PeerSet>,
    /// Index of the element in its list.
    entry: usize,
}
