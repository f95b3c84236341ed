//! The trait through which the data plane installs the addresses of DNS names.

use std::net::IpAddr;

use portcullis_codecs::lesson::LearnedAddresses;
use portcullis_rules::{snapshot::Snapshot, world::LearnedFrom};

use crate::event::mailbox::PendingRelease;

/// Installs the addresses in DNS answers.
pub trait NameInstaller: Send + Sync + 'static {
    /// Installs the addresses of an answer. Returns `true` if all of them are already in force for the endpoint that
    /// asked: the caller may release the answer now, and the ticket has no effect. Returns `false` if not yet: `ticket`
    /// is completed later, with success or failure. Runs on a worker's thread and never blocks. `snapshot` is what the
    /// worker judges by.
    fn learn(
        &self,
        origin: LearnedFrom,
        lesson: LearnedAddresses,
        snapshot: Option<&Snapshot>,
        ticket: PendingRelease,
    ) -> bool;

    /// A connection to an address is relayed from now on: while it is, the address stays in force.
    fn opened(&self, address: IpAddr);

    /// A connection that was opened has ended.
    fn closed(&self, address: IpAddr);
}
