//! What one protocol is to everybody else: everything that is not in its folder reads it here.

use portcullis_rules::schema::Schema;

use crate::{
    datagram::NewSession,
    relay::{Limits, Relay},
};

/// A protocol that policies can name. Its folder has one, and [`crate::PROTOCOLS`] one line for it.
pub struct Protocol {
    /// What it publishes to the rules.
    pub schema: &'static Schema,
    /// How it is relayed. `None`: policies that name it are read where nothing is relayed, and no node takes them.
    pub live: Option<Live>,
}

/// What makes the relays of a protocol.
pub struct Live {
    /// Makes the relay of one connection pair.
    pub relay: fn(&Limits) -> Box<dyn Relay>,
    /// Makes the state of one flow of datagrams, if the protocol has any.
    pub session: Option<NewSession>,
}

/// The protocols that a process knows: [`crate::PROTOCOLS`], unless a test adds one.
#[derive(Clone, Copy)]
pub struct Registry(&'static [&'static Protocol]);

impl Registry {
    /// Those of a list.
    #[must_use]
    pub const fn new(protocols: &'static [&'static Protocol]) -> Self {
        Self(protocols)
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = &'static Protocol> {
        self.0.iter().copied()
    }

    /// Finds a protocol by the name of its schema.
    #[must_use]
    pub fn find(self, name: &str) -> Option<&'static Protocol> {
        self.iter().find(|protocol| protocol.schema.protocol == name)
    }

    /// What all protocols publish. Policies are read with these where nothing is relayed.
    #[must_use]
    pub fn schemas(self) -> Vec<&'static Schema> {
        self.iter().map(|protocol| protocol.schema).collect()
    }

    /// What those publish that have a relay. A node reads policies with these.
    #[must_use]
    pub fn live_schemas(self) -> Vec<&'static Schema> {
        self.iter().filter(|protocol| protocol.live.is_some()).map(|protocol| protocol.schema).collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|protocol| protocol.schema.protocol)).finish()
    }
}
