//! Any bytes as a query: what we take, hickory-proto reads alike.
#![no_main]

#[path = "../../tests/dns/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    oracle::query(message);
});
