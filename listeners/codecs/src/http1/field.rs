//! Reads header lines strictly, in one pass (RFC 9112 §5).

use super::violation::Violation;
use crate::http::text::{TOKEN, control, trim, trim_start};

/// One header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldLine<'a> {
    /// Name, as it stands.
    pub(super) name: &'a [u8],
    /// Value without the white space around it.
    pub(super) value: &'a [u8],
}

impl FieldLine<'_> {
    /// Whether this is the field of a lower-case name.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// What the rest of a header section begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A header line, and its length with its CRLF.
    Line(FieldLine<'a>, usize),
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
            let line = FieldLine { name, value: trim(&after[..end]) };
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
pub(super) fn lines(mut section: &[u8]) -> impl Iterator<Item = FieldLine<'_>> {
    std::iter::from_fn(move || match read(section) {
        Ok(Piece::Line(line, length)) => {
            section = &section[length..];
            Some(line)
        }
        _ => None,
    })
}
