//! Finds the end of a head without reading a byte twice, and reads its lines strictly.

use memchr::memchr;

use super::{
    field::{self, FieldLine, Piece},
    violation::Violation,
};

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
pub(super) struct HeadBounds {
    /// Bytes.
    pub(super) bytes: usize,
    /// Header lines.
    pub(super) lines: usize,
    /// What a too long first line, head, and too many lines are.
    pub(super) violations: [Violation; 3],
}

impl Scan {
    /// Nothing has been looked at.
    pub(super) const NONE: Self = Self { lines_end: 0, seen: 0, lines: 0 };

    /// For a section without a first line of its own: its first line may be the empty one.
    pub(super) fn of_section() -> Self {
        Self { lines: 1, ..Self::default() }
    }

    /// Finds the end of the head: the number of its bytes, its empty line included. Remembers how far it has looked,
    /// so that a head that comes byte by byte costs no more than one that comes at once. The violation it finds is the
    /// one that stands first in the bytes, so it is the same however they arrive.
    pub(super) fn end(&mut self, input: &[u8], bounds: &HeadBounds) -> Result<Option<usize>, Violation> {
        let [long_first_line, long_head, many_lines] = bounds.violations;
        loop {
            let from = self.seen as usize;
            let lf = memchr(b'\n', &input[from..]).map(|offset| from + offset);
            if lf.map_or(input.len(), |lf| lf + 1) > bounds.bytes {
                return Err(if self.lines == 0 { long_first_line } else { long_head });
            }
            let Some(lf) = lf else {
                self.seen = u32::try_from(input.len()).unwrap_or(u32::MAX);
                return Ok(None);
            };
            let line = self.lines_end as usize;
            if lf == line || input[lf - 1] != b'\r' {
                return Err(Violation::BareLf);
            }
            if lf == line + 1 && self.lines > 0 {
                *self = Self::default();
                return Ok(Some(lf + 1));
            }
            // The first line is no header line.
            if self.lines as usize > bounds.lines {
                return Err(many_lines);
            }
            self.lines += 1;
            self.lines_end = u32::try_from(lf + 1).unwrap_or(u32::MAX);
            self.seen = self.lines_end;
        }
    }

    /// Whether a head has begun.
    pub(super) fn has_begun(self) -> bool {
        self.seen > 0
    }
}

impl HeadBounds {
    /// Whether a complete head keeps them.
    pub(super) fn hold(&self, bytes: usize, lines: usize) -> bool {
        bytes <= self.bytes && lines <= self.lines
    }
}

/// What reads a head line by line.
pub(super) trait HeadSink<'a>: Sized {
    /// Begins with the first line, without its CRLF.
    fn first_line(line: &'a [u8]) -> Result<Self, Violation>;
    /// Takes one header line.
    fn note(&mut self, line: &FieldLine<'a>) -> Result<(), Violation>;
    /// Checks what only the whole head shows; `section` is what stands behind the first line.
    fn finish(&mut self, section: &'a [u8]) -> Result<(), Violation>;
}

/// Finds and reads the head that the input begins with: what was read, and the number of its bytes.
///
/// Nearly all heads come whole and are right, and then each byte is read once. Everything else goes the long way, by
/// [`Scan`], which decides what a violation is called and remembers how far it has looked.
pub(super) fn read<'a, S: HeadSink<'a>>(
    scan: &mut Scan,
    input: &'a [u8],
    bounds: &HeadBounds,
) -> Result<Option<(S, usize)>, Violation> {
    if !scan.has_begun()
        && let Ok(Some((sink, end, lines))) = parse(input)
        && bounds.hold(end, lines)
    {
        return Ok(Some((sink, end)));
    }
    let Some(end) = scan.end(input, bounds)? else { return Ok(None) };
    Ok(parse(&input[..end])?.map(|(sink, end, _)| (sink, end)))
}

/// Reads a head: what was read, its bytes and header lines; `None` if it is not complete.
fn parse<'a, S: HeadSink<'a>>(input: &'a [u8]) -> Result<Option<(S, usize, usize)>, Violation> {
    let Some(lf) = memchr(b'\n', input) else { return Ok(None) };
    let line = input[..lf].strip_suffix(b"\r").ok_or(Violation::BareLf)?;
    let mut sink = S::first_line(line)?;
    let section = &input[lf + 1..];
    let (mut at, mut lines) = (0, 0);
    loop {
        match field::read(&section[at..])? {
            Piece::Incomplete => return Ok(None),
            Piece::End => {
                sink.finish(&section[..at])?;
                return Ok(Some((sink, lf + 1 + at + 2, lines)));
            }
            Piece::Line(line, length) => {
                sink.note(&line)?;
                at += length;
                lines += 1;
            }
        }
    }
}
