//! Connections that are open when policy changes: when which endpoint's are looked through.
//!
//! An endpoint's are looked through as soon as the kernel has its new table, and once more a moment later: a flow that was
//! let begin by the old table may not have been there yet. Services of the host are looked at again and again: a socket that
//! was made in another cgroup, and that one of their processes holds, meets none of their programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use portcullis_rules::world::EndpointId;

use crate::run::{
    backends::{CutCount, KernelHandle},
    resolutions::LearnedState,
};

/// Part of one processor's time that may go into looking again and again.
const SHARE: u32 = 50;

/// Spaces out what is done again and again by what it costs.
#[derive(Debug, Default)]
pub struct RetryPace {
    next: Option<Instant>,
}

impl RetryPace {
    /// Whether it is time again.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// Notes that it was done and took so long.
    pub fn note(&mut self, now: Instant, took: Duration) {
        self.next = Some(now + took * SHARE);
    }
}

/// Why an endpoint's open connections were not, or not all, looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReviewGap {
    /// None were.
    All,
    /// UDP sockets were not.
    Datagrams,
}

impl ReviewGap {
    /// What is wrong, and what to do.
    pub(crate) fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::All => (
                "its open connections could not be looked through, so those that policy denies now may go on",
                "look at the log; needs CONFIG_INET_DIAG, CONFIG_INET_DIAG_DESTROY (module tcp_diag) and CAP_NET_ADMIN",
            ),
            Self::Datagrams => (
                "its UDP sockets could not be listed, so connected ones that are older than its policy go on unjudged",
                "load the module udp_diag (CONFIG_INET_UDP_DIAG), or restart the programs of the endpoint",
            ),
        }
    }
}

/// What has to be looked through.
#[derive(Debug, Default)]
pub(crate) struct PendingReviews {
    /// Endpoints whose table or attachment changed a moment ago.
    again: BTreeSet<EndpointId>,
    /// Endpoints of which something could not be looked through at the last try.
    unseen: BTreeMap<EndpointId, ReviewGap>,
    /// What was kept when they were looked through last.
    kept: BTreeMap<EndpointId, [bool; 2]>,
    hosts: RetryPace,
    /// What was ended since somebody asked.
    cut: CutCount,
}

impl PendingReviews {
    /// Looks through what changed, what was not looked through, and what is kept no more.
    pub(crate) fn follow<K: KernelHandle>(&mut self, resolutions: &LearnedState<K>, held: &BTreeSet<EndpointId>) {
        self.unseen.retain(|id, _| held.contains(id));
        self.kept.retain(|id, _| held.contains(id));
        let changed = resolutions.take_changed();
        let mut due: BTreeSet<EndpointId> = changed.iter().chain(self.unseen.keys()).copied().collect();
        due.extend(
            held.iter().filter(|id| self.kept.get(*id).is_some_and(|kept| *kept != resolutions.keeps_open(**id))),
        );
        self.again.extend(changed);
        for id in due.into_iter().filter(|id| held.contains(id)) {
            self.review(resolutions, id);
        }
    }

    /// Looks once more where something changed before, and through the services of the host where it is time. Tells
    /// whether there was anything to do.
    pub(crate) fn maintain<K: KernelHandle>(&mut self, resolutions: &LearnedState<K>, hosts: &[EndpointId]) -> bool {
        let again = std::mem::take(&mut self.again);
        for id in &again {
            // As long as something is found there may be more.
            if self.review(resolutions, *id) {
                self.again.insert(*id);
            }
        }
        let began = Instant::now();
        let due = !hosts.is_empty() && self.hosts.is_due(began);
        if due {
            for id in hosts.iter().filter(|id| !again.contains(id)) {
                self.review(resolutions, *id);
            }
            self.hosts.note(Instant::now(), began.elapsed());
        }
        due || !again.is_empty()
    }

    /// Looks through one endpoint's open connections; tells whether some were ended.
    fn review<K: KernelHandle>(&mut self, resolutions: &LearnedState<K>, id: EndpointId) -> bool {
        let found = resolutions.open_connections(id).and_then(|open| {
            let Some((connections, keep)) = open else { return Ok(None) };
            connections.cut(keep).map(|cut| Some((cut, keep)))
        });
        match found {
            Ok(Some((cut, keep))) => {
                self.kept.insert(id, keep);
                if cut.unlisted && resolutions.judges_datagrams(id) {
                    self.unseen.insert(id, ReviewGap::Datagrams);
                } else {
                    self.unseen.remove(&id);
                }
                self.cut.denied += cut.denied;
                self.cut.unjudged += cut.unjudged;
                cut.denied + cut.unjudged > 0
            }
            Ok(None) => {
                self.unseen.remove(&id);
                false
            }
            Err(error) => {
                if self.unseen.insert(id, ReviewGap::All) != Some(ReviewGap::All) {
                    tracing::warn!(endpoint = id.0, error, "open connections could not be looked through");
                }
                false
            }
        }
    }

    /// The endpoints of which something could not be looked through.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = (EndpointId, ReviewGap)> {
        self.unseen.iter().map(|(id, unseen)| (*id, *unseen))
    }

    /// What was ended since this was asked last.
    pub(crate) fn take_cut(&mut self) -> CutCount {
        std::mem::take(&mut self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_much_is_done_seldom() {
        let (mut pace, now) = (RetryPace::default(), Instant::now());
        assert!(pace.is_due(now));
        pace.note(now, Duration::from_millis(100));
        assert!(!pace.is_due(now + Duration::from_secs(4)) && pace.is_due(now + Duration::from_secs(5)));
        pace.note(now, Duration::ZERO);
        assert!(pace.is_due(now));
    }
}
