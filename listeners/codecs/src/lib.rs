//! The protocol codecs: how each protocol is read, judged and relayed. Sans-I/O: bytes come in, steps come out; no
//! clock, no sockets.
//!
//! A new protocol is one folder here and one entry in [`PROTOCOLS`]. `CONTRIBUTING.md` lists its files and tests.

pub mod datagram;
pub mod dns;
pub mod fact;
pub mod http;
pub mod http1;
pub mod http2;
pub mod kafka;
mod limits;
pub mod order;
pub mod protocol;
pub mod question;
pub mod relay;
pub mod resolution;
pub mod tls;
pub mod violation;

pub use protocol::{Kinds, Live, Protocol, ProtocolContext, ProtocolShared, Registry, ShownFields, Statuses};

/// All protocols.
pub static PROTOCOLS: Registry = Registry::new(&[&http::PROTOCOL, &dns::PROTOCOL, &tls::PROTOCOL, &kafka::PROTOCOL]);
