//! How each protocol is read, judged and relayed. Sans-I/O: bytes come in, steps come out; no clock, no sockets.
//!
//! A new protocol is one folder here and one line in [`REGISTRY`].

pub mod datagram;
pub mod dns;
pub mod http;
pub mod http1;
pub mod http2;
pub mod kafka;
pub mod lesson;
pub mod offence;
pub mod relay;
pub mod tls;

use portcullis_rules::schema::Schema;

use crate::{
    datagram::NewSession,
    relay::{Limits, Relay},
};

/// A protocol that policies can name.
pub struct Protocol {
    /// What it publishes to the rules.
    pub schema: &'static Schema,
    /// Makes the relay of one connection pair.
    pub relay: fn(&Limits) -> Box<dyn Relay>,
    /// Makes the state of one flow of datagrams, if the protocol has any.
    pub session: Option<NewSession>,
}

/// All protocols.
pub static REGISTRY: &[Protocol] = &[
    Protocol { schema: &http::SCHEMA, relay: http::relay, session: None },
    Protocol { schema: &dns::SCHEMA, relay: dns::relay, session: Some(dns::session) },
];

/// What every protocol publishes that policies may name, those without a relay included. Policies are read with all of
/// them where nothing is relayed.
pub static SCHEMAS: &[&Schema] = &[&http::SCHEMA, &kafka::SCHEMA, &tls::SCHEMA, &dns::SCHEMA];

/// Finds a protocol by the name of its schema.
#[must_use]
pub fn protocol(name: &str) -> Option<&'static Protocol> {
    REGISTRY.iter().find(|protocol| protocol.schema.protocol == name)
}
