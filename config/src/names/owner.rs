//! The cache entries of one endpoint.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use portcullis_rules::world::LearnedFrom;

/// One entry of the name cache. In the order in which they are looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameEntryRef {
    pub(super) until: u64,
    pub(super) name: Arc<str>,
    pub(super) address: IpAddr,
    pub(super) origin: LearnedFrom,
}

/// The entries of one endpoint.
#[derive(Debug, Default)]
pub(super) struct EndpointNames {
    due: BTreeSet<NameEntryRef>,
    /// How many entries each address has.
    addresses: HashMap<IpAddr, usize>,
}

impl EndpointNames {
    pub(super) fn add(&mut self, place: NameEntryRef) {
        *self.addresses.entry(place.address).or_default() += 1;
        self.due.insert(place);
    }

    pub(super) fn remove(&mut self, place: &NameEntryRef) {
        self.due.remove(place);
        if let Some(number) = self.addresses.get_mut(&place.address) {
            *number -= 1;
            if *number == 0 {
                self.addresses.remove(&place.address);
            }
        }
    }

    /// An entry is looked at at another time.
    pub(super) fn put_off(&mut self, place: &NameEntryRef, until: u64) {
        self.due.remove(place);
        self.due.insert(NameEntryRef { until, ..place.clone() });
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// How many entries an address has.
    pub(super) fn of(&self, address: IpAddr) -> usize {
        self.addresses.get(&address).copied().unwrap_or(0)
    }

    /// All, that which is looked at first before the others.
    pub(super) fn due(&self) -> impl Iterator<Item = &NameEntryRef> {
        self.due.iter()
    }
}
