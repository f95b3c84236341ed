//! The invariants for arbitrary HTTP/2 frames, split in any way. Random tests and fuzz targets share them.

use std::collections::{BTreeSet, VecDeque};

use portcullis_codecs::{
    http2::hpack::{Decoder, FieldList, HpackError, HpackLimits},
    relay::Side,
};

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

/// A whole frame: type, flags, stream, payload.
type Frame<'a> = (u8, u8, u32, &'a [u8]);

/// Whole frames; and how many bytes stand behind the last.
fn frames(mut bytes: &[u8]) -> (Vec<Frame<'_>>, usize) {
    let mut found = Vec::new();
    while let Some([l0, l1, l2, kind, flags, stream @ ..]) = bytes.first_chunk::<9>() {
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        let Some(payload) = bytes.get(9..9 + length) else { break };
        found.push((*kind, *flags, u32::from_be_bytes(*stream) & 0x7fff_ffff, payload));
        bytes = &bytes[9 + length..];
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
    client_can_read_every_block(&parts, &whole);
    let (to_client, _) = frames(&whole.to_client);
    assert!(to_client.iter().all(|(kind, ..)| *kind <= 0x9 && *kind != 0x5), "unknown frames or a push");
}

fn server_sees_what_was_allowed(whole: &Outcome) {
    let allowed = whole.judged.iter().filter(|line| !line.contains(" -> ")).count();
    let (to_server, _) = frames(whole.to_server.strip_prefix(PREFACE).expect("the preface"));
    assert_eq!(to_server.first().map(|(kind, ..)| *kind), Some(0x4), "SETTINGS come first");
    let mut opened = BTreeSet::new();
    let (mut last, mut block) = (0, false);
    for (kind, flags, stream, _) in to_server {
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

/// Header blocks pass as they came, are written anew, and are our own: the client's table has to follow all the same.
fn client_can_read_every_block(parts: &[(Side, &[u8])], whole: &Outcome) {
    let sent: Vec<u8> =
        parts.iter().filter(|(from, _)| *from == Side::Downstream).flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let mut sizes = table_sizes(sent.strip_prefix(PREFACE).expect("the preface"));
    let limits = HpackLimits { list_size: usize::MAX, fields: usize::MAX, work: HpackLimits::MOST_WORK };
    let (mut client, mut list) = (Decoder::with_late_updates(), FieldList::default());
    let mut block = Vec::new();
    for (kind, flags, _, payload) in frames(&whole.to_client).0 {
        match kind {
            0x4 if flags & 0x1 != 0 => client.allow_table_size(sizes.pop_front().expect("SETTINGS of the client")),
            0x1 => block = fragment(flags, payload).to_vec(),
            0x9 => block.extend_from_slice(payload),
            _ => {}
        }
        if matches!(kind, 0x1 | 0x9) && flags & 0x4 != 0 {
            let read = client.decode(&block, &limits, &mut list);
            assert!(!matches!(read, Err(HpackError::Compression(_))), "{read:?}: {}", block.escape_ascii());
        }
    }
}

/// The size of the table that each SETTINGS frame of the client leaves it with.
fn table_sizes(sent: &[u8]) -> VecDeque<usize> {
    let mut size = 4096;
    let of = |(kind, flags, _, payload): &Frame<'_>| {
        let settings = if *kind == 0x4 && flags & 0x1 == 0 { Some(payload.chunks_exact(6)) } else { None };
        settings.map(|mut settings| {
            let said = settings.rfind(|setting| setting[..2] == [0, 1]);
            size = said.map_or(size, |said| u32::from_be_bytes([said[2], said[3], said[4], said[5]]) as usize);
            size
        })
    };
    frames(sent).0.iter().filter_map(of).collect()
}

/// HEADERS without padding and priority.
fn fragment(flags: u8, payload: &[u8]) -> &[u8] {
    let padded = usize::from(flags & 0x8 != 0);
    let padding = if padded == 1 { usize::from(payload[0]) } else { 0 };
    let priority = if flags & 0x20 == 0 { 0 } else { 5 };
    &payload[padded + priority..payload.len() - padding]
}
