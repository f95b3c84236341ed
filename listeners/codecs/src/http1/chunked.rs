//! Reads the chunked coding (RFC 9112 §7.1) only to find where it ends. A line is forwarded only when it is complete,
//! so no byte of a malformed line reaches the other side.

use memchr::memchr;

use super::{
    body::TakenBody,
    field,
    head::{HeadBounds, Scan},
    violation::Violation,
};
use crate::http::{
    names::is_barred_from_trailers,
    text::{hex, is_control, trim_start},
};

/// Longest chunk size: 16 hexadecimal digits fill 64 bits.
const SIZE_DIGITS: usize = 16;
/// Largest chunk in bytes. Readers that count in 32 bits take a larger one for another (Netty 4.1, the JDK's server), and
/// nobody sends such a chunk.
const LARGEST: u64 = i32::MAX as u64;

/// Room for what is neither size nor data, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkLimits {
    /// Chunk extensions of a body.
    pub(super) extensions: usize,
    /// A trailer section.
    pub(super) trailers: usize,
    /// White space behind a size, control bytes in an extension and any trailers are taken: for answers that go on as they
    /// are, of which only the end matters.
    pub(super) lenient: bool,
}

/// Where in a chunked body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    place: ChunkState,
    /// Bytes of chunk extensions so far.
    extensions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    Size,
    Data(u64),
    DataEnd,
    Trailers(Scan),
}

/// What one look at the rest of the input came to.
enum Look {
    /// So many bytes are right, and more may follow.
    Took(usize),
    /// More bytes are needed.
    Wait,
    /// The body ends behind so many bytes.
    End(usize),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { place: ChunkState::Size, extensions: 0 }
    }

    /// How many leading bytes belong to the body as far as it can be told, and whether it ends there. Bytes that are
    /// not taken have to be shown again with more behind them.
    pub(super) fn take(&mut self, input: &[u8], rooms: ChunkLimits) -> TakenBody {
        let mut taken = 0;
        while taken < input.len() {
            match self.look(&input[taken..], rooms) {
                Ok(Look::Took(bytes)) => taken += bytes,
                Ok(Look::Wait) => break,
                Ok(Look::End(bytes)) => return (taken + bytes, Ok(true)),
                Err(violation) => return (taken, Err(violation)),
            }
        }
        (taken, Ok(false))
    }

    /// Looks at what is not empty.
    fn look(&mut self, rest: &[u8], rooms: ChunkLimits) -> Result<Look, Violation> {
        match &mut self.place {
            ChunkState::Data(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= here as u64;
                if *left == 0 {
                    self.place = ChunkState::DataEnd;
                }
                Ok(Look::Took(here))
            }
            ChunkState::DataEnd => match rest {
                [b'\r', b'\n', ..] => {
                    self.place = ChunkState::Size;
                    Ok(Look::Took(2))
                }
                [b'\r'] => Ok(Look::Wait),
                _ => Err(Violation::ChunkEnd),
            },
            ChunkState::Size => {
                let Some((length, size)) = self.size_line(rest, rooms)? else { return Ok(Look::Wait) };
                self.place = if size == 0 { ChunkState::Trailers(Scan::of_section()) } else { ChunkState::Data(size) };
                Ok(Look::Took(length))
            }
            ChunkState::Trailers(scan) => Ok(trailers(scan, rest, rooms)?.map_or(Look::Wait, Look::End)),
        }
    }

    /// `chunk-size [ chunk-ext ] CRLF`: its length and the size.
    fn size_line(&mut self, input: &[u8], rooms: ChunkLimits) -> Result<Option<(usize, u64)>, Violation> {
        let digits = input.iter().take(SIZE_DIGITS + 1).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > SIZE_DIGITS || (digits == 0 && !input.is_empty()) {
            return Err(Violation::ChunkSize);
        }
        let size = input[..digits].iter().fold(0_u64, |sum, digit| (sum << 4) | u64::from(hex(*digit)));
        // Nearly all lines have no extension.
        if let [b'\r', b'\n', ..] = input[digits..] {
            return sized(digits + 2, size).map(Some);
        }
        let longest = digits + rooms.extensions.saturating_sub(self.extensions as usize) + 2;
        let line = &input[..input.len().min(longest)];
        let Some(lf) = memchr(b'\n', line) else {
            check_extension(&line[digits..], rooms.lenient)?;
            return if input.len() < longest { Ok(None) } else { Err(Violation::ChunkExtensions) };
        };
        check_extension(&line[digits..lf], rooms.lenient)?;
        if line[lf - 1] != b'\r' {
            return Err(Violation::BareLf);
        }
        self.extensions += u32::try_from(lf - 1 - digits).unwrap_or(u32::MAX);
        sized(lf + 1, size).map(Some)
    }
}

fn sized(length: usize, size: u64) -> Result<(usize, u64), Violation> {
    if size > LARGEST { Err(Violation::ChunkSize) } else { Ok((length, size)) }
}

/// What stands between the size and the LF: nothing, or `;` and anything without control bytes, and one CR at the end.
fn check_extension(bytes: &[u8], lenient: bool) -> Result<(), Violation> {
    let text = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    match if lenient { trim_start(text) } else { text } {
        [] => Ok(()),
        [b';', ..] => {
            if !lenient && text.iter().any(|byte| is_control(*byte)) {
                Err(Violation::ChunkExtension)
            } else {
                Ok(())
            }
        }
        // White space before the extension, a sign, `0x`, an underscore: RFC 9112 has none of them here.
        _ => Err(Violation::ChunkSize),
    }
}

/// The end of the trailer section, once it is there as a whole and right.
fn trailers(scan: &mut Scan, input: &[u8], rooms: ChunkLimits) -> Result<Option<usize>, Violation> {
    // The empty line is none of it.
    let bytes = rooms.trailers.saturating_add(2);
    let bounds = HeadBounds { bytes, lines: usize::MAX - 1, violations: [Violation::Trailers; 3] };
    let Some(end) = scan.end(input, &bounds)? else { return Ok(None) };
    let mut section = if rooms.lenient { &[][..] } else { &input[..end] };
    while let field::Piece::Line(line, length) = field::read(section)? {
        if is_barred_from_trailers(line.name) {
            return Err(Violation::TrailerField);
        }
        section = &section[length..];
    }
    Ok(Some(end))
}
