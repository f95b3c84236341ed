//! The trait through which the data plane installs the addresses of DNS names.

use std::net::IpAddr;

use portcullis_codecs::resolution::LearnedAddresses;
use portcullis_rules::{snapshot::Snapshot, world::LearnedFrom};

use crate::event::mailbox::PendingRelease;

/// Installs the addresses in DNS answers.
pub trait NameInstaller: Send + Sync + 'static {
    /// Installs the addresses of an answer. Returns `true` if all of them are already in force for the endpoint that
    /// asked: the caller may release the answer now, and the pending release has no effect. Returns `false` if not yet: `release`
    /// is completed later, with success or failure. Runs on a worker's thread and never blocks. `snapshot` is what the
    /// worker judges by.
    fn learn(
        &self,
        origin: LearnedFrom,
        resolution: LearnedAddresses,
        snapshot: Option<&Snapshot>,
        release: PendingRelease,
    ) -> bool;

    /// A connection to an address is relayed from now on: while it is, the address stays in force.
    fn opened(&self, address: IpAddr);

    /// A connection that was opened has ended.
    fn closed(&self, address: IpAddr);
}
