//! The protocols of a data plane: what their relays are made with, and what these share.

use portcullis_codecs::{Context, Live, Registry, Shared, datagram::Session, relay::Relay};
use portcullis_rules::{limits::LimitValues, schema::Schema};

/// Those that have relays.
pub(crate) struct Protocols {
    entries: Vec<Entry>,
    limits: LimitValues,
    /// Most bytes of one side that a relay holds back.
    pub(crate) held: usize,
}

struct Entry {
    name: &'static str,
    live: &'static Live,
    shared: Shared,
}

impl Protocols {
    pub(crate) fn new(registry: Registry, limits: &LimitValues) -> Self {
        let entry = |(name, live): (&'static str, &'static Live)| Entry { name, live, shared: (live.share)() };
        let live = registry.iter().filter_map(|protocol| Some((protocol.schema.protocol, protocol.live.as_ref()?)));
        let entries: Vec<Entry> = live.map(entry).collect();
        let held = entries.iter().map(|entry| (entry.live.held)(limits)).max().unwrap_or(0);
        Self { entries, limits: limits.clone(), held }
    }

    /// Policies name protocols that have relays; of another one there is none, and it cannot be judged.
    pub(crate) fn relay(&self, schema: &Schema, now: u64) -> Option<Box<dyn Relay>> {
        let Entry { live, shared, .. } = self.entry(schema)?;
        Some((live.relay)(&Context { limits: &self.limits, shared, now }))
    }

    /// `None` also where the protocol has no datagrams.
    pub(crate) fn session(&self, schema: &Schema, now: u64) -> Option<Box<dyn Session>> {
        let Entry { live, shared, .. } = self.entry(schema)?;
        Some((live.session?)(&Context { limits: &self.limits, shared, now }))
    }

    fn entry(&self, schema: &Schema) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == schema.protocol)
    }
}
