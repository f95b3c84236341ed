//! The answers for one range of ports, by peer.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    answer::{Decider, Matching},
    grants::{Grant, GrantId},
    identities::Identity,
    peers::Who,
    selectors::SelectorId,
};
use crate::{
    lpm::{Lpm, everything, prefix},
    overlay::Overlay,
    snapshot::Flow,
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

impl Class {
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

    /// Index of the answer without regard to names.
    fn index(&self, who: Who) -> usize {
        let index = match who {
            Who::Known(identity) => self.known.get(&identity).copied(),
            Who::Unknown(address) => self.unknown.get(address).copied(),
        };
        index.unwrap_or(self.other)
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
    pub(crate) overheard: bool,
}

/// Makes classes; equal ones are one.
#[derive(Debug)]
pub(crate) struct Classes {
    grants: Arc<[Grant]>,
    pub(crate) decider: Decider,
    /// The identities of the node itself.
    hosts: Vec<Identity>,
    classes: HashMap<ClassKey, Arc<Class>>,
}

impl Classes {
    pub(crate) fn new(grants: Arc<[Grant]>, decider: Decider, hosts: Vec<Identity>) -> Self {
        Self { grants, decider, hosts, classes: HashMap::new() }
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
        let grants = Arc::clone(&self.grants);
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
        let mut answers = Answers { key, decider: &mut self.decider, flows: Vec::new(), indices: HashMap::new() };
        let other = answers.index((everybody.clone(), false));
        let known = known
            .into_iter()
            .map(|(identity, (selected, host))| (identity, answers.index((union(&everybody, selected), host))))
            .collect();
        let unknown = selected_ranges(&grants, &key.grants)
            .into_iter()
            .map(|(net, selected)| (net, answers.index((union(&everybody, selected), false))))
            .collect();
        let learning = learning(&grants, key, &answers);
        Class { answers: answers.flows, known, other, unknown, learning }
    }
}

/// The different answers of one class.
struct Answers<'a> {
    key: &'a ClassKey,
    decider: &'a mut Decider,
    flows: Vec<Flow>,
    indices: HashMap<Matching, usize>,
}

impl Answers<'_> {
    fn index(&mut self, matching: Matching) -> usize {
        if let Some(index) = self.indices.get(&matching) {
            return *index;
        }
        let index = self.flows.len();
        self.flows.push(self.decider.answer(&matching, self.key));
        self.indices.insert(matching, index);
        index
    }
}

/// What a class needs to learn addresses, if some grant selects names.
fn learning(grants: &[Grant], key: &ClassKey, answers: &Answers<'_>) -> Option<Learning> {
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

/// For every prefix that some grant names, the grants that select the addresses whose longest such prefix it is.
fn selected_ranges(grants: &[Grant], ids: &[GrantId]) -> HashMap<IpNet, Vec<GrantId>> {
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
