//! Fuzzes DNS answers: the addresses we read from arbitrary bytes must be exactly those that hickory-proto reads.
#![no_main]

#[path = "../../tests/dns/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    oracle::answer(message);
});
