//! The representations that the encoder chooses, and its changes of the table size.

use super::{Decoder, Encoder, HeaderField, Representation, field, incremental, read, shown, written};
use crate::http2::hpack::static_table;

const KINDS: [Representation; 4] = [
    Representation::Indexed,
    Representation::Incremental,
    Representation::WithoutIndexing,
    Representation::NeverIndexed,
];

#[test]
fn a_field_keeps_the_representation_it_came_with() {
    // The first time, then the second time.
    let cases = [
        (Representation::Indexed, Representation::Incremental, Representation::Indexed),
        (Representation::Incremental, Representation::Incremental, Representation::Indexed),
        (Representation::WithoutIndexing, Representation::WithoutIndexing, Representation::WithoutIndexing),
        (Representation::NeverIndexed, Representation::NeverIndexed, Representation::NeverIndexed),
    ];
    for (came, first, second) in cases {
        for name in ["authorization", "x-token"] {
            let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new());
            for expected in [first, second] {
                let block = written(&mut encoder, &[field(name, "secret", came)]);
                let list = read(&mut decoder, &block).unwrap();
                assert_eq!(shown(&list), [(name.to_owned(), "secret".to_owned(), expected)]);
            }
        }
    }
}

#[test]
fn a_secret_is_never_indexed_although_the_same_pair_is_in_a_table() {
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new());
    for name in ["x-token", ":method"] {
        let fields = [incremental(name, "GET"), field(name, "GET", Representation::NeverIndexed)];
        let list = read(&mut decoder, &written(&mut encoder, &fields)).unwrap();
        assert!(list.get(1).unwrap().never_indexed());
    }
}

#[test]
fn a_name_is_taken_from_either_table() {
    let mut encoder = Encoder::new(4096);
    written(&mut encoder, &[incremental("x-name", "1")]);
    for (kind, first) in KINDS.into_iter().zip([0x7e, 0x7e, 0x0f, 0x1f]) {
        let block = written(&mut encoder, &[field("x-name", "2", kind)]);
        assert_eq!(block[0], if kind == Representation::Incremental { 0xbe } else { first }, "{kind:?}");
    }
    assert_eq!(written(&mut encoder, &[field("cookie", "~", Representation::WithoutIndexing)]), b"\x0f\x11\x01~");
}

#[test]
fn every_static_entry_is_one_byte() {
    for index in 1..=static_table::LEN {
        let (name, value) = static_table::get(index).unwrap();
        let block = {
            let mut out = Vec::new();
            Encoder::new(0)
                .encode([HeaderField { name, value, representation: Representation::Incremental }], &mut out);
            out.split_off(1)
        };
        assert_eq!(block, [0x80 | u8::try_from(index).unwrap()]);
        let first = static_table::name(name).unwrap();
        assert_eq!(static_table::field(first, value), Some(index));
        assert!(static_table::may_have(name, value));
        assert!(first <= index && static_table::get(first).unwrap().0 == name);
        assert!(first == 1 || static_table::get(first - 1).unwrap().0 != name);
    }
    for name in ["", "x", ":methods", "method", "accepts", "www-authenticatf", "\u{e9}", ":Method"] {
        assert_eq!(static_table::name(name.as_bytes()), None, "{name}");
    }
    assert_eq!(static_table::get(0), None);
    assert_eq!(static_table::get(62), None);
}

#[test]
fn what_is_larger_than_the_table_does_not_empty_it() {
    let mut encoder = Encoder::new(4096);
    let large = "x".repeat(4096);
    let block = written(&mut encoder, &[incremental("a", "1"), incremental("b", &large), incremental("a", "1")]);
    assert_eq!(block.last(), Some(&0xbe));
    assert_eq!(encoder.table().len(), 1);
    assert_eq!(read(&mut Decoder::new(), &block).unwrap().get(1).unwrap().representation, KINDS[2]);
}

#[test]
fn the_size_of_the_table_is_told_at_the_next_block() {
    let cases: &[(usize, &[usize], &[u8])] = &[
        (4096, &[], b""),
        (4096, &[4096], b""),
        (4096, &[65536], b""),
        (65536, &[65536], b"\x3f\xe1\xff\x03"),
        (1 << 30, &[1 << 30], b"\x3f\xe1\xff\x03"),
        (65536, &[65536, 4096], b""),
        (4096, &[0], b"\x20"),
        (4096, &[0, 4096], b"\x20\x3f\xe1\x1f"),
        (4096, &[100, 0, 200, 100], b"\x20\x3f\x45"),
        (4096, &[100, 200], b"\x3f\x45\x3f\xa9\x01"),
        (4096, &[200, 100], b"\x3f\x45"),
        (0, &[], b"\x20"),
        (100, &[], b"\x3f\x45"),
        (100, &[65536], b"\x3f\x45"),
        (100, &[50, 65536], b"\x3f\x13\x3f\x45"),
    ];
    for (cap, allowed, expected) in cases {
        let mut encoder = Encoder::new(*cap);
        let mut decoder = Decoder::new();
        for size in *allowed {
            encoder.allow_table_size(*size);
            decoder.allow_table_size(*size);
        }
        let block = written(&mut encoder, &[incremental(":method", "GET")]);
        assert_eq!(block, [expected, &b"\x82"[..]].concat(), "{cap} {allowed:?}");
        read(&mut decoder, &block).unwrap();
        assert_eq!(decoder.table().max_size(), encoder.table().max_size(), "{cap} {allowed:?}");
        assert_eq!(written(&mut encoder, &[incremental(":method", "GET")]), b"\x82", "told once");
    }
}

#[test]
fn what_is_in_the_table_is_found_however_full_it_is() {
    for size in [4096, 65536] {
        let (mut encoder, mut decoder) = (Encoder::new(size), Decoder::new());
        encoder.allow_table_size(size);
        decoder.allow_table_size(size);
        let names: Vec<String> = (0..size / 40).map(|number| format!("{number:0>6}")).collect();
        let fields: Vec<_> = names.iter().map(|name| incremental(name, "v")).collect();
        read(&mut decoder, &written(&mut encoder, &fields)).unwrap();
        assert_eq!(encoder.table().len(), fields.len());
        let list = read(&mut decoder, &written(&mut encoder, &fields)).unwrap();
        let found = list.iter().filter(|field| field.representation == Representation::Indexed).count();
        assert!(found * 100 >= fields.len() * 97, "{size}: {found} of {}", fields.len());
    }
}
