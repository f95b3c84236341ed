//! The configurable limits of DNS.

use crate::limits::limits;

limits! {
    /// Limits of DNS.
    Limits {
        queries: usize = "queries", Count, 1024, 1, 10_000_000,
            "open DNS queries of one TCP connection, where further ones wait, or from one UDP socket to one server, \
             where further ones are refused";
    }
}
