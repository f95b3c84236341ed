//! The verdict for one flow, from the grants that select it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    class::ClassKey,
    grants::{Grant, GrantId},
};
use crate::{
    bounds::{AUTOMATON_STEP, Meter},
    pattern::Patterns,
    policy::L7Rule,
    ruleset::{Compiled, RuleSet},
    schema::Schema,
    settings::{DenyScope, DenyWith, Settings},
    snapshot::{Access, Flow},
    verdict::{Layer, Reason, RuleInfo},
    world::{Secret, World},
};

/// The grants that select a peer, in order, and whether the peer is the node itself.
pub(crate) type Matching = (Vec<GrantId>, bool);

/// What distinguishes one rule set from another: its grants, its protocol, and what allows beside them.
type SetKey = (Vec<GrantId>, &'static str, Option<Arc<RuleInfo>>);

/// Makes answers; equal rule sets are one. It outlives the compilation where addresses are learnt later.
#[derive(Debug)]
pub(crate) struct Decider {
    settings: Settings,
    naming: Option<&'static Schema>,
    secrets: Vec<Secret>,
    patterns: Patterns,
    grants: Arc<[Grant]>,
    meter: Arc<Meter>,
    /// The compilation is over, and what is made now is for what is learnt.
    learning: bool,
    /// Rule sets, and what each takes.
    sets: HashMap<SetKey, (Arc<RuleSet>, usize)>,
    /// Rules by their grant and their place in it.
    rules: HashMap<(GrantId, usize), Arc<Compiled>>,
}

impl Decider {
    pub(crate) fn new(world: &World, grants: Arc<[Grant]>, meter: Arc<Meter>) -> Self {
        let (settings, secrets, patterns) = (world.settings, world.secrets.clone(), world.patterns.clone());
        let (sets, rules) = (HashMap::new(), HashMap::new());
        Self { settings, naming: world.naming, secrets, patterns, grants, meter, learning: false, sets, rules }
    }

    /// From now on answers are for what is learnt. Where the bounds leave no room for one, nothing is allowed by it.
    pub(crate) fn begin_to_learn(&mut self) {
        self.learning = true;
    }

    /// Forgets rule sets that no answer has any more.
    pub(crate) fn forget_unused(&mut self) {
        let meter = &self.meter;
        self.sets.retain(|_, (set, size)| {
            let used = Arc::strong_count(set) > 1;
            if !used {
                meter.give_back(*size);
            }
            used
        });
    }

    /// One flow's answer from the grants that select its peer and port.
    pub(crate) fn answer(&mut self, (matching, host): &Matching, key: &ClassKey) -> Flow {
        let (grants, open) = (Arc::clone(&self.grants), key.open);
        let of = |id: &GrantId| &grants[*id as usize];
        let decided = |access, layer, reason, grant: Option<&Grant>| Flow {
            access,
            layer,
            reason,
            rule: grant.map(|grant| Arc::clone(&grant.info)),
            redirect: None,
        };
        let layer = |grant: &Grant| if grant.ports.is_some() { Layer::L4 } else { Layer::L3 };
        // Any deny beats every allow, however specific (Cilium: deny precedence).
        if let Some(deny) = matching.iter().map(of).find(|grant| grant.deny) {
            return decided(Access::Deny, layer(deny), Reason::RuleDenies, Some(deny));
        }
        let protocol = matching.iter().flat_map(|id| of(id).protocols()).min_by_key(|schema| schema.nature.priority);
        let judging: Vec<GrantId> = matching.iter().copied().filter(|id| of(id).speaks(protocol)).collect();
        let plain = self.plain(matching, protocol, key).map(|id| of(&id));
        let shadowed = *host || (plain.is_some() && !self.settings.deviations.l7_binds_beside_l4);
        // A rule that allows every request is there to show them, so it is not shadowed.
        let everything = |rule: &L7Rule| rule.predicates.is_empty() && rule.actions.is_empty();
        let rules = || judging.iter().filter_map(|id| of(id).l7()).flat_map(|l7| &l7.rules);
        // What rules do to headers they do also where a wider rule allows.
        let acts = rules().any(|rule| !rule.actions.is_empty());
        let redirect = protocol.map(|schema| schema.protocol);
        if let Some(protocol) = protocol.filter(|_| !shadowed || acts || rules().any(everything)) {
            let named = |rule: &str| judging.first().map(|id| (Arc::clone(&of(id).info.policy), rule.into()));
            let wider = match plain {
                _ if open => named("enableDefaultDeny"),
                Some(plain) if shadowed => Some((Arc::clone(&plain.info.policy), Arc::clone(&plain.info.rule))),
                None if shadowed => named("allowLocalhost"),
                _ => None,
            };
            let wider = wider.map(|(policy, rule)| Arc::new(RuleInfo { policy, rule }));
            let first = judging.first().map(of);
            return match self.set(judging.clone(), protocol, wider) {
                Some(set) => Flow { redirect, ..decided(Access::Judge(set), Layer::L7, Reason::RuleAllows, None) },
                None => decided(Access::Deny, Layer::L7, Reason::NoMemory, first),
            };
        }
        if key.overheard
            && let Some(access) = self.overheard(plain, open)
        {
            let reason = if matches!(access, Access::Deny) { Reason::NoMemory } else { Reason::RuleAllows };
            return Flow { redirect, ..decided(access, Layer::L7, reason, None) };
        }
        let flow = match plain {
            Some(plain) => decided(Access::Allow, layer(plain), Reason::RuleAllows, Some(plain)),
            None if open => decided(Access::Allow, Layer::L3, Reason::NotEnforced, None),
            None if *host => decided(Access::Allow, Layer::L3, Reason::LocalHost, None),
            None => decided(Access::Deny, Layer::L3, Reason::NoRule, None),
        };
        Flow { redirect, ..flow }
    }

    /// What would pass as it is, judged by a rule that allows everything.
    fn overheard(&mut self, plain: Option<&Grant>, open: bool) -> Option<Access> {
        let info = match plain {
            Some(plain) => Arc::clone(&plain.info),
            None if open => {
                let by_name = self.grants.iter().find(|grant| grant.peers.have_names())?;
                Arc::new(RuleInfo { policy: Arc::clone(&by_name.info.policy), rule: "enableDefaultDeny".into() })
            }
            None => return None,
        };
        Some(self.set(Vec::new(), self.naming?, Some(info)).map_or(Access::Deny, Access::Judge))
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
            .filter(|grant| grant.server_names().is_some())
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

    /// The L7 rules of some grants for one protocol, if there is room for them. Where something wider allows beside them, it
    /// is a last rule that lets everything pass.
    fn set(
        &mut self,
        judging: Vec<GrantId>,
        schema: &'static Schema,
        wider: Option<Arc<RuleInfo>>,
    ) -> Option<Arc<RuleSet>> {
        let key = (judging, schema.protocol, wider);
        if let Some((set, _)) = self.sets.get(&key) {
            return Some(Arc::clone(set));
        }
        if self.meter.is_over() {
            return None;
        }
        let grants = Arc::clone(&self.grants);
        let of = |id: &GrantId| &grants[*id as usize];
        let list = schema.nature.list.map_or_else(|| format!("rules.{}", schema.protocol), str::to_owned);
        let mut all: Vec<Arc<Compiled>> = Vec::new();
        // A peer that several selectors of one element select is judged by the element's rules once. What rules do to
        // headers they do for each selector, as in Cilium, where each has its own copy of them.
        let mut seen: HashSet<*const L7Rule> = HashSet::new();
        for id in &key.0 {
            let grant = of(id);
            let mut is_new = |rule: &L7Rule| seen.insert(&raw const *rule) || !rule.actions.is_empty();
            for (number, rule) in grant.rules(schema).enumerate().filter(|(_, rule)| is_new(rule)) {
                if !self.learning && !self.meter.take_for(grant.policy, size_of::<Arc<Compiled>>(), 1) {
                    return None;
                }
                let compiled = self.rules.entry((*id, number)).or_insert_with(|| {
                    let path = format!("{}.{list}[{}]", grant.info.rule, rule.item.unwrap_or(number));
                    let info = RuleInfo { policy: Arc::clone(&grant.info.policy), rule: path.into() };
                    Arc::new(Compiled::new(schema, rule, Arc::new(info), &self.secrets, &self.patterns))
                });
                all.push(Arc::clone(compiled));
            }
        }
        all.extend(key.2.iter().map(|info| Arc::new(Compiled::wider(schema, Arc::clone(info), &self.patterns))));
        let names = schema.nature.teaches;
        let chosen = || {
            let of = |id| if names { of(id).deny_names_with } else { of(id).deny_with };
            key.0.iter().filter_map(of)
        };
        let set = if names { self.settings.deny_names_with } else { self.settings.deny_with };
        let otherwise = schema.nature.deny_with.unwrap_or(set);
        let deny_with = match chosen().find(|wanted| *wanted == DenyWith::Reset) {
            Some(reset) => reset,
            None => chosen().next().unwrap_or(otherwise),
        };
        let scopes = || key.0.iter().filter_map(|id| of(id).deny_scope);
        let deny_scope = match scopes().find(|wanted| *wanted == DenyScope::Connection) {
            Some(connection) => connection,
            None => scopes().next().unwrap_or(self.settings.deny_scope),
        };
        let set = Arc::new(RuleSet::of(schema, all, deny_with).resetting(deny_scope).upgrading(self.settings.upgrades));
        let size = set.size() + size_of_val(&*key.0);
        let policy = key.0.first().map_or(u32::MAX, |id| of(id).policy);
        let steps = 1 + size / AUTOMATON_STEP;
        let fits = if self.learning { self.meter.reserve(size) } else { self.meter.take_for(policy, size, steps) };
        if fits {
            self.sets.insert(key, (Arc::clone(&set), size));
        }
        fits.then_some(set)
    }
}
