//! Fuzzes the client's HTTP bytes in front of models of lenient servers, each with its own way to read them. No server
//! may execute a request that was not allowed.
#![no_main]

#[path = "../../tests/playbook/mod.rs"]
mod playbook;

use libfuzzer_sys::fuzz_target;
use playbook::lenient::check;
use portcullis_codecs::relay::Decision;

fuzz_target!(|input: (Vec<Vec<u8>>, bool)| {
    let (pieces, respond) = input;
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).filter(|piece| !piece.is_empty()).collect();
    check(&pieces, if respond { Decision::Respond } else { Decision::Reset });
});
