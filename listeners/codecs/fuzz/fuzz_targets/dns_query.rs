//! Fuzzes DNS queries: hickory-proto must read every query that we accept in the same way.
#![no_main]

#[path = "../../tests/dns/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    oracle::query(message);
});
