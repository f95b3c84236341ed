//! Fuzzes Kafka with arbitrary bytes from both sides in turns.
#![no_main]

#[path = "../../tests/kafka/outcome.rs"]
mod outcome;
#[path = "../../tests/playbook/mod.rs"]
mod playbook;

use libfuzzer_sys::fuzz_target;
use portcullis_codecs::relay::Side;

fuzz_target!(|input: (Vec<(bool, Vec<u8>)>, Vec<usize>, bool)| {
    let (turns, lengths, unseen) = input;
    let side = |client| if client { Side::Downstream } else { Side::Upstream };
    let parts: Vec<(Side, &[u8])> = turns.iter().map(|(client, bytes)| (side(*client), &bytes[..])).collect();
    outcome::check(&parts, &lengths, unseen);
    outcome::check_answers(&parts, &lengths, unseen);
});
