//! Fuzzes HTTP/2 with arbitrary bytes from the server, in response to each kind of request: HEAD, a request whose body
//! is still open, and CONNECT.
#![no_main]

#[path = "../../tests/playbook/mod.rs"]
mod playbook;

use libfuzzer_sys::fuzz_target;
use playbook::{
    framed::{check, frame},
    outcome::Drive,
};
use portcullis_codecs::relay::{Decision, Side};

fuzz_target!(|input: (Vec<usize>, bool, &[u8])| {
    let (mut lengths, unseen, bytes) = input;
    lengths.push(7);
    let asked = [
        frame(0x1, 0x5, 1, b"\x02\x04HEAD\x86\x84\x01\x01h"),
        frame(0x1, 0x4, 3, b"\x83\x86\x84\x01\x01h"),
        frame(0x1, 0x4, 5, b"\x02\x07CONNECT\x01\x03h:1"),
    ];
    let parts = [(Side::Downstream, &asked.concat()[..]), (Side::Upstream, bytes)];
    check(&parts, Drive { lengths: &lengths, decision: Decision::Reset, unseen });
});
