//! The book of names.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    ops::Bound,
    sync::Arc,
};

use portcullis_rules::{
    names::{LONGEST, normal},
    world::ResolvedName,
};

/// Longest time that an answer holds, in seconds (RFC 8767 §4 finds seven days enough).
const LONGEST_TTL: u64 = 7 * 24 * 3600;
/// How long an address is kept that was in use when its time was over, in seconds (cilium pkg/fqdn/namemanager/gc.go).
const IN_USE: u64 = 120;

/// What bounds a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Least time that an answer holds, in seconds: a shorter TTL counts as this (cilium's `--tofqdns-min-ttl`).
    pub min_ttl: u32,
    /// How long an address is kept beyond its TTL, in seconds, for who was answered just before. Cilium keeps it until it
    /// next looks, once a minute.
    pub grace: u32,
    /// Addresses of one name (cilium's `--tofqdns-endpoint-max-ip-per-hostname`).
    pub addresses_per_name: usize,
    /// Names of one address.
    pub names_per_address: usize,
    /// Addresses of all names together; one that several names have counts for each.
    pub addresses: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { min_ttl: 0, grace: 60, addresses_per_name: 1_000, names_per_address: 1_000, addresses: 200_000 }
    }
}

/// An address whose names are others now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The address; never IPv4-mapped.
    pub address: IpAddr,
    /// All its names, in normal form and in order; none when it is forgotten.
    pub names: Vec<Arc<str>>,
    /// The names that it has no more.
    pub gone: Vec<Arc<str>>,
}

/// A name and all its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name, in normal form.
    pub name: Arc<str>,
    /// At least one address, in order, each with the time at which the answer's TTL is over, in seconds. It may be kept
    /// longer.
    pub addresses: Vec<(IpAddr, u64)>,
}

/// Addresses whose names change, each with the names that it loses.
type Changed = BTreeMap<IpAddr, Vec<Arc<str>>>;

/// Addresses that had to go before their time, since the book was opened, by the limit that was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// [`Limits::addresses_per_name`], with those of an answer that is too long by itself.
    pub per_name: u64,
    /// [`Limits::names_per_address`].
    pub per_address: u64,
    /// [`Limits::addresses`].
    pub total: u64,
}

/// One line of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name, in normal form.
    pub name: Arc<str>,
    /// One of its addresses.
    pub address: IpAddr,
    /// When the answer's TTL is over, in seconds. It may be kept longer.
    pub expires: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    expires: u64,
    /// When it is looked at next.
    until: u64,
}

/// Names and their addresses. Of a name and address the latest answer that holds longest counts.
#[derive(Debug, Default)]
pub struct Book {
    pub(super) limits: Limits,
    names: BTreeMap<Arc<str>, BTreeMap<IpAddr, Entry>>,
    addresses: HashMap<IpAddr, BTreeSet<Arc<str>>>,
    /// By the time at which each is looked at.
    due: BTreeSet<(u64, Arc<str>, IpAddr)>,
    evicted: Evicted,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Enters the addresses of an answer, each with its TTL in seconds. Gives the addresses whose names have changed:
    /// new ones, and those that had to make room, always that whose time is over first. What this answer brought makes
    /// room for nothing but itself.
    pub fn learn(&mut self, name: &str, answer: &[(IpAddr, u32)], now: u64) -> Vec<Change> {
        let name = normal(name);
        if name.len() > LONGEST + 1 {
            return Vec::new();
        }
        let name: Arc<str> =
            self.names.get_key_value(name.as_str()).map_or_else(|| name.into(), |(known, _)| Arc::clone(known));
        let mut answer: Vec<(IpAddr, u64)> =
            answer.iter().map(|(ip, ttl)| (ip.to_canonical(), self.hold(*ttl))).collect();
        // Of an address that is there twice the longer time counts.
        answer.sort_unstable_by_key(|(address, ttl)| (*address, std::cmp::Reverse(*ttl)));
        answer.dedup_by_key(|(address, _)| *address);
        let most = self.limits.addresses_per_name.min(self.limits.addresses);
        self.evicted.per_name += answer.len().saturating_sub(most) as u64;
        answer.truncate(most);
        let mut changed = Changed::new();
        for (address, ttl) in &answer {
            self.enter(&name, *address, now.saturating_add(*ttl), &mut changed);
        }
        let fresh: BTreeSet<IpAddr> = answer.iter().map(|(address, _)| *address).collect();
        self.make_room(&name, &fresh, &mut changed);
        self.changes(changed)
    }

    fn hold(&self, ttl: u32) -> u64 {
        u64::from(ttl.max(self.limits.min_ttl)).min(LONGEST_TTL)
    }

    fn enter(&mut self, name: &Arc<str>, address: IpAddr, expires: u64, changed: &mut Changed) {
        let until = expires.saturating_add(self.limits.grace.into());
        let entries = self.names.entry(Arc::clone(name)).or_default();
        match entries.get_mut(&address) {
            Some(entry) => {
                entry.expires = entry.expires.max(expires);
                if entry.until < until {
                    self.due.remove(&(entry.until, Arc::clone(name), address));
                    self.due.insert((until, Arc::clone(name), address));
                    entry.until = until;
                }
            }
            None => {
                entries.insert(address, Entry { expires, until });
                self.due.insert((until, Arc::clone(name), address));
                self.addresses.entry(address).or_default().insert(Arc::clone(name));
                changed.entry(address).or_default();
            }
        }
    }

    /// Evicts what is over the limits, but not what has just come.
    fn make_room(&mut self, name: &Arc<str>, fresh: &BTreeSet<IpAddr>, changed: &mut Changed) {
        while self.names.get(name).is_some_and(|entries| entries.len() > self.limits.addresses_per_name) {
            let entries = self.names[name].iter().filter(|(address, _)| !fresh.contains(*address));
            let Some(address) = entries.min_by_key(|(_, entry)| entry.until).map(|(address, _)| *address) else {
                break;
            };
            self.evicted.per_name += 1;
            self.remove(name, address, changed);
        }
        for address in fresh {
            while self.addresses.get(address).is_some_and(|names| names.len() > self.limits.names_per_address) {
                let others = self.addresses[address].iter().filter(|other| *other != name);
                let first =
                    others.min_by_key(|other| self.names.get(*other).and_then(|e| e.get(address)).map(|e| e.until));
                let Some(other) = first.cloned() else { break };
                self.evicted.per_address += 1;
                self.remove(&other, *address, changed);
            }
        }
        while self.due.len() > self.limits.addresses {
            let mut old = self.due.iter().filter(|(_, other, address)| other != name || !fresh.contains(address));
            let Some((_, other, address)) = old.next().cloned() else { break };
            self.evicted.total += 1;
            self.remove(&other, address, changed);
        }
    }

    fn remove(&mut self, name: &Arc<str>, address: IpAddr, changed: &mut Changed) {
        if let Some(entries) = self.names.get_mut(name)
            && let Some(entry) = entries.remove(&address)
        {
            self.due.remove(&(entry.until, Arc::clone(name), address));
            if entries.is_empty() {
                self.names.remove(name);
            }
        }
        if let Some(names) = self.addresses.get_mut(&address) {
            names.remove(name);
            if names.is_empty() {
                self.addresses.remove(&address);
            }
        }
        changed.entry(address).or_default().push(Arc::clone(name));
    }

    fn changes(&self, changed: Changed) -> Vec<Change> {
        let change = |(address, gone)| Change { address, names: self.names_of(address), gone };
        changed.into_iter().map(change).collect()
    }

    /// Forgets what has had its time, unless the address is in use: then it is kept for two minutes more. Gives the
    /// addresses whose names have changed.
    pub fn expire(&mut self, now: u64, in_use: &dyn Fn(IpAddr) -> bool) -> Vec<Change> {
        let mut changed = Changed::new();
        while let Some((until, name, address)) = self.due.first().filter(|(until, ..)| *until <= now).cloned() {
            if in_use(address) {
                let later = now.saturating_add(IN_USE);
                self.due.remove(&(until, Arc::clone(&name), address));
                if let Some(entry) = self.names.get_mut(&name).and_then(|entries| entries.get_mut(&address)) {
                    entry.until = later;
                    self.due.insert((later, name, address));
                }
            } else {
                self.remove(&name, address, &mut changed);
            }
        }
        self.changes(changed)
    }

    /// When something is due next, in seconds.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.due.first().map(|(until, ..)| *until)
    }

    /// The names of an address, in order.
    #[must_use]
    pub fn names_of(&self, address: IpAddr) -> Vec<Arc<str>> {
        self.addresses.get(&address).into_iter().flatten().cloned().collect()
    }

    /// All names with their addresses, for the compilation of policies.
    #[must_use]
    pub fn resolved(&self) -> Vec<ResolvedName> {
        let of = |(name, entries): (&Arc<str>, &BTreeMap<IpAddr, Entry>)| ResolvedName {
            name: name.to_string(),
            addresses: entries.keys().copied().collect(),
        };
        self.names.iter().map(of).collect()
    }

    /// Everything in it, by name and address.
    pub fn list(&self) -> impl Iterator<Item = Listed> {
        self.names.iter().flat_map(|(name, entries)| {
            entries.iter().map(|(address, entry)| Listed {
                name: Arc::clone(name),
                address: *address,
                expires: entry.expires,
            })
        })
    }

    /// A name, also if it is not in normal form.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Known> {
        self.names.get_key_value(normal(name).as_str()).map(known)
    }

    /// The names behind one in normal form, or from the first one on: as many as have this number of addresses together,
    /// at least one if there is any. The whole book can be read so without being held all the time.
    #[must_use]
    pub fn page(&self, after: Option<&str>, addresses: usize) -> Vec<Known> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Vec::new();
        let mut number = 0;
        for entry in self.names.range::<str, _>((from, Bound::Unbounded)) {
            page.push(known(entry));
            number += entry.1.len();
            if number >= addresses {
                break;
            }
        }
        page
    }

    /// Enters a line that was [listed](Book::list) before. What had its time is left out.
    pub(super) fn restore(&mut self, listed: &Listed, now: u64) {
        let expires = listed.expires.min(now.saturating_add(LONGEST_TTL));
        if expires.saturating_add(self.limits.grace.into()) > now {
            let mut changed = Changed::new();
            self.enter(&listed.name, listed.address, expires, &mut changed);
            self.make_room(&listed.name, &BTreeSet::from([listed.address]), &mut changed);
        }
    }

    /// Everything in it, by name.
    pub(super) fn known(&self) -> impl Iterator<Item = Known> {
        self.names.iter().map(known)
    }

    /// How many names there are.
    #[must_use]
    pub fn names(&self) -> usize {
        self.names.len()
    }

    /// How many addresses there are, those of several names for each.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.due.len()
    }

    /// What had to go before its time.
    #[must_use]
    pub fn evicted(&self) -> Evicted {
        self.evicted
    }
}

fn known((name, entries): (&Arc<str>, &BTreeMap<IpAddr, Entry>)) -> Known {
    let addresses = entries.iter().map(|(address, entry)| (*address, entry.expires)).collect();
    Known { name: Arc::clone(name), addresses }
}
