//! Removes what exceeds the bounds of a compilation, before anything is stored or in force.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use portcullis_rules::{
    bounds::{BoundedResource, Overrun, Scale},
    params::FlowParams,
    pattern::Patterns,
    policy::{Policy, PolicyEntry, Rule},
    schema::Schema,
    settings::PolicySettings,
    snapshot::Snapshot,
    world::{ResolvedName, World},
};

use super::{
    incoming::Incoming,
    key::StoreKey,
    table::{AcceptedResource, RejectedVersion, ResourceBody, ResourceTable},
};
use crate::{
    policy::Language,
    problem::DocumentProblem,
    proto::{Outcome, ResourceResult, resource},
};

/// Compilations of one update, in what one of them may take. Where that is over, all that is new is left out.
const COMPILATIONS: u64 = 4;

/// What tables are compiled with.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    pub(crate) settings: PolicySettings,
    pub(crate) params: Arc<FlowParams>,
    pub(crate) naming: Option<&'static Schema>,
    pub(crate) names: Vec<ResolvedName>,
    /// The node's own addresses.
    pub(crate) node_addresses: Vec<IpAddr>,
    /// Regular expressions that are compiled already.
    pub(crate) patterns: Patterns,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct FitOutcome {
    /// The snapshot of what fits. `None`: nothing of the update does, and the table is as it was.
    pub(crate) snapshot: Option<Snapshot>,
    /// What was left out, and why.
    pub(crate) refused: BTreeMap<StoreKey, DocumentProblem>,
    /// Why nothing of the update fits.
    pub(crate) nothing: Option<DocumentProblem>,
}

impl Compiler {
    /// Compiles a table. Policies that are new in it are taken out, those that take most first, until it fits: `before` is
    /// what fitted before. If it is the update as a whole that does not fit, all of it is taken back.
    pub(crate) fn fit(&self, table: &mut ResourceTable, before: &ResourceTable, revision: u64) -> FitOutcome {
        let (kept, new): (Vec<StoreKey>, Vec<StoreKey>) =
            policies(table).map(|(key, _)| key.clone()).partition(|key| is_same(table.good(key), before.good(key)));
        let mut scale = Scale::new(self.settings.bounds, self.patterns.clone());
        // What was in force before goes first. It fitted.
        for key in &kept {
            let _ = put(&mut scale, table, key);
        }
        let mut refused = BTreeMap::new();
        for key in new {
            if let Err(resource) = put(&mut scale, table, &key) {
                let problem = self.problem(resource, "this policy");
                take_back(table, before, &key, &problem);
                // What is put back fitted before; if others took its room, the compilation tells.
                let _ = put(&mut scale, table, &key);
                refused.insert(key, problem);
            }
        }
        let (mut most, mut work) = (1, 0_u64);
        loop {
            let overrun = match self.compile(table, revision) {
                Ok(snapshot) => return FitOutcome { snapshot: Some(snapshot), refused, nothing: None },
                Err(overrun) => overrun,
            };
            let is_new = |key: &StoreKey| !is_same(table.good(key), before.good(key));
            let culprits = culprits(&overrun, table, most, is_new);
            if culprits.is_empty() {
                *table = before.clone();
                return FitOutcome {
                    snapshot: None,
                    refused,
                    nothing: Some(self.problem(overrun.resource, "the update")),
                };
            }
            for key in culprits {
                let problem = self.problem(overrun.resource, "this policy");
                take_back(table, before, &key, &problem);
                refused.insert(key, problem);
            }
            most = self.next(most, &mut work, overrun.work);
        }
    }

    /// Compiles a table of which nothing is in force yet. Policies that do not fit close what they speak of instead.
    pub(crate) fn fit_first(&self, table: &mut ResourceTable, revision: u64) -> FitOutcome {
        let all: Vec<StoreKey> = policies(table).map(|(key, _)| key.clone()).collect();
        let mut scale = Scale::new(self.settings.bounds, self.patterns.clone());
        let mut refused = BTreeMap::new();
        for key in all {
            if let Err(resource) = put(&mut scale, table, &key) {
                let problem = self.problem(resource, "this policy");
                leave_out(table, &key, &problem);
                refused.insert(key, problem);
            }
        }
        let (mut most, mut work) = (1, 0_u64);
        loop {
            let overrun = match self.compile(table, revision) {
                Ok(snapshot) => return FitOutcome { snapshot: Some(snapshot), refused, nothing: None },
                Err(overrun) => overrun,
            };
            let culprits = culprits(&overrun, table, most, |key| !table.good(key).is_some_and(|good| good.left_out));
            if culprits.is_empty() {
                // All that is left is what closes, and that is little.
                let snapshot = Some(Snapshot::compile(&self.world(table), revision));
                return FitOutcome { snapshot, refused, nothing: None };
            }
            for key in culprits {
                let problem = self.problem(overrun.resource, "this policy");
                leave_out(table, &key, &problem);
                refused.insert(key, problem);
            }
            most = self.next(most, &mut work, overrun.work);
        }
    }

    /// How many policies are left out together the next time.
    fn next(&self, most: usize, work: &mut u64, took: u64) -> usize {
        *work = work.saturating_add(took);
        if *work / COMPILATIONS >= self.settings.bounds.work { usize::MAX } else { 2 * most }
    }

    fn world(&self, table: &ResourceTable) -> World {
        let (naming, names, patterns) = (self.naming, self.names.clone(), self.patterns.clone());
        let node_addresses = self.node_addresses.clone();
        World {
            params: Arc::clone(&self.params),
            naming,
            names,
            patterns,
            node_addresses,
            ..table.world(self.settings)
        }
    }

    fn compile(&self, table: &ResourceTable, revision: u64) -> Result<Snapshot, Overrun> {
        let texts: Vec<usize> = policies(table).map(|(_, good)| text(good)).collect();
        if texts.iter().sum::<usize>() > self.settings.bounds.memory / 2 {
            let mut policies: Vec<(usize, u64)> = texts.into_iter().map(|text| text as u64).enumerate().collect();
            policies.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
            return Err(Overrun { resource: BoundedResource::Memory, policies, work: 0 });
        }
        Snapshot::compile_within_bounds(&self.world(table), revision)
    }

    fn problem(&self, resource: BoundedResource, what: &str) -> DocumentProblem {
        let bounds = self.settings.bounds;
        let (most, of) = match resource {
            BoundedResource::Memory => (bounds.memory as u64, "bytes"),
            BoundedResource::PolicyMemory => (bounds.policy_memory as u64, "bytes"),
            BoundedResource::Work => (bounds.work, "steps of compilation"),
        };
        let message = match resource {
            BoundedResource::PolicyMemory => format!("{what} takes more than {most} {of} when it is compiled"),
            _ => format!("with {what}, policies together take more than {most} {of}"),
        };
        let remedy = format!(
            "use fewer or smaller regular expressions, selectors and ranges, or raise {}; what was in force before stays",
            resource.setting()
        );
        DocumentProblem::new("spec", message, remedy).exhausting(resource)
    }
}

/// The policies in force, in the order in which a world has them.
fn policies(table: &ResourceTable) -> impl Iterator<Item = (&StoreKey, &AcceptedResource)> {
    table.goods().filter(|(key, _)| key.kind.is_policy())
}

/// Puts a policy of a table on a scale; nothing, where there is none.
fn put(scale: &mut Scale, table: &ResourceTable, key: &StoreKey) -> Result<(), BoundedResource> {
    match table.good(key).map(|good| &good.body) {
        Some(ResourceBody::Policy(policy)) => scale.put(policy),
        _ => Ok(()),
    }
}

fn text(good: &AcceptedResource) -> usize {
    match &good.resource.body {
        Some(resource::Body::Policy(policy)) => policy.document.len(),
        _ => 0,
    }
}

fn is_same(one: Option<&AcceptedResource>, other: Option<&AcceptedResource>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.resource.body == other.resource.body && one.left_out == other.left_out,
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// The policies that took most, of those that may go.
fn culprits(
    overrun: &Overrun,
    table: &ResourceTable,
    most: usize,
    may_go: impl Fn(&StoreKey) -> bool,
) -> Vec<StoreKey> {
    let keys: Vec<&StoreKey> = policies(table).map(|(key, _)| key).collect();
    let took = overrun.policies.iter().filter(|(_, taken)| *taken > 0);
    let named = took.filter_map(|(number, _)| keys.get(*number).copied()).filter(|key| may_go(key));
    named.take(most).cloned().collect()
}

fn rejected(key: &StoreKey, version: &str, problem: &DocumentProblem) -> ResourceResult {
    ResourceResult {
        key: Some(key.to_proto()),
        version: version.to_owned(),
        outcome: Outcome::Rejected.into(),
        problems: vec![problem.clone().into()],
    }
}

/// Puts back what was in force of a policy.
fn take_back(table: &mut ResourceTable, before: &ResourceTable, key: &StoreKey, problem: &DocumentProblem) {
    let Some(entry) = table.entries.get_mut(key) else { return };
    if let Some(good) = &entry.good {
        let result = rejected(key, &good.resource.version, problem);
        entry.rejected = Some(RejectedVersion { result, origin: good.origin.clone() }.into());
    }
    entry.good = before.good(key).cloned();
}

/// Puts what closes in the place of a policy.
pub(crate) fn leave_out(table: &mut ResourceTable, key: &StoreKey, problem: &DocumentProblem) {
    let Some(entry) = table.entries.get_mut(key) else { return };
    let Some(good) = &mut entry.good else { return };
    let ResourceBody::Policy(policy) = &good.body else { return };
    good.body = ResourceBody::Policy(closed(policy).into());
    good.left_out = true;
    let result = rejected(key, &good.resource.version, problem);
    entry.rejected = Some(RejectedVersion { result, origin: good.origin.clone() }.into());
}

/// Puts what closes in the place of a policy that was in force once and is refused now for what it takes: it would leave
/// open what it closed.
pub(crate) fn close(table: &mut ResourceTable, incoming: Incoming, result: &ResourceResult, language: Language<'_>) {
    let Some(resource::Body::Policy(policy)) = &incoming.resource.body else { return };
    let Some(key) = result.key.as_ref().and_then(StoreKey::from_proto) else { return };
    let origin = incoming.origin;
    let Some(read) =
        crate::policy::draft(&crate::yaml::parse(&policy.document), &origin.as_str().into(), language).policy
    else {
        return;
    };
    let entry = table.entries.entry(key).or_default();
    if entry.good.is_none() {
        let body = ResourceBody::Policy(closed(&read).into());
        let (resource, line, warnings) = (incoming.resource.into(), incoming.line, Vec::new().into());
        entry.good = Some(AcceptedResource { resource, origin: origin.clone(), line, body, warnings, left_out: true });
    }
    entry.rejected = Some(RejectedVersion { result: result.clone(), origin }.into());
}

/// A policy that selects whom another one selects, and allows nothing in the directions that it speaks of. Where that one
/// denies something, everything is denied: what was denied may be what another policy allows.
pub(crate) fn closed(policy: &Policy) -> Policy {
    let nobody = |entries: &Option<Vec<PolicyEntry>>| {
        let speaks = entries.as_ref().is_some_and(|entries| !entries.is_empty());
        speaks.then(|| vec![PolicyEntry { endpoints: Some(Vec::new()), ..PolicyEntry::default() }])
    };
    let everybody = |entries: &Option<Vec<PolicyEntry>>| {
        let speaks = entries.as_ref().is_some_and(|entries| !entries.is_empty());
        speaks.then(|| {
            vec![PolicyEntry { entities: Some(vec![portcullis_rules::policy::Entity::All]), ..PolicyEntry::default() }]
        })
    };
    let close = |rule: &Rule| Rule {
        ingress: nobody(&rule.ingress),
        egress: nobody(&rule.egress),
        ingress_deny: everybody(&rule.ingress_deny),
        egress_deny: everybody(&rule.egress_deny),
        ..rule.clone()
    };
    Policy { rules: policy.rules.iter().map(close).collect(), ..policy.clone() }
}
