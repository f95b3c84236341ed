//! Frames as a client and a server write them.

use portcullis_codecs::{
    fact::Facts,
    http2::{ErrorCode, hpack::Stateless},
    relay::ResponseSummary,
};

use crate::playbook::script::{Play, play};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY: u8 = 0x20;

pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "h")];
pub(crate) const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "h")];
pub(crate) const DENIED: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/deny"), (":authority", "h")];
pub(crate) const OK: [(&str, &str); 2] = [(":status", "200"), ("server", "s")];

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn data(stream: u32, flags: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x0, flags, stream, payload.as_ref())
}

/// A block that leaves all tables alone.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = Stateless::new(None, &mut out);
    for (name, value) in fields {
        block.field(name.as_bytes(), value.as_bytes());
    }
    out
}

/// A head that goes on with DATA.
pub(crate) fn headers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(0x1, END_HEADERS, stream, &block(fields))
}

/// A head, or trailers, that end their stream.
pub(crate) fn last_headers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(0x1, END_HEADERS | END_STREAM, stream, &block(fields))
}

pub(crate) fn priority(stream: u32, on: u32) -> Vec<u8> {
    frame(0x2, 0, stream, &[&on.to_be_bytes()[..], &[7]].concat())
}

pub(crate) fn reset(stream: u32, code: ErrorCode) -> Vec<u8> {
    frame(0x3, 0, stream, &(code as u32).to_be_bytes())
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(0x4, 0, 0, &payload)
}

pub(crate) fn settings_ack() -> Vec<u8> {
    frame(0x4, ACK, 0, b"")
}

pub(crate) fn ping(flags: u8, text: &[u8; 8]) -> Vec<u8> {
    frame(0x6, flags, 0, text)
}

pub(crate) fn go_away(last: u32, code: ErrorCode) -> Vec<u8> {
    frame(0x7, 0, 0, &[last.to_be_bytes(), (code as u32).to_be_bytes()].concat())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(0x8, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn continuation(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(0x9, flags, stream, payload)
}

pub(crate) fn cat(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// What the client says first, and what of it reaches the server.
pub(crate) fn client_begins() -> Vec<u8> {
    [PREFACE.to_vec(), settings(&[])].concat()
}

pub(crate) fn server_sees_the_begin() -> Vec<u8> {
    [PREFACE.to_vec(), settings(&[(0x2, 0)])].concat()
}

/// What the client sees of a server that has nothing to say about itself.
pub(crate) fn client_sees_the_begin() -> Vec<u8> {
    settings(&[(0x3, 1024), (0x6, 128 << 10)])
}

/// A play behind the SETTINGS of both sides.
pub(crate) fn begun(name: &'static str) -> Play {
    begin(play(name))
}

pub(crate) fn begin(play: Play) -> Play {
    play.client(client_begins())
        .server_sees(server_sees_the_begin())
        .server(cat(&[settings(&[]), settings_ack()]))
        .client_sees(cat(&[client_sees_the_begin(), settings_ack()]))
        .reaches_server(settings_ack())
}

/// The answer to the request of a stream.
pub(crate) fn answer(stream: u32, status: u16) -> ResponseSummary {
    ResponseSummary { exchange: stream, status: Some(status.into()), facts: Facts::NONE }
}
