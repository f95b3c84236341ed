//! The name cache: which addresses DNS answers gave for each name, how long each is valid, which endpoint asked and
//! which server answered.
//!
//! Pure: no clock, no files. Times are seconds on a scale of the caller that never jumps. To survive a restart, the
//! scale starts at the time of day.
//!
//! [`NameCache`] is the cache. An entry is one address of one name, learned by one endpoint from one server. It goes
//! through these states:
//!
//! ```text
//!             learn
//!  (none) ──────────► valid ── TTL is over ──► in grace ── grace is over ──► due ── expire ──► removed
//!                       ▲                         │                         │ ▲                   ▲
//!                       └────── learn, renew ─────┴─────────────────────────┤ │ two minutes       │
//!                                                                           │ │ are over          │
//!                                              expire, but a connection ────┘ │                   │
//!                                              uses the address: kept ────────┘                   │
//!  any state ── forget, or evicted ───────────────────────────────────────────────────────────────┘
//! ```
//!
//! - *learn* adds an entry, or extends it. An entry never ends earlier because of a later answer.
//! - *renew* only extends an entry that exists: for answers that still wait to be learned.
//! - *expire* removes due entries. It keeps those whose address is in use for two minutes more, again and again.
//! - *forget* removes entries in any state, for example of addresses that no name may open.
//! - An entry in any state is *evicted* when its endpoint or the whole cache is over a limit ([`NameLimits`]), the one
//!   that is due first before the others.

mod cache;
mod file;
mod limits;
mod owner;
mod room;
#[cfg(test)]
mod tests;

pub use cache::{CacheLine, CachedName, Change, KnownAddress, NameCache, NameLookup};
pub use file::DamagedNamesFile;
pub use limits::{EvictedAddresses, NameLimits};
