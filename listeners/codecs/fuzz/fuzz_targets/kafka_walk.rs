//! Fuzzes Kafka requests: kafka-protocol must read every request that we accept, with the same names.
#![no_main]

#[path = "../../tests/kafka/names.rs"]
mod names;
#[path = "../../tests/kafka/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    oracle::agrees(message);
});
