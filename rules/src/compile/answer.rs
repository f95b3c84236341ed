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
    params::FlowParams,
    pattern::Patterns,
    policy::L7Rule,
    ruleset::{CompiledRule, RuleSet},
    schema::Schema,
    settings::{DenyScope, DenyWith, PolicySettings},
    snapshot::{Flow, Plan},
    verdict::{Layer, Outcome, Reason, RuleInfo},
    world::{Secret, World},
};

/// The grants that select a peer, in order, and whether the peer is the node itself.
pub(crate) type Matching = (Vec<GrantId>, bool);

/// What distinguishes one rule set from another: its grants, its protocol, and what allows beside them.
type SetKey = (Vec<GrantId>, &'static str, Option<Arc<RuleInfo>>);

/// Makes answers; equal rule sets are one. It outlives the compilation where addresses are learnt later.
#[derive(Debug)]
pub(crate) struct Decider {
    settings: PolicySettings,
    params: Arc<FlowParams>,
    naming: Option<&'static Schema>,
    secrets: Vec<Secret>,
    patterns: Patterns,
    grants: Arc<[Grant]>,
    meter: Arc<Meter>,
    /// The compilation is over, and what is made now is for what is learnt.
    learning: bool,
    /// Rule sets, and what each takes.
    sets: HashMap<SetKey, (Arc<RuleSet>, usize)>,
    /// Rules by their grant, their protocol and their place among those.
    rules: HashMap<(GrantId, &'static str, usize), Arc<CompiledRule>>,
}

impl Decider {
    pub(crate) fn new(world: &World, grants: Arc<[Grant]>, meter: Arc<Meter>) -> Self {
        let (settings, secrets, patterns) = (world.settings, world.secrets.clone(), world.patterns.clone());
        let (sets, rules) = (HashMap::new(), HashMap::new());
        let params = Arc::clone(&world.params);
        Self { settings, params, naming: world.naming, secrets, patterns, grants, meter, learning: false, sets, rules }
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
        let params = Arc::clone(&self.params);
        let decided = |outcome: Outcome, layer, reason, grant: Option<&Grant>| Flow {
            rule: grant.map(|grant| Arc::clone(&grant.info)),
            ..Flow::whole(outcome, layer, reason, Arc::clone(&params))
        };
        let denied = |layer, reason, grant| decided(Outcome::Deny.under(params.mode), layer, reason, grant);
        let layer = |grant: &Grant| if grant.ports.is_some() { Layer::L4 } else { Layer::L3 };
        // Any deny beats every allow, however specific (Cilium: deny precedence).
        if let Some(deny) = matching.iter().map(of).find(|grant| grant.deny) {
            return denied(layer(deny), Reason::RuleDenies, Some(deny));
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
            let names = if open || *host { None } else { self.names_beside(matching, protocol) };
            return match self.judged(judging, protocol, wider, names) {
                Some(plan) => Flow { redirect, plan, ..decided(Outcome::Allow, Layer::L7, Reason::RuleAllows, None) },
                None => decided(Outcome::Deny, Layer::L7, Reason::NoMemory, first),
            };
        }
        if key.snooped
            && let Some((naming, info)) = self.snooped(plain, open)
        {
            return match self.set(Vec::new(), naming, Some(info)).map(Plan::of) {
                Some(plan) => Flow { redirect, plan, ..decided(Outcome::Allow, Layer::L7, Reason::RuleAllows, None) },
                None => Flow { redirect, ..decided(Outcome::Deny, Layer::L7, Reason::NoMemory, None) },
            };
        }
        let flow = match plain {
            Some(plain) => decided(Outcome::Allow, layer(plain), Reason::RuleAllows, Some(plain)),
            None if open => decided(Outcome::Allow, Layer::L3, Reason::NotEnforced, None),
            None if *host => decided(Outcome::Allow, Layer::L3, Reason::LocalHost, None),
            None => denied(Layer::L3, Reason::NoRule, None),
        };
        Flow { redirect, ..flow }
    }

    /// The plan by which rules judge: those of one protocol, and those for the names of servers beside them. `None`: there is no
    /// room for it.
    fn judged(
        &mut self,
        judging: Vec<GrantId>,
        protocol: &'static Schema,
        wider: Option<Arc<RuleInfo>>,
        names: Option<(Vec<GrantId>, &'static Schema)>,
    ) -> Option<Plan> {
        let terminates = |id: &GrantId| self.grants[*id as usize].terminates_tls();
        let naming = names.iter().flat_map(|(naming, _)| naming);
        let terminates_tls = judging.iter().chain(naming).any(terminates);
        let plan = Plan { terminates_tls, ..Plan::of(self.set(judging, protocol, wider)?) };
        let Some((naming, schema)) = names else { return Some(plan) };
        Some(Plan { server_names: Some(self.set(naming, schema, None)?), ..plan })
    }

    /// The grants that name servers, and their protocol, where they bind flows whose requests another protocol judges: nothing
    /// that selects the peer leaves the name open. As in Cilium, what names servers for a selector and port binds whatever
    /// else is written for these (pkg/policy/rule.go, `mergePortProto`), and of several selectors one is enough.
    fn names_beside(&self, matching: &[GrantId], protocol: &Schema) -> Option<(Vec<GrantId>, &'static Schema)> {
        let of = |id: &GrantId| &self.grants[*id as usize];
        let naming: Vec<GrantId> = matching.iter().copied().filter(|id| of(id).server_names().is_some()).collect();
        let schema = of(naming.first()?).server_names()?.schema;
        let named: Vec<u32> = naming.iter().filter_map(|id| of(id).pair).collect();
        let bound = |id: &GrantId| of(id).pair.is_some_and(|pair| named.contains(&pair));
        (!protocol.is_carrier() && matching.iter().all(bound)).then_some((naming, schema))
    }

    /// What would pass as it is and is judged by a rule that allows everything: by which protocol, and what allows it.
    fn snooped(&self, plain: Option<&Grant>, open: bool) -> Option<(&'static Schema, Arc<RuleInfo>)> {
        let info = match plain {
            Some(plain) => Arc::clone(&plain.info),
            None if open => {
                let by_name = self.grants.iter().find(|grant| grant.peers.have_names())?;
                Arc::new(RuleInfo { policy: Arc::clone(&by_name.info.policy), rule: "enableDefaultDeny".into() })
            }
            None => return None,
        };
        Some((self.naming?, info))
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
        let mut all: Vec<Arc<CompiledRule>> = Vec::new();
        // A peer that several selectors of one element select is judged by the element's rules once. What rules do to
        // headers they do for each selector, as in Cilium, where each has its own copy of them.
        let mut seen: HashSet<*const L7Rule> = HashSet::new();
        for id in &key.0 {
            let grant = of(id);
            let mut is_new = |rule: &L7Rule| seen.insert(&raw const *rule) || !rule.actions.is_empty();
            for (number, rule) in grant.rules(schema).enumerate().filter(|(_, rule)| is_new(rule)) {
                if !self.learning && !self.meter.take_for(grant.policy, size_of::<Arc<CompiledRule>>(), 1) {
                    return None;
                }
                let compiled = self.rules.entry((*id, schema.protocol, number)).or_insert_with(|| {
                    let path = format!("{}.{list}[{}]", grant.info.rule, rule.item.unwrap_or(number));
                    let info = RuleInfo { policy: Arc::clone(&grant.info.policy), rule: path.into() };
                    Arc::new(CompiledRule::new(schema, rule, Arc::new(info), &self.secrets, &self.patterns))
                });
                all.push(Arc::clone(compiled));
            }
        }
        all.extend(key.2.iter().map(|info| Arc::new(CompiledRule::wider(schema, Arc::clone(info), &self.patterns))));
        let names = schema.nature.resolves;
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
