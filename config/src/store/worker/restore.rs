//! Restores what was in force before the node started.

use portcullis_rules::bounds::Effort;

use super::{StoreWorker, language};
use crate::{
    proto::{self, Outcome},
    store::{
        fit,
        incoming::Incoming,
        table::ResourceOrigin,
        update::{self, Update},
    },
};

impl StoreWorker {
    /// Takes from disk what was in force. It was accepted once, so it is in force again whatever the settings are now; if
    /// they would refuse it, that is said.
    pub(super) fn restore(&mut self) {
        let found = self.disk.load();
        self.table.numbers = found.numbers;
        for damage in &found.damages {
            tracing::error!("{damage}");
        }
        self.damages = found.damages;
        let listed = |listed: proto::ListedResource| {
            let origin = ResourceOrigin::parse(&listed.origin);
            Some(Incoming { origin, line: listed.line.max(1), ..Incoming::pushed(listed.resource?) })
        };
        let resources = found.resources.into_iter().filter_map(listed).collect();
        let lenient = self.settings.lenient();
        // What was kept was within bounds, update by update.
        let effort = Effort::endless();
        let lenient = language(&self.schemas, &lenient, &effort);
        let kept: Vec<Incoming> = resources;
        let update = Update { resources: kept.clone(), ..Update::default() };
        let done = update::apply(&mut self.table, update, lenient);
        for (result, incoming) in done.results.iter().zip(kept) {
            if result.outcome() == Outcome::Rejected {
                self.tell_rejected(result, "the state directory");
                fit::close(&mut self.table, incoming, result, lenient);
            }
        }
        update::reread(&mut self.table, language(&self.schemas, &self.settings, &effort));
    }
}
