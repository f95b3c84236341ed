//! Malformed blocks, each of which ends the connection.

use super::{Decoder, HpackError, Representation, read, shown};
use crate::http2::hpack::Malformed;

/// What the block is, its bytes, and what is wrong with it.
const BLOCKS: &[(&str, &[u8], Malformed)] = &[
    ("index zero", b"\x80", Malformed::Index),
    ("an index behind the static table", b"\xbe", Malformed::Index),
    ("an index behind the dynamic table", b"\x40\x01a\x01b\xbf", Malformed::Index),
    ("a name behind the static table", b"\x7e\x01b", Malformed::Index),
    ("a name behind the static table, not indexed", b"\x0f\x2f\x01b", Malformed::Index),
    ("a name behind the static table, never indexed", b"\x1f\x2f\x01b", Malformed::Index),
    ("an index that overflows 32 bits", b"\xff\xff\xff\xff\xff\x0f", Malformed::Integer),
    ("an index that overflows 64 bits", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x0f", Malformed::Integer),
    ("an index of many zeros", b"\xff\x80\x80\x80\x80\x00", Malformed::Integer),
    ("an index without its end", b"\xff\x80", Malformed::Truncated),
    ("an index without more", b"\xff", Malformed::Truncated),
    ("a literal without name", b"\x40", Malformed::Truncated),
    ("a literal without value", b"\x40\x01a", Malformed::Truncated),
    ("a literal of a known name without value", b"\x41", Malformed::Truncated),
    ("a name that is cut", b"\x40\x03ab", Malformed::Truncated),
    ("a value that is cut", b"\x40\x01a\x03bc", Malformed::Truncated),
    ("a Huffman value that is cut", b"\x40\x01a\x83\xff", Malformed::Truncated),
    ("a value whose length is cut", b"\x40\x01a\x7f", Malformed::Truncated),
    ("a value whose length overflows", b"\x40\x01a\x7f\xff\xff\xff\xff\x7f", Malformed::Integer),
    ("a value that is longer than memory", b"\x40\x01a\x7f\xff\xff\xff\x7f", Malformed::Truncated),
    ("eight bits of padding", b"\x40\x01a\x81\xff", Malformed::Padding),
    ("eight bits of padding behind a symbol", b"\x40\x01a\x82\xf8\xff", Malformed::Padding),
    ("padding of zeros", b"\x40\x01a\x81\x18", Malformed::Padding),
    ("padding with one zero", b"\x40\x01a\x81\x1e", Malformed::Padding),
    ("a symbol that is cut", b"\x40\x01a\x82\xff\xfe", Malformed::Padding),
    ("EOS", b"\x40\x01a\x84\xff\xff\xff\xff", Malformed::Eos),
    ("EOS within", b"\x40\x01a\x85\x1f\xff\xff\xff\xe3", Malformed::Eos),
    ("EOS in a name", b"\x00\x84\xff\xff\xff\xfc\x01a", Malformed::Eos),
    ("thirty bits of padding, one short of EOS", b"\x40\x01a\x83\xff\xff\xff", Malformed::Padding),
    ("a size update behind a field", b"\x82\x20", Malformed::LateSizeUpdate),
    ("a size update between fields", b"\x82\x3f\xe1\x01\x82", Malformed::LateSizeUpdate),
    ("a size update beyond what is allowed", b"\x3f\xe2\x1f\x82", Malformed::LargeSizeUpdate),
    ("a second size update beyond what is allowed", b"\x20\x3f\xe2\x1f\x82", Malformed::LargeSizeUpdate),
    ("a size update that overflows", b"\x3f\xff\xff\xff\xff\x0f", Malformed::Integer),
    ("a size update that is cut", b"\x3f", Malformed::Truncated),
];

#[test]
fn malformed_blocks_are_refused_by_their_kind() {
    for (what, block, kind) in BLOCKS {
        let refusal = read(&mut Decoder::new(), block).map(|list| shown(&list));
        assert_eq!(refusal, Err(HpackError::Compression(*kind)), "{what}");
    }
}

#[test]
fn blocks_next_to_malformed_ones_are_read() {
    let blocks: &[(&str, &[u8], usize)] = &[
        ("nothing", b"", 0),
        ("the last static index", b"\xbd", 1),
        ("the first dynamic index", b"\x40\x01a\x01b\xbe", 2),
        ("the first dynamic name", b"\x40\x01a\x01b\x7e\x01c", 2),
        ("an integer with zeros at its end", b"\x40\x01a\x01b\xbe\x1f\x80\x80\x80\x00\x01v", 3),
        ("an empty Huffman string", b"\x40\x01a\x80", 1),
        ("seven bits of padding", b"\x40\x01a\x83\x07\xfd\x7f", 1),
        ("three bits of padding", b"\x40\x01a\x81\x1f", 1),
        ("an empty name", b"\x00\x00\x00", 1),
        ("a size update alone", b"\x3f\xe1\x1f", 0),
        ("three size updates", b"\x20\x3f\x01\x3f\xe1\x1f\x82", 1),
    ];
    for (what, block, fields) in blocks {
        assert_eq!(read(&mut Decoder::new(), block).map(|list| list.len()), Ok(*fields), "{what}");
    }
}

#[test]
fn every_block_that_is_cut_within_a_field_is_refused() {
    let block =
        b"\x82\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\x10\x08password\x06secret\x0f\x10\x03abc";
    let ends = [0, 1, 15, 32, 38];
    assert_eq!(block.len(), 38);
    for end in 0..=block.len() {
        let outcome = read(&mut Decoder::new(), &block[..end]).map(|list| list.len());
        match ends.iter().position(|whole| *whole == end) {
            Some(fields) => assert_eq!(outcome, Ok(fields), "{end}"),
            None => assert_eq!(outcome, Err(Malformed::Truncated.into()), "{end}"),
        }
    }
}

#[test]
fn the_first_bits_tell_the_representation() {
    for first in 0..=u8::MAX {
        let representation = match first {
            0x01..=0x0e => Representation::WithoutIndexing,
            0x11..=0x1e => Representation::NeverIndexed,
            0x41..=0x7d => Representation::Incremental,
            0x81..=0xbd => Representation::Indexed,
            // A name, a longer index or a size follows: the other tests have them.
            _ => continue,
        };
        let block = if representation == Representation::Indexed { vec![first] } else { vec![first, 1, b'b'] };
        let list = read(&mut Decoder::new(), &block).unwrap();
        assert_eq!(list.iter().map(|field| field.representation).collect::<Vec<_>>(), [representation], "{first:#x}");
    }
}
