//! Integers and Huffman strings.

use super::HpackError;
use crate::http2::hpack::{Malformed, huffman, integer};

#[test]
fn integers_are_those_of_c_1() {
    for (value, prefix, expected) in [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])] {
        let mut out = Vec::new();
        integer::write(value, prefix, 0, &mut out);
        assert_eq!(out, expected);
        assert_eq!(integer::read(&mut &out[..], prefix), Ok(value));
    }
}

#[test]
fn integers_come_back_with_every_prefix_and_take_only_their_bytes() {
    for prefix in 1..=8 {
        let most = (1 << prefix) - 1;
        let edges = [0, 1, most - 1, most, most + 1, most + 127, most + 128, 1 << 14, 1 << 21, most + (1 << 28) - 1];
        for value in edges {
            let mut out = Vec::new();
            integer::write(value, prefix, 0, &mut out);
            out.push(0xaa);
            let mut input = &out[..];
            assert_eq!(integer::read(&mut input, prefix), Ok(value), "{prefix}");
            assert_eq!(input, [0xaa]);
        }
        let mut out = Vec::new();
        integer::write(most + (1 << 28), prefix, 0, &mut out);
        assert_eq!(integer::read(&mut &out[..], prefix), Err(Malformed::Integer), "{prefix}");
    }
}

fn decoded(encoded: &[u8]) -> Result<Vec<u8>, HpackError> {
    let mut out = Vec::new();
    huffman::decode(encoded, usize::MAX, &mut out).map(|()| out)
}

#[test]
fn every_symbol_comes_back_in_every_position_of_a_byte() {
    for symbol in 0..=u8::MAX {
        for before in 0..8 {
            // "1" has five bits, so this tries all positions.
            let string = [&vec![b'1'; before][..], &[symbol, symbol, b'a', symbol]].concat();
            let mut encoded = Vec::new();
            huffman::encode(&string, &mut encoded);
            assert_eq!(encoded.len(), huffman::encoded_len(&string));
            assert_eq!(decoded(&encoded), Ok(string));
        }
    }
}

#[test]
fn codes_are_those_of_appendix_b() {
    // One of each length, by the appendix.
    let codes: [(u8, u32, u32); 20] = [
        (b'0', 0x0, 5),
        (b' ', 0x14, 6),
        (b':', 0x5c, 7),
        (b'&', 0xf8, 8),
        (b'!', 0x3f8, 10),
        (b'\'', 0x7fa, 11),
        (b'#', 0xffa, 12),
        (b'$', 0x1ff9, 13),
        (b'^', 0x3ffc, 14),
        (b'<', 0x7ffc, 15),
        (b'\\', 0x7fff0, 19),
        (128, 0xfffe6, 20),
        (153, 0x1fffdc, 21),
        (129, 0x3fffd2, 22),
        (1, 0x7fffd8, 23),
        (9, 0xffffea, 24),
        (199, 0x1ffffec, 25),
        (192, 0x3ffffe0, 26),
        (203, 0x7ffffde, 27),
        (2, 0xfffffe2, 28),
    ];
    for (symbol, code, length) in codes {
        let mut encoded = Vec::new();
        huffman::encode(&[symbol], &mut encoded);
        let padded = !(!u64::from(code) << (64 - length));
        let bytes = padded.to_be_bytes();
        assert_eq!(encoded, bytes[..length.div_ceil(8) as usize], "{symbol}");
    }
    let mut encoded = Vec::new();
    huffman::encode(b"\r", &mut encoded);
    assert_eq!(encoded, [0xff, 0xff, 0xff, 0xf7], "30 bits");
}

#[test]
fn each_short_end_is_right_or_refused_as_a_bit_by_bit_reading_says() {
    // All ends of two bytes: what is left behind the last symbol has to be at most seven ones.
    for end in 0..=u16::MAX {
        let encoded = end.to_be_bytes();
        match decoded(&encoded) {
            Ok(string) => {
                let mut again = Vec::new();
                huffman::encode(&string, &mut again);
                assert_eq!(again, encoded, "one way to write it only");
            }
            Err(error) => assert_eq!(error, Malformed::Padding.into(), "{end:#x}"),
        }
    }
}

#[test]
fn a_string_may_be_as_long_as_its_bound() {
    let mut encoded = Vec::new();
    huffman::encode(b"aaaaaaaaaa", &mut encoded);
    for (most, expected) in [(10, Ok(())), (9, Err(HpackError::Bomb)), (0, Err(HpackError::Bomb))] {
        let mut out = b"kept".to_vec();
        assert_eq!(huffman::decode(&encoded, most, &mut out), expected);
        assert!(out.len() <= 4 + most && out.starts_with(b"kept"));
    }
}
