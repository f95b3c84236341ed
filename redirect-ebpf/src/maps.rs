//! Opens the maps by their pins, and keeps the tables in step with them.

mod names;
mod packets;
mod pods;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap as Table},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Pod,
    maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, RingBuf, SockHash, lpm_trie::Key},
};
use portcullis_redirect_common::{
    HostService, ListenerKey, LocalKey, OwnerKey, PeerKey, PortKey, StubKey, UpstreamKey,
};

pub(crate) use self::names::NAMES;
use crate::{
    error::RedirectError,
    probe::{PROBE_V4, PROBE_V6},
    sys,
    table::{Action, ClassContent, LearnedAddressChange, PROBE, PeerPrefix, PortPrefix, is_probe, probe_ports, single},
    tables::{TableStep, Tables, enter},
};

/// The kernel's maps.
pub(crate) struct Maps {
    directory: PathBuf,
    ports: LpmTrie<MapData, PortKey, u32>,
    policy: LpmTrie<MapData, PeerKey, u32>,
    pods: HashMap<MapData, u64, u32>,
    locals: HashMap<MapData, LocalKey, u32>,
    broadcasts: HashMap<MapData, LocalKey, u32>,
    shared: HashMap<MapData, u32, u32>,
    hosts: HashMap<MapData, LocalKey, u32>,
    owners: HashMap<MapData, OwnerKey, u32>,
    dns: HashMap<MapData, u32, u32>,
    stubs: HashMap<MapData, StubKey, u32>,
    services: HashMap<MapData, u64, HostService>,
    sysctls: HashMap<MapData, u64, u32>,
    listeners: SockHash<MapData, ListenerKey>,
    epochs: Array<MapData, u32>,
    tables: Tables,
    /// Endpoints that have the entries of the self-check.
    probed: BTreeSet<u32>,
}

pub(crate) fn data(directory: &Path, name: &'static str) -> Result<MapData, RedirectError> {
    MapData::from_pin(directory.join(name)).map_err(RedirectError::map(name, "open"))
}

fn hash<K: Pod, V: Pod>(directory: &Path, name: &'static str) -> Result<HashMap<MapData, K, V>, RedirectError> {
    Map::HashMap(data(directory, name)?).try_into().map_err(RedirectError::map(name, "use"))
}

fn trie<K: Pod>(directory: &Path, name: &'static str) -> Result<LpmTrie<MapData, K, u32>, RedirectError> {
    Map::LpmTrie(data(directory, name)?).try_into().map_err(RedirectError::map(name, "use"))
}

fn array<V: Pod>(directory: &Path, name: &'static str) -> Result<Array<MapData, V>, RedirectError> {
    Map::Array(data(directory, name)?).try_into().map_err(RedirectError::map(name, "use"))
}

/// Removing what is not there is fine.
pub(crate) fn gone(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Maps {
    /// Opens the maps that a load has pinned, with what is in them.
    pub(crate) fn open(directory: &Path) -> Result<Self, RedirectError> {
        let mut maps = Self {
            directory: directory.to_owned(),
            ports: trie(directory, "PORTS")?,
            policy: trie(directory, "POLICY")?,
            pods: hash(directory, "PODS")?,
            locals: hash(directory, "LOCALS")?,
            broadcasts: hash(directory, "BROADCASTS")?,
            shared: hash(directory, "SHARED")?,
            hosts: hash(directory, "HOSTS")?,
            owners: hash(directory, "OWNERS")?,
            dns: hash(directory, "DNS")?,
            stubs: hash(directory, "STUBS")?,
            services: hash(directory, "SERVICES")?,
            sysctls: hash(directory, "SYSCTLS")?,
            listeners: Map::SockHash(data(directory, "LISTENERS")?)
                .try_into()
                .map_err(RedirectError::map("LISTENERS", "use"))?,
            epochs: array(directory, "EPOCHS")?,
            tables: Tables::default(),
            probed: BTreeSet::new(),
        };
        maps.tables = maps.read_tables()?;
        for address in [PROBE_V4.into(), PROBE_V6.into()] {
            let _ = maps.set_peer(PROBE, &single(address), Some(Action::Steer));
        }
        Ok(maps)
    }

    fn read_tables(&self) -> Result<Tables, RedirectError> {
        let mut ports: BTreeMap<PortPrefix, u32> = BTreeMap::new();
        for entry in self.ports.iter() {
            let (key, class) = entry.map_err(RedirectError::map("PORTS", "read"))?;
            let port = (key.prefix_len(), key.data());
            if !is_probe(&port) {
                ports.insert(port, class);
            }
        }
        let mut classes: Table<u32, ClassContent> = Table::new();
        for entry in self.policy.iter() {
            let (key, action) = entry.map_err(RedirectError::map("POLICY", "read"))?;
            let peer = key.data();
            if peer.class == PROBE {
                continue;
            }
            classes.entry(peer.class).or_default().insert((key.prefix_len(), peer.address), Action::of(action));
        }
        Ok(Tables::taken_over(ports, classes))
    }

    /// Replaces what the kernel is told of an endpoint. Returns whether that changed anything.
    pub(crate) fn set_table(
        &mut self,
        endpoint: u32,
        classes: &[crate::table::KernelPortClass],
    ) -> Result<bool, RedirectError> {
        let steps = self.tables.change(endpoint, classes);
        let changes = !steps.is_empty();
        let done = self.carry_out(steps);
        if changes {
            self.begin_epoch(endpoint)?;
        }
        done.map(|()| changes)
    }

    /// The endpoints with classes that learn.
    pub(crate) fn learning(&self) -> std::collections::BTreeSet<u32> {
        self.tables.learning()
    }

    /// Has refused what these classes speak of and the kernel was never told: their ports, or where those have no room all
    /// ports of their directions and protocols.
    pub(crate) fn shut(
        &mut self,
        endpoint: u32,
        classes: &[crate::table::KernelPortClass],
    ) -> Result<(), RedirectError> {
        self.carry_out(self.tables.shut(endpoint, classes, false))
            .or_else(|_| self.carry_out(self.tables.shut(endpoint, classes, true)))
            .and_then(|()| self.begin_epoch(endpoint))
    }

    /// Changes single addresses; tells whether that was all it takes. If not, the whole table has to be set.
    pub(crate) fn learn(&mut self, endpoint: u32, resolutions: &[LearnedAddressChange]) -> Result<bool, RedirectError> {
        for resolution in resolutions {
            let Some(steps) = self.tables.learn(endpoint, resolution) else { return Ok(false) };
            self.carry_out(steps)?;
        }
        Ok(true)
    }

    fn carry_out(&mut self, steps: Vec<TableStep>) -> Result<(), RedirectError> {
        for step in steps {
            if let Err(error) = self.take(&step) {
                if let TableStep::AddClass(number, _) = step {
                    self.tables.skip(number);
                }
                return Err(error);
            }
            self.tables.apply(&step);
        }
        Ok(())
    }

    /// Whether some endpoint's echo requests are judged.
    pub(crate) fn judges_echo(&self) -> bool {
        self.tables.judges_echo()
    }

    fn take(&mut self, step: &TableStep) -> Result<(), RedirectError> {
        match step {
            TableStep::AddClass(class, content) => enter(content, |peer, action| self.set_peer(*class, peer, action)),
            TableStep::Set(class, peer, action) => self.set_peer(*class, peer, Some(*action)),
            TableStep::Unset(class, peer) => self.set_peer(*class, peer, None),
            TableStep::Point(port, _) if !self.tables.has_room_for(port) => Err(RedirectError::Full("PORTS")),
            TableStep::Point((bits, key), class) => {
                self.ports.insert(&Key::new(*bits, *key), class, 0).map_err(RedirectError::write("PORTS"))
            }
            TableStep::Own(..) => Ok(()),
            TableStep::Unpoint((bits, key)) => {
                gone(self.ports.remove(&Key::new(*bits, *key))).map_err(RedirectError::map("PORTS", "write"))
            }
            TableStep::RemoveClass(class, content) => {
                content.keys().try_for_each(|peer| self.set_peer(*class, peer, None))
            }
        }
    }

    /// Sets or removes one entry of a class.
    fn set_peer(
        &mut self,
        class: u32,
        (bits, address): &PeerPrefix,
        action: Option<Action>,
    ) -> Result<(), RedirectError> {
        let key = Key::new(*bits, PeerKey { class, address: *address });
        match action {
            Some(action) => self.policy.insert(&key, action.number(), 0).map_err(RedirectError::write("POLICY")),
            None => gone(self.policy.remove(&key)).map_err(RedirectError::map("POLICY", "write")),
        }
    }

    /// Has an endpoint's hooks be tried by connects to port 0. Where there is no room the self-check fails, and nothing else.
    pub(crate) fn set_probe(&mut self, endpoint: u32) {
        if self.probed.contains(&endpoint) {
            return;
        }
        let mut entries = probe_ports(endpoint).into_iter();
        if entries.all(|((bits, key), class)| self.ports.insert(&Key::new(bits, key), class, 0).is_ok()) {
            self.probed.insert(endpoint);
        }
    }

    /// Takes that away.
    pub(crate) fn clear_probe(&mut self, endpoint: u32) -> Result<(), RedirectError> {
        self.probed.remove(&endpoint);
        for ((bits, key), _) in probe_ports(endpoint) {
            gone(self.ports.remove(&Key::new(bits, key))).map_err(RedirectError::map("PORTS", "write"))?;
        }
        Ok(())
    }

    fn matching<K: Pod>(
        &self,
        map: &HashMap<MapData, K, u32>,
        wanted: impl Fn(&K, u32) -> bool,
    ) -> Result<Vec<K>, MapError> {
        let entries = map.iter().filter_map(|entry| match entry {
            Ok((key, value)) => wanted(&key, value).then_some(Ok(key)),
            Err(error) => Some(Err(error)),
        });
        entries.collect()
    }

    /// Returns whether an endpoint shares its namespace, so that others' addresses are in it as well.
    pub(crate) fn set_shared(&mut self, endpoint: u32, shared: bool) -> Result<(), RedirectError> {
        let changed = if shared { self.shared.insert(endpoint, 1, 0) } else { gone(self.shared.remove(&endpoint)) };
        changed.map_err(RedirectError::map("SHARED", "write"))
    }

    /// Makes these the ports of an endpoint of the host.
    pub(crate) fn set_owned(&mut self, endpoint: u32, ports: &[(u8, u16)]) -> Result<(), RedirectError> {
        let wanted: Vec<OwnerKey> = ports
            .iter()
            .map(|(protocol, port)| OwnerKey { endpoint, protocol: u16::from(*protocol), port: *port })
            .collect();
        let held = self
            .matching(&self.owners, |key, _| key.endpoint == endpoint)
            .map_err(RedirectError::map("OWNERS", "read"))?;
        for key in &wanted {
            self.owners.insert(key, 1, 0).map_err(RedirectError::map("OWNERS", "write"))?;
        }
        for key in held.iter().filter(|key| !wanted.contains(key)) {
            gone(self.owners.remove(key)).map_err(RedirectError::map("OWNERS", "write"))?;
        }
        Ok(())
    }

    /// Returns whether the UDP sockets of an endpoint are marked at birth.
    pub(crate) fn set_creation_mark(&mut self, endpoint: u32, marked: bool) -> Result<(), RedirectError> {
        let changed = if marked { self.dns.insert(endpoint, 1, 0) } else { gone(self.dns.remove(&endpoint)) };
        changed.map_err(RedirectError::map("DNS", "write"))
    }

    /// Makes these the resolvers on loopback addresses that an endpoint's policy names.
    pub(crate) fn set_stubs(&mut self, endpoint: u32, wanted: &[StubKey]) -> Result<(), RedirectError> {
        let held = self
            .matching(&self.stubs, |key, _| key.endpoint == endpoint)
            .map_err(RedirectError::map("STUBS", "read"))?;
        for key in wanted {
            self.stubs.insert(key, 1, 0).map_err(RedirectError::map("STUBS", "write"))?;
        }
        for key in held.iter().filter(|key| !wanted.contains(key)) {
            gone(self.stubs.remove(key)).map_err(RedirectError::map("STUBS", "write"))?;
        }
        Ok(())
    }

    /// Makes this the cgroup of a service, by whose processes sockets are judged that were made in another one; `None`: of
    /// none.
    pub(crate) fn set_service(&mut self, endpoint: u32, cgroup: Option<u64>, home: u64) -> Result<(), RedirectError> {
        let held: Vec<(u64, HostService)> =
            self.services.iter().collect::<Result<_, _>>().map_err(RedirectError::map("SERVICES", "read"))?;
        let write = |result: Result<(), MapError>| result.map_err(RedirectError::map("SERVICES", "write"));
        if let Some(cgroup) = cgroup {
            let service = HostService { home, endpoint, reserved: 0 };
            write(self.services.insert(cgroup, service, 0))?;
            write(self.services.insert(0, HostService { home: 0, endpoint: 0, reserved: 0 }, 0))?;
        }
        let stale =
            |(key, service): &&(u64, HostService)| service.endpoint == endpoint && Some(*key) != cgroup && *key != 0;
        held.iter().filter(stale).try_for_each(|(key, _)| write(gone(self.services.remove(key))))?;
        let others = held.iter().any(|(key, service)| *key != 0 && service.endpoint != endpoint);
        if cgroup.is_none() && !others { write(gone(self.services.remove(&0))) } else { Ok(()) }
    }

    /// Puts the listeners of all workers into their slot, instead of those that were there; the first one last to go.
    pub(crate) fn set_listeners(&mut self, slot: u32, workers: u32, sockets: &[OwnedFd]) -> Result<(), RedirectError> {
        let mut sockets = sockets.iter();
        let mut vacant = Vec::new();
        for worker in 0..workers {
            let key = ListenerKey { slot, worker };
            match sockets.next() {
                Some(socket) => {
                    self.listeners.insert(key, socket.as_fd(), 0).map_err(RedirectError::map("LISTENERS", "write"))?
                }
                None => vacant.push(key),
            }
        }
        let mut vacant = vacant.iter().rev();
        vacant.try_for_each(|key| gone(self.listeners.remove(key))).map_err(RedirectError::map("LISTENERS", "write"))
    }

    /// Remembers the old sysctls of a namespace, unless an earlier process has.
    pub(crate) fn remember_sysctls(&mut self, cookie: u64, old: u32) -> Result<(), RedirectError> {
        if self.sysctls.get(&cookie, 0).is_ok() {
            return Ok(());
        }
        self.sysctls.insert(cookie, old, 0).map_err(RedirectError::map("SYSCTLS", "write"))
    }

    /// Gives back what was remembered, and forgets it.
    pub(crate) fn forget_sysctls(&mut self, cookie: u64) -> Option<u32> {
        let old = self.sysctls.get(&cookie, 0).ok();
        let _ = self.sysctls.remove(&cookie);
        old
    }

    /// All endpoints that anything is held of.
    pub(crate) fn endpoints(&self) -> Result<Vec<u32>, RedirectError> {
        let mut all = self.tables.endpoints();
        for entry in self.pods.iter() {
            all.insert(entry.map_err(RedirectError::map("PODS", "read"))?.1);
        }
        for key in self.locals.keys() {
            all.insert(key.map_err(RedirectError::map("LOCALS", "read"))?.endpoint);
        }
        Ok(all.into_iter().collect())
    }

    /// Forgets the upstream connections of an earlier process: they are gone, and their ports may be anybody's.
    pub(crate) fn forget_upstreams(&mut self) -> Result<(), RedirectError> {
        let mut upstreams: HashMap<MapData, UpstreamKey, u32> =
            Map::LruHashMap(data(&self.directory, "OWN_UPSTREAMS")?)
                .try_into()
                .map_err(RedirectError::map("OWN_UPSTREAMS", "use"))?;
        let held: Vec<UpstreamKey> = upstreams.keys().flatten().collect();
        held.iter()
            .try_for_each(|key| gone(upstreams.remove(key)))
            .map_err(RedirectError::map("OWN_UPSTREAMS", "write"))
    }

    /// A map's descriptor, for callers that update it by themselves.
    pub(crate) fn descriptor(&self, name: &'static str) -> Result<OwnedFd, RedirectError> {
        sys::open_pinned(&self.directory.join(name)).map_err(RedirectError::map(name, "open"))
    }

    /// The ring of refused flows.
    pub(crate) fn refusals(&self) -> Result<RingBuf<MapData>, RedirectError> {
        Map::RingBuf(data(&self.directory, "REFUSALS")?).try_into().map_err(RedirectError::map("REFUSALS", "use"))
    }

    /// The counter of refusals that did not fit.
    pub(crate) fn lost(&self) -> Result<PerCpuArray<MapData, u64>, RedirectError> {
        Map::PerCpuArray(data(&self.directory, "LOST")?).try_into().map_err(RedirectError::map("LOST", "use"))
    }
}
