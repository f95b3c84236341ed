//! The kernel's own tables, asked about flows that are open.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Mutex, PoisonError},
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use portcullis_redirect_common::{PASS, PeerKey, PortKey, REFUSE, StubKey};

use crate::{error::Error, maps::data, table::key_address};

/// Maps of policy, open for reading. Whoever asks holds no lock: what the kernel says is what the next flow meets.
pub(crate) struct Judge {
    ports: LpmTrie<MapData, PortKey, u32>,
    policy: LpmTrie<MapData, PeerKey, u32>,
    stubs: HashMap<MapData, StubKey, u32>,
    keeps: Mutex<Array<MapData, u32>>,
    pub(super) own_sockets: MapData,
}

impl Judge {
    pub(crate) fn open(directory: &Path) -> Result<Self, Error> {
        let trie = |name| Ok::<_, Error>(Map::LpmTrie(data(directory, name)?));
        Ok(Self {
            ports: trie("PORTS")?.try_into().map_err(Error::map("PORTS", "use"))?,
            policy: trie("POLICY")?.try_into().map_err(Error::map("POLICY", "use"))?,
            stubs: Map::HashMap(data(directory, "STUBS")?).try_into().map_err(Error::map("STUBS", "use"))?,
            keeps: Mutex::new(Map::Array(data(directory, "KEEPS")?).try_into().map_err(Error::map("KEEPS", "use"))?),
            own_sockets: data(directory, "OWN_SOCKETS")?,
        })
    }

    /// What a program would say of a flow (programs/src/verdict.rs).
    pub(super) fn verdict(&self, port: PortKey, peer: IpAddr) -> Result<u32, Error> {
        let Some(class) = found(self.ports.get(&Key::new(PortKey::BITS, port), 0), "PORTS")? else { return Ok(PASS) };
        let key = PeerKey { class, address: key_address(peer) };
        Ok(found(self.policy.get(&Key::new(PeerKey::BITS, key), 0), "POLICY")?.unwrap_or(REFUSE))
    }

    /// Has the second line let packets of connections pass that are older than itself, or judge them by the table.
    pub(crate) fn keep(&self, endpoint: u32, keeps: bool) -> Result<(), Error> {
        let mut map = self.keeps.lock().unwrap_or_else(PoisonError::into_inner);
        map.set(endpoint, u32::from(keeps), 0).map_err(Error::map("KEEPS", "write"))
    }

    /// Whether a resolver on a loopback address is steered by name.
    pub(super) fn is_stub(&self, key: &StubKey) -> Result<bool, Error> {
        Ok(found(self.stubs.get(key, 0), "STUBS")?.is_some())
    }
}

fn found<T>(result: Result<T, MapError>, map: &'static str) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(Error::map(map, "read")(error)),
    }
}
