//! The answer for one flow from the grants that select it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    class::ClassKey,
    grants::{Grant, GrantId},
};
use crate::{
    policy::L7Rule,
    ruleset::RuleSet,
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
    grants: Arc<[Grant]>,
    sets: HashMap<SetKey, Arc<RuleSet>>,
}

impl Decider {
    pub(crate) fn new(world: &World, grants: Arc<[Grant]>) -> Self {
        let (settings, secrets) = (world.settings, world.secrets.clone());
        Self { settings, naming: world.naming, secrets, grants, sets: HashMap::new() }
    }

    /// Forgets rule sets that no answer has any more.
    pub(crate) fn forget_unused(&mut self) {
        self.sets.retain(|_, set| Arc::strong_count(set) > 1);
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
                Some(plain) if acts && shadowed => Some((Arc::clone(&plain.info.policy), Arc::clone(&plain.info.rule))),
                None if acts && shadowed => named("allowLocalhost"),
                _ => None,
            };
            let wider = wider.map(|(policy, rule)| Arc::new(RuleInfo { policy, rule }));
            let access = Access::Judge(self.set(judging, protocol, wider));
            return Flow { redirect, ..decided(access, Layer::L7, Reason::RuleAllows, None) };
        }
        if key.overheard
            && let Some(access) = self.overheard(plain, open)
        {
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
        Some(Access::Judge(self.set(Vec::new(), self.naming?, Some(info))))
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
                let path = format!("{}.{list}[{}]", grant.info.rule, rule.item.unwrap_or(number));
                all.push((rule, Arc::new(RuleInfo { policy: Arc::clone(&grant.info.policy), rule: path.into() })));
            }
        }
        all.extend(key.2.iter().map(|info| (&everything, Arc::clone(info))));
        let names = schema.nature.teaches;
        let chosen = || {
            let of = |id| if names { of(id).deny_names_with } else { of(id).deny_with };
            key.0.iter().filter_map(of)
        };
        let otherwise = if names { self.settings.deny_names_with } else { self.settings.deny_with };
        let deny_with = match chosen().find(|wanted| *wanted == DenyWith::Reset) {
            Some(reset) => reset,
            None => chosen().next().unwrap_or(otherwise),
        };
        let scopes = || key.0.iter().filter_map(|id| of(id).deny_scope);
        let deny_scope = match scopes().find(|wanted| *wanted == DenyScope::Connection) {
            Some(connection) => connection,
            None => scopes().next().unwrap_or(self.settings.deny_scope),
        };
        let set = RuleSet::with_secrets(schema, all, deny_with, &self.secrets).resetting(deny_scope);
        let set = Arc::new(set);
        self.sets.insert(key, Arc::clone(&set));
        set
    }
}
