//! The configurable limits of DNS.

use crate::limits::limits;

limits! {
    /// Limits of DNS.
    Limits {
        queries: usize = "queries", Count, 1024, 1, 10_000_000,
            "DNS queries whose answers are due, of one connection, where further ones wait, or of one socket to one \
             server, where they are refused";
    }
}
