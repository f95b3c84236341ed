//! The chunked coding (RFC 9112 §7.1), read only to know where it ends. Lines are taken whole, so nothing of a bad one is
//! forwarded.

use memchr::memchr;

use super::{
    framing::is_framing,
    head::{Bounds, Lines, Scan},
    violation::Violation,
};
use crate::relay::Limits;

/// Longest chunk size: 16 hexadecimal digits fill 64 bits.
const SIZE_DIGITS: usize = 16;

/// Where in a chunked body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes of chunk extensions so far.
    extensions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Size,
    Data(u64),
    DataEnd,
    Trailers(Scan),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { place: Place::Size, extensions: 0 }
    }

    /// How many leading bytes belong to the body as far as it can be told, and whether it ends there. Bytes that are
    /// not taken have to be shown again with more behind them.
    pub(super) fn take(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, bool), Violation> {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            match self.place {
                Place::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    taken += here;
                    let left = left - here as u64;
                    self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                    if left > 0 {
                        return Ok((taken, false));
                    }
                }
                Place::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        taken += 2;
                        self.place = Place::Size;
                    }
                    [] | [b'\r'] => return Ok((taken, false)),
                    _ => return Err(Violation::ChunkEnd),
                },
                Place::Size => match self.size_line(rest, limits)? {
                    None => return Ok((taken, false)),
                    Some((length, size)) => {
                        taken += length;
                        self.place = if size == 0 { Place::Trailers(trailer_scan()) } else { Place::Data(size) };
                    }
                },
                Place::Trailers(mut scan) => {
                    let end = trailers(&mut scan, rest, limits)?;
                    self.place = Place::Trailers(scan);
                    return Ok(end.map_or((taken, false), |end| (taken + end, true)));
                }
            }
        }
    }

    /// `chunk-size [ chunk-ext ] CRLF`: its length and the size.
    fn size_line(&mut self, input: &[u8], limits: &Limits) -> Result<Option<(usize, u64)>, Violation> {
        let digits = input.iter().take(SIZE_DIGITS + 1).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > SIZE_DIGITS || (digits == 0 && !input.is_empty()) {
            return Err(Violation::ChunkSize);
        }
        let room = limits.chunk_extensions.saturating_sub(self.extensions as usize);
        let longest = digits + room + 2;
        let Some(lf) = memchr(b'\n', &input[..input.len().min(longest)]) else {
            check_extension(&input[digits..], false)?;
            return if input.len() < longest { Ok(None) } else { Err(Violation::ChunkExtensions) };
        };
        check_extension(&input[digits..=lf], true)?;
        self.extensions += u32::try_from(lf - 1 - digits).unwrap_or(u32::MAX);
        let size = input[..digits].iter().fold(0_u64, |sum, digit| (sum << 4) | u64::from(hex(*digit)));
        if size > i64::MAX.cast_unsigned() {
            return Err(Violation::ChunkSize);
        }
        Ok(Some((lf + 1, size)))
    }
}

/// What stands between the size and the LF: nothing, or `;` and anything without control bytes, and one CR at the end.
fn check_extension(bytes: &[u8], complete: bool) -> Result<(), Violation> {
    let text = match (complete, bytes) {
        (true, [text @ .., b'\r', b'\n']) | (false, [text @ .., b'\r']) | (false, text) => text,
        (true, _) => return Err(Violation::BareLf),
    };
    match text.first() {
        None => Ok(()),
        Some(b';') => {
            let bad = text.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f);
            if bad { Err(Violation::ChunkExtension) } else { Ok(()) }
        }
        // White space before the extension, a sign, `0x`, an underscore: RFC 9112 has none of them here.
        Some(_) => Err(Violation::ChunkSize),
    }
}

/// A trailer section has no first line of its own.
fn trailer_scan() -> Scan {
    Scan::of_section()
}

/// The end of the trailer section, once it is there as a whole and right.
fn trailers(scan: &mut Scan, input: &[u8], limits: &Limits) -> Result<Option<usize>, Violation> {
    let bounds = Bounds { bytes: limits.trailers, lines: usize::MAX - 1, offences: [Violation::Trailers; 3] };
    let Some(end) = scan.end(input, &bounds)? else { return Ok(None) };
    for line in Lines::new(&input[..end]) {
        let line = line?;
        if is_framing(line.name) || line.is(b"connection") || line.is(b"trailer") || line.is(b"te") {
            return Err(Violation::TrailerField);
        }
    }
    Ok(Some(end))
}

/// The value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}
