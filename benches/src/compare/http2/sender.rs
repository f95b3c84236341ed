//! The sending half of one end of a connection: frames, and bodies as far as the other end's windows allow.

use std::{io, net::TcpStream};

use portcullis_codecs::http2::hpack::{DEFAULT_TABLE_SIZE, Encoder, HeaderField, Representation};

use super::super::events::{Moved, write};

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RESET: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
pub(super) const PING: u8 = 0x6;
pub(super) const GO_AWAY: u8 = 0x7;
pub(super) const WINDOW_UPDATE: u8 = 0x8;
pub(super) const CONTINUATION: u8 = 0x9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

/// Bytes of a DATA frame, as large as every end takes (RFC 9113 §4.2).
const PAYLOAD: usize = 16_384;
/// Bodies wait while so many bytes are not written yet.
const HELD: usize = 256 << 10;
/// The windows that a connection begins with (RFC 9113 §6.9.2).
const WINDOW: i64 = 65_535;
/// What bodies consist of.
const FILLER: [u8; PAYLOAD] = [b'x'; PAYLOAD];

/// What ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// The last DATA frame of the body.
    Data,
    /// Trailers, with gRPC's status.
    Trailers,
}

/// A stream on which something is still to be sent.
#[derive(Clone, Copy, Debug)]
struct Outgoing {
    stream: u32,
    /// Bytes that the other end takes.
    window: i64,
    left: usize,
    last: Last,
}

/// The sending half of one end.
#[derive(Debug)]
pub struct Sender {
    bytes: Vec<u8>,
    written: usize,
    encoder: Encoder,
    /// Bytes that the other end takes on the connection.
    window: i64,
    /// The window that a stream begins with.
    initial: i64,
    /// By stream.
    outgoing: Vec<Outgoing>,
    /// Where the search for the next body begins.
    turn: usize,
}

impl Sender {
    /// Begins with these bytes.
    pub(super) fn new(first: &[u8]) -> Self {
        Self {
            bytes: first.to_vec(),
            written: 0,
            encoder: Encoder::new(DEFAULT_TABLE_SIZE),
            window: WINDOW,
            initial: WINDOW,
            outgoing: Vec::new(),
            turn: 0,
        }
    }

    /// Appends a frame.
    pub(super) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        header(&mut self.bytes, payload.len(), kind, flags, stream);
        self.bytes.extend_from_slice(payload);
    }

    /// Notes a stream on which a body will be sent.
    pub fn open(&mut self, stream: u32) {
        self.outgoing.push(Outgoing { stream, window: self.initial, left: 0, last: Last::Data });
    }

    /// Appends a header block.
    pub fn head<'a>(&mut self, stream: u32, fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, end: bool) {
        let start = self.bytes.len();
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        header(&mut self.bytes, 0, HEADERS, flags, stream);
        let block = self.bytes.len();
        let representation = Representation::Incremental;
        let fields = fields.into_iter().map(|(name, value)| HeaderField { name, value, representation });
        self.encoder.encode(fields, &mut self.bytes);
        let length = u32::try_from(self.bytes.len() - block).unwrap_or(u32::MAX).to_be_bytes();
        self.bytes[start..start + 3].copy_from_slice(&length[1..]);
    }

    /// Sends a body of so many bytes, at least one, on an open stream, and ends the stream.
    pub fn body(&mut self, stream: u32, length: usize, last: Last) {
        if let Some(index) = self.place(stream) {
            let outgoing = &mut self.outgoing[index];
            (outgoing.left, outgoing.last) = (length, last);
        }
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.outgoing.iter().position(|outgoing| outgoing.stream == stream)
    }

    /// Sends nothing more on a stream.
    pub(super) fn forget(&mut self, stream: u32) {
        self.outgoing.retain(|outgoing| outgoing.stream != stream);
    }

    /// The other end takes so many bytes more, on a stream or (0) on the connection.
    pub(super) fn credit(&mut self, stream: u32, bytes: u32) {
        if stream == 0 {
            self.window += i64::from(bytes);
        } else if let Some(index) = self.place(stream) {
            self.outgoing[index].window += i64::from(bytes);
        }
    }

    /// The window that streams begin with changes, and with it all (RFC 9113 §6.9.2).
    pub(super) fn initial_window(&mut self, bytes: u32) {
        let change = i64::from(bytes) - self.initial;
        self.initial += change;
        for outgoing in &mut self.outgoing {
            outgoing.window += change;
        }
    }

    /// The other end keeps a table of this size.
    pub(super) fn table_size(&mut self, bytes: u32) {
        self.encoder.allow_table_size(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Writes as much as goes, bodies in turn.
    pub fn flush(&mut self, stream: &TcpStream) -> Moved {
        loop {
            self.fill();
            if self.written == self.bytes.len() {
                self.bytes.clear();
                self.written = 0;
                return Moved::NotNow;
            }
            match write(stream, &self.bytes[self.written..]) {
                Moved::Bytes(count) => self.written += count,
                other => return other,
            }
        }
    }

    /// Appends DATA of the bodies.
    fn fill(&mut self) {
        let waiting = |outgoing: &Outgoing| outgoing.left > 0 && outgoing.window > 0;
        if self.written > HELD {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        while self.window > 0 && self.bytes.len() - self.written < HELD {
            let count = self.outgoing.len();
            let next = (self.turn..count).chain(0..self.turn.min(count)).find(|at| waiting(&self.outgoing[*at]));
            let Some(index) = next else { return };
            self.turn = index + 1;
            self.data(index);
        }
    }

    fn data(&mut self, index: usize) {
        let outgoing = &mut self.outgoing[index];
        let window = usize::try_from(self.window.min(outgoing.window)).unwrap_or_default();
        let length = outgoing.left.min(window).min(PAYLOAD);
        outgoing.left -= length;
        outgoing.window -= length as i64;
        self.window -= length as i64;
        let Outgoing { stream, left, last, .. } = *outgoing;
        let ends = left == 0 && last == Last::Data;
        self.frame(DATA, if ends { END_STREAM } else { 0 }, stream, &FILLER[..length]);
        if left == 0 {
            self.outgoing.remove(index);
            self.turn = index;
            if last == Last::Trailers {
                self.head(stream, [(&b"grpc-status"[..], &b"0"[..])], true);
            }
        }
    }
}

/// Appends the header of a frame (RFC 9113 §4.1).
fn header(bytes: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
}

/// What an error of a connection is told with.
pub(super) fn wrong(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("HTTP/2: {what}"))
}
