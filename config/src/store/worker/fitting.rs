//! Keeps the updates of the store's thread within the bounds of a compilation.

use std::sync::Arc;

use portcullis_rules::{
    bounds::{BoundedResource, Effort},
    settings::PolicySettings,
    snapshot::Snapshot,
};

use super::{StoreWorker, language};
use crate::{
    node::SteeringFault,
    problem::INVALID,
    proto::{self, Outcome, ResourceResult},
    store::{
        fit::{Compiler, FitOutcome},
        key::StoreKey,
        table::{RejectedVersion, ResourceOrigin, ResourceTable},
        update::{self, Update, UpdateOutcome},
    },
};

impl StoreWorker {
    /// What would come of an update.
    pub(super) fn try_out(&mut self, update: Update) -> Vec<ResourceResult> {
        let mut table = self.table.clone();
        let effort = Effort::new(self.settings.bounds);
        let language = language(&self.schemas, &self.settings, &effort);
        let UpdateOutcome { mut results, changed, .. } = update::apply(&mut table, update, language);
        if changed {
            let fitted = self.compiler().fit(&mut table, &self.table, self.revision + 1);
            refuse(&mut results, &fitted);
        }
        results
    }

    /// Compiles what has changed, without what does not fit.
    pub(super) fn fit(
        &mut self,
        (before, settings): &(ResourceTable, PolicySettings),
    ) -> (Option<Snapshot>, FitOutcome) {
        let mut fitted = self.compiler().fit(&mut self.table, before, self.revision + 1);
        if fitted.nothing.is_some() {
            self.settings = *settings;
        }
        self.bounds_fault = fitted.nothing.as_ref().map(|problem| {
            let fault = format!("the last update is not in force: {}; {}", problem.message, problem.remedy);
            tracing::error!("{fault}");
            fault
        });
        self.tell_refused(&fitted, Some(before));
        (fitted.snapshot.take(), fitted)
    }

    /// Takes up again what did not fit before, because something has gone: policies that were left out, and what files say
    /// that was refused for it, or with all of an update (`owed`). Whoever pushed something that was refused has been told.
    /// It is an update of its own: what went stays gone, whatever becomes of it. Gives its faults, if there was anything.
    pub(super) fn bring_back(&mut self, owed: bool) -> Option<Vec<SteeringFault>> {
        let before = (self.table.clone(), self.settings);
        let exhausts =
            |rejected: &RejectedVersion| reason(&rejected.result) != INVALID && rejected.origin != ResourceOrigin::Api;
        let by_files = self.table.entries.values().filter_map(|entry| entry.rejected.as_deref()).any(exhausts);
        let mut done = if by_files || owed { self.read_files() } else { UpdateOutcome::default() };
        let effort = Effort::new(self.settings.bounds);
        done.changed |= update::read_left_out(&mut self.table, language(&self.schemas, &self.settings, &effort));
        if !done.changed {
            return None;
        }
        let (snapshot, _) = self.fit(&before);
        Some(self.bring_into_force(&done.dirty, snapshot))
    }

    fn tell_refused(&self, fitted: &FitOutcome, before: Option<&ResourceTable>) {
        let known = |key: &StoreKey| before.and_then(|before| before.good(key)).is_some_and(|good| good.left_out);
        for key in fitted.refused.keys().filter(|key| !known(key)) {
            let rejected = self.table.entries.get(key).and_then(|entry| entry.rejected.as_ref());
            if let Some(rejected) = rejected {
                self.tell_rejected(&rejected.result, rejected.origin.as_str());
            }
        }
    }

    fn compiler(&mut self) -> Compiler {
        let naming = self.schemas.iter().copied().find(|schema| schema.nature.resolves);
        let (settings, names, patterns) = (self.settings, self.sink.names(), self.patterns.clone());
        self.node_addresses = self.sink.node_addresses();
        let (params, node_addresses) = (Arc::clone(&self.params), self.node_addresses.clone());
        Compiler { settings, params, naming, names, node_addresses, patterns }
    }

    /// Brings into force what there is at the start.
    pub(super) fn begin(&mut self, done: UpdateOutcome) {
        let fitted = self.compiler().fit_first(&mut self.table, self.revision + 1);
        self.tell_refused(&fitted, None);
        self.bring_into_force(&done.dirty, fitted.snapshot);
    }
}

/// Why a resource was refused, in a word.
pub(super) fn reason(result: &ResourceResult) -> &'static str {
    let exhausts = |problem: &proto::Problem| {
        let all = [BoundedResource::Memory, BoundedResource::PolicyMemory, BoundedResource::Work];
        all.into_iter().find(|resource| resource.as_str() == problem.reason)
    };
    result.problems.iter().find_map(exhausts).map_or(INVALID, BoundedResource::as_str)
}

/// Tells in the results of an update what of it was left out.
pub(super) fn refuse(results: &mut [ResourceResult], fitted: &FitOutcome) {
    for result in results.iter_mut().filter(|result| result.outcome() == Outcome::Accepted) {
        let key = result.key.as_ref().and_then(StoreKey::from_proto);
        let problem = key.and_then(|key| fitted.refused.get(&key)).or(fitted.nothing.as_ref());
        if let Some(problem) = problem {
            result.outcome = Outcome::Rejected.into();
            result.problems.push(problem.clone().into());
        }
    }
}
