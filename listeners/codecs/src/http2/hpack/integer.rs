//! Integers with a prefix (RFC 7541 §5.1).

use super::Malformed;

/// Bytes behind the prefix. Four carry 28 bits, far more than any length or index we accept.
const CONTINUATIONS: usize = 4;

/// Reads the integer whose first `prefix` bits are the low bits of the first byte, and takes it from the input.
///
/// # Errors
/// The input ends within it, or it has more than [`CONTINUATIONS`] bytes behind the prefix.
pub(super) fn read(input: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let (&first, mut rest) = input.split_first().ok_or(Malformed::Truncated)?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            if shift == CONTINUATIONS * 7 {
                return Err(Malformed::Integer);
            }
            let (&byte, behind) = rest.split_first().ok_or(Malformed::Truncated)?;
            rest = behind;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
    }
    *input = rest;
    Ok(value)
}

/// Writes an integer behind the high bits `pattern` of its first byte.
pub(super) fn write(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let most = (1_usize << prefix) - 1;
    if value < most {
        return out.push(pattern | low(value));
    }
    out.push(pattern | low(most));
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(0x80 | low(rest & 0x7f));
        rest >>= 7;
    }
    out.push(low(rest));
}

/// The low eight bits.
fn low(value: usize) -> u8 {
    (value & 0xff) as u8
}
