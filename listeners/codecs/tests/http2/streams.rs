//! Random frames from both sides: nothing that was not allowed reaches the server, and the splits of the bytes make no
//! difference.

use portcullis_codecs::relay::{Decision, Side};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    frames::{DENIED, GET, OK, POST, block, settings},
    playbook::{
        framed::{check, frame},
        outcome::Drive,
    },
};

fn any_block() -> impl Strategy<Value = Vec<u8>> {
    let malformed = [GET[0], GET[1], GET[2], GET[3], ("Upper", "x")];
    let long = [GET[0], GET[1], GET[2], GET[3], ("content-length", "5")];
    let blocks = [
        block(&GET),
        block(&POST),
        block(&DENIED),
        block(&OK),
        block(&[("x-sum", "1")]),
        block(&malformed),
        block(&long),
    ];
    // A field that enters the table, and one that is found there.
    let table = [b"\x40\x01a\x01b".to_vec(), b"\xbe".to_vec(), Vec::new(), b"\x3f\x00".to_vec()];
    (select(blocks.to_vec()), select(table.to_vec())).prop_map(|(block, table)| [block, table].concat())
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let stream = || prop_oneof![8 => select(&[1_u32, 3, 5, 7, 9, 11][..]), 1 => select(&[0_u32, 2, 4, 101][..])];
    let flags = || select(&[0_u8, 0x1, 0x4, 0x5, 0x8, 0xc, 0x20, 0x25][..]);
    prop_oneof![
        6 => (any_block(), select(&[0x4_u8, 0x5, 0x0, 0x1][..]), stream())
            .prop_map(|(block, flags, stream)| frame(0x1, flags, stream, &block)),
        4 => (vec(any::<u8>(), 0..20), flags(), stream()).prop_map(|(data, flags, stream)| frame(0x0, flags, stream, &data)),
        1 => (any_block(), flags(), stream()).prop_map(|(block, flags, stream)| frame(0x9, flags, stream, &block)),
        1 => (0_u32..14, stream()).prop_map(|(code, stream)| frame(0x3, 0, stream, &code.to_be_bytes())),
        1 => (select(&[0x1_u16, 0x2, 0x4, 0x5, 0x99][..]), select(&[0_u32, 1, 100, 20_000, u32::MAX][..]))
            .prop_map(|(id, value)| settings(&[(id, value)])),
        1 => Just(frame(0x4, 0x1, 0, b"")),
        1 => select(&[0_u8, 1][..]).prop_map(|flags| frame(0x6, flags, 0, b"12345678")),
        1 => (0_u32..3, stream()).prop_map(|(by, stream)| frame(0x8, 0, stream, &by.to_be_bytes())),
        1 => stream().prop_map(|last| frame(0x7, 0, 0, &[&last.to_be_bytes()[..], &[0; 4], b"text"].concat())),
        1 => (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..10)).prop_map(|(kind, flags, bytes)| frame(kind, flags, 1, &bytes)),
    ]
}

/// Mostly whole frames, cut off now and then.
fn any_part() -> impl Strategy<Value = Vec<u8>> {
    (vec(any_frame(), 1..6), option_of_cut()).prop_map(|(frames, cut)| {
        let mut bytes = frames.concat();
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        bytes
    })
}

fn option_of_cut() -> impl Strategy<Value = usize> {
    prop_oneof![9 => Just(0_usize), 1 => 1_usize..12]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_frames_come_to_the_same_however_they_are_cut(
        turns in vec((prop::bool::weighted(0.65), any_part()), 1..8),
        mut lengths in vec(1_usize..40, 1..5), respond in any::<bool>(), unseen in any::<bool>(),
    ) {
        lengths.push(3);
        let side = |client| if client { Side::Downstream } else { Side::Upstream };
        let parts: Vec<(Side, &[u8])> = turns.iter().map(|(client, bytes)| (side(*client), &bytes[..])).collect();
        let decision = if respond { Decision::Respond } else { Decision::Reset };
        check(&parts, Drive { lengths: &lengths, decision, unseen });
    }
}
