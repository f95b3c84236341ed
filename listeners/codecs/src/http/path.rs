//! The normal form of a path for comparison.
//!
//! The server gets the bytes that the client sent, so a path may be compared only if all ways to read it agree. A path
//! that can be read in two ways is ambiguous, and no rule that has a path matches it.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};
use portcullis_rules::request::FieldValue;

use super::text::hex;

/// The normal form of a path with its query: unreserved percent-encodings of the path are decoded (RFC 3986 §6.2.2.2), the
/// hexadecimal digits of others are upper case. The query stays as it is.
pub(crate) fn normalise(path: &[u8]) -> FieldValue<'_> {
    let end = memchr(b'?', path).unwrap_or(path.len());
    let (only_path, query) = path.split_at(end);
    if let Some(kind) = plain_ambiguity(only_path) {
        return FieldValue::Ambiguous(kind);
    }
    // Wherever they stand: some servers take a byte outside ASCII for white space, where the target ends (http.server).
    if !path.is_ascii() {
        return FieldValue::Ambiguous("not_ascii");
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
    if memchr(b'\\', path).is_some() {
        return Some("backslash");
    }
    memchr_iter(b'/', path).find_map(|slash| match path[slash + 1..] {
        [b'/', ..] => Some("empty_segment"),
        [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..] => Some("dot_segment"),
        // Where the path ends in a slash, every reader reads it alike.
        _ => None,
    })
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
            // Behind a gateway that decodes, it begins parameters, the query or a fragment for the next.
            b';' => return Err("encoded_semicolon"),
            b'?' => return Err("encoded_question_mark"),
            b'#' => return Err("encoded_hash"),
            0 => return Err("encoded_nul"),
            1..=0x1f | 0x7f => return Err("encoded_control"),
            b'-' | b'_' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => normal.push(byte),
            _ => normal.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    if is_encoded_twice(&raw) {
        return Err("double_encoding");
    }
    // Overlong forms are invalid UTF-8 too.
    if std::str::from_utf8(&raw).is_err() { Err("invalid_utf8") } else { Ok(normal) }
}

/// Whether a path that has been decoded once can be decoded again: for whoever does, it is another one. A sign of its own,
/// as in `100%25`, stays what it is.
fn is_encoded_twice(raw: &[u8]) -> bool {
    memchr_iter(b'%', raw).any(|at| match raw[at + 1..] {
        // `%u002e`, as IIS reads it.
        [b'u' | b'U', ..] => true,
        [high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    })
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
            ("/100%25", "/100%25"),
            ("/100%25/of%25it", "/100%25/of%25it"),
            ("/a?re=\\d+%3b%00", "/a?re=\\d+%3b%00"),
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
            ("/a%0a", "encoded_control"),
            ("/a%1F", "encoded_control"),
            ("/a%7f", "encoded_control"),
            ("/..%3b/a", "encoded_semicolon"),
            ("/..%3B/a", "encoded_semicolon"),
            ("/a%3fb", "encoded_question_mark"),
            ("/a%23b", "encoded_hash"),
            ("/%252e%252e/a", "double_encoding"),
            ("/%25%32%65/a", "double_encoding"),
            ("/%25252e/a", "double_encoding"),
            ("/%257e", "double_encoding"),
            ("/%25u002e", "double_encoding"),
            ("/a\\b", "backslash"),
            ("/é", "not_ascii"),
            ("/a?é", "not_ascii"),
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
}
