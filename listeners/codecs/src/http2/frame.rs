//! Frames (RFC 9113 §4, §6): the layout checks of each type, and the frames that the relay generates itself.

use super::violation::{ErrorCode, Violation};

/// What a client says first (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 9;

/// The largest payload that every peer takes (RFC 9113 §4.2).
pub(super) const PAYLOAD: u32 = 16_384;

/// END_STREAM of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
/// ACK of SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
/// END_HEADERS of HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 0x4;
/// PADDED of DATA and HEADERS.
pub(super) const PADDED: u8 = 0x8;
/// PRIORITY of HEADERS.
const PRIORITY: u8 = 0x20;

/// Types of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// One that we do not know and have to ignore (RFC 9113 §5.5).
    Unknown,
}

impl FrameKind {
    fn of(byte: u8) -> Self {
        match byte {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::Reset,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Of the payload, in bytes.
    pub(super) length: u32,
    pub(super) kind: FrameKind,
    flags: u8,
    /// 0: the connection.
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Reads a header; `None` if it is not there as a whole. The reserved bit means nothing (RFC 9113 §4.1).
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *input.first_chunk::<HEADER>()?;
        Some(Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: FrameKind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        })
    }

    /// Checks what the header alone shows: sizes, with `largest` for the payload, and streams (RFC 9113 §4.2, §6).
    pub(super) fn check(&self, largest: u32) -> Result<(), Violation> {
        let on_stream = match self.kind {
            FrameKind::Settings | FrameKind::Ping | FrameKind::GoAway => Some(false),
            FrameKind::WindowUpdate | FrameKind::Unknown => None,
            _ => Some(true),
        };
        let sized = match self.kind {
            FrameKind::Priority => self.length == 5,
            FrameKind::Reset | FrameKind::WindowUpdate => self.length == 4,
            FrameKind::Ping => self.length == 8,
            FrameKind::Settings if self.has(ACK) => self.length == 0,
            FrameKind::Settings => self.length.is_multiple_of(6),
            FrameKind::GoAway => self.length >= 8,
            _ => true,
        };
        if self.length > largest || !sized {
            Err(Violation::FrameSize)
        } else if on_stream.is_some_and(|wanted| wanted != (self.stream != 0)) {
            Err(Violation::StreamId)
        } else {
            Ok(())
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes of the whole frame.
    pub(super) fn whole(&self) -> usize {
        HEADER + self.length as usize
    }

    /// The payload of a frame that `input` begins with; `None` if it is not there as a whole.
    pub(super) fn payload<'a>(&self, input: &'a [u8]) -> Option<&'a [u8]> {
        input.get(HEADER..self.whole())
    }

    /// Bytes of DATA that are no padding; `None` if the length of the padding is not there yet.
    pub(super) fn content(&self, input: &[u8]) -> Result<Option<u32>, Violation> {
        if !self.has(PADDED) {
            return Ok(Some(self.length));
        }
        if self.length == 0 {
            return Err(Violation::FrameSize);
        }
        let Some(padding) = input.get(HEADER) else { return Ok(None) };
        self.length.checked_sub(1 + u32::from(*padding)).map(Some).ok_or(Violation::Padding)
    }

    /// The piece of a header block that a whole HEADERS or CONTINUATION carries (RFC 9113 §6.2, §6.10).
    pub(super) fn fragment<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8], Violation> {
        if self.kind == FrameKind::Continuation {
            return Ok(payload);
        }
        let mut rest = payload;
        let mut padding = 0;
        if self.has(PADDED) {
            let (first, behind) = rest.split_first().ok_or(Violation::FrameSize)?;
            (padding, rest) = (usize::from(*first), behind);
        }
        if self.has(PRIORITY) {
            let (priority, behind) = rest.split_at_checked(5).ok_or(Violation::FrameSize)?;
            self.check_dependency(priority)?;
            rest = behind;
        }
        let length = rest.len().checked_sub(padding).ok_or(Violation::Padding)?;
        Ok(&rest[..length])
    }

    /// Checks that a stream does not depend on itself; nothing else of a priority matters (RFC 9113 §5.3.2).
    pub(super) fn check_dependency(&self, priority: &[u8]) -> Result<(), Violation> {
        if number(priority) == self.stream { Err(Violation::SelfDependency) } else { Ok(()) }
    }
}

/// The first 31 bits of a payload that has at least four bytes: a stream, an increment.
pub(super) fn number(payload: &[u8]) -> u32 {
    word(payload) & 0x7fff_ffff
}

/// The first 32 bits of a payload that has at least four bytes: an error code.
pub(super) fn word(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Writes a header. `length` is below 2^24.
pub(super) fn header(length: usize, kind: u8, flags: u8, stream: u32, out: &mut Vec<u8>) {
    let [_, length @ ..] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// Writes RST_STREAM.
pub(super) fn reset(stream: u32, code: ErrorCode, out: &mut Vec<u8>) {
    header(4, 0x3, 0, stream, out);
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

/// Writes SETTINGS.
pub(super) fn settings(payload: &[u8], out: &mut Vec<u8>) {
    header(payload.len(), 0x4, 0, 0, out);
    out.extend_from_slice(payload);
}

/// Writes GOAWAY. `last` is the last stream that was dealt with: all behind it may be tried again (RFC 9113 §6.8).
pub(super) fn go_away(last: u32, code: ErrorCode, out: &mut Vec<u8>) {
    header(8, 0x7, 0, 0, out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

/// Writes WINDOW_UPDATE. `increment` is not 0.
pub(super) fn window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    header(4, 0x8, 0, stream, out);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// Writes a header block that `write` appends, as HEADERS and as many CONTINUATION as it takes.
pub(super) fn headers(stream: u32, end_stream: bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let most = PAYLOAD as usize;
    let (start, end) = (out.len(), if end_stream { END_STREAM } else { 0 });
    header(0, 0x1, end | END_HEADERS, stream, out);
    let begin = out.len();
    write(out);
    let length = out.len() - begin;
    if length <= most {
        let [_, bytes @ ..] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        out[start..start + 3].copy_from_slice(&bytes);
        return;
    }
    let block = out.split_off(begin);
    out.truncate(start);
    let (first, rest) = block.split_at(most);
    header(first.len(), 0x1, end, stream, out);
    out.extend_from_slice(first);
    let mut pieces = rest.chunks(most).peekable();
    while let Some(piece) = pieces.next() {
        header(piece.len(), 0x9, if pieces.peek().is_none() { END_HEADERS } else { 0 }, stream, out);
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u32, kind: u8, flags: u8, stream: u32) -> FrameHeader {
        let mut bytes = Vec::new();
        header(length as usize, kind, flags, stream, &mut bytes);
        FrameHeader::read(&bytes).unwrap()
    }

    #[test]
    fn each_type_has_its_sizes_and_streams() {
        for (length, kind, flags, stream, wanted) in [
            (0, 0x0, 0, 1, Ok(())),
            (0, 0x0, 0, 0, Err(Violation::StreamId)),
            (16_384, 0x0, 0, 1, Ok(())),
            (16_385, 0x0, 0, 1, Err(Violation::FrameSize)),
            (0, 0x1, 0, 0, Err(Violation::StreamId)),
            (5, 0x2, 0, 1, Ok(())),
            (4, 0x2, 0, 1, Err(Violation::FrameSize)),
            (5, 0x2, 0, 0, Err(Violation::StreamId)),
            (4, 0x3, 0, 1, Ok(())),
            (3, 0x3, 0, 1, Err(Violation::FrameSize)),
            (4, 0x3, 0, 0, Err(Violation::StreamId)),
            (12, 0x4, 0, 0, Ok(())),
            (7, 0x4, 0, 0, Err(Violation::FrameSize)),
            (0, 0x4, ACK, 0, Ok(())),
            (6, 0x4, ACK, 0, Err(Violation::FrameSize)),
            (0, 0x4, 0, 1, Err(Violation::StreamId)),
            (9, 0x5, 0, 0, Err(Violation::StreamId)),
            (8, 0x6, 0, 0, Ok(())),
            (9, 0x6, 0, 0, Err(Violation::FrameSize)),
            (8, 0x6, 0, 1, Err(Violation::StreamId)),
            (8, 0x7, 0, 0, Ok(())),
            (7, 0x7, 0, 0, Err(Violation::FrameSize)),
            (8, 0x7, 0, 1, Err(Violation::StreamId)),
            (4, 0x8, 0, 0, Ok(())),
            (4, 0x8, 0, 1, Ok(())),
            (5, 0x8, 0, 1, Err(Violation::FrameSize)),
            (0, 0x9, 0, 0, Err(Violation::StreamId)),
            (77, 0xfa, 0xff, 0, Ok(())),
            (77, 0xfa, 0xff, 7, Ok(())),
            (16_385, 0xfa, 0, 0, Err(Violation::FrameSize)),
        ] {
            let header = frame(length, kind, flags, stream);
            assert_eq!(header.check(PAYLOAD), wanted, "{header:?}");
        }
    }

    #[test]
    fn padding_and_priority_are_taken_off_a_header_block() {
        let block = |flags, payload: &[u8]| {
            let header = frame(u32::try_from(payload.len()).unwrap(), 0x1, flags, 3);
            header.fragment(payload).map(<[u8]>::to_vec)
        };
        assert_eq!(block(0, b"abc"), Ok(b"abc".to_vec()));
        assert_eq!(block(PADDED, b"\x02abc\0\0"), Ok(b"abc".to_vec()));
        assert_eq!(block(PADDED, b"\x05abc\0\0"), Ok(Vec::new()));
        assert_eq!(block(PADDED, b"\x06abc\0\0"), Err(Violation::Padding));
        assert_eq!(block(PADDED, b""), Err(Violation::FrameSize));
        assert_eq!(block(PRIORITY, b"\x80\0\0\x01\x10abc"), Ok(b"abc".to_vec()));
        assert_eq!(block(PRIORITY, b"\x80\0\0\x03\x10abc"), Err(Violation::SelfDependency));
        assert_eq!(block(PRIORITY, b"\0\0\0\0"), Err(Violation::FrameSize));
        assert_eq!(block(PADDED | PRIORITY, b"\x01\0\0\0\0\x10abc\0"), Ok(b"abc".to_vec()));
    }

    #[test]
    fn the_content_of_data_is_what_is_no_padding() {
        let content = |flags, payload: &[u8]| {
            let mut bytes = Vec::new();
            header(payload.len(), 0x0, flags, 1, &mut bytes);
            bytes.extend_from_slice(payload);
            FrameHeader::read(&bytes).unwrap().content(&bytes)
        };
        assert_eq!(content(0, b"abc"), Ok(Some(3)));
        assert_eq!(content(PADDED, b"\x02abc\0\0"), Ok(Some(3)));
        assert_eq!(content(PADDED, b"\0"), Ok(Some(0)));
        assert_eq!(content(PADDED, b"\x03a"), Err(Violation::Padding));
        assert_eq!(content(PADDED, b""), Err(Violation::FrameSize));
        assert_eq!(frame(3, 0x0, PADDED, 1).content(&[0; HEADER]), Ok(None));
    }

    #[test]
    fn a_long_header_block_goes_on_in_continuation_frames() {
        for length in [0, 1, 16_383, 16_384, 16_385, 32_768, 32_769, 50_000] {
            let mut out = b"before".to_vec();
            headers(5, true, &mut out, |out| out.resize(out.len() + length, b'x'));
            let (mut rest, mut block, mut number) = (&out[6..], Vec::new(), 0);
            while let Some(header) = FrameHeader::read(rest) {
                assert_eq!(header.check(PAYLOAD), Ok(()));
                assert_eq!(header.kind, if number == 0 { FrameKind::Headers } else { FrameKind::Continuation });
                assert_eq!((header.stream, header.flags & END_STREAM), (5, u8::from(number == 0)));
                let payload = header.payload(rest).unwrap();
                block.extend_from_slice(header.fragment(payload).unwrap());
                rest = &rest[header.whole()..];
                assert_eq!(header.has(END_HEADERS), rest.is_empty());
                number += 1;
            }
            assert_eq!(block, vec![b'x'; length]);
        }
    }
}
