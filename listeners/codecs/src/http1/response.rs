//! Response heads, read strictly: only what tells where the response ends.

use memchr::memchr;

use super::{
    framing::{Framing, Version},
    head::{Lines, members},
    outstanding::Asked,
    request,
    violation::Violation,
};

/// One response head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    framing: Framing,
    /// It switches to HTTP/2, whose requests this relay cannot judge.
    to_http2: bool,
}

/// How a response goes on behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is no final response.
    Interim,
    /// Both directions are bytes from here.
    Tunnel,
    /// It has no body.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the server ends its stream.
    UntilClose,
}

impl Head {
    /// Reads a whole head, whose every LF has a CR before it.
    pub(super) fn parse(head: &[u8]) -> Result<Self, Violation> {
        let lf = memchr(b'\n', head).ok_or(Violation::StatusLine)?;
        let (version, status) = status_line(&head[..lf - 1])?;
        let mut framing = Framing::default();
        let mut to_http2 = false;
        for line in Lines::new(&head[lf + 1..]) {
            let line = line?;
            match line.name.len() {
                14 | 17 => framing.note(&line)?,
                7 if line.is(b"upgrade") => {
                    to_http2 |= members(line.value).any(|member| member.eq_ignore_ascii_case(b"h2c"));
                }
                _ => {}
            }
        }
        framing.check(version)?;
        Ok(Self { status, framing, to_http2 })
    }

    /// How the response goes on, by what was asked (RFC 9112 §6.3).
    pub(super) fn next(&self, asked: Asked) -> Result<Next, Violation> {
        let Framing { length, chunked } = self.framing;
        let bodiless = |next| {
            if chunked || length.is_some_and(|length| length > 0) { Err(Violation::UnexpectedBody) } else { Ok(next) }
        };
        match self.status {
            101 if !asked.upgrade || self.to_http2 => Err(Violation::BadSwitch),
            101 => bodiless(Next::Tunnel),
            100..=199 => bodiless(Next::Interim),
            // Framing fields in an answer to CONNECT mean nothing (RFC 9110 §9.3.6).
            200..=299 if asked.connect => Ok(Next::Tunnel),
            204 => bodiless(Next::Nothing),
            304 => Ok(Next::Nothing),
            _ if asked.head => Ok(Next::Nothing),
            _ if chunked => Ok(Next::Chunked),
            _ => Ok(match length {
                Some(0) => Next::Nothing,
                Some(length) => Next::Length(length),
                None => Next::UntilClose,
            }),
        }
    }
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4); the last space may be missing where there is no
/// reason, which every reader reads alike.
fn status_line(line: &[u8]) -> Result<(Version, u16), Violation> {
    let bad = |_| Violation::StatusLine;
    let (text, rest) = line.split_at_checked(8).ok_or(Violation::StatusLine)?;
    let version = request::version(text).map_err(bad)?;
    let [b' ', hundreds @ b'1'..=b'5', tens, ones, reason @ ..] = rest else { return Err(Violation::StatusLine) };
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return Err(Violation::StatusLine);
    }
    let plain = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    match reason {
        [] => {}
        [b' ', text @ ..] if text.iter().all(plain) => {}
        _ => return Err(Violation::StatusLine),
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok((version, digit(hundreds) * 100 + digit(tens) * 10 + digit(ones)))
}
