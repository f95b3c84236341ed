//! Parses response heads strictly, but only the parts that determine how the response continues (RFC 9113 §8.3.2).

use super::{
    field::{check, grpc_status, is_pseudo, take_length, trimmed},
    hpack::FieldList,
    streams::{Half, OpenStream},
    violation::Violation,
};
use crate::http::grpc::Call;

/// One response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamResponseHead {
    pub(super) status: u16,
    length: Option<u64>,
    /// The answer to a call of gRPC: its status comes at its end.
    pub(super) grpc: bool,
    pub(super) grpc_status: Option<u32>,
}

impl StreamResponseHead {
    /// Reads the fields of a response.
    pub(super) fn read(fields: &FieldList) -> Result<Self, Violation> {
        let mut status = None;
        let (mut length, mut grpc) = (None, false);
        for (number, field) in fields.iter().map(trimmed).enumerate() {
            if is_pseudo(&field) {
                if number > 0 || field.name != b":status" {
                    return Err(Violation::PseudoField);
                }
                status = Some(field.value);
                continue;
            }
            check(&field)?;
            match field.name {
                b"content-length" => take_length(&mut length, field.value)?,
                b"content-type" => grpc |= Call::of(field.value) == Some(Call::Native),
                _ => {}
            }
        }
        let digit = |byte: u8| u16::from(byte - b'0');
        let status = match status.ok_or(Violation::PseudoField)? {
            [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
                digit(*hundreds) * 100 + digit(*tens) * 10 + digit(*ones)
            }
            _ => return Err(Violation::Status),
        };
        // HTTP/2 has no switching of protocols (RFC 9113 §8.6).
        if status == 101 {
            return Err(Violation::Status);
        }
        let grpc_status = if grpc { grpc_status(fields.iter()) } else { None };
        Ok(Self { status, length, grpc, grpc_status })
    }

    /// Whether the final response is still to come.
    pub(super) fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// How the response goes on behind it (RFC 9110 §6.4.1, RFC 9113 §8.1.1).
    pub(super) fn behind(&self, asked: &OpenStream, end_stream: bool) -> Result<Half, Violation> {
        if self.is_interim() {
            // It is not the end, and has no content.
            let fine = !end_stream && self.length.is_none_or(|length| length == 0);
            return if fine { Ok(Half::Head) } else { Err(Violation::Status) };
        }
        let length = match self.status {
            200..=299 if asked.connect => None,
            _ if asked.head => Some(0),
            304 => Some(0),
            204 if self.length.is_some_and(|length| length > 0) => return Err(Violation::LengthMismatch),
            204 => Some(0),
            _ if end_stream && self.length.is_some_and(|length| length > 0) => return Err(Violation::LengthMismatch),
            _ => self.length,
        };
        Ok(Half::behind_head(length, end_stream))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::hpack::{HeaderField, Representation},
        *,
    };

    fn head(fields: &[(&str, &str)]) -> Result<StreamResponseHead, Violation> {
        let mut list = FieldList::default();
        for (name, value) in fields {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            list.push(HeaderField { name, value, representation: Representation::Indexed });
        }
        StreamResponseHead::read(&list)
    }

    const ASKED: OpenStream = OpenStream {
        id: 1,
        exchange: 1,
        halves: [Half::Ended, Half::Head],
        head: false,
        connect: false,
        status: None,
        told: false,
    };

    #[test]
    fn how_a_response_goes_on() {
        let (head_asked, connect) = (OpenStream { head: true, ..ASKED }, OpenStream { connect: true, ..ASKED });
        let body = |length| Ok(Half::Body(Some(length)));
        for (asked, status, length, end, wanted) in [
            (ASKED, "200", None, false, Ok(Half::Body(None))),
            (ASKED, "200", None, true, Ok(Half::Ended)),
            (ASKED, "200", Some("5"), false, body(5)),
            (ASKED, "200", Some("5"), true, Err(Violation::LengthMismatch)),
            (ASKED, "200", Some("0"), true, Ok(Half::Ended)),
            (ASKED, "204", None, false, body(0)),
            (ASKED, "204", Some("1"), true, Err(Violation::LengthMismatch)),
            (ASKED, "304", Some("7"), true, Ok(Half::Ended)),
            (ASKED, "304", Some("7"), false, body(0)),
            (head_asked, "200", Some("7"), true, Ok(Half::Ended)),
            (head_asked, "200", Some("7"), false, body(0)),
            (ASKED, "103", None, false, Ok(Half::Head)),
            (ASKED, "100", None, true, Err(Violation::Status)),
            (ASKED, "100", Some("1"), false, Err(Violation::Status)),
            (connect, "200", Some("7"), false, Ok(Half::Body(None))),
            (connect, "403", Some("7"), false, body(7)),
            (ASKED, "999", None, false, Ok(Half::Body(None))),
        ] {
            let fields: Vec<_> =
                [(":status", status)].into_iter().chain(length.map(|length| ("content-length", length))).collect();
            let behind = head(&fields).and_then(|head| head.behind(&asked, end));
            assert_eq!(behind, wanted, "{fields:?} {end}");
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        for (fields, wanted) in [
            (vec![], Violation::PseudoField),
            (vec![("a", "b")], Violation::PseudoField),
            (vec![("a", "b"), (":status", "200")], Violation::PseudoField),
            (vec![(":status", "200"), (":status", "200")], Violation::PseudoField),
            (vec![(":path", "/")], Violation::PseudoField),
            (vec![(":status", "20")], Violation::Status),
            (vec![(":status", "099")], Violation::Status),
            (vec![(":status", "101")], Violation::Status),
            (vec![(":status", "200"), ("A", "b")], Violation::FieldName),
            (vec![(":status", "200"), ("a", "\n")], Violation::FieldValue),
            (vec![(":status", "200"), ("upgrade", "x")], Violation::ConnectionField),
            (vec![(":status", "200"), ("content-length", "1"), ("content-length", "1")], Violation::ContentLength),
        ] {
            assert_eq!(head(&fields), Err(wanted), "{fields:?}");
        }
    }

    #[test]
    fn the_status_of_a_call_is_known_where_the_head_is_all() {
        let head = head(&[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")]).unwrap();
        assert_eq!((head.grpc, head.grpc_status), (true, Some(5)));
    }
}
