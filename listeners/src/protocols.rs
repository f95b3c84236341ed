//! The protocols of a data plane: the context for their relays, and the state that relays of one protocol share.

use std::net::SocketAddr;

use portcullis_codecs::{Context, Live, Registry, Shared, datagram::Session, relay::Relay};
use portcullis_rules::{limits::LimitValues, schema::Schema};

/// Those that have relays.
pub(crate) struct Protocols {
    entries: Vec<Entry>,
    limits: LimitValues,
}

struct Entry {
    name: &'static str,
    live: &'static Live,
    shared: Shared,
    /// Most bytes of one side that a relay holds back.
    held: usize,
}

impl Protocols {
    pub(crate) fn new(registry: Registry, limits: &LimitValues) -> Self {
        let entry = |(name, live): (&'static str, &'static Live)| {
            let (shared, held) = ((live.share)(), (live.held)(limits));
            Entry { name, live, shared, held }
        };
        let live = registry.iter().filter_map(|protocol| Some((protocol.schema.protocol, protocol.live.as_ref()?)));
        Self { entries: live.map(entry).collect(), limits: limits.clone() }
    }

    /// Policies name protocols that have relays; of another one there is none, and it cannot be judged.
    pub(crate) fn relay(&self, schema: &Schema, server: SocketAddr, now: u64) -> Option<Box<dyn Relay>> {
        let Entry { live, shared, .. } = self.entry(schema.protocol)?;
        Some((live.relay)(&Context { limits: &self.limits, shared, server, now }))
    }

    /// `None` also where the protocol has no datagrams.
    pub(crate) fn session(&self, schema: &Schema, server: SocketAddr, now: u64) -> Option<Box<dyn Session>> {
        let Entry { live, shared, .. } = self.entry(schema.protocol)?;
        Some((live.session?)(&Context { limits: &self.limits, shared, server, now }))
    }

    /// Most bytes of one side that a relay of a protocol holds back.
    pub(crate) fn held(&self, name: &str) -> usize {
        self.entry(name).map_or(0, |entry| entry.held)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}
