//! Fuzzes HTTP/2 with frames of arbitrary content from both sides in turns.
#![no_main]

#[path = "../../tests/playbook/mod.rs"]
mod playbook;

use libfuzzer_sys::fuzz_target;
use playbook::{
    framed::{check, frame},
    outcome::Drive,
};
use portcullis_codecs::relay::{Decision, Side};

type Frame = (u8, u8, u8, Vec<u8>);

fuzz_target!(|input: (Vec<(bool, Vec<Frame>)>, Vec<usize>, bool)| {
    let (turns, mut lengths, respond) = input;
    lengths.push(7);
    let side = |client| if client { Side::Downstream } else { Side::Upstream };
    let bytes = |frames: &[Frame]| -> Vec<u8> {
        let one = |(kind, flags, stream, payload): &Frame| frame(kind % 11, *flags, u32::from(*stream) % 16, payload);
        frames.iter().flat_map(one).collect()
    };
    let turns: Vec<(Side, Vec<u8>)> = turns.iter().map(|(client, frames)| (side(*client), bytes(frames))).collect();
    let parts: Vec<(Side, &[u8])> = turns.iter().map(|(side, bytes)| (*side, &bytes[..])).collect();
    let decision = if respond { Decision::Respond } else { Decision::Reset };
    check(&parts, Drive { lengths: &lengths, decision, unseen: !respond });
});
