//! The bounds of compilations, and the meter that counts their cost.
//!
//! The meter counts what is built and compared, not time or allocations, so the same documents give the same result on
//! every machine and in every run.

use std::{
    collections::{HashMap, hash_map::Entry as Place},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

pub use crate::effort::Effort;
use crate::{
    pattern::{Automaton, Patterns, REGEX_BUDGET},
    policy::{HeaderValueSource, L7Rules, Matcher, Policy, PolicyEntry, PortRule},
};

/// What compilations may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileBounds {
    /// Most memory of all policies together, in bytes: what was read and what it is compiled to, as estimated.
    pub memory: usize,
    /// Most memory of one policy, in bytes.
    pub policy_memory: usize,
    /// Most steps of one compilation. A step is about one comparison of a selector with an endpoint or a range.
    pub work: u64,
}

impl CompileBounds {
    /// No bounds: for questions about documents outside of a node.
    pub const NONE: Self = Self { memory: usize::MAX, policy_memory: usize::MAX, work: u64::MAX };
}

impl Default for CompileBounds {
    fn default() -> Self {
        Self { memory: 256 << 20, policy_memory: 64 << 20, work: 1_000_000_000 }
    }
}

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundedResource {
    /// [`CompileBounds::memory`].
    Memory,
    /// [`CompileBounds::policy_memory`].
    PolicyMemory,
    /// [`CompileBounds::work`].
    Work,
}

impl BoundedResource {
    /// The setting that says how much there is.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Memory => "limits.compilation.memory",
            Self::PolicyMemory => "limits.compilation.policyMemory",
            Self::Work => "limits.compilation.work",
        }
    }

    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::PolicyMemory => "policy_memory",
            Self::Work => "work",
        }
    }
}

/// Bytes of an automaton that are made in about one step.
pub(crate) const AUTOMATON_STEP: usize = 2;

/// A compilation that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// What ran out.
    pub resource: BoundedResource,
    /// The policies by what they had taken of it by then, the most first, by their index in
    /// [`World::policies`](crate::world::World::policies).
    pub policies: Vec<(usize, u64)>,
    /// Steps that were taken by then.
    pub work: u64,
}

/// What one policy has taken.
#[derive(Debug, Default)]
struct PolicyUsage {
    memory: AtomicUsize,
    work: AtomicU64,
}

/// Counts what one compilation takes. Once it is over, whoever makes something makes no more: all of it is given up.
#[derive(Debug)]
pub(crate) struct Meter {
    bounds: CompileBounds,
    memory: AtomicUsize,
    work: AtomicU64,
    by_policy: Vec<PolicyUsage>,
    /// The policy whose turn it is.
    current: AtomicU32,
    over: AtomicBool,
}

impl Meter {
    pub(crate) fn new(bounds: CompileBounds, policies: usize) -> Self {
        let by_policy = (0..policies).map(|_| PolicyUsage::default()).collect();
        let (memory, work) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { bounds, memory, work, by_policy, current: AtomicU32::new(0), over: AtomicBool::new(false) }
    }

    /// Says which policy [`Meter::take`] is about.
    pub(crate) fn turn_to(&self, policy: u32) {
        self.current.store(policy, Relaxed);
    }

    /// The policy whose turn it is.
    pub(crate) fn current(&self) -> u32 {
        self.current.load(Relaxed)
    }

    /// Takes memory and work for the policy whose turn it is; whether there was enough.
    pub(crate) fn take(&self, memory: usize, work: usize) -> bool {
        self.take_for(self.current(), memory, work)
    }

    /// Takes memory and work for a policy; whether there was enough.
    pub(crate) fn take_for(&self, policy: u32, memory: usize, work: usize) -> bool {
        let work = work as u64;
        let all = add(&self.memory, memory);
        let worked = self.work.load(Relaxed).saturating_add(work);
        self.work.store(worked, Relaxed);
        let mut over = all > self.bounds.memory || worked > self.bounds.work;
        if let Some(taken) = self.by_policy.get(policy as usize) {
            taken.work.store(taken.work.load(Relaxed).saturating_add(work), Relaxed);
            over |= add(&taken.memory, memory) > self.bounds.policy_memory;
        }
        if over {
            self.over.store(true, Relaxed);
        }
        !self.is_over()
    }

    /// Takes memory that is given back later, if there is some. Nothing runs out by that.
    pub(crate) fn reserve(&self, memory: usize) -> bool {
        let fits = self.memory.load(Relaxed).saturating_add(memory) <= self.bounds.memory;
        if fits {
            add(&self.memory, memory);
        }
        fits
    }

    /// Gives back memory.
    pub(crate) fn give_back(&self, memory: usize) {
        self.memory.store(self.memory.load(Relaxed).saturating_sub(memory), Relaxed);
    }

    /// Whether something has run out.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// What ran out, if anything did.
    pub(crate) fn overrun(&self) -> Option<Overrun> {
        if !self.is_over() {
            return None;
        }
        let resource = if self.work.load(Relaxed) > self.bounds.work {
            BoundedResource::Work
        } else if self.memory.load(Relaxed) > self.bounds.memory {
            BoundedResource::Memory
        } else {
            BoundedResource::PolicyMemory
        };
        let took = |taken: &PolicyUsage| match resource {
            BoundedResource::Work => taken.work.load(Relaxed),
            BoundedResource::Memory | BoundedResource::PolicyMemory => taken.memory.load(Relaxed) as u64,
        };
        let mut policies: Vec<(usize, u64)> = self.by_policy.iter().map(took).enumerate().collect();
        policies.sort_by_key(|(_, taken)| std::cmp::Reverse(*taken));
        Some(Overrun { resource, policies, work: self.work.load(Relaxed) })
    }
}

fn add(sum: &AtomicUsize, more: usize) -> usize {
    let sum_now = sum.load(Relaxed).saturating_add(more);
    sum.store(sum_now, Relaxed);
    sum_now
}

/// About what a policy takes as it was read, in bytes, without its regular expressions compiled.
#[must_use]
pub fn footprint(policy: &Policy) -> usize {
    let rules = policy.rules.iter().map(|rule| {
        let lists = [&rule.ingress, &rule.egress, &rule.ingress_deny, &rule.egress_deny];
        size_of_val(rule) + lists.into_iter().flatten().flatten().map(of_entry).sum::<usize>()
    });
    size_of_val(policy) + rules.sum::<usize>()
}

/// Puts policies on one after the other, as long as they fit by what they are themselves: as they were read, and their
/// regular expressions. What they take together with endpoints only a compilation tells.
#[derive(Debug)]
pub struct Scale {
    bounds: CompileBounds,
    patterns: Patterns,
    memory: usize,
    /// Steps that it took so far, also for policies that were not put on.
    work: u64,
    /// The regular expressions of the policies that are on it.
    automata: HashMap<u64, Arc<Automaton>>,
}

impl Scale {
    /// None is on it yet. `patterns` has the regular expressions that are compiled already.
    #[must_use]
    pub fn new(bounds: CompileBounds, patterns: Patterns) -> Self {
        Self { bounds, patterns, memory: 0, work: 0, automata: HashMap::new() }
    }

    /// Puts a policy on.
    ///
    /// # Errors
    /// It does not fit, and is not put on; what there is not enough of.
    pub fn put(&mut self, policy: &Policy) -> Result<(), BoundedResource> {
        let mut own = footprint(policy);
        let mut made = HashMap::new();
        for pattern in regular_expressions(policy) {
            self.fits(own)?;
            let took = match self.patterns.compile(pattern) {
                Ok(automaton) if !self.automata.contains_key(&automaton.number()) => {
                    let size = automaton.size();
                    if let Place::Vacant(place) = made.entry(automaton.number()) {
                        own = own.saturating_add(size);
                        place.insert(automaton);
                    }
                    size
                }
                Ok(_) => 0,
                Err(_) => REGEX_BUDGET,
            };
            self.work = self.work.saturating_add(1 + (took / AUTOMATON_STEP) as u64);
        }
        self.fits(own)?;
        self.memory = self.memory.saturating_add(own);
        self.automata.extend(made);
        Ok(())
    }

    fn fits(&self, own: usize) -> Result<(), BoundedResource> {
        if self.work > self.bounds.work {
            return Err(BoundedResource::Work);
        }
        if own > self.bounds.policy_memory {
            return Err(BoundedResource::PolicyMemory);
        }
        if self.memory.saturating_add(own) > self.bounds.memory { Err(BoundedResource::Memory) } else { Ok(()) }
    }
}

/// Every regular expression of a policy, in order.
pub(crate) fn regular_expressions(policy: &Policy) -> impl Iterator<Item = &str> {
    let entries = policy.rules.iter().flat_map(|rule| [&rule.ingress, &rule.egress]).flatten().flatten();
    let ports = entries.flat_map(|entry| entry.ports.iter().flatten());
    let rules = ports.flat_map(|ports| ports.l7.iter().chain(&ports.server_names)).flat_map(|l7| &l7.rules);
    rules.flat_map(|rule| &rule.predicates).filter_map(|predicate| match &predicate.matcher {
        Matcher::Regex(pattern) => Some(pattern.as_str()),
        _ => None,
    })
}

/// What a text or a list costs beside its content.
const HEADER: usize = 32;

/// About what one element takes as it was read, in bytes.
pub(crate) fn of_entry(entry: &PolicyEntry) -> usize {
    let selectors = entry.endpoints.iter().chain(&entry.nodes).flatten();
    let requirements = selectors.flat_map(|selector| &selector.requirements);
    let values = |values: &[String]| values.iter().map(|value| value.len() + HEADER).sum::<usize>();
    let selectors = requirements.map(|one| size_of_val(one) + one.key.len() + values(&one.values) + HEADER);
    let cidrs = entry.cidrs.iter().flatten().map(size_of_val);
    let sets = entry.cidr_sets.iter().flatten().map(|set| size_of_val(set) + size_of_val(&*set.except));
    let groups = entry.cidr_groups.iter().map(|group| size_of_val(group) + size_of_val(&*group.except) + 2 * HEADER);
    let names = entry.fqdns.iter().flatten().map(|name| size_of_val(name) + 256);
    let services = entry.services.iter().flatten().map(|service| size_of_val(service) + 8 * HEADER);
    let ports = entry.ports.iter().flatten().map(of_ports);
    let icmps = entry.icmps.iter().flatten().map(size_of_val);
    let parts = selectors.chain(cidrs).chain(sets).chain(groups).chain(names).chain(services).chain(ports).chain(icmps);
    size_of_val(entry) + parts.sum::<usize>()
}

fn of_ports(ports: &PortRule) -> usize {
    let rules = ports.l7.iter().chain(&ports.server_names).map(of_rules);
    size_of_val(ports) + ports.ports.iter().map(|port| size_of_val(port) + HEADER).sum::<usize>() + rules.sum::<usize>()
}

fn of_rules(rules: &L7Rules) -> usize {
    let texts = |matcher: &Matcher| match matcher {
        Matcher::Present => 0,
        Matcher::Regex(text) | Matcher::Exact(text) | Matcher::Name(text) => text.len(),
        Matcher::AnyOf(values) => values.iter().map(|value| value.len() + HEADER).sum(),
    };
    // As it was read, and as it is compiled.
    let of_rule = |rule: &crate::policy::L7Rule| {
        let predicates =
            rule.predicates.iter().map(|one| size_of_val(one) + one.key.len() + texts(&one.matcher) + HEADER);
        let wanted = |wanted: &HeaderValueSource| match wanted {
            HeaderValueSource::Value(text) | HeaderValueSource::Secret(text) => text.len(),
        };
        let actions = rule.actions.iter().map(|one| size_of_val(one) + one.name.len() + wanted(&one.wanted) + HEADER);
        let written = rule.written.iter().map(|one| size_of_val(one) + one.shown.len() + HEADER);
        size_of_val(rule) + 2 * predicates.chain(actions).chain(written).sum::<usize>() + 6 * HEADER
    };
    rules.rules.iter().map(of_rule).sum()
}
