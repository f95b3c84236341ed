//! Resources from files: what they say now in place of what they said before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use portcullis_rules::bounds::Effort;

use super::{StoreWorker, language};
use crate::{
    problem::DocumentProblem,
    proto::{Outcome, ResourceResult},
    store::{
        key::StoreKey,
        sources,
        table::{RejectedVersion, ResourceOrigin},
        update::{self, RemovalScope, UpdateOutcome},
        watch,
    },
};

impl StoreWorker {
    /// Reads the files of resources. What they do not name any more goes; a broken file keeps what it gave last.
    pub(super) fn read_files(&mut self) -> UpdateOutcome {
        // Watched before they are read, so that no change falls in between.
        self.watcher = watch::watch(&self.paths, Arc::clone(&self.waker));
        let effort = Effort::new(self.settings.bounds);
        let language = language(&self.schemas, &self.settings, &effort);
        let sources::ReadSources { candidates, kept, faults, broken, .. } =
            sources::read(&self.paths, &self.table, language);
        for fault in faults.iter().filter(|fault| !self.file_faults.contains(fault)) {
            tracing::error!("{fault}");
        }
        self.file_faults = faults;
        let before = self.rejections();
        let done = update::admit(&mut self.table, candidates, &[], Some(&RemovalScope::Files { kept }));
        let named: BTreeSet<_> =
            done.results.iter().filter_map(|result| StoreKey::from_proto(result.key.as_ref()?)).collect();
        for (file, problem) in broken {
            self.mark_broken(&ResourceOrigin::File(file), &problem, &named);
        }
        for (key, rejected) in self.rejections() {
            if before.get(&key) != Some(&rejected) {
                self.tell_rejected(&rejected.result, rejected.origin.as_str());
            }
        }
        done
    }

    fn rejections(&self) -> BTreeMap<StoreKey, Arc<RejectedVersion>> {
        let of_files = |rejected: &Arc<RejectedVersion>| rejected.origin != ResourceOrigin::Api;
        let entries = self.table.entries.iter();
        entries.filter_map(|(key, entry)| Some((key.clone(), entry.rejected.clone().filter(of_files)?))).collect()
    }

    /// What a broken file gave last stays, and says why it is not newer.
    fn mark_broken(&mut self, origin: &ResourceOrigin, problem: &DocumentProblem, named: &BTreeSet<StoreKey>) {
        for (key, entry) in self.table.entries.iter_mut().filter(|(key, _)| !named.contains(*key)) {
            if entry.good.as_ref().is_some_and(|good| good.origin == *origin) {
                let result = ResourceResult {
                    key: Some(key.to_proto()),
                    version: String::new(),
                    outcome: Outcome::Rejected.into(),
                    problems: vec![problem.clone().into()],
                };
                entry.rejected = Some(Arc::new(RejectedVersion { result, origin: origin.clone() }));
            }
        }
    }
}
