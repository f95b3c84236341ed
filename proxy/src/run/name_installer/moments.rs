//! A counter of changes. It shows whether addresses were installed or removed between two moments, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of moments: odd while something is learned or forgotten.
#[derive(Debug, Default)]
pub(super) struct ChangeCounters(AtomicU64);

impl ChangeCounters {
    /// The moment, if nothing changes in it.
    pub(super) fn still(&self) -> Option<u64> {
        let moment = self.0.load(Ordering::SeqCst);
        moment.is_multiple_of(2).then_some(moment)
    }

    pub(super) fn is_still(&self, moment: u64) -> bool {
        self.0.load(Ordering::SeqCst) == moment
    }

    pub(super) fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        let done = change();
        self.0.fetch_add(1, Ordering::SeqCst);
        done
    }
}
