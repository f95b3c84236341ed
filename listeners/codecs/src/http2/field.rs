//! Checks each field of a header list (RFC 9113 §8.2).

use super::{hpack::HeaderField, violation::Violation};
use crate::http::{
    names::{is_barred_from_trailers, is_imitation},
    text::{TOKEN, content_length, control, trim},
};

/// Fields that belong to one connection of HTTP/1 (RFC 9113 §8.2.2). `te` is one with an exception.
const CONNECTION: [&[u8]; 5] = [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

/// The bytes of a name: those of a token but for capital letters (RFC 9113 §8.2.1).
static NAME: [bool; 256] = {
    let mut table = TOKEN;
    let mut byte = b'A';
    while byte <= b'Z' {
        table[byte as usize] = false;
        byte += 1;
    }
    table
};

/// Fields that frame or route a message: no trailer may be one (RFC 9110 §6.5.1).
const FRAMING: [&[u8]; 2] = [b"content-length", b"host"];

/// Whether a field is a pseudo-header field.
pub(super) fn is_pseudo(field: &HeaderField<'_>) -> bool {
    field.name.first() == Some(&b':')
}

/// A field without the white space around its value, which is no part of it (RFC 9110 §5.5). It should not be there
/// (RFC 9113 §8.2.1), but clients, servers and other proxies take it. Pseudo-header fields stay as they are.
pub(super) fn trimmed(field: HeaderField<'_>) -> HeaderField<'_> {
    if is_pseudo(&field) { field } else { HeaderField { value: trim(field.value), ..field } }
}

/// Checks a field of a request beyond what holds for all: some server behind a gateway could take it for one that frames
/// or routes the message.
pub(super) fn check_of_request(field: &HeaderField<'_>) -> Result<(), Violation> {
    check(field)?;
    match field.name.len() {
        6 if field.name == b"expect" && !field.value.eq_ignore_ascii_case(b"100-continue") => {
            Err(Violation::Expectation)
        }
        _ if is_imitation(field.name) => Err(Violation::FieldVariant),
        _ => Ok(()),
    }
}

/// Checks name and value of a field that is no pseudo-header field, and that it is none of a connection.
pub(super) fn check(field: &HeaderField<'_>) -> Result<(), Violation> {
    if field.name.is_empty() || !field.name.iter().all(|byte| NAME[usize::from(*byte)]) {
        return Err(Violation::FieldName);
    }
    check_value(field.value)?;
    // They are told apart by their length first: most fields are none of these.
    let of_connection = match field.name.len() {
        2 => field.name == b"te" && !field.value.eq_ignore_ascii_case(b"trailers"),
        7 | 10 | 16 | 17 => CONNECTION.contains(&field.name),
        _ => false,
    };
    if of_connection { Err(Violation::ConnectionField) } else { Ok(()) }
}

/// Checks a value: no control bytes but HTAB, no white space around it (RFC 9113 §8.2.1, RFC 9110 §5.5).
pub(super) fn check_value(value: &[u8]) -> Result<(), Violation> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(value.first()) || blank(value.last()) || control(value).is_some() {
        return Err(Violation::FieldValue);
    }
    Ok(())
}

/// Takes a Content-Length, of which there is at most one.
pub(super) fn take_length(length: &mut Option<u64>, value: &[u8]) -> Result<(), Violation> {
    if length.is_some() {
        return Err(Violation::ContentLength);
    }
    *length = Some(content_length(value).ok_or(Violation::ContentLength)?);
    Ok(())
}

/// Checks trailers of a request: none may frame or route, in any spelling.
pub(super) fn check_trailers_of_request<'a>(
    fields: impl Iterator<Item = HeaderField<'a>> + Clone,
) -> Result<(), Violation> {
    check_trailers(fields.clone())?;
    let mut fields = fields;
    if fields.any(|field| is_barred_from_trailers(field.name)) { Err(Violation::TrailerField) } else { Ok(()) }
}

/// Checks trailers (RFC 9113 §8.1).
pub(super) fn check_trailers<'a>(fields: impl Iterator<Item = HeaderField<'a>>) -> Result<(), Violation> {
    for field in fields.map(trimmed) {
        if is_pseudo(&field) || FRAMING.contains(&field.name) {
            return Err(Violation::TrailerField);
        }
        check(&field)?;
    }
    Ok(())
}

/// The status of a call, if it is one (`grpc-status`, a decimal number).
pub(super) fn grpc_status<'a>(mut fields: impl Iterator<Item = HeaderField<'a>>) -> Option<u32> {
    let value = fields.find(|field| field.name == b"grpc-status")?.value;
    content_length(trim(value)).and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::{super::hpack::Representation, *};

    fn field<'a>(name: &'a str, value: &'a str) -> HeaderField<'a> {
        HeaderField { name: name.as_bytes(), value: value.as_bytes(), representation: Representation::WithoutIndexing }
    }

    #[test]
    fn names_and_values_are_taken_to_the_letter() {
        for (name, value, wanted) in [
            ("accept", "*/*", Ok(())),
            ("x-empty", "", Ok(())),
            ("x-inside", "a b\tc \u{e9}", Ok(())),
            ("te", "trailers", Ok(())),
            ("te", "gzip", Err(Violation::ConnectionField)),
            ("", "a", Err(Violation::FieldName)),
            ("Accept", "a", Err(Violation::FieldName)),
            ("a b", "a", Err(Violation::FieldName)),
            ("a:", "a", Err(Violation::FieldName)),
            ("é", "a", Err(Violation::FieldName)),
            ("a", " a", Err(Violation::FieldValue)),
            ("a", "a\t", Err(Violation::FieldValue)),
            ("a", "a\0b", Err(Violation::FieldValue)),
            ("a", "a\r\nb: c", Err(Violation::FieldValue)),
            ("a", "a\x7f", Err(Violation::FieldValue)),
            ("connection", "close", Err(Violation::ConnectionField)),
            ("keep-alive", "5", Err(Violation::ConnectionField)),
            ("proxy-connection", "x", Err(Violation::ConnectionField)),
            ("transfer-encoding", "chunked", Err(Violation::ConnectionField)),
            ("upgrade", "x", Err(Violation::ConnectionField)),
        ] {
            assert_eq!(check(&field(name, value)), wanted, "{name}: {value:?}");
        }
    }

    #[test]
    fn white_space_around_a_value_is_none_of_it() {
        for (name, value, wanted) in [("a", " b\t ", "b"), ("a", "  ", ""), ("a", "b c", "b c"), (":path", " /", " /")]
        {
            assert_eq!(trimmed(field(name, value)).value, wanted.as_bytes(), "{name}: {value:?}");
        }
    }

    #[test]
    fn a_request_has_no_field_that_some_server_takes_for_one_that_frames() {
        for (name, value, wanted) in [
            ("content_length", "1", Err(Violation::FieldVariant)),
            ("transfer.encoding", "chunked", Err(Violation::FieldVariant)),
            ("host-", "h", Err(Violation::FieldVariant)),
            ("expect", "x", Err(Violation::Expectation)),
            ("expect", "100-Continue", Ok(())),
            ("x_user", "1", Ok(())),
        ] {
            assert_eq!(check_of_request(&field(name, value)), wanted, "{name}: {value:?}");
        }
        for name in ["expect", "te", "trailer", "content_length", "host."] {
            let value = if name == "te" { "trailers" } else { "1" };
            let checked = check_trailers_of_request([field(name, value)].into_iter());
            assert_eq!(checked, Err(Violation::TrailerField), "{name}");
        }
    }

    #[test]
    fn trailers_neither_frame_nor_route() {
        let check = |name, value| check_trailers([field("a", "b"), field(name, value)].into_iter());
        assert_eq!(check("grpc-status", "0"), Ok(()));
        assert_eq!(check(":path", "/"), Err(Violation::TrailerField));
        assert_eq!(check("content-length", "0"), Err(Violation::TrailerField));
        assert_eq!(check("host", "h"), Err(Violation::TrailerField));
        assert_eq!(check("upgrade", "h"), Err(Violation::ConnectionField));
    }

    #[test]
    fn the_status_of_a_call_is_a_number() {
        let status = |value| grpc_status([field("a", "b"), field("grpc-status", value)].into_iter());
        assert_eq!((status("7"), status("x"), status("")), (Some(7), None, None));
    }
}
