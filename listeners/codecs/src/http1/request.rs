//! Request heads, read strictly, and what the rules see of them.

use std::borrow::Cow;

use memchr::memchr;
use portcullis_rules::{
    request::{FieldValue, Request},
    schema::{FieldIndex, FieldSpec, Form, Schema},
};

use super::{
    framing::{Framing, Version},
    head::{Line, Lines, is_token, members},
    target::{Target, check_authority},
    violation::Violation,
};

/// What HTTP publishes to the rules. `path` is Cilium's `:path` with the query, `host` its `:authority` as the client
/// sent it (cilium pkg/policy/api/http.go).
pub static SCHEMA: Schema = Schema {
    protocol: "http",
    fields: &[
        FieldSpec { name: "method", form: Form::Regex, checked: true },
        FieldSpec { name: "path", form: Form::Regex, checked: true },
        FieldSpec { name: "host", form: Form::Regex, checked: false },
        FieldSpec { name: "headers", form: Form::Headers, checked: true },
    ],
};

const METHOD: u8 = 0;
const PATH: u8 = 1;
const HOST: u8 = 2;

/// One request head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a [u8],
    target: Target<'a>,
    pub(super) version: Version,
    /// Value of Host.
    host: Option<&'a [u8]>,
    pub(super) framing: Framing,
    /// It offers to switch protocols.
    pub(super) upgrade: bool,
    pub(super) expect: bool,
    pub(super) close: bool,
    section: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads a whole head, whose every LF has a CR before it.
    pub(super) fn parse(head: &'a [u8]) -> Result<Self, Violation> {
        let lf = memchr(b'\n', head).ok_or(Violation::RequestLine)?;
        let (line, section) = (&head[..lf - 1], &head[lf + 1..]);
        let (method, target, version) = request_line(line)?;
        let target = Target::parse(method, target)?;
        let mut head = Self {
            method,
            target,
            version,
            host: None,
            framing: Framing::default(),
            upgrade: false,
            expect: false,
            close: version == Version::Http10,
            section,
        };
        for line in Lines::new(section) {
            head.note(&line?)?;
        }
        head.check()?;
        Ok(head)
    }

    fn note(&mut self, line: &Line<'a>) -> Result<(), Violation> {
        // Names are told apart by their length first: most lines are none of these.
        match line.name.len() {
            4 if line.is(b"host") => {
                if self.host.is_some() {
                    return Err(Violation::TwoHosts);
                }
                if !line.value.is_empty() {
                    check_authority(line.value)?;
                }
                self.host = Some(line.value);
            }
            6 if line.is(b"expect") => self.expect = true,
            7 if line.is(b"upgrade") => self.upgrade = true,
            10 if line.is(b"connection") => {
                self.framing.note(line)?;
                self.close |= members(line.value).any(|member| member.eq_ignore_ascii_case(b"close"));
            }
            14 | 17 => self.framing.note(line)?,
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Violation> {
        self.framing.check(self.version)?;
        if self.version == Version::Http11 && self.host.is_none() {
            return Err(Violation::NoHost);
        }
        if let (Some(authority), Some(host)) = (self.target.authority(), self.host)
            && !same_authority(authority, host)
        {
            return Err(Violation::HostMismatch);
        }
        if self.is_connect() && (self.framing.chunked || self.framing.length.is_some_and(|length| length > 0)) {
            return Err(Violation::ConnectBody);
        }
        Ok(())
    }

    /// Whether it asks for a tunnel.
    pub(super) fn is_connect(&self) -> bool {
        matches!(self.target, Target::Authority(_))
    }

    /// The authority: of the target, else of Host.
    fn authority(&self) -> Option<&'a [u8]> {
        self.target.authority().or(self.host)
    }

    fn header(&self, name: &[u8]) -> FieldValue<'a> {
        let mut found: Option<Cow<'a, [u8]>> = None;
        for line in Lines::new(self.section).flatten().filter(|line| line.is(name)) {
            match &mut found {
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
}

impl Request for Head<'_> {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        let some = |value| FieldValue::Value(Cow::Borrowed(value));
        match field.0 {
            METHOD => some(self.method),
            PATH => self.target.normal_path(),
            HOST => self.authority().map_or(FieldValue::Absent, some),
            _ => self.header(key.as_bytes()),
        }
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        match field.0 {
            METHOD => Some(Cow::Borrowed(self.method)),
            PATH => self.target.path(),
            HOST => self.authority().map(Cow::Borrowed),
            _ => None,
        }
    }

    fn version(&self) -> &'static str {
        match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3).
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Violation> {
    if memchr(b'\r', line).is_some() {
        return Err(Violation::BareCr);
    }
    if line == b"PRI * HTTP/2.0" {
        return Err(Violation::Http2Preface);
    }
    let first = memchr(b' ', line).ok_or(Violation::RequestLine)?;
    let last = line.iter().rposition(|byte| *byte == b' ').ok_or(Violation::RequestLine)?;
    if first == last {
        return Err(Violation::RequestLine);
    }
    let (method, target, version) = (&line[..first], &line[first + 1..last], &line[last + 1..]);
    if !is_token(method) {
        return Err(Violation::Method);
    }
    if target.is_empty() || memchr(b' ', target).is_some() {
        return Err(Violation::RequestLine);
    }
    Ok((method, target, self::version(version)?))
}

/// `HTTP/1.0` or `HTTP/1.1`.
pub(super) fn version(text: &[u8]) -> Result<Version, Violation> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Violation::Version)
        }
        _ => Err(Violation::RequestLine),
    }
}

/// Hosts ignore case, and `:80` may be left out (RFC 9110 §4.2.3).
fn same_authority(one: &[u8], other: &[u8]) -> bool {
    let bare = |authority: &'_ [u8]| authority.strip_suffix(b":80").map_or(authority.len(), <[u8]>::len);
    one[..bare(one)].eq_ignore_ascii_case(&other[..bare(other)])
}
