//! Parses request heads strictly and presents them to the rules (RFC 9113 §8.3.1).

use std::borrow::Cow;

use portcullis_rules::{
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
    tunnel::Tunnel,
};

use super::{
    field::{check_of_request, check_value, is_pseudo, take_length, trimmed},
    hpack::{FieldList, HeaderField},
    violation::Violation,
};
use crate::http::{
    CONNECT, SCHEMA,
    grpc::Call,
    parts::RequestParts,
    target::{Target, check_authority},
    text::{TOKEN, is_variable_of},
};

/// One request head.
#[derive(Debug)]
pub(super) struct StreamRequestHead<'a> {
    parts: RequestParts<'a>,
    exchange: u32,
    fields: &'a FieldList,
    pub(super) length: Option<u64>,
    /// The call of gRPC that it is.
    pub(super) call: Option<Call>,
}

/// The pseudo-header fields.
#[derive(Debug, Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

/// What the fields behind them say.
#[derive(Debug, Default)]
struct PseudoFields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    call: Option<Call>,
}

impl<'a> StreamRequestHead<'a> {
    /// Reads the fields of a request of this exchange. `extended` tells whether extended CONNECT may be used (RFC 8441).
    pub(super) fn read(fields: &'a FieldList, exchange: u32, extended: bool) -> Result<Self, Violation> {
        let mut pseudo = Pseudo::default();
        let mut said = PseudoFields::default();
        let mut in_front = true;
        for field in fields.iter().map(trimmed) {
            if is_pseudo(&field) {
                if !in_front {
                    return Err(Violation::PseudoField);
                }
                pseudo.note(&field)?;
            } else {
                in_front = false;
                check_of_request(&field)?;
                said.note(&field)?;
            }
        }
        let method = pseudo.method.ok_or(Violation::PseudoField)?;
        if method.is_empty() || !method.iter().all(|byte| TOKEN[usize::from(*byte)]) {
            return Err(Violation::Method);
        }
        if pseudo.protocol.is_some() && (method != b"CONNECT" || !extended) {
            return Err(Violation::ExtendedConnect);
        }
        let connect = method == b"CONNECT" && pseudo.protocol.is_none();
        let (target, scheme) = if connect { pseudo.authority()? } else { pseudo.path(method)? };
        let mut parts = RequestParts::new(method, target);
        parts.host = Some(host(&pseudo, &said, target, scheme)?);
        if connect && said.length.is_some_and(|length| length > 0) {
            return Err(Violation::ConnectBody);
        }
        Ok(Self { parts, exchange, fields, length: said.length, call: said.call })
    }

    pub(super) fn is_head(&self) -> bool {
        self.parts.method == b"HEAD"
    }

    pub(super) fn is_connect(&self) -> bool {
        self.parts.method == b"CONNECT"
    }

    /// The values of one name, joined: cookies as the one field they were (RFC 9113 §8.2.3), all others as lists.
    /// Ambiguous if a server that hands headers to programs takes another one for it (RFC 3875 §4.1.18).
    fn header(&self, name: &[u8]) -> FieldValue<'_> {
        if let Some(value) = self.parts.named(name) {
            return value;
        }
        let between: &[u8] = if name == b"cookie" { b"; " } else { b"," };
        let mut found: Option<Cow<'a, [u8]>> = None;
        for field in self.fields.iter().map(trimmed) {
            match &mut found {
                _ if field.name != name => {
                    if is_variable_of(field.name, name) {
                        return FieldValue::Ambiguous("variant");
                    }
                }
                None => found = Some(Cow::Borrowed(field.value)),
                Some(value) => value.to_mut().extend_from_slice(&[between, field.value].concat()),
            }
        }
        found.map_or(FieldValue::Absent, FieldValue::Value)
    }
}

impl<'a> Pseudo<'a> {
    fn note(&mut self, field: &HeaderField<'a>) -> Result<(), Violation> {
        let place = match field.name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" => &mut self.protocol,
            _ => return Err(Violation::PseudoField),
        };
        check_value(field.value)?;
        if place.replace(field.value).is_some() { Err(Violation::PseudoField) } else { Ok(()) }
    }

    /// The target of CONNECT: an authority and nothing else (RFC 9113 §8.5).
    fn authority(&self) -> Result<(Target<'a>, &'static [u8]), Violation> {
        let (Some(authority), None, None) = (self.authority, self.scheme, self.path) else {
            return Err(Violation::PseudoField);
        };
        Ok((Target::parse(b"CONNECT", authority)?, b""))
    }

    /// The target of all other requests, and the scheme's port.
    fn path(&self, method: &[u8]) -> Result<(Target<'a>, &'static [u8]), Violation> {
        let (Some(scheme), Some(path)) = (self.scheme, self.path) else { return Err(Violation::PseudoField) };
        if self.protocol.is_some_and(|protocol| !protocol.iter().all(|byte| TOKEN[usize::from(*byte)])) {
            return Err(Violation::ExtendedConnect);
        }
        let port: &[u8] = match scheme {
            b"http" => b"80",
            b"https" => b"443",
            _ => return Err(Violation::Scheme),
        };
        // The form with an authority of its own is one of HTTP/1; extended CONNECT has a path like any other.
        let method = if method == b"CONNECT" { b"GET" } else { method };
        match Target::parse(method, path)? {
            target @ (Target::Origin(_) | Target::Asterisk) => Ok((target, port)),
            Target::Absolute { .. } | Target::Authority(_) => Err(Violation::TargetForm),
        }
    }
}

impl<'a> PseudoFields<'a> {
    fn note(&mut self, field: &HeaderField<'a>) -> Result<(), Violation> {
        match field.name.len() {
            4 if field.name == b"host" && self.host.replace(field.value).is_some() => return Err(Violation::TwoHosts),
            12 if field.name == b"content-type" => self.call = self.call.or(Call::of(field.value)),
            14 if field.name == b"content-length" => take_length(&mut self.length, field.value)?,
            _ => {}
        }
        Ok(())
    }
}

/// Whom the request is for: `:authority`, else Host; both if they name the same server (RFC 9113 §8.3.1).
fn host<'a>(
    pseudo: &Pseudo<'a>,
    said: &PseudoFields<'a>,
    target: Target<'a>,
    default_port: &'static [u8],
) -> Result<&'a [u8], Violation> {
    let host = pseudo.authority.or(said.host).ok_or(Violation::NoHost)?;
    check_authority(host)?;
    if let (Some(authority), Some(other)) = (pseudo.authority, said.host) {
        check_authority(other)?;
        let named = match target {
            Target::Authority(_) => target,
            _ => Target::Absolute { authority, default_port, path: b"/", options: false },
        };
        if !named.agrees_with(other) {
            return Err(Violation::HostMismatch);
        }
    }
    Ok(host)
}

impl Request for StreamRequestHead<'_> {
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
        self.is_connect().then_some(CONNECT)
    }

    fn exchange(&self) -> u32 {
        self.exchange
    }

    fn version(&self) -> &'static str {
        "HTTP/2"
    }
}

#[cfg(test)]
mod tests {
    use super::{super::hpack::Representation, *};

    fn list(fields: &[(&str, &str)]) -> FieldList {
        let mut list = FieldList::default();
        for (name, value) in fields {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            list.push(HeaderField { name, value, representation: Representation::Indexed });
        }
        list
    }

    /// Method, path, host and one header as the rules see them.
    fn seen(fields: &[(&str, &str)], header: &str) -> Result<Vec<Option<String>>, Violation> {
        let list = list(fields);
        let head = StreamRequestHead::read(&list, 7, true)?;
        let text = |value| match value {
            FieldValue::Value(value) => Some(String::from_utf8_lossy(&value).into_owned()),
            FieldValue::Ambiguous(kind) => Some(format!("?{kind}")),
            FieldValue::Absent => None,
        };
        let fields = (0..3).map(|index| text(head.field(FieldIndex(index), "")));
        Ok(fields.chain([text(head.field(FieldIndex(3), header))]).collect())
    }

    const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/a")];

    #[test]
    fn rules_see_what_they_see_of_http1() {
        let with = |more: &[(&'static str, &'static str)]| [&GET, more].concat();
        let some = |texts: [&str; 4]| Ok(texts.iter().map(|text| Some((*text).to_owned())).collect());
        assert_eq!(seen(&with(&[("x-a", "1"), ("x-b", "2"), ("x-a", "3")]), "x-a"), some(["GET", "/a", "h", "1,3"]));
        assert_eq!(
            seen(&with(&[("cookie", "a=b"), ("cookie", "c=d")]), "cookie"),
            some(["GET", "/a", "h", "a=b; c=d"])
        );
        assert_eq!(seen(&with(&[("host", "H:80")]), "host"), some(["GET", "/a", "h", "h"]));
        assert_eq!(seen(&GET, ":path"), some(["GET", "/a", "h", "/a"]));
        assert_eq!(seen(&with(&[("x-a", "1"), ("x_a", "2")]), "x-a"), some(["GET", "/a", "h", "?variant"]));
        let ambiguous = [GET[0], GET[1], GET[2], (":path", "/a//b")];
        assert_eq!(seen(&ambiguous, ":method"), some(["GET", "?empty_segment", "h", "GET"]));
        let by_host = [GET[0], GET[1], GET[3], ("host", "other:8080")];
        assert_eq!(seen(&by_host, ":authority"), some(["GET", "/a", "other:8080", "other:8080"]));
        let connect = [(":method", "CONNECT"), (":authority", "db:5432")];
        assert_eq!(seen(&connect, "x"), Ok(vec![Some("CONNECT".to_owned()), None, Some("db:5432".to_owned()), None]));
        let websocket = [(":method", "CONNECT"), (":protocol", "websocket"), GET[1], GET[2], GET[3]];
        assert_eq!(seen(&websocket, ":method"), some(["CONNECT", "/a", "h", "CONNECT"]));
        let options = [(":method", "OPTIONS"), GET[1], GET[2], (":path", "*")];
        assert_eq!(seen(&options, ":method"), some(["OPTIONS", "*", "h", "OPTIONS"]));
    }

    #[test]
    fn malformed_heads_are_told_by_their_first_violation() {
        let [method, scheme, authority, path] = GET;
        for (fields, wanted) in [
            (vec![scheme, authority, path], Violation::PseudoField),
            (vec![method, authority, path], Violation::PseudoField),
            (vec![method, scheme, authority], Violation::PseudoField),
            (vec![method, method, scheme, authority, path], Violation::PseudoField),
            (vec![method, scheme, ("a", "b"), authority, path], Violation::PseudoField),
            (vec![method, scheme, authority, path, (":status", "200")], Violation::PseudoField),
            (vec![(":method", ""), scheme, authority, path], Violation::Method),
            (vec![(":method", "G T"), scheme, authority, path], Violation::Method),
            (vec![method, (":scheme", "ftp"), authority, path], Violation::Scheme),
            (vec![method, scheme, path], Violation::NoHost),
            (vec![method, scheme, authority, (":path", "")], Violation::TargetForm),
            (vec![method, scheme, authority, (":path", "a")], Violation::TargetForm),
            (vec![method, scheme, authority, (":path", "http://h/")], Violation::TargetForm),
            (vec![method, scheme, authority, (":path", "*")], Violation::TargetForm),
            (vec![method, scheme, authority, (":path", "/a b")], Violation::TargetByte),
            (vec![method, scheme, authority, (":path", "/a#b")], Violation::TargetByte),
            (vec![method, scheme, authority, (":path", "/a\r\nb: c")], Violation::FieldValue),
            (vec![method, scheme, (":authority", "u@h"), path], Violation::UserInfo),
            (vec![method, scheme, (":authority", ""), path], Violation::HostValue),
            (vec![method, scheme, authority, path, ("host", "g")], Violation::HostMismatch),
            (vec![method, scheme, authority, path, ("host", "h:81")], Violation::HostMismatch),
            (vec![method, scheme, authority, path, ("host", "h"), ("host", "h")], Violation::TwoHosts),
            (vec![method, scheme, authority, path, ("content-length", "+1")], Violation::ContentLength),
            (
                vec![method, scheme, authority, path, ("content-length", "1"), ("content-length", "1")],
                Violation::ContentLength,
            ),
            (vec![method, scheme, authority, path, ("connection", "close")], Violation::ConnectionField),
            (vec![method, scheme, authority, path, ("X", "")], Violation::FieldName),
            (vec![method, (":protocol", "websocket"), scheme, authority, path], Violation::ExtendedConnect),
            (vec![(":method", "CONNECT"), scheme, authority, path], Violation::PseudoField),
            (vec![(":method", "CONNECT"), (":authority", "h")], Violation::TargetForm),
            (vec![(":method", "CONNECT"), (":authority", "h:1"), ("host", "g:1")], Violation::HostMismatch),
            (vec![(":method", "CONNECT"), (":authority", "h:1"), ("content-length", "1")], Violation::ConnectBody),
        ] {
            assert_eq!(seen(&fields, ""), Err(wanted), "{fields:?}");
        }
        let websocket = list(&[(":method", "CONNECT"), (":protocol", "websocket"), scheme, authority, path]);
        assert_eq!(StreamRequestHead::read(&websocket, 1, false).map(drop), Err(Violation::ExtendedConnect));
    }
}
