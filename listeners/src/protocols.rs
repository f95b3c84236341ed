//! The protocols of a data plane: the context for their relays, and the state that relays of one protocol share.

use std::net::SocketAddr;

use portcullis_codecs::{Live, ProtocolContext, ProtocolShared, Registry, datagram::DatagramSession, relay::Relay};
use portcullis_rules::{limits::LimitValues, schema::Schema};

/// Those that have relays.
pub(crate) struct LiveProtocols {
    entries: Vec<ProtocolEntry>,
}

struct ProtocolEntry {
    name: &'static str,
    live: &'static Live,
    shared: ProtocolShared,
}

impl LiveProtocols {
    pub(crate) fn new(registry: Registry) -> Self {
        let entry = |(name, live): (&'static str, &'static Live)| ProtocolEntry { name, live, shared: (live.share)() };
        let live = registry.iter().filter_map(|protocol| Some((protocol.schema.protocol, protocol.live.as_ref()?)));
        Self { entries: live.map(entry).collect() }
    }

    /// Policies name protocols that have relays; of another one there is none, and it cannot be judged.
    pub(crate) fn relay(
        &self,
        schema: &Schema,
        limits: &LimitValues,
        server: SocketAddr,
        now: u64,
    ) -> Option<Box<dyn Relay>> {
        let ProtocolEntry { live, shared, .. } = self.entry(schema)?;
        Some((live.relay)(&ProtocolContext { limits, shared, server, now }))
    }

    /// `None` also where the protocol has no datagrams.
    pub(crate) fn session(
        &self,
        schema: &Schema,
        limits: &LimitValues,
        server: SocketAddr,
        now: u64,
    ) -> Option<Box<dyn DatagramSession>> {
        let ProtocolEntry { live, shared, .. } = self.entry(schema)?;
        Some((live.session?)(&ProtocolContext { limits, shared, server, now }))
    }

    /// Most bytes of one side that a relay of a protocol holds back.
    pub(crate) fn held(&self, schema: &Schema, limits: &LimitValues) -> usize {
        self.entry(schema).map_or(0, |entry| (entry.live.held)(limits))
    }

    fn entry(&self, schema: &Schema) -> Option<&ProtocolEntry> {
        self.entries.iter().find(|entry| entry.name == schema.protocol)
    }
}
