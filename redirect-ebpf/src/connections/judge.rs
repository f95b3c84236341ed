//! Looks up open flows in the kernel's own tables.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Mutex, PoisonError},
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use portcullis_redirect_common::{Action, PacketFlowKey, PeerKey, PortKey, StubKey, TCP};

use crate::{
    error::RedirectError,
    maps::{data, gone},
    table::key_address,
};

/// Maps of policy, open for reading. Whoever asks holds no lock: what the kernel says is what the next flow meets.
pub(crate) struct ConnectionPolicy {
    ports: LpmTrie<MapData, PortKey, u32>,
    policy: LpmTrie<MapData, PeerKey, u32>,
    stubs: HashMap<MapData, StubKey, u32>,
    keeps: Mutex<Array<MapData, u32>>,
    older: Mutex<HashMap<MapData, PacketFlowKey, u32>>,
    pub(super) own_sockets: MapData,
}

impl ConnectionPolicy {
    pub(crate) fn open(directory: &Path) -> Result<Self, RedirectError> {
        let trie = |name| Ok::<_, RedirectError>(Map::LpmTrie(data(directory, name)?));
        Ok(Self {
            ports: trie("PORTS")?.try_into().map_err(RedirectError::map("PORTS", "use"))?,
            policy: trie("POLICY")?.try_into().map_err(RedirectError::map("POLICY", "use"))?,
            stubs: Map::HashMap(data(directory, "STUBS")?).try_into().map_err(RedirectError::map("STUBS", "use"))?,
            keeps: Mutex::new(
                Map::Array(data(directory, "KEEPS")?).try_into().map_err(RedirectError::map("KEEPS", "use"))?,
            ),
            older: Mutex::new(
                Map::HashMap(data(directory, "OLDER")?).try_into().map_err(RedirectError::map("OLDER", "use"))?,
            ),
            own_sockets: data(directory, "OWN_SOCKETS")?,
        })
    }

    /// What a program would say of a flow (programs/src/verdict.rs).
    pub(super) fn verdict(&self, port: PortKey, peer: IpAddr) -> Result<Action, RedirectError> {
        let Some(class) = found(self.ports.get(&Key::new(PortKey::BITS, port), 0), "PORTS")? else {
            return Ok(Action::Pass);
        };
        let key = PeerKey { class, address: key_address(peer) };
        let number = found(self.policy.get(&Key::new(PeerKey::BITS, key), 0), "POLICY")?;
        Ok(number.map_or(Action::Refuse, Action::of))
    }

    /// Has the second line let packets of connections pass that are older than itself, or judge them by the table.
    pub(crate) fn keep(&self, endpoint: u32, keeps: bool) -> Result<(), RedirectError> {
        let mut map = self.keeps.lock().unwrap_or_else(PoisonError::into_inner);
        map.set(endpoint, u32::from(keeps), 0).map_err(RedirectError::map("KEEPS", "write"))
    }

    /// Notes the connections that peers have opened to an endpoint before its packets were judged, as the endpoint has their ends.
    /// Only the first call for an endpoint does: what comes later is known by its packets. One that finds no room passes while
    /// its peer sends.
    pub(super) fn note_older(&self, endpoint: u32, ends: &[(SocketAddr, SocketAddr)]) -> Result<(), RedirectError> {
        let mut map = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody has such a connection: it says that all are noted.
        let all = flow(endpoint, (SocketAddr::from(([0; 16], 0)), SocketAddr::from(([0; 16], 0))));
        if found(map.get(&all, 0), "OLDER")?.is_some() {
            return Ok(());
        }
        for ends in ends {
            let _ = map.insert(flow(endpoint, *ends), 1, 0);
        }
        map.insert(all, 1, 0).map_err(RedirectError::map("OLDER", "write"))
    }

    /// Forgets them: its packets are judged no more.
    pub(crate) fn forget_older(&self, endpoint: u32) -> Result<(), RedirectError> {
        let mut map = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        let held: Vec<PacketFlowKey> =
            map.keys().filter_map(Result::ok).filter(|key| key.endpoint == endpoint).collect();
        held.iter().try_for_each(|key| gone(map.remove(key))).map_err(RedirectError::map("OLDER", "write"))
    }

    /// Whether a resolver on a loopback address is steered by name.
    pub(super) fn is_stub(&self, key: &StubKey) -> Result<bool, RedirectError> {
        Ok(found(self.stubs.get(key, 0), "STUBS")?.is_some())
    }
}

fn flow(endpoint: u32, (local, peer): (SocketAddr, SocketAddr)) -> PacketFlowKey {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(key_address(peer.ip()).as_chunks().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    let (local_port, peer_port) = (local.port().to_be(), peer.port().to_be());
    PacketFlowKey { peer: words, endpoint, protocol: TCP.into(), local_port, peer_port, padding: 0 }
}

fn found<T>(result: Result<T, MapError>, map: &'static str) -> Result<Option<T>, RedirectError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(RedirectError::map(map, "read")(error)),
    }
}
