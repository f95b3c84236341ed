//! Applies one update to the table: each resource is accepted or refused by itself.

use std::{collections::BTreeSet, sync::Arc};

use portcullis_rules::world::{Endpoint, EndpointId};

use super::{
    addresses,
    incoming::{self, Candidate, Incoming},
    key::{ResourceKind, StoreKey},
    numbers::LARGEST,
    references,
    table::{AcceptedResource, RejectedVersion, ResourceBody, ResourceOrigin, ResourceTable, StoredResource},
    unbound,
};
use crate::{
    policy::Language,
    problem::DocumentProblem,
    proto::{self, Outcome, ResourceKey, ResourceResult},
};

/// Most names that are remembered only because they were refused.
const MOST_REFUSED: usize = 10_000;

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update {
    pub(crate) resources: Vec<Incoming>,
    /// Names that a sender removes.
    pub(crate) removed: Vec<ResourceKey>,
    /// What else goes: everything that is not in `resources`, as `RemovalScope` says.
    pub(crate) sweep: Option<RemovalScope>,
}

/// What goes because it is not named.
#[derive(Clone, Debug)]
pub(crate) enum RemovalScope {
    /// A full push of these types.
    Api { kinds: Vec<ResourceKind>, allow_empty: bool },
    /// All files were read, but these, whose last good versions stay.
    Files { kept: Vec<Arc<str>> },
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct UpdateOutcome {
    /// One for each resource, in order, then one for each removed one.
    pub(crate) results: Vec<ResourceResult>,
    /// What is in force is another now.
    pub(crate) changed: bool,
    /// Something in force went, or was replaced: what did not fit before may fit now.
    pub(crate) freed: bool,
    /// What is kept on disk is another now.
    pub(crate) dirty: BTreeSet<ResourceKind>,
}

/// Brings an update into the table.
pub(crate) fn apply(table: &mut ResourceTable, update: Update, language: Language<'_>) -> UpdateOutcome {
    let Update { resources, removed, sweep } = update;
    let candidates = resources.into_iter().map(|incoming| Candidate::read(incoming, table, language)).collect();
    admit(table, candidates, &removed, sweep.as_ref())
}

/// Brings into the table what an update was read into.
pub(crate) fn admit(
    table: &mut ResourceTable,
    mut candidates: Vec<Candidate>,
    removed: &[ResourceKey],
    sweep: Option<&RemovalScope>,
) -> UpdateOutcome {
    incoming::refuse_twins(&mut candidates);
    refuse_foreign(&mut candidates, table);
    let mut removals: Vec<_> = removed.iter().map(|key| Removal::explicit(key, table)).collect();
    let swept = sweep.map(|sweep| swept(sweep, &candidates, table)).unwrap_or_default();
    let explicit: BTreeSet<_> = removals.iter().filter_map(|removal| removal.gone.clone()).collect();
    removals.extend(swept.into_iter().filter(|key| !explicit.contains(key)).map(Removal::implied));
    let gone: BTreeSet<StoreKey> = removals.iter().filter_map(|removal| removal.gone.clone()).collect();
    addresses::refuse_conflicts(&mut candidates, table, &gone);
    if let Some(RemovalScope::Api { kinds, allow_empty: false }) = sweep
        && let Some(problem) = would_empty(kinds, &candidates, &gone, &explicit, table)
    {
        return refuse_all(&candidates, &removals, &problem);
    }
    let mut done = commit(table, candidates, removals);
    references::warn(&mut done.results, table);
    unbound::warn(&mut done.results, table);
    done
}

/// One name that goes.
#[derive(Debug)]
struct Removal {
    key: ResourceKey,
    /// `None` when it is refused.
    gone: Option<StoreKey>,
    problem: Option<DocumentProblem>,
}

impl Removal {
    fn explicit(named: &ResourceKey, table: &ResourceTable) -> Self {
        let Some(key) = StoreKey::from_proto(named) else {
            let problem = DocumentProblem::new("", "names no resource", "set type and name");
            return Self { key: named.clone(), gone: None, problem: Some(problem) };
        };
        let proto = key.to_proto();
        match table.entries.get(&key) {
            None => {
                let problem = DocumentProblem::new("", format!("there is no {key}"), "").as_warning();
                Self { key: proto, gone: Some(key), problem: Some(problem) }
            }
            Some(entry) => match entry.good.as_ref().map(|good| &good.origin) {
                Some(ResourceOrigin::File(path)) => {
                    let problem = given_by(&key, path);
                    Self { key: proto, gone: None, problem: Some(problem) }
                }
                _ => Self { key: proto, gone: Some(key), problem: None },
            },
        }
    }

    fn implied(key: StoreKey) -> Self {
        Self { key: key.to_proto(), gone: Some(key), problem: None }
    }

    fn result(self) -> ResourceResult {
        let outcome = if self.gone.is_some() { Outcome::Accepted } else { Outcome::Rejected };
        let problems = self.problem.into_iter().map(Into::into).collect();
        ResourceResult { key: Some(self.key), version: String::new(), outcome: outcome.into(), problems }
    }
}

fn given_by(key: &StoreKey, path: &str) -> DocumentProblem {
    let remedy = "change it there; what files give cannot be changed through the API";
    DocumentProblem::new("metadata.name", format!("{key} is given by the file {path}"), remedy)
}

/// What a file gives, nobody else changes.
fn refuse_foreign(candidates: &mut [Candidate], table: &ResourceTable) {
    for candidate in candidates.iter_mut().filter(|candidate| candidate.origin == ResourceOrigin::Api) {
        let Some(key) = candidate.key.clone() else { continue };
        if let Some(AcceptedResource { origin: ResourceOrigin::File(path), .. }) = table.good(&key) {
            let problem = given_by(&key, path);
            candidate.refuse(problem);
        }
    }
}

/// The names that go because the update does not say them. A resource whose name cannot be told might be any of its
/// type, so then nothing of that type goes.
fn swept(sweep: &RemovalScope, candidates: &[Candidate], table: &ResourceTable) -> Vec<StoreKey> {
    let named: BTreeSet<&StoreKey> = candidates.iter().filter_map(|candidate| candidate.key.as_ref()).collect();
    let nameless =
        |kind: ResourceKind| candidates.iter().any(|one| one.key.is_none() && one.kind.is_none_or(|of| of == kind));
    let goes = |key: &StoreKey, origin: &ResourceOrigin| match (sweep, origin) {
        (RemovalScope::Api { kinds, .. }, ResourceOrigin::Api) => kinds.contains(&key.kind) && !nameless(key.kind),
        (RemovalScope::Files { kept }, ResourceOrigin::File(path)) => !kept.contains(path),
        _ => false,
    };
    let origin = |entry: &StoredResource| {
        let refused = || entry.rejected.as_ref().map(|rejected| rejected.origin.clone());
        entry.good.as_ref().map(|good| good.origin.clone()).or_else(refused)
    };
    let entries = table.entries.iter().filter(|(key, _)| !named.contains(key));
    entries
        .filter(|(key, entry)| origin(entry).is_some_and(|origin| goes(key, &origin)))
        .map(|(key, _)| key.clone())
        .collect()
}

/// The guard: a full push that would leave no policy, or no endpoint, where there were some is more likely a mistake.
fn would_empty(
    kinds: &[ResourceKind],
    candidates: &[Candidate],
    gone: &BTreeSet<StoreKey>,
    explicit: &BTreeSet<StoreKey>,
    table: &ResourceTable,
) -> Option<DocumentProblem> {
    let guarded = kinds.iter().filter(|kind| kind.is_policy() || **kind == ResourceKind::Endpoint);
    guarded.copied().find_map(|kind| {
        let pushed = |key: &StoreKey, good: &AcceptedResource| key.kind == kind && good.origin == ResourceOrigin::Api;
        let before = table.goods().filter(|(key, good)| pushed(key, good) && !explicit.contains(*key)).count();
        let stays = table.goods().any(|(key, good)| pushed(key, good) && !gone.contains(key));
        let comes = candidates.iter().any(|one| one.kind == Some(kind) && one.good.is_some());
        let message = format!("would remove every {} ({before})", kind.as_str());
        let remedy = "if that is meant, set allow_empty; nothing of this update is in force";
        (before > 0 && !stays && !comes).then(|| DocumentProblem::new("allow_empty", message, remedy))
    })
}

fn refuse_all(candidates: &[Candidate], removals: &[Removal], problem: &DocumentProblem) -> UpdateOutcome {
    let refused = |mut result: ResourceResult| {
        result.outcome = Outcome::Rejected.into();
        result.problems.push(problem.clone().into());
        result
    };
    let mut results: Vec<_> = candidates.iter().map(|candidate| refused(candidate.result())).collect();
    results.extend(removals.iter().map(|removal| {
        let (key, problems) = (Some(removal.key.clone()), Vec::new());
        refused(ResourceResult { key, version: String::new(), outcome: 0, problems })
    }));
    UpdateOutcome { results, ..UpdateOutcome::default() }
}

fn commit(table: &mut ResourceTable, candidates: Vec<Candidate>, removals: Vec<Removal>) -> UpdateOutcome {
    let mut done = UpdateOutcome::default();
    for key in removals.iter().filter_map(|removal| removal.gone.as_ref()) {
        if table.entries.remove(key).is_some_and(|entry| entry.good.is_some()) {
            (done.changed, done.freed) = (true, true);
            done.dirty.insert(key.kind);
        }
    }
    let before = table.numbers.clone();
    free_numbers(table, &candidates);
    for mut candidate in candidates {
        number(table, &mut candidate);
        done.results.push(candidate.result());
        accept(table, candidate, &mut done);
    }
    if table.numbers != before {
        done.dirty.insert(ResourceKind::Endpoint);
    }
    done.results.extend(removals.into_iter().map(Removal::result));
    done
}

/// Gives back the numbers of endpoints that are gone, or not local any more.
fn free_numbers(table: &mut ResourceTable, candidates: &[Candidate]) {
    let is_local = |good: &AcceptedResource| matches!(&good.body, ResourceBody::Endpoint(_, Some(_)));
    let renewed = candidates.iter().filter_map(|one| Some((one.key.clone()?, is_local(one.good.as_ref()?))));
    let mut local: std::collections::BTreeMap<StoreKey, bool> =
        table.goods().map(|(key, good)| (key.clone(), is_local(good))).collect();
    local.extend(renewed);
    table
        .numbers
        .retain(local.iter().filter(|(key, local)| key.kind == ResourceKind::Endpoint && **local).map(|(key, _)| key));
}

/// Gives a local endpoint its number.
fn number(table: &mut ResourceTable, candidate: &mut Candidate) {
    let Some(AcceptedResource { body: ResourceBody::Endpoint(endpoint, place), .. }) = &mut candidate.good else {
        return;
    };
    let Some(key) = &candidate.key else { return };
    let number = if place.is_some() { table.numbers.take(key) } else { None };
    if place.is_some() && number.is_none() {
        let message = format!("there are {LARGEST} local endpoints, and there can be no more");
        candidate.refuse(DocumentProblem::new("spec", message, "delete endpoints that are gone"));
        return;
    }
    if endpoint.local != number {
        *endpoint = Arc::new(Endpoint { local: number.map(|id| EndpointId(id.0)), ..Endpoint::clone(endpoint) });
    }
}

fn accept(table: &mut ResourceTable, candidate: Candidate, done: &mut UpdateOutcome) {
    let Some(key) = candidate.key.clone() else { return };
    let known = table.entries.contains_key(&key);
    if candidate.good.is_none() {
        let refused = table.entries.values().filter(|entry| entry.good.is_none()).count();
        if known || refused < MOST_REFUSED {
            let rejected = RejectedVersion { result: candidate.result(), origin: candidate.origin };
            table.entries.entry(key).or_default().rejected = Some(Arc::new(rejected));
        }
        return;
    }
    let entry = table.entries.entry(key.clone()).or_default();
    entry.rejected = None;
    let same = |old: &AcceptedResource, new: &AcceptedResource| {
        old.resource.body == new.resource.body && old.origin == new.origin && old.left_out == new.left_out
    };
    let is_same = entry.good.as_ref().zip(candidate.good.as_ref()).is_some_and(|(old, new)| same(old, new));
    if !candidate.unchanged {
        done.dirty.insert(key.kind);
    }
    done.changed |= !is_same;
    done.freed |= !is_same && entry.good.is_some();
    entry.good = candidate.good;
}

/// Reads again every policy that was left out because it did not fit. Whether there is any.
pub(crate) fn read_left_out(table: &mut ResourceTable, language: Language<'_>) -> bool {
    let mut any = false;
    for entry in table.entries.values_mut() {
        let Some(good) = entry.good.as_mut().filter(|good| good.left_out) else { continue };
        let Some(proto::resource::Body::Policy(policy)) = &good.resource.body else { continue };
        let read = crate::policy::read(&policy.document, &good.origin.as_str().into(), language);
        let Some(policy) = read.policy else { continue };
        good.body = ResourceBody::Policy(Arc::new(policy));
        good.left_out = false;
        good.warnings = read.problems.into_iter().map(Into::into).collect();
        entry.rejected = None;
        any = true;
    }
    any
}

/// Reads every policy again, because settings changed. What is refused now stays in force as it is, and says so.
pub(crate) fn reread(table: &mut ResourceTable, language: Language<'_>) {
    for (key, entry) in &mut table.entries {
        let Some(AcceptedResource { resource, origin, warnings, body, left_out, .. }) = &mut entry.good else {
            continue;
        };
        let Some(proto::resource::Body::Policy(policy)) = &resource.body else { continue };
        let read = crate::policy::read(&policy.document, &origin.as_str().into(), language);
        let problems: Vec<proto::Problem> = read.problems.into_iter().map(Into::into).collect();
        if let Some(policy) = read.policy {
            *warnings = problems.into();
            if std::mem::take(left_out) {
                *body = ResourceBody::Policy(Arc::new(policy));
                entry.rejected = None;
            }
            continue;
        }
        let result = ResourceResult {
            key: Some(key.to_proto()),
            version: resource.version.clone(),
            outcome: Outcome::Rejected.into(),
            problems,
        };
        entry.rejected = Some(Arc::new(RejectedVersion { result, origin: origin.clone() }));
    }
}
