//! The state that survives the node, and its time scale.

use std::{
    io,
    path::Path,
    time::{Instant, SystemTime},
};

use portcullis_config::names::{NameCache, NameLimits};

use super::journal::Journal;

/// The time of the name cache: it begins at the time of day and never jumps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    begin: u64,
    began: Instant,
}

impl Clock {
    fn new() -> Self {
        let begin = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { begin, began: Instant::now() }
    }

    pub(super) fn now(&self) -> u64 {
        self.begin + self.began.elapsed().as_secs()
    }
}

/// Where what is known is written down, and by which clock.
#[derive(Debug)]
pub struct NameStorage {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
}

impl NameStorage {
    /// Reads what is written below a state directory: what was known when the node last ended. What cannot be read is
    /// said, and begun anew.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn open(state: &Path, limits: NameLimits) -> io::Result<(NameCache, Self)> {
        let clock = Clock::new();
        let (journal, cache) = Journal::open(state, limits, clock.now())?;
        Ok((cache, Self { journal, clock }))
    }
}
