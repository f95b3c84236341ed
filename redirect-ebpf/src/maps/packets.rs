//! Map entries of the packet programs beyond the table: its version numbers, and addresses.

use std::net::{IpAddr, Ipv6Addr};

use aya::maps::{HashMap, MapData, MapError};
use portcullis_redirect_common::{ADDRESSES_TOLD, LocalKey};

use super::{Maps, gone};
use crate::{error::RedirectError, table::key_address};

impl Maps {
    /// Has flows judged again that were judged by the table before.
    pub(super) fn begin_epoch(&mut self, endpoint: u32) -> Result<(), RedirectError> {
        self.change_epoch(endpoint, |before| (before & ADDRESSES_TOLD) | next(before))
    }

    fn change_epoch(&mut self, endpoint: u32, change: impl Fn(u32) -> u32) -> Result<(), RedirectError> {
        let before = self.epochs.get(&endpoint, 0).map_err(RedirectError::map("EPOCHS", "read"))?;
        self.epochs.set(endpoint, change(before), 0).map_err(RedirectError::map("EPOCHS", "write"))
    }

    /// Whether an endpoint has a table.
    pub(crate) fn judges(&self, endpoint: u32) -> bool {
        self.tables.speaks_of(endpoint)
    }

    /// Makes these the endpoint's own addresses. While there is no room for them no source is foreign.
    pub(crate) fn set_locals(&mut self, endpoint: u32, addresses: &[IpAddr]) -> Result<(), RedirectError> {
        let entered = set_addresses(&mut self.locals, "LOCALS", endpoint, addresses);
        let told = if entered.is_ok() && !addresses.is_empty() { ADDRESSES_TOLD } else { 0 };
        // What is remembered of flows counts on the addresses, too.
        let changed = !matches!(entered, Ok(false));
        let number = |before: u32| if changed { next(before) } else { before & !ADDRESSES_TOLD };
        entered.and(self.change_epoch(endpoint, |before| number(before) | told))
    }

    /// Makes these the broadcast addresses of the networks that an endpoint is in.
    pub(crate) fn set_broadcasts(&mut self, endpoint: u32, addresses: &[IpAddr]) -> Result<(), RedirectError> {
        set_addresses(&mut self.broadcasts, "BROADCASTS", endpoint, addresses).map(drop)
    }

    /// Makes these the addresses of the namespace that an endpoint shares. Without any, every source is its own.
    pub(crate) fn set_hosts(&mut self, endpoint: u32, addresses: Option<&[IpAddr]>) -> Result<(), RedirectError> {
        // The unused address marks the list as complete.
        let told = addresses.map(|all| [all, &[Ipv6Addr::UNSPECIFIED.into()]].concat()).unwrap_or_default();
        set_addresses(&mut self.hosts, "HOSTS", endpoint, &told).map(drop)
    }
}

/// The number of a table that comes behind another one.
fn next(before: u32) -> u32 {
    before.wrapping_add(1) & !ADDRESSES_TOLD
}

/// Makes these the addresses of an endpoint in a map. Returns whether others were there.
fn set_addresses(
    map: &mut HashMap<MapData, LocalKey, u32>,
    name: &'static str,
    endpoint: u32,
    addresses: &[IpAddr],
) -> Result<bool, RedirectError> {
    let wanted: Vec<LocalKey> = addresses.iter().map(|ip| LocalKey { endpoint, address: key_address(*ip) }).collect();
    let held: Result<Vec<LocalKey>, MapError> = map.keys().collect();
    let held = held.map_err(RedirectError::map(name, "read"))?;
    for key in &wanted {
        map.insert(key, 1, 0).map_err(RedirectError::map(name, "write"))?;
    }
    let mut changed = wanted.iter().any(|key| !held.contains(key));
    for key in held.iter().filter(|key| key.endpoint == endpoint && !wanted.contains(key)) {
        gone(map.remove(key)).map_err(RedirectError::map(name, "write"))?;
        changed = true;
    }
    Ok(changed)
}
