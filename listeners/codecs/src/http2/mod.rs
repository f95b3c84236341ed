//! HTTP/2 (RFC 9113): what its relay is built of.

pub mod hpack;
