//! The verdicts for one range of ports, by peer.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    answer::{Decider, Matching},
    blocks,
    grants::{Grant, GrantId},
    identities::{IdentityAddresses, IdentityNumber},
    peers::Who,
    selectors::SelectorId,
    trust::{TrustId, names_nobody_in_particular},
};
use crate::{
    bounds::Meter,
    lpm::{Lpm, everything, prefix},
    overlay::Overlay,
    snapshot::Flow,
    steering::SteeringAction,
};

/// The answers for one range of ports of one direction.
#[derive(Debug)]
pub(crate) struct CompiledClass {
    /// The grants that it was made of.
    grants: Vec<GrantId>,
    answers: Vec<Flow>,
    /// By answer, whether some grant that it is made of names somebody in particular.
    particular: Vec<bool>,
    /// Whose answers about names count here; `None`: anybody's.
    trust: Option<TrustId>,
    /// Index of the answer for endpoints that some grant selects by itself.
    known: HashMap<IdentityNumber, usize, foldhash::fast::RandomState>,
    /// Index of the answer for all other known endpoints.
    other: usize,
    /// Index of the answer for addresses that belong to no known endpoint.
    unknown: Lpm<usize>,
    /// Set where some grant selects names.
    learning: Option<Learning>,
}

/// What a class needs to answer for addresses that are learnt.
#[derive(Debug)]
struct Learning {
    key: ClassKey,
    /// By answer, the grants it was made of.
    matchings: Vec<Matching>,
    /// The grants that select names, by selector, in order.
    named: Vec<(SelectorId, GrantId)>,
    /// The answers for addresses of names that some grant selects. They take in what selects the address besides.
    learnt: Overlay<Arc<Flow>>,
}

impl CompiledClass {
    /// The answer for the other side of a flow, which has this address.
    pub(crate) fn answer(&self, who: Who, address: IpAddr) -> Flow {
        match self.learnt(address) {
            Some(flow) => (*flow).clone(),
            None => self.answers[self.index(who)].clone(),
        }
    }

    /// The answer without regard to names.
    pub(crate) fn by_address(&self, who: Who) -> &Flow {
        &self.answers[self.index(who)]
    }

    /// Whether some grant that does not deny names somebody in particular, and selects this one.
    pub(crate) fn names(&self, who: Who) -> bool {
        self.particular[self.index(who)]
    }

    /// Whose answers about names count here; `None`: anybody's.
    pub(crate) fn trust(&self) -> Option<TrustId> {
        self.trust
    }

    /// Index of the answer without regard to names.
    fn index(&self, who: Who) -> usize {
        let index = match who {
            Who::Known(identity) => self.known.get(&identity).copied(),
            Who::Unknown(address) => self.unknown.get(address).copied(),
        };
        index.unwrap_or(self.other)
    }

    /// The policy of the grant here that selects the most identities: its weight is that grant's most of all.
    pub(crate) fn widest(&self, grants: &[Grant]) -> u32 {
        let wide = |id: &&GrantId| grants[**id as usize].peers.identities.len();
        self.grants.iter().max_by_key(wide).map_or(u32::MAX, |id| grants[*id as usize].policy)
    }

    /// How many addresses it has an answer of their own for: those of endpoints by their identities, where that is not
    /// the answer for all others, and prefixes.
    pub(crate) fn weight(&self, places: &IdentityAddresses) -> usize {
        let other = SteeringAction::from(self.other());
        let differs = |flow: &Flow| SteeringAction::from(flow) != other;
        let known = self.known().filter(|(_, flow)| differs(flow)).map(|(id, _)| places.of(id).len());
        let prefixes = self.prefixes().filter(|(_, flow)| differs(flow)).count();
        let others = if prefixes > 0 { places.len() } else { 0 };
        known.sum::<usize>().max(others) + self.prefixes().count()
    }

    /// The answers for endpoints that some grant selects by itself.
    pub(crate) fn known(&self) -> impl Iterator<Item = (IdentityNumber, &Flow)> {
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

    /// The answer for the addresses around one that belongs to no known endpoint.
    pub(crate) fn around(&self, address: IpAddr) -> &Flow {
        &self.answers[self.unknown.around(address).copied().unwrap_or(self.other)]
    }

    /// The selectors of names that grants here have.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = SelectorId> {
        self.learning.iter().flat_map(|learning| &learning.named).map(|(selector, _)| *selector)
    }

    /// Whether addresses can be learnt here.
    pub(crate) fn learns(&self) -> bool {
        self.learning.is_some()
    }

    /// The answer that was learnt for an address.
    pub(crate) fn learnt(&self, address: IpAddr) -> Option<Arc<Flow>> {
        self.learning.as_ref()?.learnt.get(address)
    }

    /// All answers that were learnt, in no order.
    pub(crate) fn all_learnt(&self) -> Vec<(IpAddr, Arc<Flow>)> {
        self.learning.as_ref().map(|learning| learning.learnt.entries()).unwrap_or_default()
    }

    /// Sets or removes the answer for an address.
    pub(crate) fn learn(&self, address: IpAddr, flow: Option<Arc<Flow>>) {
        if let Some(learning) = &self.learning {
            learning.learnt.set(address, flow);
        }
    }

    /// Replaces the answers for all addresses.
    pub(crate) fn fill(&self, flows: impl IntoIterator<Item = (IpAddr, Arc<Flow>)>) {
        if let Some(learning) = &self.learning {
            learning.learnt.fill(flows);
        }
    }

    /// The grants that select somebody whose names these selectors select, and how they are weighed; `None` if no grant
    /// here selects them by name.
    pub(crate) fn matching(&self, who: Who, selectors: &[SelectorId]) -> Option<(Matching, &ClassKey)> {
        let learning = self.learning.as_ref()?;
        let grants_of = |selector: SelectorId| {
            let first = learning.named.partition_point(|(other, _)| *other < selector);
            learning.named[first..].iter().take_while(move |(other, _)| *other == selector).map(|(_, grant)| *grant)
        };
        let mut named: Vec<GrantId> = Vec::new();
        for selector in selectors {
            named.extend(grants_of(*selector));
        }
        let (others, host) = &learning.matchings[self.index(who)];
        (!named.is_empty()).then(|| ((union(others, named), *host), &learning.key))
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
    /// What else would pass as it is is judged by a rule that allows everything, because names are learnt from it.
    pub(crate) snooped: bool,
    /// Whose answers about names count, where some grant selects names and that is asked for.
    pub(crate) trust: Option<TrustId>,
}

/// Makes classes; equal ones are one.
#[derive(Debug)]
pub(crate) struct Classes {
    grants: Arc<[Grant]>,
    pub(crate) decider: Decider,
    /// The identities of the node itself.
    hosts: Vec<IdentityNumber>,
    /// Addresses of the node that no endpoint has.
    node: Vec<IpNet>,
    /// How many identities there are.
    identities: usize,
    meter: Arc<Meter>,
    classes: HashMap<ClassKey, Arc<CompiledClass>>,
}

impl Classes {
    pub(crate) fn new(
        grants: Arc<[Grant]>,
        decider: Decider,
        (hosts, node): (Vec<IdentityNumber>, Vec<IpNet>),
        identities: usize,
        meter: Arc<Meter>,
    ) -> Self {
        Self { grants, decider, hosts, node, identities, meter, classes: HashMap::new() }
    }

    pub(crate) fn get(&mut self, key: ClassKey) -> Arc<CompiledClass> {
        if let Some(class) = self.classes.get(&key) {
            return Arc::clone(class);
        }
        let class = Arc::new(self.build(&key));
        self.classes.insert(key, Arc::clone(&class));
        class
    }

    fn build(&mut self, key: &ClassKey) -> CompiledClass {
        let grants = Arc::clone(&self.grants);
        let (everybody, others): (Vec<GrantId>, Vec<GrantId>) =
            key.grants.iter().partition(|id| grants[**id as usize].peers.any);
        let (hosts, node): (&[IdentityNumber], &[IpNet]) =
            if key.host { (&self.hosts, &self.node) } else { (&[], &[]) };
        let learns = key.grants.iter().any(|id| grants[*id as usize].peers.have_names());
        let (decider, flows, indices) = (&mut self.decider, Vec::new(), HashMap::new());
        let mut answers = DistinctActions { key, decider, learns, flows, indices };
        let other = answers.index((everybody.clone(), false));
        let mut known = HashMap::default();
        // What selects the node selects its addresses that no endpoint has, too.
        let mut of_node: Vec<GrantId> = Vec::new();
        let tell = |block: blocks::IdentityBlock| {
            let host = block.identities.first().is_some_and(|identity| hosts.binary_search(identity).is_ok());
            if host && !node.is_empty() {
                of_node.extend(&block.grants);
            }
            let index = answers.index((union(&everybody, block.grants), host));
            known.extend(block.identities.into_iter().map(|identity| (identity, index)));
        };
        let kept = |length| is_kept(learns, length);
        blocks::split(&grants, &others, (hosts, self.identities), &self.meter, kept, tell);
        let unknown = selected_ranges(&grants, &key.grants, node, &self.meter)
            .into_iter()
            .map(|(net, mut selected)| {
                let host = node.contains(&net);
                if host {
                    selected.extend(&of_node);
                }
                (net, answers.index((union(&everybody, selected), host)))
            })
            .collect();
        let learning = learning(&grants, key, &answers);
        let mut particular = vec![false; answers.flows.len()];
        for ((matching, _), index) in &answers.indices {
            let named = |id: &GrantId| {
                let grant = &grants[*id as usize];
                !grant.deny && !names_nobody_in_particular(grant)
            };
            particular[*index] |= matching.iter().any(named);
        }
        CompiledClass {
            grants: key.grants.clone(),
            answers: answers.flows,
            particular,
            trust: key.trust,
            known,
            other,
            unknown,
            learning,
        }
    }
}

/// The different answers of one class.
struct DistinctActions<'a> {
    key: &'a ClassKey,
    decider: &'a mut Decider,
    /// What each answer was made of is asked for later.
    learns: bool,
    flows: Vec<Flow>,
    indices: HashMap<Matching, usize>,
}

impl DistinctActions<'_> {
    fn index(&mut self, matching: Matching) -> usize {
        if let Some(index) = self.indices.get(&matching) {
            return *index;
        }
        let index = self.flows.len();
        self.flows.push(self.decider.answer(&matching, self.key));
        if is_kept(self.learns, matching.0.len()) {
            self.indices.insert(matching, index);
        }
        index
    }
}

/// Whether a list of grants of a length is kept with its answer, to find it again. Long ones rarely come twice.
fn is_kept(learns: bool, length: usize) -> bool {
    learns || length <= LONG
}

/// Longest list of grants that is kept without need.
const LONG: usize = 64;

/// What a class needs to learn addresses, if some grant selects names.
fn learning(grants: &[Grant], key: &ClassKey, answers: &DistinctActions<'_>) -> Option<Learning> {
    let named = key.grants.iter().filter(|id| !grants[**id as usize].peers.any);
    let named = named.flat_map(|id| grants[*id as usize].peers.fqdns.iter().map(|selector| (*selector, *id)));
    let mut named: Vec<(SelectorId, GrantId)> = named.collect();
    named.sort_unstable();
    let mut matchings = vec![Matching::default(); answers.flows.len()];
    for (matching, index) in &answers.indices {
        matchings[*index].clone_from(matching);
    }
    (!named.is_empty()).then(|| Learning { key: key.clone(), matchings, named, learnt: Overlay::default() })
}

/// Two lists as one, sorted.
fn union(everybody: &[GrantId], mut selected: Vec<GrantId>) -> Vec<GrantId> {
    selected.extend_from_slice(everybody);
    selected.sort_unstable();
    selected.dedup();
    selected
}

/// For every prefix that some grant names, and for those in `also`, the grants that select the addresses whose longest such prefix it is. Not
/// complete once the meter is over.
fn selected_ranges(grants: &[Grant], ids: &[GrantId], also: &[IpNet], meter: &Meter) -> HashMap<IpNet, Vec<GrantId>> {
    // Each range of a grant by its prefix and the prefixes it leaves out.
    let mut named: HashMap<IpNet, Vec<(GrantId, usize, bool)>> =
        everything().into_iter().chain(also.iter().copied()).map(|net| (net, Vec::new())).collect();
    for id in ids {
        let grant = &grants[*id as usize];
        for (number, range) in grant.peers.ranges.iter().enumerate() {
            let prefixes = 1 + range.except.len();
            if !meter.take_for(grant.policy, prefixes * RANGE, prefixes) {
                return HashMap::new();
            }
            named.entry(range.cidr).or_default().push((*id, number, true));
            for except in &range.except {
                named.entry(*except).or_default().push((*id, number, false));
            }
        }
    }
    let mut selected = HashMap::with_capacity(named.len());
    for net in named.keys() {
        let ancestors = (0..=net.prefix_len()).filter_map(|length| named.get(&prefix(net.addr(), length)?)).flatten();
        let (mut within, mut without) = (Vec::new(), HashSet::new());
        for (id, number, included) in ancestors {
            if !meter.take_for(grants[*id as usize].policy, 4 * size_of::<GrantId>(), 1) {
                return HashMap::new();
            }
            if *included {
                within.push((*id, *number));
            } else {
                without.insert((*id, *number));
            }
        }
        let left = within.into_iter().filter(|range| !without.contains(range));
        let mut ids: Vec<GrantId> = left.map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        selected.insert(*net, ids);
    }
    selected
}

/// About what one prefix of a range takes in bytes: in the tables here, and in the one that answers.
const RANGE: usize = 160;
