//! Parses response heads strictly, but only the parts that determine where the response ends.

use super::{
    field::FieldLine,
    framing::{Framing, Version},
    head::HeadSink,
    outstanding::RequestShape,
    upgrade::UpgradeProtocols,
    violation::Violation,
};
use crate::http::text::{control, members};

/// One response head.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    version: Version,
    framing: Framing,
    /// The first violation in the fields that frame; an answer that opens a tunnel has none.
    misframed: Option<Violation>,
    /// It has Upgrade.
    upgrade: bool,
    /// The protocols that it switches to.
    protocols: UpgradeProtocols,
    /// That is a version of HTTP, whose requests nobody would judge as bytes.
    to_http: bool,
    /// That is `h2c` and nothing else.
    to_h2c: bool,
}

/// How a response goes on behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterResponse {
    /// It is no final response.
    Interim,
    /// Both directions are bytes from here.
    Tunnel,
    /// Both directions are HTTP/2 from here.
    Http2,
    /// It has no body.
    Nothing,
    /// So many bytes; never 0.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the server ends its stream.
    UntilClose,
}

impl HeadSink<'_> for ResponseHead {
    fn first_line(line: &[u8]) -> Result<Self, Violation> {
        let (version, status) = status_line(line)?;
        let framing = Framing::default();
        let protocols = UpgradeProtocols::default();
        Ok(Self { status, version, framing, misframed: None, upgrade: false, protocols, to_http: false, to_h2c: false })
    }

    fn note(&mut self, line: &FieldLine<'_>) -> Result<(), Violation> {
        match line.name.len() {
            10 | 14 | 17 => {
                let noted = self.framing.note(line);
                self.misframed = self.misframed.or(noted.err());
            }
            7 if line.is(b"upgrade") => {
                self.to_h2c = !self.upgrade && line.value.eq_ignore_ascii_case(b"h2c");
                self.upgrade = true;
                self.protocols.note(line.value);
                self.to_http |= members(line.value).any(is_http);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _section: &[u8]) -> Result<(), Violation> {
        self.misframed = self.misframed.or(self.framing.check(self.version).err());
        Ok(())
    }
}

impl ResponseHead {
    /// How the response goes on, by what was asked (RFC 9112 §6.3).
    pub(super) fn next(&self, asked: RequestShape) -> Result<AfterResponse, Violation> {
        // Framing fields in a successful answer to CONNECT mean nothing (RFC 9110 §9.3.6).
        if asked.connect && (200..=299).contains(&self.status) {
            return Ok(AfterResponse::Tunnel);
        }
        if let Some(violation) = self.misframed {
            return Err(violation);
        }
        let Framing { length, chunked } = self.framing;
        let bodiless = |next| if self.framing.has_content() { Err(Violation::UnexpectedBody) } else { Ok(next) };
        match self.status {
            101 if asked.upgrade && self.to_h2c => bodiless(AfterResponse::Http2),
            101 if !asked.upgrade || self.to_http || !self.protocols.are_of(asked.offers) => Err(Violation::BadSwitch),
            101 => bodiless(AfterResponse::Tunnel),
            100..=199 => bodiless(AfterResponse::Interim),
            204 => bodiless(AfterResponse::Nothing),
            304 => Ok(AfterResponse::Nothing),
            _ if asked.head => Ok(AfterResponse::Nothing),
            _ if chunked => Ok(AfterResponse::Chunked),
            _ => Ok(match length {
                Some(0) => AfterResponse::Nothing,
                Some(length) => AfterResponse::Length(length),
                None => AfterResponse::UntilClose,
            }),
        }
    }
}

/// `h2c`, `h2`, their drafts, and `HTTP/2.0`: behind a switch to them requests would go unjudged.
fn is_http(protocol: &[u8]) -> bool {
    let starts = |prefix: &[u8]| protocol.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    starts(b"h2") || starts(b"h3") || starts(b"http")
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4); the last space may be missing where there is no
/// reason, which every reader reads alike. Status codes above 599 are final, as if they were 5xx (RFC 9110 §15).
fn status_line(line: &[u8]) -> Result<(Version, u16), Violation> {
    let (text, rest) = line.split_at_checked(8).ok_or(Violation::StatusLine)?;
    let version = Version::parse(text).map_err(|_| Violation::StatusLine)?;
    let [b' ', hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', reason @ ..] = rest else {
        return Err(Violation::StatusLine);
    };
    match reason {
        [] => {}
        [b' ', text @ ..] if control(text).is_none() => {}
        _ => return Err(Violation::StatusLine),
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok((version, digit(hundreds) * 100 + digit(tens) * 10 + digit(ones)))
}
