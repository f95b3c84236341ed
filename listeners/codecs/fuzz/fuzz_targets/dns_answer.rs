//! Any bytes as an answer: what it teaches, hickory-proto reads of it, and nothing else.
#![no_main]

#[path = "../../tests/dns/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    oracle::answer(message);
});
