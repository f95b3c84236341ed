//! What comes of any frames of HTTP/2, however their bytes are cut: the invariants that random tests and fuzzing share.

use std::collections::BTreeSet;

use portcullis_codecs::relay::Side;

use super::outcome::{Drive, Outcome, outcome};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Behind the SETTINGS of both sides.
pub(crate) const BEGIN: [(Side, &[u8]); 3] = [
    (Side::Downstream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    (Side::Upstream, b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0"),
    (Side::Downstream, b"\0\0\0\x04\x01\0\0\0\0"),
];

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Whole frames, as type, flags, stream; and how many bytes stand behind the last.
fn frames(mut bytes: &[u8]) -> (Vec<(u8, u8, u32)>, usize) {
    let mut found = Vec::new();
    while let Some([l0, l1, l2, kind, flags, stream @ ..]) = bytes.first_chunk::<9>() {
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        let Some(rest) = bytes.get(9 + length..) else { break };
        found.push((*kind, *flags, u32::from_be_bytes(*stream) & 0x7fff_ffff));
        bytes = rest;
    }
    (found, bytes.len())
}

/// Checks that the outcome is the same however the parts are cut, and what holds for every outcome.
pub(crate) fn check(parts: &[(Side, &[u8])], drive: Drive<'_>) {
    let parts = [&BEGIN, parts].concat();
    let whole = outcome(&parts, Drive { lengths: &[usize::MAX], unseen: false, ..drive });
    assert_eq!(whole, outcome(&parts, Drive { lengths: &[1], ..drive }), "byte by byte");
    assert_eq!(whole, outcome(&parts, drive), "in pieces");
    server_sees_what_was_allowed(&whole);
    let (to_client, _) = frames(&whole.to_client);
    assert!(to_client.iter().all(|(kind, ..)| *kind <= 0x9 && *kind != 0x5), "unknown frames or a push");
}

fn server_sees_what_was_allowed(whole: &Outcome) {
    let allowed = whole.judged.iter().filter(|line| !line.contains(" -> ")).count();
    let (to_server, _) = frames(whole.to_server.strip_prefix(PREFACE).expect("the preface"));
    assert_eq!(to_server.first().map(|(kind, ..)| *kind), Some(0x4), "SETTINGS come first");
    let mut opened = BTreeSet::new();
    let (mut last, mut block) = (0, false);
    for (kind, flags, stream) in to_server {
        assert_eq!(block, kind == 0x9, "CONTINUATION stands behind HEADERS, and nothing else does");
        match kind {
            0x0 => assert!(opened.contains(&stream), "DATA on a stream that was not allowed"),
            0x1 if opened.insert(stream) => {
                assert!(stream > last && stream % 2 == 1, "streams are opened in order");
                last = stream;
            }
            0x2 | 0x5 | 0xa.. => panic!("a frame of type {kind} reached the server"),
            0x3 => assert!(opened.contains(&stream), "a reset of a stream that the server does not know"),
            _ => {}
        }
        block = matches!(kind, 0x1 | 0x9) && flags & 0x4 == 0;
    }
    assert_eq!(opened.len(), allowed, "requests without a verdict, or the other way round");
    assert!(whole.answered.len() <= allowed, "more answers than requests");
}
