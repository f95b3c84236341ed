//! Fuzzes HTTP/1 with arbitrary bytes from the client.
#![no_main]

#[path = "../../tests/playbook/mod.rs"]
mod playbook;

use libfuzzer_sys::fuzz_target;
use playbook::outcome::{Drive, check};
use portcullis_codecs::relay::{Decision, Side};

fuzz_target!(|input: (Vec<usize>, bool, &[u8])| {
    let (mut lengths, respond, bytes) = input;
    lengths.push(7);
    let decision = if respond { Decision::Respond } else { Decision::Reset };
    check(&[(Side::Downstream, bytes)], Drive { lengths: &lengths, decision, unseen: respond });
});
