//! Request targets: their four forms, and the normal form of a path for comparison.
//!
//! The server gets the bytes the client sent, so a path may be compared only when all readings of it agree. What could
//! be read differently is ambiguous, and no rule that looks at the path matches it.

use std::borrow::Cow;

use memchr::memchr;
use portcullis_rules::request::FieldValue;

use super::{chunked::hex, violation::Violation};

/// The target of a request (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// `/path?query`.
    Origin(&'a [u8]),
    /// `http://authority/path?query`; the path may be empty.
    Absolute { authority: &'a [u8], path: &'a [u8] },
    /// `host:port`, for CONNECT.
    Authority(&'a [u8]),
    /// `*`, for OPTIONS.
    Asterisk,
}

impl<'a> Target<'a> {
    /// Reads a target.
    pub(super) fn parse(method: &[u8], target: &'a [u8]) -> Result<Self, Violation> {
        if target.iter().any(|byte| !(0x21..=0x7e).contains(byte) || matches!(byte, b'#' | b'\\')) {
            return Err(Violation::TargetByte);
        }
        if method == b"CONNECT" {
            check_authority(target)?;
            let port = target.iter().rposition(|byte| *byte == b':').map(|colon| &target[colon + 1..]);
            let is_port = |port: &[u8]| !port.is_empty() && port.iter().all(u8::is_ascii_digit);
            return if port.is_some_and(is_port) { Ok(Self::Authority(target)) } else { Err(Violation::TargetForm) };
        }
        match target {
            [b'/', ..] => Ok(Self::Origin(target)),
            b"*" if method == b"OPTIONS" => Ok(Self::Asterisk),
            _ => Self::absolute(target),
        }
    }

    fn absolute(target: &'a [u8]) -> Result<Self, Violation> {
        let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
            let (head, rest) = target.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        });
        let rest = rest.ok_or(Violation::TargetForm)?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        check_authority(authority)?;
        Ok(Self::Absolute { authority, path })
    }

    /// The authority the target names.
    pub(super) fn authority(self) -> Option<&'a [u8]> {
        match self {
            Self::Absolute { authority, .. } | Self::Authority(authority) => Some(authority),
            Self::Origin(_) | Self::Asterisk => None,
        }
    }

    /// Path and query as the client sent them.
    pub(super) fn path(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Origin(path) => Some(Cow::Borrowed(path)),
            Self::Absolute { path: [], .. } => Some(Cow::Borrowed(b"/")),
            Self::Absolute { path: path @ [b'/', ..], .. } => Some(Cow::Borrowed(path)),
            Self::Absolute { path, .. } => Some(Cow::Owned([b"/", path].concat())),
            Self::Asterisk => Some(Cow::Borrowed(b"*")),
            Self::Authority(_) => None,
        }
    }

    /// Path and query in normal form.
    pub(super) fn normal_path(self) -> FieldValue<'a> {
        match self.path() {
            None => FieldValue::Absent,
            Some(Cow::Borrowed(path)) => normalise(path),
            Some(Cow::Owned(path)) => match normalise(&path) {
                FieldValue::Value(value) => FieldValue::Value(Cow::Owned(value.into_owned())),
                FieldValue::Ambiguous(kind) => FieldValue::Ambiguous(kind),
                FieldValue::Absent => FieldValue::Absent,
            },
        }
    }
}

/// `host [ ":" port ]`, not empty, without user information (RFC 9110 §4.2.4, RFC 3986 §3.2).
pub(super) fn check_authority(authority: &[u8]) -> Result<(), Violation> {
    if memchr(b'@', authority).is_some() {
        return Err(Violation::UserInfo);
    }
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    if !authority.is_empty() && authority.iter().all(fine) { Ok(()) } else { Err(Violation::HostValue) }
}

/// The normal form of a path with its query: unreserved percent-encodings of the path are decoded (RFC 3986 §6.2.2.2), the
/// hexadecimal digits of others are upper case. The query stays as it is.
fn normalise(path: &[u8]) -> FieldValue<'_> {
    let end = memchr(b'?', path).unwrap_or(path.len());
    let (only_path, query) = path.split_at(end);
    if let Some(kind) = plain_ambiguity(only_path) {
        return FieldValue::Ambiguous(kind);
    }
    if memchr(b'%', only_path).is_none() {
        return FieldValue::Value(Cow::Borrowed(path));
    }
    match decode(only_path) {
        Err(kind) => FieldValue::Ambiguous(kind),
        Ok(mut decoded) => {
            decoded.extend_from_slice(query);
            FieldValue::Value(Cow::Owned(decoded))
        }
    }
}

/// What is ambiguous without looking into percent-encodings.
fn plain_ambiguity(path: &[u8]) -> Option<&'static str> {
    if memchr(b';', path).is_some() {
        return Some("path_parameters");
    }
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." | b".." => return Some("dot_segment"),
            // The last one is empty where the path ends in a slash, which every reader reads alike.
            b"" if segments.peek().is_some() => return Some("empty_segment"),
            _ => {}
        }
    }
    None
}

fn decode(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut normal = Vec::with_capacity(path.len());
    let mut raw = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            normal.push(*first);
            raw.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return Err("malformed_percent") };
        if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
            return Err("malformed_percent");
        }
        rest = tail;
        let byte = hex(*high) << 4 | hex(*low);
        raw.push(byte);
        match byte {
            b'.' => return Err("encoded_dot"),
            b'/' => return Err("encoded_slash"),
            b'\\' => return Err("encoded_backslash"),
            0 => return Err("encoded_nul"),
            b'-' | b'_' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => normal.push(byte),
            _ => normal.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    // Overlong forms are invalid UTF-8 too.
    if std::str::from_utf8(&raw).is_err() { Err("invalid_utf8") } else { Ok(normal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> FieldValue<'_> {
        normalise(path.as_bytes())
    }

    fn value(path: &str) -> FieldValue<'static> {
        FieldValue::Value(Cow::Owned(path.as_bytes().to_vec()))
    }

    #[test]
    fn a_path_that_all_read_alike_has_a_normal_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b.json", "/a/b.json"),
            ("/a/", "/a/"),
            ("/status/200?x=//..;%2f", "/status/200?x=//..;%2f"),
            ("/%61%7e", "/a~"),
            ("/%c3%a9?%61", "/%C3%A9?%61"),
            ("/...", "/..."),
            ("/.hidden", "/.hidden"),
            ("/a%20b", "/a%20b"),
        ] {
            assert_eq!(of(path), value(normal), "{path}");
        }
    }

    #[test]
    fn a_path_that_two_may_read_differently_is_ambiguous() {
        for (path, kind) in [
            ("/a/../b", "dot_segment"),
            ("/.", "dot_segment"),
            ("/..", "dot_segment"),
            ("//admin", "empty_segment"),
            ("/a//b", "empty_segment"),
            ("/a//", "empty_segment"),
            ("/%2e%2e/x", "encoded_dot"),
            ("/a%2Fb", "encoded_slash"),
            ("/a%5cb", "encoded_backslash"),
            ("/a%00", "encoded_nul"),
            ("/a%", "malformed_percent"),
            ("/a%4", "malformed_percent"),
            ("/a%zz", "malformed_percent"),
            ("/a;b=c", "path_parameters"),
            ("/%c0%af", "invalid_utf8"),
            ("/%ff", "invalid_utf8"),
        ] {
            assert_eq!(of(path), FieldValue::Ambiguous(kind), "{path}");
        }
    }

    #[test]
    fn the_four_forms_and_nothing_else() {
        assert_eq!(Target::parse(b"GET", b"/a"), Ok(Target::Origin(b"/a")));
        assert_eq!(Target::parse(b"OPTIONS", b"*"), Ok(Target::Asterisk));
        assert_eq!(Target::parse(b"CONNECT", b"h:1"), Ok(Target::Authority(b"h:1")));
        assert_eq!(Target::parse(b"GET", b"HTTP://h:1/a?b"), Ok(Target::Absolute { authority: b"h:1", path: b"/a?b" }));
        for (method, target, violation) in [
            ("GET", "*", Violation::TargetForm),
            ("GET", "a/b", Violation::TargetForm),
            ("GET", "h:1", Violation::TargetForm),
            ("GET", "ftp://h/", Violation::TargetForm),
            ("GET", "http:///a", Violation::HostValue),
            ("GET", "http://u@h/", Violation::UserInfo),
            ("CONNECT", "h", Violation::TargetForm),
            ("CONNECT", "h:", Violation::TargetForm),
            ("CONNECT", "/a", Violation::HostValue),
            ("GET", "/a#b", Violation::TargetByte),
            ("GET", "/a\\b", Violation::TargetByte),
            ("GET", "/é", Violation::TargetByte),
            ("GET", "/a\tb", Violation::TargetByte),
        ] {
            assert_eq!(Target::parse(method.as_bytes(), target.as_bytes()), Err(violation), "{method} {target}");
        }
    }
}
