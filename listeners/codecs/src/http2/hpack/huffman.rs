//! The Huffman code of strings (RFC 7541 §5.2 and appendix B).

use super::{HpackError, Malformed};

/// Bits of the code of each symbol, in order; the last is EOS. The code is canonical (RFC 7541 appendix B): with codes
/// of one length in the order of their symbols, the lengths say it all.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The symbol that ends the code and must not occur in a string.
const EOS: usize = 256;
/// Bits of the shortest code.
const SHORTEST: usize = 5;
/// Bits of the longest code.
const LONGEST: usize = 30;
/// Codes of up to this many bits are looked up at once.
const AT_ONCE: usize = 8;

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first of them.
    first: u32,
    /// The code behind the last, followed by zero bits up to 32.
    end: u64,
    /// Where their symbols begin in [`HuffmanCode::symbols`].
    symbols: usize,
}

/// The code, made from [`LENGTHS`].
struct HuffmanCode {
    /// The code of each symbol.
    codes: [u32; 257],
    /// The codes of each length.
    rows: [Row; LONGEST + 1],
    /// Symbols in the order of their codes.
    symbols: [u16; 257],
    /// By the next [`AT_ONCE`] bits: the length of the code (0: longer) and its symbol.
    at_once: [(u8, u8); 1 << AT_ONCE],
}

static CODE: HuffmanCode = HuffmanCode::new();

impl HuffmanCode {
    const fn new() -> Self {
        let mut code = Self {
            codes: [0; 257],
            rows: [Row { first: 0, end: 0, symbols: 0 }; LONGEST + 1],
            symbols: [0; 257],
            at_once: [(0, 0); 1 << AT_ONCE],
        };
        let (mut next, mut known, mut length) = (0_u32, 0, 1);
        while length <= LONGEST {
            next <<= 1;
            (code.rows[length].first, code.rows[length].symbols) = (next, known);
            let mut symbol = 0;
            while symbol <= EOS {
                if LENGTHS[symbol] as usize == length {
                    code.codes[symbol] = next;
                    code.symbols[known] = symbol as u16;
                    code.note_short(symbol, length);
                    next += 1;
                    known += 1;
                }
                symbol += 1;
            }
            code.rows[length].end = (next as u64) << (32 - length);
            length += 1;
        }
        code
    }

    /// Fills what begins with a short code.
    const fn note_short(&mut self, symbol: usize, length: usize) {
        if length <= AT_ONCE {
            let free = AT_ONCE - length;
            let (mut bits, end) = (self.codes[symbol] << free, (self.codes[symbol] + 1) << free);
            while bits < end {
                self.at_once[bits as usize] = (length as u8, symbol as u8);
                bits += 1;
            }
        }
    }

    /// The length and symbol of the code that begins with these 32 bits, if it is longer than [`AT_ONCE`].
    fn long(&self, bits: u32) -> (u32, usize) {
        let begins = |row: &&Row| u64::from(bits) < row.end;
        let short = AT_ONCE + 1;
        let length = short + self.rows[short..LONGEST].iter().take_while(|row| !begins(row)).count();
        let row = &self.rows[length];
        let place = (bits >> (32 - length)) - row.first;
        (length as u32, usize::from(self.symbols[row.symbols + place as usize]))
    }
}

/// Appends the string that `input` encodes, of at most `most` bytes.
///
/// # Errors
/// The string holds EOS, or ends with other than at most seven bits of EOS (RFC 7541 §5.2); or it is longer.
pub(super) fn decode(mut input: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), HpackError> {
    let end = out.len().saturating_add(most);
    out.reserve((input.len() * 8 / SHORTEST).min(most));
    // The coming bits stand highest; below `count` of them all are ones, which is how a string is padded.
    let (mut bits, mut count) = (u64::MAX, 0_u32);
    loop {
        if count <= 32 {
            if let Some((four, rest)) = input.split_first_chunk::<4>() {
                bits &= !(u64::from(!u32::from_be_bytes(*four)) << (32 - count));
                count += 32;
                input = rest;
            } else {
                while let Some((byte, rest)) = input.split_first() {
                    bits &= !(u64::from(!byte) << (56 - count));
                    count += 8;
                    input = rest;
                }
            }
        }
        let (short, symbol) = CODE.at_once[(bits >> (64 - AT_ONCE)) as usize];
        let (length, symbol) = match short {
            0 => CODE.long((bits >> 32) as u32),
            short => (u32::from(short), usize::from(symbol)),
        };
        if length > count {
            let padded = count < 8 && bits == u64::MAX;
            return if padded { Ok(()) } else { Err(Malformed::Padding.into()) };
        }
        if symbol == EOS {
            return Err(Malformed::Eos.into());
        }
        if out.len() == end {
            return Err(HpackError::Bomb);
        }
        out.push((symbol & 0xff) as u8);
        bits = !(!bits << length);
        count -= length;
    }
}

/// How many bytes a string takes when encoded.
pub(super) fn encoded_len(string: &[u8]) -> usize {
    let bits: usize = string.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the encoded string.
pub(super) fn encode(string: &[u8], out: &mut Vec<u8>) {
    // The bits that are not written yet stand lowest; never more than 31 of them before a symbol.
    let (mut bits, mut count) = (0_u64, 0_u32);
    for byte in string {
        let symbol = usize::from(*byte);
        let length = u32::from(LENGTHS[symbol]);
        bits = bits << length | u64::from(CODE.codes[symbol]);
        count += length;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    if count > 0 {
        // Padded with the bits of EOS, which are ones.
        let padded = !(!bits << (64 - count));
        out.extend_from_slice(&padded.to_be_bytes()[..count.div_ceil(8) as usize]);
    }
}

/// Appends a string literal (RFC 7541 §5.2), as it is or encoded, whichever is shorter.
pub(super) fn write_string(string: &[u8], out: &mut Vec<u8>) {
    let encoded = encoded_len(string);
    if encoded < string.len() {
        super::integer::write(encoded, 7, 0x80, out);
        encode(string, out);
    } else {
        super::integer::write(string.len(), 7, 0x00, out);
        out.extend_from_slice(string);
    }
}
