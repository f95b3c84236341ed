//! Values by address that change one at a time while readers never wait.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::fast::RandomState;

/// Parts that there are at least. Each is replaced by itself.
const FEWEST: usize = 64;
/// Values that the parts may have on average. A change copies one part, so it costs the same however many there are.
const FULL: usize = 16;

type OverlayPart<T> = HashMap<IpAddr, T, RandomState>;
type OverlayParts<T> = Box<[ArcSwapOption<OverlayPart<T>>]>;

/// A map that is read without locks. Whoever writes has to see to it that nobody else does.
#[derive(Debug)]
pub(crate) struct Overlay<T> {
    hasher: RandomState,
    parts: ArcSwap<OverlayParts<T>>,
    values: AtomicUsize,
}

impl<T> Default for Overlay<T> {
    fn default() -> Self {
        let parts: OverlayParts<T> = (0..FEWEST).map(|_| ArcSwapOption::empty()).collect();
        Self { hasher: RandomState::default(), parts: ArcSwap::from_pointee(parts), values: AtomicUsize::new(0) }
    }
}

impl<T: Clone> Overlay<T> {
    fn place(&self, address: IpAddr, parts: usize) -> usize {
        // The remainder is less than the number of parts, whatever the width of a pointer.
        (self.hasher.hash_one(address) % parts as u64) as usize
    }

    /// The value of an address. Does not allocate.
    pub(crate) fn get(&self, address: IpAddr) -> Option<T> {
        let parts = self.parts.load();
        parts[self.place(address, parts.len())].load().as_ref()?.get(&address).cloned()
    }

    /// Sets or removes one value.
    pub(crate) fn set(&self, address: IpAddr, value: Option<T>) {
        let parts = self.parts.load();
        let part = &parts[self.place(address, parts.len())];
        let mut changed = part.load().as_deref().cloned().unwrap_or_default();
        let values = self.values.load(Ordering::Relaxed) - changed.len();
        match value {
            Some(value) => changed.insert(address, value),
            None => changed.remove(&address),
        };
        let values = values + changed.len();
        self.values.store(values, Ordering::Relaxed);
        part.store((!changed.is_empty()).then(|| Arc::new(changed)));
        if values > FULL * parts.len() {
            self.fill(self.entries());
        }
    }

    /// Replaces everything.
    pub(crate) fn fill(&self, entries: impl IntoIterator<Item = (IpAddr, T)>) {
        let entries: HashMap<IpAddr, T, RandomState> = entries.into_iter().collect();
        self.values.store(entries.len(), Ordering::Relaxed);
        // Room for twice as many.
        let number = (2 * entries.len() / FULL).next_power_of_two().max(FEWEST);
        let mut parts: Vec<OverlayPart<T>> = (0..number).map(|_| OverlayPart::default()).collect();
        for (address, value) in entries {
            parts[self.place(address, number)].insert(address, value);
        }
        let filled = |part: OverlayPart<T>| ArcSwapOption::new((!part.is_empty()).then(|| Arc::new(part)));
        self.parts.store(Arc::new(parts.into_iter().map(filled).collect()));
    }

    /// All entries, in no order.
    pub(crate) fn entries(&self) -> Vec<(IpAddr, T)> {
        let parts = self.parts.load();
        let parts = parts.iter().filter_map(ArcSwapOption::load_full);
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

    #[test]
    fn a_change_copies_no_more_where_there_are_many_values_and_loses_none() {
        let overlay = Overlay::default();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..20_000 {
            overlay.set(address(number), Some(number));
            overlay.set(address(number), Some(number + 1));
        }
        assert!((0..20_000).all(|number| overlay.get(address(number)) == Some(number + 1)));
        let parts = overlay.parts.load();
        let largest = parts.iter().filter_map(|part| part.load().as_ref().map(|part| part.len())).max();
        assert!(largest.is_some_and(|largest| largest < 8 * FULL), "{largest:?} of 20,000 in one of {}", parts.len());
        (0..20_000).for_each(|number| overlay.set(address(number), None));
        assert_eq!((overlay.entries(), overlay.values.load(Ordering::Relaxed)), (vec![], 0));
    }
}
