//! Addresses with open relayed connections.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Parts with a lock of their own, so that workers seldom meet.
const PARTS: usize = 64;

/// Open connections by address.
#[derive(Debug)]
pub(super) struct AddressUses {
    parts: [Mutex<HashMap<IpAddr, usize>>; PARTS],
    hasher: RandomState,
}

impl Default for AddressUses {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl AddressUses {
    fn part(&self, address: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let part = usize::try_from(self.hasher.hash_one(address) % PARTS as u64).unwrap_or(0);
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, address: IpAddr) {
        *self.part(address).entry(address).or_default() += 1;
    }

    pub(super) fn end(&self, address: IpAddr) {
        if let Entry::Occupied(mut entry) = self.part(address).entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    pub(super) fn are_there(&self, address: IpAddr) -> bool {
        self.part(address).contains_key(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_use_until_its_last_connection_ends() {
        let (uses, address) = (AddressUses::default(), "192.0.2.1".parse().unwrap());
        assert!(!uses.are_there(address));
        uses.begin(address);
        uses.begin(address);
        uses.end(address);
        assert!(uses.are_there(address));
        uses.end(address);
        assert!(!uses.are_there(address));
        uses.end(address);
        assert!(!uses.are_there(address), "one end too many changes nothing");
    }
}
