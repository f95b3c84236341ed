//! Answers that the thread has handled a moment ago.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use portcullis_codecs::resolution::LearnedAddresses;
use portcullis_rules::world::LearnedFrom;

/// Resolutions that are remembered. One that takes another's place is told again, and no harm done.
const SLOTS: usize = 4096;
/// Spreads seconds over all bits of a mark (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The resolutions of this second. Times in the name cache are whole seconds, so the same resolution in the same second brings nothing.
#[derive(Debug)]
pub(super) struct RecentAnswers {
    slots: Box<[AtomicU64]>,
    /// Nobody outside can guess two resolutions of one hash.
    hasher: RandomState,
    began: Instant,
}

/// A resolution in its second: its slot, and what is there if it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(usize, u64);

impl Default for RecentAnswers {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { slots, hasher: RandomState::new(), began: Instant::now() }
    }
}

impl RecentAnswers {
    /// The mark of a resolution now.
    pub(super) fn mark(&self, resolution: &LearnedAddresses, origin: &LearnedFrom) -> Mark {
        self.mark_at(resolution, origin, self.began.elapsed().as_secs())
    }

    fn mark_at(&self, resolution: &LearnedAddresses, origin: &LearnedFrom, second: u64) -> Mark {
        let mut hasher = self.hasher.build_hasher();
        origin.hash(&mut hasher);
        resolution.name.hash(&mut hasher);
        for learnt in &resolution.addresses {
            (learnt.address, learnt.ttl).hash(&mut hasher);
        }
        let hash = hasher.finish();
        let slot = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        // Nothing was ever told at 0, which is what an empty slot says.
        Mark(slot, (hash ^ second.wrapping_add(1).wrapping_mul(SPREAD)).max(1))
    }

    /// Whether the name installer was told.
    pub(super) fn has(&self, Mark(slot, mark): Mark) -> bool {
        self.slots[slot].load(Ordering::Acquire) == mark
    }

    /// The name installer has been told.
    pub(super) fn note(&self, Mark(slot, mark): Mark) {
        self.slots[slot].store(mark, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_codecs::resolution::LearnedAddress;

    use super::*;

    fn resolution(name: &str, address: &str, ttl: u32) -> LearnedAddresses {
        LearnedAddresses {
            name: name.into(),
            addresses: vec![LearnedAddress { address: address.parse().unwrap(), ttl }],
        }
    }

    #[test]
    fn a_resolution_is_known_again_in_its_second_and_no_other_one_is_taken_for_it() {
        let recent = RecentAnswers::default();
        let (told, from) = (resolution("a.test.", "192.0.2.1", 30), crate::run::resolutions::tests::ORIGIN);
        assert!(!recent.has(recent.mark_at(&told, &from, 7)));
        recent.note(recent.mark_at(&told, &from, 7));
        assert!(recent.has(recent.mark_at(&told.clone(), &from, 7)));
        assert!(!recent.has(recent.mark_at(&told, &from, 8)), "a second later it holds longer");
        let elsewhere = LearnedFrom { port: 54, ..from };
        assert!(!recent.has(recent.mark_at(&told, &elsewhere, 7)), "another server said so");
        for other in [
            resolution("b.test.", "192.0.2.1", 30),
            resolution("a.test.", "192.0.2.2", 30),
            resolution("a.test.", "192.0.2.1", 31),
            LearnedAddresses { addresses: Vec::new(), ..told.clone() },
        ] {
            assert!(!recent.has(recent.mark_at(&other, &from, 7)), "{other:?}");
        }
    }
}
