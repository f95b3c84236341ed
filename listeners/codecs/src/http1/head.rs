//! Heads: finding their end without reading a byte twice, and reading their lines strictly.

use memchr::memchr;

use super::violation::Violation;

/// How far a head has been looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Bytes that hold whole lines.
    lines_end: u32,
    /// Bytes looked through for the end of the current line.
    seen: u32,
    /// Lines so far.
    lines: u32,
}

/// The bounds of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes.
    pub(super) bytes: usize,
    /// Header lines.
    pub(super) lines: usize,
    /// What a too long first line, head, and too many lines are.
    pub(super) offences: [Violation; 3],
}

impl Scan {
    /// For a section without a first line of its own: its first line may be the empty one.
    pub(super) fn of_section() -> Self {
        Self { lines: 1, ..Self::default() }
    }

    /// Finds the end of the head: the number of its bytes, its empty line included. Remembers how far it has looked,
    /// so that a head that comes byte by byte costs no more than one that comes at once.
    pub(super) fn end(&mut self, input: &[u8], bounds: &Bounds) -> Result<Option<usize>, Violation> {
        loop {
            let from = self.seen as usize;
            let Some(offset) = memchr(b'\n', &input[from..]) else {
                self.seen = u32::try_from(input.len()).unwrap_or(u32::MAX);
                return self.check(input.len(), bounds).map(|()| None);
            };
            let (line, lf) = (self.lines_end as usize, from + offset);
            if lf == line || input[lf - 1] != b'\r' {
                return Err(Violation::BareLf);
            }
            self.check(lf + 1, bounds)?;
            if lf == line + 1 && self.lines > 0 {
                *self = Self::default();
                return Ok(Some(lf + 1));
            }
            self.lines += 1;
            self.lines_end = u32::try_from(lf + 1).unwrap_or(u32::MAX);
            self.seen = self.lines_end;
        }
    }

    fn check(&self, length: usize, bounds: &Bounds) -> Result<(), Violation> {
        let [first_line, head, many] = bounds.offences;
        if length > bounds.bytes {
            return Err(if self.lines == 0 { first_line } else { head });
        }
        // The first line is no header line.
        if self.lines as usize > bounds.lines + 1 { Err(many) } else { Ok(()) }
    }

    /// Whether a head has begun.
    pub(super) fn has_begun(self) -> bool {
        self.seen > 0
    }
}

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

/// The header lines of a section whose every LF has a CR before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// `section` is what stands behind the first line, up to and with the empty line.
    pub(super) fn new(section: &'a [u8]) -> Self {
        Self { rest: section.strip_suffix(b"\r\n").unwrap_or(section) }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        let lf = memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at(lf + 1);
        self.rest = rest;
        Some(parse_line(&line[..line.len() - 2]))
    }
}

/// Reads one header line, without its CRLF (RFC 9112 §5).
fn parse_line(line: &[u8]) -> Result<Line<'_>, Violation> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Violation::ObsFold);
    }
    let colon = memchr(b':', line).ok_or(Violation::FieldName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if matches!(name.last(), Some(b' ' | b'\t')) {
        return Err(Violation::SpaceBeforeColon);
    }
    if !is_token(name) {
        return Err(Violation::FieldName);
    }
    let value = trim(value);
    check_value(value)?;
    Ok(Line { name, value })
}

/// Field values: VCHAR, obs-text, SP and HTAB (RFC 9110 §5.5).
fn check_value(value: &[u8]) -> Result<(), Violation> {
    let bad = value.iter().find(|byte| (**byte < b' ' && **byte != b'\t') || **byte == 0x7f);
    match bad {
        None => Ok(()),
        Some(b'\r') => Err(Violation::BareCr),
        Some(_) => Err(Violation::FieldValue),
    }
}

/// Without optional white space around it (RFC 9110 §5.6.3).
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `token` of RFC 9110 §5.6.2; never empty.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
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
