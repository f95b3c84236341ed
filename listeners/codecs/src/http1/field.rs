//! Header lines, read strictly in one pass (RFC 9112 §5).

use super::violation::Violation;

/// One header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Name, as it stands.
    pub(super) name: &'a [u8],
    /// Value without the white space around it.
    pub(super) value: &'a [u8],
}

impl Line<'_> {
    /// Whether this is the field of a lower-case name.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// What the rest of a header section begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A header line, and its length with its CRLF.
    Line(Line<'a>, usize),
    /// The empty line.
    End,
    /// Neither is there as a whole.
    Incomplete,
}

/// Reads one header line.
pub(super) fn read(input: &[u8]) -> Result<Piece<'_>, Violation> {
    let Some(colon) = input.iter().position(|byte| !TOKEN[usize::from(*byte)]) else { return Ok(Piece::Incomplete) };
    let (name, rest) = input.split_at(colon);
    if rest[0] != b':' || name.is_empty() {
        return no_name(name, rest);
    }
    let after = &rest[1..];
    let Some(end) = control(after) else { return Ok(Piece::Incomplete) };
    match after[end..] {
        [b'\r', b'\n', ..] => {
            let line = Line { name, value: trim(&after[..end]) };
            Ok(Piece::Line(line, colon + 1 + end + 2))
        }
        [b'\r'] => Ok(Piece::Incomplete),
        [b'\r', ..] => Err(Violation::BareCr),
        [b'\n', ..] => Err(Violation::BareLf),
        _ => Err(Violation::FieldValue),
    }
}

/// What stands where a name and a colon should.
#[cold]
fn no_name<'a>(name: &[u8], rest: &[u8]) -> Result<Piece<'a>, Violation> {
    match (name, rest) {
        ([], [b'\r', b'\n', ..]) => Ok(Piece::End),
        (_, [b'\r']) => Ok(Piece::Incomplete),
        (_, [b'\r', b'\n', ..]) => Err(Violation::FieldName),
        (_, [b'\r', ..]) => Err(Violation::BareCr),
        (_, [b'\n', ..]) => Err(Violation::BareLf),
        // A folded line; white space behind the first line reads the same way (RFC 9112 §2.2).
        ([], [b' ' | b'\t', ..]) => Err(Violation::ObsFold),
        (_, [b' ' | b'\t', ..]) if colon_follows(rest) => Err(Violation::SpaceBeforeColon),
        _ => Err(Violation::FieldName),
    }
}

fn colon_follows(rest: &[u8]) -> bool {
    trim_start(rest).first() == Some(&b':')
}

/// The header lines of a section that has been read before.
pub(super) fn lines(mut section: &[u8]) -> impl Iterator<Item = Line<'_>> {
    std::iter::from_fn(move || match read(section) {
        Ok(Piece::Line(line, length)) => {
            section = &section[length..];
            Some(line)
        }
        _ => None,
    })
}

/// Where the first byte stands that a field value cannot have: all but VCHAR, obs-text, SP and HTAB (RFC 9110 §5.5).
/// Looks at eight bytes at a time.
pub(super) fn control(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let delete = word ^ (ONES * 0x7f);
        // The lowest set bit of each half is exact, those above it need not be.
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (below_space | (delete.wrapping_sub(ONES) & !delete)) & HIGH;
        if found == 0 {
            at += 8;
            continue;
        }
        at += found.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return Some(at);
        }
        at += 1;
    }
    bytes[at..].iter().position(|byte| is_control(*byte)).map(|offset| at + offset)
}

/// Whether a byte is a control byte other than HTAB.
pub(super) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without optional white space around it (RFC 9110 §5.6.3).
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a byte may stand in a `token` (RFC 9110 §5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

/// The members of a comma-separated list, without the empty ones (RFC 9110 §5.6.1).
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Whether a comma-separated list has a member of a lower-case name.
pub(super) fn has_member(value: &[u8], name: &[u8]) -> bool {
    members(value).any(|member| member.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_control_byte_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for place in 0..40 {
                let mut text = [b'\t', b' ', b'a', 0xff, b'~'].repeat(8);
                text[place] = byte;
                assert_eq!(control(&text), is_control(byte).then_some(place), "{byte:#x} at {place}");
            }
        }
    }
}
