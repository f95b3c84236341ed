//! Values by address that change one by one under readers that never wait.

use std::{collections::HashMap, hash::BuildHasher, net::IpAddr, sync::Arc};

use arc_swap::ArcSwapOption;
use foldhash::fast::RandomState;

/// Parts that are replaced each by itself. A change copies one part: a hundred entries where there are 100,000.
const PARTS: usize = 1024;

type Part<T> = HashMap<IpAddr, T, RandomState>;

/// A map that is read without locks. Whoever writes has to see to it that nobody else does.
#[derive(Debug)]
pub(crate) struct Overlay<T> {
    hasher: RandomState,
    parts: Box<[ArcSwapOption<Part<T>>]>,
}

impl<T> Default for Overlay<T> {
    fn default() -> Self {
        Self { hasher: RandomState::default(), parts: (0..PARTS).map(|_| ArcSwapOption::empty()).collect() }
    }
}

impl<T: Clone> Overlay<T> {
    fn part(&self, address: IpAddr) -> &ArcSwapOption<Part<T>> {
        // The remainder is less than the number of parts, whatever the width of a pointer.
        &self.parts[(self.hasher.hash_one(address) % PARTS as u64) as usize]
    }

    /// The value of an address. Does not allocate.
    pub(crate) fn get(&self, address: IpAddr) -> Option<T> {
        self.part(address).load().as_ref()?.get(&address).cloned()
    }

    /// Sets or removes one value.
    pub(crate) fn set(&self, address: IpAddr, value: Option<T>) {
        let part = self.part(address);
        let mut changed = part.load().as_deref().cloned().unwrap_or_default();
        match value {
            Some(value) => changed.insert(address, value),
            None => changed.remove(&address),
        };
        part.store((!changed.is_empty()).then(|| Arc::new(changed)));
    }

    /// Replaces everything.
    pub(crate) fn fill(&self, entries: impl IntoIterator<Item = (IpAddr, T)>) {
        let mut parts: Vec<Part<T>> = self.parts.iter().map(|_| Part::default()).collect();
        for (address, value) in entries {
            parts[(self.hasher.hash_one(address) % PARTS as u64) as usize].insert(address, value);
        }
        for (place, part) in self.parts.iter().zip(parts) {
            place.store((!part.is_empty()).then(|| Arc::new(part)));
        }
    }

    /// All entries, in no order.
    pub(crate) fn entries(&self) -> Vec<(IpAddr, T)> {
        let parts = self.parts.iter().filter_map(ArcSwapOption::load_full);
        parts
            .flat_map(|part| part.iter().map(|(address, value)| (*address, value.clone())).collect::<Vec<_>>())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_and_go_one_by_one_and_all_at_once() {
        let overlay = Overlay::default();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        overlay.fill((0..5000).map(|number| (address(number), number)));
        overlay.set(address(7), None);
        overlay.set(address(8), Some(80));
        overlay.set(address(9000), Some(9));
        assert_eq!([7, 8, 9, 9000].map(|n| overlay.get(address(n))), [None, Some(80), Some(9), Some(9)]);
        let mut all = overlay.entries();
        all.sort_unstable();
        assert_eq!((all.len(), all[0]), (5000, (address(0), 0)));
        overlay.fill([(address(1), 1)]);
        assert_eq!(overlay.entries(), [(address(1), 1)]);
    }
}
