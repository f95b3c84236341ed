//! Fuzzes HTTP with arbitrary bytes from the client and the server in turns.
#![no_main]

#[path = "../../tests/playbook/mod.rs"]
mod playbook;

use libfuzzer_sys::fuzz_target;
use playbook::outcome::{Drive, check};
use portcullis_codecs::relay::{Decision, Side};

fuzz_target!(|input: (Vec<(bool, Vec<u8>)>, Vec<usize>, bool)| {
    let (turns, mut lengths, respond) = input;
    lengths.push(7);
    let side = |client| if client { Side::Downstream } else { Side::Upstream };
    let parts: Vec<(Side, &[u8])> = turns.iter().map(|(client, bytes)| (side(*client), &bytes[..])).collect();
    let decision = if respond { Decision::Respond } else { Decision::Reset };
    check(&parts, Drive { lengths: &lengths, decision, unseen: !respond });
});
