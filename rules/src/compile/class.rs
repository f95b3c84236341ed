//! The answers for one range of ports, by peer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    grants::{Grant, GrantId},
    identities::Identity,
    peers::Who,
};
use crate::{
    lpm::{Lpm, everything, prefix},
    policy::L7Rule,
    ruleset::RuleSet,
    schema::Schema,
    settings::DenyWith,
    snapshot::{Access, Flow},
    verdict::{Layer, Reason, RuleInfo},
    world::World,
};

/// The answers for one range of ports of one direction.
#[derive(Debug)]
pub(crate) struct Class {
    answers: Vec<Flow>,
    /// Index of the answer for endpoints that some grant selects by itself.
    known: HashMap<Identity, usize, foldhash::fast::RandomState>,
    /// Index of the answer for all other known endpoints.
    other: usize,
    /// Index of the answer for addresses that belong to no known endpoint.
    unknown: Lpm<usize>,
}

impl Class {
    pub(crate) fn answer(&self, who: Who) -> &Flow {
        let index = match who {
            Who::Known(identity) => self.known.get(&identity).copied(),
            Who::Unknown(address) => self.unknown.get(address).copied(),
        };
        &self.answers[index.unwrap_or(self.other)]
    }

    /// The answers for endpoints that some grant selects by itself.
    pub(crate) fn known(&self) -> impl Iterator<Item = (Identity, &Flow)> {
        self.known.iter().map(|(identity, index)| (*identity, &self.answers[*index]))
    }

    /// The answer for all other known endpoints.
    pub(crate) fn other(&self) -> &Flow {
        &self.answers[self.other]
    }

    /// The answers for addresses that belong to no known endpoint, by prefix.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = (IpNet, &Flow)> {
        self.unknown.iter().map(|(net, index)| (*net, &self.answers[*index]))
    }
}

/// What distinguishes one class from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClassKey {
    /// The grants that cover the ports, in order.
    pub(crate) grants: Vec<GrantId>,
    /// Those of them that name just this port, where a protocol asks for that.
    pub(crate) exact: Vec<GrantId>,
    /// Every rule that selects the endpoint leaves default deny off.
    pub(crate) open: bool,
    /// The node's own addresses are let in.
    pub(crate) host: bool,
}

/// Makes classes; equal ones, and equal rule sets, are one.
#[derive(Debug)]
pub(crate) struct Classes<'w> {
    world: &'w World,
    grants: &'w [Grant<'w>],
    /// The identities of the node itself.
    hosts: Vec<Identity>,
    classes: HashMap<ClassKey, Arc<Class>>,
    sets: HashMap<SetKey, Arc<RuleSet>>,
}

/// What distinguishes one rule set from another: its grants, its protocol, and what allows beside them.
type SetKey = (Vec<GrantId>, &'static str, Option<Arc<RuleInfo>>);

/// The grants that select a peer, and whether the peer is the node itself.
type Matching = (Vec<GrantId>, bool);

impl<'w> Classes<'w> {
    pub(crate) fn new(world: &'w World, grants: &'w [Grant<'w>], hosts: Vec<Identity>) -> Self {
        Self { world, grants, hosts, classes: HashMap::new(), sets: HashMap::new() }
    }

    pub(crate) fn get(&mut self, key: ClassKey) -> Arc<Class> {
        if let Some(class) = self.classes.get(&key) {
            return Arc::clone(class);
        }
        let class = Arc::new(self.build(&key));
        self.classes.insert(key, Arc::clone(&class));
        class
    }

    fn build(&mut self, key: &ClassKey) -> Class {
        let grants = self.grants;
        let everybody: Vec<GrantId> = key.grants.iter().copied().filter(|id| grants[*id as usize].peers.any).collect();
        let mut known: BTreeMap<Identity, Matching> = BTreeMap::new();
        for id in key.grants.iter().copied().filter(|id| !grants[*id as usize].peers.any) {
            for identity in &grants[id as usize].peers.identities {
                known.entry(*identity).or_default().0.push(id);
            }
        }
        for host in self.hosts.iter().filter(|_| key.host) {
            known.entry(*host).or_default().1 = true;
        }
        let mut answers = Answers { key, classes: self, flows: Vec::new(), indices: HashMap::new() };
        let other = answers.index((everybody.clone(), false));
        let known = known
            .into_iter()
            .map(|(identity, (selected, host))| (identity, answers.index((union(&everybody, selected), host))))
            .collect();
        let unknown = selected_ranges(grants, &key.grants)
            .into_iter()
            .map(|(net, selected)| (net, answers.index((union(&everybody, selected), false))))
            .collect();
        Class { answers: answers.flows, known, other, unknown }
    }

    /// One flow's answer from the grants that select its peer and port.
    fn answer(&mut self, matching: &Matching, key: &ClassKey) -> Flow {
        let (grants, (matching, host), open) = (self.grants, matching, key.open);
        let of = |id: &GrantId| &grants[*id as usize];
        let decided = |access, layer, reason, grant: Option<&Grant<'_>>| Flow {
            access,
            layer,
            reason,
            rule: grant.map(|grant| Arc::clone(&grant.info)),
            redirect: None,
        };
        let layer = |grant: &Grant<'_>| if grant.ports.is_some() { Layer::L4 } else { Layer::L3 };
        // Any deny beats every allow, however specific (Cilium: deny precedence).
        if let Some(deny) = matching.iter().map(of).find(|grant| grant.deny) {
            return decided(Access::Deny, layer(deny), Reason::RuleDenies, Some(deny));
        }
        let protocol = matching.iter().flat_map(|id| of(id).protocols()).min_by_key(|schema| schema.nature.priority);
        let judging: Vec<GrantId> = matching.iter().copied().filter(|id| of(id).speaks(protocol)).collect();
        let plain = self.plain(matching, protocol, key).map(|id| of(&id));
        let shadowed = *host || (plain.is_some() && !self.world.settings.deviations.l7_binds_beside_l4);
        // A rule that allows every request is there to show them, so it is not shadowed.
        let everything = |rule: &L7Rule| rule.predicates.is_empty() && rule.actions.is_empty();
        let rules = || judging.iter().filter_map(|id| of(id).l7).flat_map(|l7| &l7.rules);
        // What rules do to headers they do also where a wider rule allows.
        let acts = rules().any(|rule| !rule.actions.is_empty());
        let redirect = protocol.map(|schema| schema.protocol);
        if let Some(protocol) = protocol.filter(|_| !shadowed || acts || rules().any(everything)) {
            let named = |rule: &str| judging.first().map(|id| (Arc::clone(&of(id).info.policy), rule.into()));
            let wider = match plain {
                _ if open => named("enableDefaultDeny"),
                Some(plain) if acts && shadowed => Some((Arc::clone(&plain.info.policy), Arc::clone(&plain.info.rule))),
                None if acts && shadowed => named("allowLocalhost"),
                _ => None,
            };
            let wider = wider.map(|(policy, rule)| Arc::new(RuleInfo { policy, rule }));
            let access = Access::Judge(self.set(judging, protocol, wider));
            return Flow { redirect, ..decided(access, Layer::L7, Reason::RuleAllows, None) };
        }
        let flow = match plain {
            Some(plain) => decided(Access::Allow, layer(plain), Reason::RuleAllows, Some(plain)),
            None if open => decided(Access::Allow, Layer::L3, Reason::NotEnforced, None),
            None if *host => decided(Access::Allow, Layer::L3, Reason::LocalHost, None),
            None => decided(Access::Deny, Layer::L3, Reason::NoRule, None),
        };
        Flow { redirect, ..flow }
    }

    /// The first grant that lets every request pass beside rules of a protocol.
    ///
    /// Rules of another protocol are none: Cilium takes them for one in some orders of its maps, here they allow nothing.
    fn plain(&self, matching: &[GrantId], protocol: Option<&Schema>, key: &ClassKey) -> Option<GrantId> {
        let of = |id: &GrantId| &self.grants[*id as usize];
        // What names servers for a selector and port binds also what else is allowed by the same selector and port
        // (cilium pkg/policy/rule.go, `mergePortProto`).
        let named: Vec<u32> = matching
            .iter()
            .map(of)
            .filter(|grant| grant.server_names.is_some())
            .filter_map(|grant| grant.pair)
            .collect();
        let exact = protocol.is_some_and(|schema| schema.nature.exact_port);
        matching.iter().copied().find(|id| {
            let grant = of(id);
            grant.protocols().next().is_none()
                && !grant.pair.is_some_and(|pair| named.contains(&pair))
                && (!exact || key.exact.contains(id))
        })
    }

    /// The L7 rules of some grants for one protocol. Where something wider allows beside them, it is a last rule that
    /// lets everything pass.
    fn set(&mut self, judging: Vec<GrantId>, schema: &'static Schema, wider: Option<Arc<RuleInfo>>) -> Arc<RuleSet> {
        let key = (judging, schema.protocol, wider);
        if let Some(set) = self.sets.get(&key) {
            return Arc::clone(set);
        }
        let of = |id: &GrantId| &self.grants[*id as usize];
        let everything = L7Rule::default();
        let list = schema.nature.list.map_or_else(|| format!("rules.{}", schema.protocol), str::to_owned);
        let mut all: Vec<(&L7Rule, Arc<RuleInfo>)> = Vec::new();
        // A peer that several selectors of one element select is judged by the element's rules once. What rules do to
        // headers they do for each selector, as in Cilium, where each has its own copy of them.
        let mut seen: HashSet<*const L7Rule> = HashSet::new();
        for grant in key.0.iter().map(of) {
            let mut is_new = |rule: &L7Rule| seen.insert(&raw const *rule) || !rule.actions.is_empty();
            for (number, rule) in grant.rules(schema).enumerate().filter(|(_, rule)| is_new(rule)) {
                let path = format!("{}.{list}[{number}]", grant.info.rule);
                all.push((rule, Arc::new(RuleInfo { policy: Arc::clone(&grant.info.policy), rule: path.into() })));
            }
        }
        all.extend(key.2.iter().map(|info| (&everything, Arc::clone(info))));
        let chosen = || key.0.iter().filter_map(|id| of(id).deny_with);
        let deny_with = match chosen().find(|wanted| *wanted == DenyWith::Reset) {
            Some(reset) => reset,
            None => chosen().next().unwrap_or(self.world.settings.deny_with),
        };
        let set = Arc::new(RuleSet::with_secrets(schema, all, deny_with, &self.world.secrets));
        self.sets.insert(key, Arc::clone(&set));
        set
    }
}

/// The different answers of one class.
struct Answers<'a, 'w> {
    key: &'a ClassKey,
    classes: &'a mut Classes<'w>,
    flows: Vec<Flow>,
    indices: HashMap<Matching, usize>,
}

impl Answers<'_, '_> {
    fn index(&mut self, matching: Matching) -> usize {
        if let Some(index) = self.indices.get(&matching) {
            return *index;
        }
        let index = self.flows.len();
        self.flows.push(self.classes.answer(&matching, self.key));
        self.indices.insert(matching, index);
        index
    }
}

/// Two sorted lists as one.
fn union(everybody: &[GrantId], mut selected: Vec<GrantId>) -> Vec<GrantId> {
    selected.extend_from_slice(everybody);
    selected.sort_unstable();
    selected
}

/// For every prefix that some grant names, the grants that select the addresses whose longest such prefix it is.
fn selected_ranges(grants: &[Grant<'_>], ids: &[GrantId]) -> HashMap<IpNet, Vec<GrantId>> {
    // Each range of a grant by its prefix and the prefixes it leaves out.
    let mut named: HashMap<IpNet, Vec<(GrantId, usize, bool)>> =
        everything().into_iter().map(|net| (net, Vec::new())).collect();
    for id in ids {
        for (number, range) in grants[*id as usize].peers.ranges.iter().enumerate() {
            named.entry(range.cidr).or_default().push((*id, number, true));
            for except in &range.except {
                named.entry(*except).or_default().push((*id, number, false));
            }
        }
    }
    let selected = |net: &IpNet| {
        let ancestors = (0..=net.prefix_len()).filter_map(|length| named.get(&prefix(net.addr(), length)?)).flatten();
        let (mut within, mut without) = (Vec::new(), Vec::new());
        for (id, number, included) in ancestors {
            if *included { within.push((*id, *number)) } else { without.push((*id, *number)) }
        }
        within.retain(|range| !without.contains(range));
        let mut ids: Vec<GrantId> = within.into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    named.keys().map(|net| (*net, selected(net))).collect()
}
