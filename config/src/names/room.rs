//! Evicts entries when the cache exceeds a limit.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use portcullis_rules::world::{EndpointId, LearnedFrom};

use super::{
    cache::{ChangedAddresses, NameCache, NameEntry},
    owner::{EndpointNames, NameEntryRef},
};

impl NameCache {
    /// Evicts what is over the limits, but not what has just come.
    pub(super) fn make_room(
        &mut self,
        name: &Arc<str>,
        fresh: &BTreeSet<IpAddr>,
        origin: LearnedFrom,
        changed: &mut ChangedAddresses,
    ) {
        let own = origin.endpoint;
        let has_come =
            |place: &NameEntryRef| place.name == *name && place.origin == origin && fresh.contains(&place.address);
        let known = self.names.get(name).into_iter().flatten();
        let of_name = known.flat_map(|(address, entries)| places(name, *address, entries, own)).collect();
        let gone = surplus(of_name, self.limits.addresses_per_name, has_come);
        self.evicted.per_name += gone.len() as u64;
        gone.iter().for_each(|place| self.remove(place, changed));
        for address in fresh {
            let many = self.owners.get(&own).is_some_and(|owner| owner.of(*address) > self.limits.names_per_address);
            if many {
                let names = self.addresses.get(address).into_iter().flatten();
                let entries = |name: &Arc<str>| self.names.get(name)?.get(address);
                let of_address = names.flat_map(|name| {
                    entries(name).map(|entries| places(name, *address, entries, own)).into_iter().flatten()
                });
                let gone = surplus(of_address.collect(), self.limits.names_per_address, has_come);
                self.evicted.per_address += gone.len() as u64;
                gone.iter().for_each(|place| self.remove(place, changed));
            }
        }
        while let Some(owner) = self.over(own) {
            let first = self.owners.get(&owner).and_then(|owner| owner.due().find(|place| !has_come(place)).cloned());
            let Some(first) = first else { break };
            if self.total > self.limits.addresses {
                self.evicted.total += 1;
            } else {
                self.evicted.per_endpoint += 1;
            }
            self.remove(&first, changed);
        }
    }

    /// Who has to make room, for one that has just learnt. Where all have too much, whoever has most.
    fn over(&self, own: EndpointId) -> Option<EndpointId> {
        let of = |id| self.owners.get(&id).map_or(0, EndpointNames::len);
        let (most, mine) = (self.limits.addresses, of(own));
        let mine_alone = match self.limits.addresses_per_endpoint {
            Some(most_own) => mine > most_own,
            // As many as others leave free (Choudhury and Hahne, "Dynamic queue length thresholds", 1998).
            None => mine > 2 + most.saturating_sub(self.total),
        };
        let largest = || self.owners.iter().max_by_key(|(id, owner)| (owner.len(), **id == own)).map(|(id, _)| *id);
        match (mine_alone, self.total > most) {
            (_, true) => largest(),
            (true, false) => Some(own),
            (false, false) => None,
        }
    }
}

/// What an endpoint has of an address of a name.
fn places<'a>(
    name: &'a Arc<str>,
    address: IpAddr,
    entries: &'a [NameEntry],
    own: EndpointId,
) -> impl Iterator<Item = NameEntryRef> + use<'a> {
    let own = entries.iter().filter(move |entry| entry.origin.endpoint == own);
    own.map(move |NameEntry { origin, until, .. }| NameEntryRef {
        until: *until,
        name: Arc::clone(name),
        address,
        origin: *origin,
    })
}

/// Those of some places that are over a limit: the first, but for what has just come.
fn surplus(mut places: Vec<NameEntryRef>, most: usize, has_come: impl Fn(&NameEntryRef) -> bool) -> Vec<NameEntryRef> {
    let over = places.len().saturating_sub(most);
    if over == 0 {
        return Vec::new();
    }
    places.retain(|place| !has_come(place));
    places.sort_unstable();
    places.truncate(over);
    places
}
