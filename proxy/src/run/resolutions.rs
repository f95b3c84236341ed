//! Names that are learned while the node runs, from a DNS answer to its addresses being in force.
//!
//! Three things must agree: the name cache, the snapshot that judges, and the kernel's tables. Code that changes any
//! of them holds all three, for one answer or one endpoint at a time, so an answer waits at most for the table of one
//! endpoint. The order:
//!
//! - *An answer*: cache, snapshot, kernel. A connection that the kernel steers finds its rules. Until the kernel has
//!   the address, it is treated as before. When [`LearnedState::install`] returns, the answer may be released.
//! - *A policy change*: the names are read ([`LearnedState::names`]), and from then on changed addresses are recorded. The
//!   snapshot is compiled with these names while answers still go into the old one. Then ([`LearnedState::replace`]) the
//!   recorded addresses are added to the new snapshot, it is published, and answers go into it. The kernel's tables
//!   follow endpoint by endpoint, each computed from the snapshot at the moment it is set; an answer that comes
//!   earlier sets its endpoint's table at once.

mod open;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use portcullis_config::names::{CachedName, Change, NameCache, NameLookup};
use portcullis_rules::{
    names::normal,
    snapshot::{KnownName, Snapshot},
    steering::{SteeredAddressChange, SteeringTable},
    world::{EndpointId, LearnedFrom, ResolvedName},
};

use crate::run::{backends::KernelHandle, followers::Followers};

/// Why nothing can be learned to an endpoint.
const UNSET: &str = "its table could not be set before; it is tried again each second";

/// The kernel's table of an endpoint, as it was set last.
#[derive(Debug)]
enum InstalledTable {
    /// This table, by the snapshot in force.
    Table(SteeringTable),
    /// A table, and all changes of single addresses since.
    Installed,
    /// A table, and some changes since; those of these addresses failed, so the table is due.
    Owing(BTreeSet<IpAddr>),
    /// A table by an earlier snapshot, if it is certain which.
    Old(Option<SteeringTable>),
    /// A table could not be set. It is due.
    Failed,
}

/// What belongs together.
struct InstallState<K> {
    /// `None` when the node has ended.
    kernel: Option<K>,
    snapshot: Arc<Snapshot>,
    cache: NameCache,
    /// Addresses that changed since the names were last taken for a compilation; `None`: it was compiled without any.
    since: Option<BTreeSet<IpAddr>>,
    /// By endpoint whose table was set.
    told: BTreeMap<EndpointId, InstalledTable>,
    /// Whether the kernel lags behind the snapshot in force for some endpoint, for whoever may not wait for this room.
    lags: Arc<AtomicBool>,
}

/// A resolution that is not in force everywhere. The kernel refuses the address there as it did before, and it is tried again.
/// Whom that concerns is told by [`LearnedState::settle`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not in force for endpoint {}: {reason}", endpoint.0)]
pub struct NotInstalled {
    /// The name, or the address that was to be forgotten.
    pub name: String,
    /// The first endpoint that it failed for.
    pub endpoint: EndpointId,
    /// Why.
    pub reason: String,
}

/// The name cache, the snapshot and the kernel, for whoever changes them.
pub struct LearnedState<K> {
    room: Arc<Mutex<InstallState<K>>>,
    followers: Arc<Followers>,
}

impl<K> Clone for LearnedState<K> {
    fn clone(&self) -> Self {
        Self { room: Arc::clone(&self.room), followers: Arc::clone(&self.followers) }
    }
}

impl<K: KernelHandle> LearnedState<K> {
    /// Nothing is in force yet.
    pub fn new(kernel: K, cache: NameCache) -> Self {
        let (snapshot, told, lags) = (Arc::default(), BTreeMap::new(), Arc::default());
        let room = InstallState { kernel: Some(kernel), snapshot, cache, since: None, told, lags };
        Self { room: Arc::new(Mutex::new(room)), followers: Arc::default() }
    }

    fn room(&self) -> MutexGuard<'_, InstallState<K>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the addresses of an answer into force, each with its TTL in seconds. `now` is the name cache's time. When it
    /// returns, a connection to one of them is judged by all its names. Returns whether any address has other names now; if
    /// not, at most it holds longer.
    ///
    /// # Errors
    /// Some endpoint's kernel table has no room for it. Everything else is in force.
    pub fn install(
        &self,
        name: &str,
        answer: &[(IpAddr, u32)],
        origin: LearnedFrom,
        now: u64,
    ) -> Result<bool, NotInstalled> {
        let mut room = self.room();
        let selected = room.snapshot.selects(name);
        let changes = room.cache.learn(&NameLookup { name, addresses: answer, origin, selected }, now);
        let brought = room.bring(name, &changes).map(|()| !changes.is_empty());
        drop(room);
        if self.followers.any() {
            self.followers.changed(std::iter::once(normal(name).into()).chain(gone(changes)));
        }
        brought
    }

    /// Whether a connection of an endpoint to the addresses of an answer that was learned is judged by all their names: it may
    /// be let go to it. A table that is due is told first.
    ///
    /// # Errors
    /// The kernel could not be told of one of them for this endpoint.
    pub fn settle(&self, endpoint: EndpointId, answer: &[(IpAddr, u32)]) -> Result<(), String> {
        let mut room = self.room();
        match room.told.get(&endpoint) {
            _ if room.kernel.is_none() => Ok(()),
            Some(InstalledTable::Table(_) | InstalledTable::Installed) => Ok(()),
            Some(InstalledTable::Old(_)) => room.tell_table(endpoint),
            Some(InstalledTable::Owing(missing)) if answer.iter().all(|(address, _)| !missing.contains(address)) => {
                Ok(())
            }
            Some(InstalledTable::Owing(_)) => {
                Err("the kernel had no room for it; it is tried again each second".to_owned())
            }
            Some(InstalledTable::Failed) | None => Err(UNSET.to_owned()),
        }
    }

    /// Tells at any moment, without waiting, whether the kernel lags behind the snapshot for some endpoint, so that
    /// [`LearnedState::settle`] has to be asked.
    pub fn lags(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.room().lags)
    }

    /// Forgets the addresses that had their time and are in use by no connection; tells how many changed.
    ///
    /// # Errors
    /// Some address stays in an endpoint's kernel table, so that it passes the kernel as before, until another try
    /// succeeds. Flows that are steered are judged without it.
    pub fn expire(&self, now: u64, in_use: &dyn Fn(IpAddr) -> bool) -> Result<usize, NotInstalled> {
        let mut room = self.room();
        let changes = room.cache.expire(now, in_use);
        let brought = room.bring("what had its time", &changes).map(|()| changes.len());
        drop(room);
        if self.followers.any() {
            self.followers.changed(gone(changes));
        }
        brought
    }

    /// Lets answers that wait to be learned hold for as long as they will, where they are known already: so that they can wait
    /// while what has had its time is forgotten.
    pub fn renew<'a>(&self, answers: impl Iterator<Item = (&'a str, Vec<(IpAddr, u32)>, LearnedFrom)>, now: u64) {
        let mut room = self.room();
        for (name, addresses, origin) in answers {
            let selected = room.snapshot.selects(name);
            room.cache.renew(&NameLookup { name, addresses: &addresses, origin, selected }, now);
        }
    }

    /// Forgets addresses that no name opens any more.
    ///
    /// # Errors
    /// As of [`LearnedState::expire`].
    pub fn forget(&self, which: &dyn Fn(IpAddr) -> bool) -> Result<usize, NotInstalled> {
        let mut room = self.room();
        let changes = room.cache.forget(which);
        let brought = room.bring("what no name opens", &changes).map(|()| changes.len());
        drop(room);
        if self.followers.any() {
            self.followers.changed(gone(changes));
        }
        brought
    }

    /// Shows the name cache.
    pub fn read<T>(&self, read: impl FnOnce(&NameCache) -> T) -> T {
        read(&self.room().cache)
    }

    /// The snapshot that is in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.room().snapshot)
    }

    /// A part of the name cache ([`NameCache::page`]), and the snapshot that is in force with it.
    pub(crate) fn page(&self, after: Option<&str>, addresses: usize) -> (Vec<CachedName>, Arc<Snapshot>) {
        let room = self.room();
        (room.cache.page(after, addresses), Arc::clone(&room.snapshot))
    }

    /// What is known of some names, and the snapshot that is in force with it.
    pub(crate) fn known(&self, names: &[Arc<str>]) -> (Vec<Option<CachedName>>, Arc<Snapshot>) {
        let room = self.room();
        (names.iter().map(|name| room.cache.get(name)).collect(), Arc::clone(&room.snapshot))
    }

    /// Who is told when something changes.
    pub(crate) fn followers(&self) -> &Arc<Followers> {
        &self.followers
    }

    /// The names that are known, for a compilation. Addresses that change from now on are learned to the snapshot when it
    /// [comes into force](Resolutions::replace).
    pub fn names(&self) -> Vec<ResolvedName> {
        let mut room = self.room();
        room.since = Some(BTreeSet::new());
        room.cache.resolved()
    }

    /// Whether something that the kernel was to be told is due.
    pub(crate) fn are_due(&self) -> bool {
        self.room().told.values().any(|told| matches!(told, InstalledTable::Owing(_) | InstalledTable::Failed))
    }

    /// Makes a snapshot the one in force. `publish` hands it to the data plane.
    pub(crate) fn replace(&self, snapshot: Arc<Snapshot>, publish: impl FnOnce(Arc<Snapshot>)) {
        let mut room = self.room();
        match room.since.take() {
            Some(since) => since.into_iter().for_each(|address| drop(room.install_anew(&snapshot, address))),
            None => {
                let all: Vec<IpAddr> = room.cache.all_addresses().collect();
                all.into_iter().for_each(|address| drop(room.install_anew(&snapshot, address)));
            }
        }
        room.snapshot = Arc::clone(&snapshot);
        for told in room.told.values_mut() {
            *told = match std::mem::replace(told, InstalledTable::Failed) {
                InstalledTable::Table(table) => InstalledTable::Old(Some(table)),
                InstalledTable::Old(table) => InstalledTable::Old(table),
                InstalledTable::Installed | InstalledTable::Owing(_) | InstalledTable::Failed => {
                    InstalledTable::Old(None)
                }
            };
        }
        // Before anybody judges by it.
        room.look_for_lags();
        publish(snapshot);
        drop(room);
        self.followers.all_changed();
    }

    /// Tells the kernel of an endpoint what the snapshot in force says now, unless it was told just that.
    pub(crate) fn tell_table(&self, id: EndpointId) -> Result<(), String> {
        self.room().tell_table(id)
    }

    /// Whether the table of an endpoint has echo requests judged.
    pub(crate) fn speaks_of_icmp(&self, id: EndpointId) -> bool {
        self.room().snapshot.steering(id).speaks_of_icmp()
    }

    /// Steers an endpoint no more.
    pub(crate) fn detach(&self, id: EndpointId) -> Result<(), String> {
        let mut room = self.room();
        room.told.remove(&id);
        room.look_for_lags();
        room.kernel.as_mut().map_or(Ok(()), |kernel| kernel.detach(id))
    }

    /// Asks the kernel something that is not about names.
    pub(crate) fn with_kernel(&self, ask: impl FnOnce(&mut K) -> Result<(), String>) -> Result<(), String> {
        self.room().kernel.as_mut().map_or(Ok(()), ask)
    }

    /// Ends: nothing is learnt any more. Gives the kernel back, once.
    pub fn end(&self) -> Option<K> {
        self.room().kernel.take()
    }
}

impl<K: KernelHandle> InstallState<K> {
    fn install_anew(&self, snapshot: &Snapshot, address: IpAddr) -> Vec<SteeredAddressChange> {
        let names = self.cache.names_of(address);
        snapshot.learn_from(address, &known(&names))
    }

    /// Brings changes of the name cache into force.
    fn bring(&mut self, name: &str, changes: &[Change]) -> Result<(), NotInstalled> {
        let mut by_endpoint: BTreeMap<EndpointId, Vec<SteeredAddressChange>> = BTreeMap::new();
        for Change { address, names, .. } in changes {
            if let Some(since) = &mut self.since {
                since.insert(*address);
            }
            for change in self.snapshot.learn_from(*address, &known(names)) {
                by_endpoint.entry(change.endpoint).or_default().push(change);
            }
        }
        let mut result = Ok(());
        for (endpoint, changes) in by_endpoint {
            if let Err(reason) = self.tell_changes(endpoint, &changes) {
                result = result.and(Err(NotInstalled { name: name.to_owned(), endpoint, reason }));
            }
        }
        result
    }

    fn tell_changes(&mut self, id: EndpointId, changes: &[SteeredAddressChange]) -> Result<(), String> {
        let (Some(told), Some(kernel)) = (self.told.get_mut(&id), &mut self.kernel) else { return Ok(()) };
        match told {
            InstalledTable::Old(_) => return self.tell_table(id),
            InstalledTable::Failed => return Err(UNSET.to_owned()),
            InstalledTable::Table(_) | InstalledTable::Installed | InstalledTable::Owing(_) => {}
        }
        let addresses = changes.iter().map(|change| change.address);
        match (kernel.learn(id, changes), told) {
            (Ok(false), _) => return self.tell_table(id),
            // What is missing stays so: other classes may lack the same address.
            (Ok(true), InstalledTable::Owing(_)) => {}
            (Ok(true), told) => *told = InstalledTable::Installed,
            (Err(error), told) => {
                match told {
                    InstalledTable::Owing(missing) => missing.extend(addresses),
                    told => *told = InstalledTable::Owing(addresses.collect()),
                }
                self.look_for_lags();
                return Err(error);
            }
        }
        Ok(())
    }

    fn look_for_lags(&self) {
        let lags = self.told.values().any(|told| !matches!(told, InstalledTable::Table(_) | InstalledTable::Installed));
        self.lags.store(lags, Ordering::SeqCst);
    }

    fn tell_table(&mut self, id: EndpointId) -> Result<(), String> {
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        let table = self.snapshot.steering(id);
        let held = match self.told.get(&id) {
            Some(InstalledTable::Table(held) | InstalledTable::Old(Some(held))) => Some(held),
            _ => None,
        };
        if held != Some(&table)
            && let Err(error) = kernel.set_table(id, &table)
        {
            // One that has no table yet is refused all that policy speaks of: no resolution changes that, and others learn on.
            self.told.entry(id).and_modify(|told| *told = InstalledTable::Failed);
            self.look_for_lags();
            return Err(error);
        }
        self.told.insert(id, InstalledTable::Table(table));
        self.look_for_lags();
        Ok(())
    }
}

/// The names of an address for the rules.
fn known(names: &[(Arc<str>, Vec<LearnedFrom>)]) -> Vec<KnownName<'_>> {
    names.iter().map(|(name, origins)| KnownName { name, origins }).collect()
}

/// The names that have lost an address.
fn gone(changes: Vec<Change>) -> impl Iterator<Item = Arc<str>> {
    changes.into_iter().flat_map(|change| change.gone)
}

#[cfg(test)]
pub(in crate::run) mod tests;
