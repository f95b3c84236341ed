//! Addresses in use by connections that are not relayed.

use std::{collections::BTreeSet, net::IpAddr, time::Instant};

use portcullis_config::names::NameCache;

use super::InstallerThread;
use crate::run::backends::KernelHandle;

impl<K: KernelHandle> InstallerThread<K> {
    /// The addresses to which connections are open that nobody relays; `None` where some may be due and it is not time to look
    /// again yet. An address that is not seen because looking failed has its time: what is open goes on, new ones are refused.
    pub(super) fn open_addresses(&mut self) -> Option<BTreeSet<IpAddr>> {
        let now = self.clock.now();
        if self.resolutions.read(NameCache::due).is_none_or(|due| due > now) {
            return Some(BTreeSet::new());
        }
        let began = Instant::now();
        if !self.looks.is_due(began) {
            return None;
        }
        let found = self.resolutions.open_addresses();
        self.looks.note(Instant::now(), began.elapsed());
        if let Err(error) = &found
            && !self.blind
        {
            tracing::warn!(error, "addresses of names may be forgotten while connections to them are open");
        }
        self.blind = found.is_err();
        Some(found.unwrap_or_default())
    }
}
