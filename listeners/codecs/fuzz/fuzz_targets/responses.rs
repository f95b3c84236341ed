//! Fuzzes HTTP/1 with arbitrary bytes from the server, in response to each kind of request.
#![no_main]

#[path = "../../tests/playbook/mod.rs"]
mod playbook;

use libfuzzer_sys::fuzz_target;
use playbook::outcome::{Drive, check};
use portcullis_codecs::relay::{Decision, Side};

const ASKED: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
];

fuzz_target!(|input: (u8, Vec<usize>, &[u8])| {
    let (which, mut lengths, bytes) = input;
    lengths.push(7);
    let asked = ASKED[usize::from(which) % ASKED.len()];
    let drive = Drive { lengths: &lengths, decision: Decision::Reset, unseen: which > 127 };
    check(&[(Side::Downstream, asked), (Side::Upstream, bytes)], drive);
});
