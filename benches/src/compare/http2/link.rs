//! One end of an HTTP/2 connection, as far as the client and the server of the comparison need it. The other end is a
//! proxy that should conform, so any violation ends the run with an error.

use std::{io, net::TcpStream};

use portcullis_codecs::http2::hpack::{Decoder, FieldList, HpackLimits};

use super::{
    super::events::{Moved, read},
    sender::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, PING, RESET, SETTINGS, Sender,
        WINDOW_UPDATE, wrong,
    },
};

/// What a client says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header.
const HEADER: usize = 9;
/// Padding in front of DATA and HEADERS.
const PADDED: u8 = 0x8;
/// Priority in front of HEADERS.
const PRIORITY: u8 = 0x20;

/// The window that streams begin with: more than any body, so that it never has to be widened.
const STREAM_WINDOW: u32 = 4 << 20;
/// By how much the connection's window is widened at first, and then each time that so much has come.
const CONNECTION_WINDOW: u32 = 16 << 20;
const CREDIT: u32 = 1 << 20;
/// Streams at a time that a client may open.
const STREAMS: u32 = 256;

/// No bound that a peer of a comparison could reach.
const LIMITS: HpackLimits = HpackLimits { list_size: 64 << 10, fields: 1000, work: 64 << 10 };

/// What has come.
#[derive(Debug)]
pub enum Event<'a> {
    /// A header block.
    Head {
        /// On this stream.
        stream: u32,
        /// Its fields.
        fields: &'a FieldList,
        /// It ends the stream.
        end: bool,
    },
    /// A part of a body.
    Data {
        /// On this stream.
        stream: u32,
        /// Bytes, without padding.
        content: usize,
        /// It ends the stream.
        end: bool,
    },
    /// The stream was given up.
    Reset {
        /// This one.
        stream: u32,
    },
    /// No new stream will be served.
    Gone,
}

/// One end.
#[derive(Debug)]
pub struct Link {
    /// What it sends.
    pub sender: Sender,
    receiver: Receiver,
}

#[derive(Debug)]
struct Receiver {
    /// What has to come before frames.
    preface: &'static [u8],
    /// The beginning of a frame that is not whole.
    rest: Vec<u8>,
    decoder: Decoder,
    fields: FieldList,
    /// Bytes of DATA without credit yet.
    owed: u32,
}

#[derive(Clone, Copy)]
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

impl Link {
    /// That of a client.
    #[must_use]
    pub fn of_client() -> Self {
        // ENABLE_PUSH 0, INITIAL_WINDOW_SIZE.
        Self::new(PREFACE, &[(0x2, 0), (0x4, STREAM_WINDOW)], b"")
    }

    /// That of a server.
    #[must_use]
    pub fn of_server() -> Self {
        // MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE.
        Self::new(b"", &[(0x3, STREAMS), (0x4, STREAM_WINDOW)], PREFACE)
    }

    fn new(first: &[u8], settings: &[(u16, u32)], preface: &'static [u8]) -> Self {
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        let mut sender = Sender::new(first);
        sender.frame(SETTINGS, 0, 0, &payload);
        sender.frame(WINDOW_UPDATE, 0, 0, &CONNECTION_WINDOW.to_be_bytes());
        let receiver =
            Receiver { preface, rest: Vec::new(), decoder: Decoder::new(), fields: FieldList::default(), owed: 0 };
        Self { sender, receiver }
    }

    /// Reads once, into a buffer that connections may share, and hands out what has come.
    ///
    /// # Errors
    /// What came is not HTTP/2, or what `handle` says.
    pub fn read(
        &mut self,
        stream: &TcpStream,
        buffer: &mut [u8],
        mut handle: impl FnMut(&mut Sender, Event<'_>) -> io::Result<()>,
    ) -> io::Result<Moved> {
        let Self { sender, receiver } = self;
        let held = receiver.rest.len();
        buffer[..held].copy_from_slice(&receiver.rest);
        let moved = read(stream, &mut buffer[held..]);
        let Moved::Bytes(count) = moved else { return Ok(moved) };
        receiver.rest.clear();
        let mut input = &buffer[..held + count];
        if !receiver.preface.is_empty() && input.len() >= receiver.preface.len() {
            input = input.strip_prefix(receiver.preface).ok_or_else(|| wrong("no preface"))?;
            receiver.preface = b"";
        }
        while receiver.preface.is_empty()
            && let Some((frame, behind)) = Frame::read(input)
        {
            receiver.frame(frame, sender, &mut handle)?;
            input = behind;
        }
        receiver.rest.extend_from_slice(input);
        Ok(moved)
    }
}

impl<'a> Frame<'a> {
    /// The first frame, if it is whole, and what stands behind it.
    fn read(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = input.split_first_chunk::<HEADER>()?;
        let [high, middle, low, kind, flags, stream @ ..] = *header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let (payload, behind) = rest.split_at_checked(length)?;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        Some((Self { kind, flags, stream, payload }, behind))
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without padding and priority.
    fn content(&self) -> io::Result<&'a [u8]> {
        let mut content = self.payload;
        if self.has(PADDED) {
            let (padding, rest) = content.split_first().ok_or_else(|| wrong("padding"))?;
            let end = rest.len().checked_sub(usize::from(*padding)).ok_or_else(|| wrong("padding"))?;
            content = &rest[..end];
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            content = content.get(5..).ok_or_else(|| wrong("priority"))?;
        }
        Ok(content)
    }

    fn number(&self) -> io::Result<u32> {
        let bytes = self.payload.first_chunk().ok_or_else(|| wrong("a short frame"))?;
        Ok(u32::from_be_bytes(*bytes))
    }
}

impl Receiver {
    fn frame(
        &mut self,
        frame: Frame<'_>,
        sender: &mut Sender,
        handle: &mut impl FnMut(&mut Sender, Event<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let stream = frame.stream;
        match frame.kind {
            DATA => {
                let content = frame.content()?.len();
                self.owed += u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
                if self.owed >= CREDIT {
                    sender.frame(WINDOW_UPDATE, 0, 0, &std::mem::take(&mut self.owed).to_be_bytes());
                }
                handle(sender, Event::Data { stream, content, end: frame.has(END_STREAM) })
            }
            HEADERS if frame.has(END_HEADERS) => {
                let Self { decoder, fields, .. } = self;
                decoder.decode(frame.content()?, &LIMITS, fields).map_err(wrong)?;
                handle(sender, Event::Head { stream, fields, end: frame.has(END_STREAM) })
            }
            HEADERS | CONTINUATION => Err(wrong("a header block in pieces")),
            RESET => {
                sender.forget(stream);
                handle(sender, Event::Reset { stream })
            }
            SETTINGS if !frame.has(ACK) => settings(frame.payload, sender),
            PING if !frame.has(ACK) => {
                sender.frame(PING, ACK, 0, frame.payload);
                Ok(())
            }
            GO_AWAY => handle(sender, Event::Gone),
            WINDOW_UPDATE => {
                sender.credit(stream, frame.number()?);
                Ok(())
            }
            // SETTINGS and PING that answer ours, PRIORITY, and what we do not know.
            _ => Ok(()),
        }
    }
}

/// Keeps to what the other end says of itself (RFC 9113 §6.5.2).
fn settings(payload: &[u8], sender: &mut Sender) -> io::Result<()> {
    for setting in payload.chunks(6) {
        let [high, low, a, b, c, d] = *setting else { return Err(wrong("a short setting")) };
        let value = u32::from_be_bytes([a, b, c, d]);
        match u16::from_be_bytes([high, low]) {
            0x1 => sender.table_size(value),
            0x4 => sender.initial_window(value),
            _ => {}
        }
    }
    sender.frame(SETTINGS, ACK, 0, b"");
    Ok(())
}
