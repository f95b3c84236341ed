//! Parses request heads strictly and presents them to the rules.

use std::borrow::Cow;

use portcullis_rules::{
    effects::may_change,
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
    tunnel::{Tunnel, TunnelKind},
};

use super::{
    field::{FieldLine, lines},
    framing::{Framing, Version},
    head::HeadSink,
    offer::Offered,
    outstanding::RequestShape,
    upgrade::UpgradeProtocols,
    violation::Violation,
};
use crate::http::{
    CONNECT, HEADERS, SCHEMA,
    grpc::Call,
    names::is_imitation,
    parts::RequestParts,
    target::{Target, check_authority},
    text::{has_member, is_token_byte, is_variable_of, members},
};

/// One request head.
#[derive(Debug)]
pub(super) struct RequestHead<'a> {
    parts: RequestParts<'a>,
    version: Version,
    pub(super) framing: Framing,
    upgrade: bool,
    protocols: UpgradeProtocols,
    /// It offers to switch, so that a server may do that before it reads the body.
    pub(super) offers: bool,
    pub(super) offered: Offered<'a>,
    /// The call of gRPC-Web that it is.
    pub(super) call: Option<Call>,
    /// It waits for 100 before it sends its body, or not.
    pub(super) expect: bool,
    connection: Persistence,
    /// The header lines.
    section: &'a [u8],
}

/// What Connection says about the time after the answer (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, Default)]
struct Persistence {
    close: bool,
    keep_alive: bool,
    /// It nominates fields of this message that whoever receives it may take out.
    nominates: bool,
}

impl<'a> HeadSink<'a> for RequestHead<'a> {
    fn first_line(line: &'a [u8]) -> Result<Self, Violation> {
        let (method, target, version) = request_line(line)?;
        Ok(Self {
            parts: RequestParts::new(method, Target::parse(method, target)?),
            version,
            framing: Framing::default(),
            upgrade: false,
            protocols: UpgradeProtocols::default(),
            offers: false,
            offered: Offered::default(),
            call: None,
            expect: false,
            connection: Persistence::default(),
            section: &[],
        })
    }

    fn note(&mut self, line: &FieldLine<'a>) -> Result<(), Violation> {
        if is_imitation(line.name) {
            return Err(Violation::FieldVariant);
        }
        // Names are told apart by their length first: most lines are none of these.
        match line.name.len() {
            4 if line.is(b"host") => {
                if self.parts.host.is_some() {
                    return Err(Violation::TwoHosts);
                }
                // Empty where the target has no authority (RFC 9112 §3.2).
                if !line.value.is_empty() {
                    check_authority(line.value)?;
                }
                self.parts.host = Some(line.value);
            }
            6 if line.is(b"expect") => self.expects(line.value)?,
            7 if line.is(b"upgrade") => {
                self.upgrade = true;
                self.protocols.note(line.value);
                self.offers = true;
                self.offered.note(line);
            }
            10 if line.is(b"connection") => {
                self.offered.note(line);
                self.framing.note(line)?;
                self.connection.close |= has_member(line.value, b"close");
                self.connection.keep_alive |= has_member(line.value, b"keep-alive");
                self.connection.nominates |= members(line.value).any(is_field);
            }
            12 if line.is(b"content-type") => {
                // In HTTP/1 there are no others.
                self.call = self.call.or(Call::of(line.value).filter(|call| *call != Call::Native));
            }
            14 if line.is(b"http2-settings") => {
                self.offers = true;
                self.offered.note(line);
            }
            14 | 17 => self.framing.note(line)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, section: &'a [u8]) -> Result<(), Violation> {
        self.section = section;
        self.framing.check(self.version)?;
        match self.parts.host {
            None if self.version == Version::Http11 => return Err(Violation::NoHost),
            Some(host) if !self.parts.target.agrees_with(host) => return Err(Violation::HostMismatch),
            _ => {}
        }
        if self.is_connect() && self.framing.has_content() { Err(Violation::ConnectBody) } else { Ok(()) }
    }
}

impl<'a> RequestHead<'a> {
    /// What its answer is read by.
    pub(super) fn asked(&self) -> RequestShape {
        RequestShape {
            head: self.parts.method == b"HEAD",
            connect: self.is_connect(),
            // The server has to ignore Upgrade in HTTP/1.0 (RFC 9110 §7.8).
            upgrade: self.upgrade && self.version == Version::Http11,
            offers: self.protocols,
            close: self.connection.close || (self.version == Version::Http10 && !self.connection.keep_alive),
        }
    }

    /// There is one expectation, and it is met once (RFC 9110 §10.1.1).
    fn expects(&mut self, value: &[u8]) -> Result<(), Violation> {
        let again = std::mem::replace(&mut self.expect, true);
        if again || !value.eq_ignore_ascii_case(b"100-continue") { Err(Violation::Expectation) } else { Ok(()) }
    }

    fn is_connect(&self) -> bool {
        matches!(self.parts.target, Target::Authority(_))
    }

    /// The joined value of a header. Ambiguous if a server that is a proxy itself may take it out (RFC 9110 §7.6.1), or if
    /// a server that hands headers to programs takes another one for it (RFC 3875 §4.1.18).
    fn header(&self, name: &[u8]) -> FieldValue<'_> {
        if let Some(value) = self.parts.named(name) {
            return value;
        }
        if self.connection.nominates && self.nominates(name) {
            return FieldValue::Ambiguous("nominated");
        }
        let mut found: Option<Cow<'a, [u8]>> = None;
        for line in lines(self.section) {
            match &mut found {
                _ if !line.is(name) => {
                    if is_variable_of(line.name, name) {
                        return FieldValue::Ambiguous("variant");
                    }
                }
                None => found = Some(Cow::Borrowed(line.value)),
                Some(value) => {
                    let value = value.to_mut();
                    value.push(b',');
                    value.extend_from_slice(line.value);
                }
            }
        }
        found.map_or(FieldValue::Absent, FieldValue::Value)
    }

    /// Whether Connection nominates a field. Those that belong to one hop anyway are meant for whoever reads them.
    fn nominates(&self, name: &[u8]) -> bool {
        let mut options = lines(self.section).filter(|line| line.is(b"connection"));
        may_change(name) && options.any(|line| has_member(line.value, name))
    }
}

impl Request for RequestHead<'_> {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        self.parts.field(field).unwrap_or_else(|| self.header(key.as_bytes()))
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        self.parts.shown(field)
    }

    fn tunnel(&self) -> Option<Tunnel> {
        if self.is_connect() {
            return Some(CONNECT);
        }
        // An offer of HTTP/2 is none: what comes behind it is judged as well. What is no handshake of WebSocket is not
        // judged as one (RFC 6455 §4.1).
        let handshake = self.parts.method == b"GET" && self.version == Version::Http11 && !self.framing.has_content();
        let kind = match self.protocols {
            UpgradeProtocols { other: true, .. } => TunnelKind::Upgrade,
            UpgradeProtocols { websocket: true, .. } if handshake => TunnelKind::WebSocket,
            UpgradeProtocols { websocket: true, .. } => TunnelKind::Upgrade,
            _ => return None,
        };
        Some(Tunnel { kind, field: FieldIndex(HEADERS), key: "upgrade" })
    }

    fn version(&self) -> &'static str {
        match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// Whether an option of Connection names a field that is not one of the hop anyway.
fn is_field(option: &[u8]) -> bool {
    !option.eq_ignore_ascii_case(b"close") && may_change(option)
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3).
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Violation> {
    if line == b"PRI * HTTP/2.0" {
        return Err(Violation::Http2Preface);
    }
    if line.contains(&b'\r') {
        return Err(Violation::BareCr);
    }
    let end = line.iter().position(|byte| !is_token_byte(*byte)).ok_or(Violation::RequestLine)?;
    let (method, rest) = line.split_at(end);
    if method.is_empty() || rest[0] != b' ' {
        return Err(Violation::Method);
    }
    let last = rest.iter().rposition(|byte| *byte == b' ').unwrap_or(0);
    let target = rest.get(1..last).filter(|target| !target.is_empty()).ok_or(Violation::RequestLine)?;
    if target.contains(&b' ') {
        return Err(Violation::RequestLine);
    }
    Ok((method, target, Version::parse(&rest[last + 1..])?))
}
