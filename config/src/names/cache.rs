//! The name cache.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    ops::Bound,
    sync::Arc,
};

use portcullis_rules::{
    names::{LONGEST, normal},
    world::{EndpointId, LearnedFrom, ResolvedName},
};

use super::{
    limits::{EvictedAddresses, NameLimits},
    owner::{EndpointNames, NameEntryRef},
};

/// Longest time that an answer holds, in seconds (RFC 8767 §4 finds seven days enough).
const LONGEST_TTL: u64 = 7 * 24 * 3600;
/// How long an address is kept that was in use when its time was over, in seconds (cilium pkg/fqdn/namemanager/gc.go).
const IN_USE: u64 = 120;

/// An address whose names are others now, or come from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The address; never IPv4-mapped.
    pub address: IpAddr,
    /// All its names, in normal form and in order, each with where it came from; none when it is forgotten.
    pub names: Vec<(Arc<str>, Vec<LearnedFrom>)>,
    /// The names that it has no more.
    pub gone: Vec<Arc<str>>,
}

/// An answer to a question about a name.
#[derive(Clone, Copy, Debug)]
pub struct NameLookup<'a> {
    /// The name.
    pub name: &'a str,
    /// Its addresses, each with its TTL in seconds.
    pub addresses: &'a [(IpAddr, u32)],
    /// Who asked whom.
    pub origin: LearnedFrom,
    /// Whether some policy in force selects the name.
    pub selected: bool,
}

/// A name and all its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedName {
    /// The name, in normal form.
    pub name: Arc<str>,
    /// At least one address, in order.
    pub addresses: Vec<KnownAddress>,
}

/// An address of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownAddress {
    /// The address.
    pub address: IpAddr,
    /// When the TTL of the answer that holds longest is over, in seconds. It may be kept longer.
    pub expires: u64,
    /// Where the answers came from; at least one.
    pub origins: Vec<LearnedFrom>,
}

/// Addresses whose names change, each with the names that it loses.
pub(super) type ChangedAddresses = BTreeMap<IpAddr, Vec<Arc<str>>>;

/// One line of the name cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLine {
    /// The name, in normal form.
    pub name: Arc<str>,
    /// One of its addresses.
    pub address: IpAddr,
    /// When the answer's TTL is over, in seconds. It may be kept longer.
    pub expires: u64,
    /// Where the answer came from.
    pub origin: LearnedFrom,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct NameEntry {
    pub(super) origin: LearnedFrom,
    expires: u64,
    /// When it is looked at next.
    pub(super) until: u64,
}

/// Names and their addresses, by the endpoint that asked and the server that answered. Of a name, an address and an origin
/// the latest answer that holds longest counts.
///
/// Each entry is its endpoint's: an endpoint that learns too much forgets what it learnt itself, and no other's. Where all
/// together are too many, the one that has most makes room.
#[derive(Debug, Default)]
pub struct NameCache {
    pub(super) limits: NameLimits,
    /// The entries of an address are in order of their origins.
    pub(super) names: BTreeMap<Arc<str>, BTreeMap<IpAddr, Vec<NameEntry>>>,
    pub(super) addresses: HashMap<IpAddr, BTreeSet<Arc<str>>>,
    pub(super) owners: BTreeMap<EndpointId, EndpointNames>,
    pub(super) total: usize,
    pub(super) evicted: EvictedAddresses,
}

impl NameCache {
    /// An empty name cache.
    #[must_use]
    pub fn new(limits: NameLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Enters the addresses of an answer. Gives the addresses whose names have changed: new ones, and those that had to make
    /// room, always that of the same endpoint whose time is over first. What this answer brought makes room for nothing but
    /// itself.
    pub fn learn(&mut self, answer: &NameLookup<'_>, now: u64) -> Vec<Change> {
        let name = normal(answer.name);
        if name.len() > LONGEST + 1 || (!answer.selected && self.limits.unselected_ttl == 0) {
            return Vec::new();
        }
        let name = self.interned(name);
        let hold = |ttl: u32| match answer.selected {
            true => u64::from(ttl.max(self.limits.min_ttl)).min(LONGEST_TTL),
            false => u64::from(ttl.min(self.limits.unselected_ttl)).min(LONGEST_TTL),
        };
        let mut addresses: Vec<(IpAddr, u64)> =
            answer.addresses.iter().map(|(ip, ttl)| (ip.to_canonical(), hold(*ttl))).collect();
        // Of an address that is there twice the longer time counts.
        addresses.sort_unstable_by_key(|(address, ttl)| (*address, std::cmp::Reverse(*ttl)));
        addresses.dedup_by_key(|(address, _)| *address);
        let most = self.limits.addresses_per_name.min(self.limits.addresses);
        let most = self.limits.addresses_per_endpoint.map_or(most, |own| own.min(most));
        self.evicted.per_name += addresses.len().saturating_sub(most) as u64;
        addresses.truncate(most);
        let mut changed = ChangedAddresses::new();
        for (address, ttl) in &addresses {
            self.enter(&name, *address, answer.origin, now.saturating_add(*ttl), &mut changed);
        }
        let fresh: BTreeSet<IpAddr> = addresses.iter().map(|(address, _)| *address).collect();
        self.make_room(&name, &fresh, answer.origin, &mut changed);
        self.changes(changed)
    }

    fn interned(&self, name: String) -> Arc<str> {
        self.names.get_key_value(name.as_str()).map_or_else(|| name.into(), |(known, _)| Arc::clone(known))
    }

    /// Lets an answer that is known already hold longer, and does nothing else: for answers that wait until they are learnt
    /// while others are forgotten.
    pub fn renew(&mut self, answer: &NameLookup<'_>, now: u64) {
        let Some((name, _)) = self.names.get_key_value(normal(answer.name).as_str()) else { return };
        let name = Arc::clone(name);
        for (address, ttl) in answer.addresses {
            let address = address.to_canonical();
            if self.entry(&name, address, &answer.origin).is_some() {
                let ttl = u64::from(if answer.selected { *ttl } else { (*ttl).min(self.limits.unselected_ttl) });
                let expires = now.saturating_add(ttl.min(LONGEST_TTL));
                self.enter(&name, address, answer.origin, expires, &mut ChangedAddresses::new());
            }
        }
    }

    fn entry(&mut self, name: &str, address: IpAddr, origin: &LearnedFrom) -> Option<&mut NameEntry> {
        let entries = self.names.get_mut(name)?.get_mut(&address)?;
        let place = entries.binary_search_by_key(origin, |entry| entry.origin).ok()?;
        entries.get_mut(place)
    }

    fn enter(
        &mut self,
        name: &Arc<str>,
        address: IpAddr,
        origin: LearnedFrom,
        expires: u64,
        changed: &mut ChangedAddresses,
    ) {
        let until = expires.saturating_add(self.limits.grace.into());
        let owner = self.owners.entry(origin.endpoint).or_default();
        let entries = self.names.entry(Arc::clone(name)).or_default().entry(address).or_default();
        let place = |until| NameEntryRef { until, name: Arc::clone(name), address, origin };
        match entries.binary_search_by_key(&origin, |entry| entry.origin) {
            Ok(at) => {
                let entry = &mut entries[at];
                entry.expires = entry.expires.max(expires);
                if entry.until < until {
                    owner.put_off(&place(entry.until), until);
                    entry.until = until;
                }
            }
            Err(at) => {
                entries.insert(at, NameEntry { origin, expires, until });
                owner.add(place(until));
                self.total += 1;
                self.addresses.entry(address).or_default().insert(Arc::clone(name));
                changed.entry(address).or_default();
            }
        }
    }

    pub(super) fn remove(&mut self, place: &NameEntryRef, changed: &mut ChangedAddresses) {
        let NameEntryRef { name, address, origin, .. } = place;
        let Some(known) = self.names.get_mut(name) else { return };
        let Some(entries) = known.get_mut(address) else { return };
        let Ok(at) = entries.binary_search_by_key(origin, |entry| entry.origin) else { return };
        entries.remove(at);
        self.total -= 1;
        if let Some(owner) = self.owners.get_mut(&origin.endpoint) {
            owner.remove(place);
            if owner.len() == 0 {
                self.owners.remove(&origin.endpoint);
            }
        }
        let changed = changed.entry(*address).or_default();
        if !entries.is_empty() {
            return;
        }
        changed.push(Arc::clone(name));
        known.remove(address);
        if known.is_empty() {
            self.names.remove(name);
        }
        if let Some(names) = self.addresses.get_mut(address) {
            names.remove(name);
            if names.is_empty() {
                self.addresses.remove(address);
            }
        }
    }

    fn changes(&self, changed: ChangedAddresses) -> Vec<Change> {
        let change = |(address, gone)| Change { address, names: self.names_of(address), gone };
        changed.into_iter().map(change).collect()
    }

    /// Forgets what has had its time, unless the address is in use: then it is kept for two minutes more. Gives the
    /// addresses whose names have changed.
    pub fn expire(&mut self, now: u64, in_use: &dyn Fn(IpAddr) -> bool) -> Vec<Change> {
        let mut changed = ChangedAddresses::new();
        let due: Vec<NameEntryRef> = self
            .owners
            .values()
            .flat_map(|owner| owner.due().take_while(|place| place.until <= now).cloned())
            .collect();
        for place in due {
            if in_use(place.address) {
                let later = now.saturating_add(IN_USE);
                if let Some(entry) = self.entry(&place.name, place.address, &place.origin) {
                    entry.until = later;
                }
                if let Some(owner) = self.owners.get_mut(&place.origin.endpoint) {
                    owner.put_off(&place, later);
                }
            } else {
                self.remove(&place, &mut changed);
            }
        }
        self.changes(changed)
    }

    /// Forgets addresses, whatever their time and their use. Gives those whose names have changed.
    pub fn forget(&mut self, which: &dyn Fn(IpAddr) -> bool) -> Vec<Change> {
        let mut changed = ChangedAddresses::new();
        let places: Vec<NameEntryRef> =
            self.owners.values().flat_map(|owner| owner.due().filter(|place| which(place.address)).cloned()).collect();
        places.iter().for_each(|place| self.remove(place, &mut changed));
        self.changes(changed)
    }

    /// When something is due next, in seconds.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.owners.values().filter_map(|owner| owner.due().next()).map(|place| place.until).min()
    }

    /// The names of an address, in order, and where each came from.
    #[must_use]
    pub fn names_of(&self, address: IpAddr) -> Vec<(Arc<str>, Vec<LearnedFrom>)> {
        let names = self.addresses.get(&address).into_iter().flatten();
        let origins = |name| self.names.get(name).and_then(|known: &BTreeMap<_, _>| known.get(&address));
        names
            .map(|name| (Arc::clone(name), origins(name).map(|entries| origins_of(entries)).unwrap_or_default()))
            .collect()
    }

    /// All names with their addresses, for the compilation of policies.
    #[must_use]
    pub fn resolved(&self) -> Vec<ResolvedName> {
        let learnt = |(address, entries): (&IpAddr, &Vec<NameEntry>)| (*address, origins_of(entries));
        let of = |(name, known): (&Arc<str>, &BTreeMap<IpAddr, Vec<NameEntry>>)| ResolvedName {
            name: name.to_string(),
            learnt: known.iter().map(learnt).collect(),
            ..ResolvedName::default()
        };
        self.names.iter().map(of).collect()
    }

    /// All addresses in it, in no order.
    pub fn all_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.keys().copied()
    }

    /// Everything in it, by name, address and origin.
    pub fn list(&self) -> impl Iterator<Item = CacheLine> {
        self.names.iter().flat_map(|(name, known)| {
            known
                .iter()
                .flat_map(move |(address, entries)| entries.iter().map(move |entry| listed(name, *address, entry)))
        })
    }

    /// What one endpoint learnt of a name in normal form.
    pub fn learnt_by(&self, name: &str, endpoint: EndpointId) -> impl Iterator<Item = CacheLine> {
        let known = self.names.get_key_value(name).into_iter();
        known.flat_map(|(name, known)| known.iter().map(move |known| (name, known))).flat_map(
            move |(name, (address, entries))| {
                let own = entries.iter().filter(move |entry| entry.origin.endpoint == endpoint);
                own.map(move |entry| listed(name, *address, entry))
            },
        )
    }

    /// A name, also if it is not in normal form.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CachedName> {
        self.names.get_key_value(normal(name).as_str()).map(known)
    }

    /// The names behind one in normal form, or from the first one on: as many as have this number of addresses together,
    /// at least one if there is any. The whole name cache can be read so without being held all the time.
    #[must_use]
    pub fn page(&self, after: Option<&str>, addresses: usize) -> Vec<CachedName> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Vec::new();
        let mut number = 0;
        for entry in self.names.range::<str, _>((from, Bound::Unbounded)) {
            page.push(known(entry));
            number += entry.1.values().map(Vec::len).sum::<usize>();
            if number >= addresses {
                break;
            }
        }
        page
    }

    /// Enters a line that was [listed](Name cache::list) before. What had its time is left out.
    pub(super) fn restore(&mut self, listed: &CacheLine, now: u64) {
        let expires = listed.expires.min(now.saturating_add(LONGEST_TTL));
        if expires.saturating_add(self.limits.grace.into()) > now {
            let mut changed = ChangedAddresses::new();
            let name = self.interned(listed.name.to_string());
            self.enter(&name, listed.address, listed.origin, expires, &mut changed);
            self.make_room(&name, &BTreeSet::from([listed.address]), listed.origin, &mut changed);
        }
    }

    /// How many names there are.
    #[must_use]
    pub fn names(&self) -> usize {
        self.names.len()
    }

    /// How many addresses there are, those of several names, endpoints or servers for each.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.total
    }

    /// How many of them each endpoint has.
    pub fn by_endpoint(&self) -> impl Iterator<Item = (EndpointId, usize)> {
        self.owners.iter().map(|(id, owner)| (*id, owner.len()))
    }

    /// What had to go before its time.
    #[must_use]
    pub fn evicted(&self) -> EvictedAddresses {
        self.evicted
    }
}

fn origins_of(entries: &[NameEntry]) -> Vec<LearnedFrom> {
    entries.iter().map(|entry| entry.origin).collect()
}

fn listed(name: &Arc<str>, address: IpAddr, entry: &NameEntry) -> CacheLine {
    CacheLine { name: Arc::clone(name), address, expires: entry.expires, origin: entry.origin }
}

fn known((name, known): (&Arc<str>, &BTreeMap<IpAddr, Vec<NameEntry>>)) -> CachedName {
    let address = |(address, entries): (&IpAddr, &Vec<NameEntry>)| KnownAddress {
        address: *address,
        expires: entries.iter().map(|entry| entry.expires).max().unwrap_or_default(),
        origins: origins_of(entries),
    };
    CachedName { name: Arc::clone(name), addresses: known.iter().map(address).collect() }
}
