//! Determines where a message ends from its header fields (RFC 9112 §6).

use super::{field::FieldLine, violation::Violation};
use crate::http::{
    names::is_framing,
    text::{content_length, members},
};

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

impl Version {
    /// Reads `HTTP/1.0` or `HTTP/1.1`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Violation> {
        match text {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                Err(Violation::Version)
            }
            _ => Err(Violation::RequestLine),
        }
    }
}

/// What the header lines say about the length of the body, gathered line by line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framing {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
}

impl Framing {
    /// Takes one line into account.
    pub(super) fn note(&mut self, line: &FieldLine<'_>) -> Result<(), Violation> {
        if line.is(b"content-length") {
            if self.length.is_some() {
                return Err(Violation::TwoLengths);
            }
            self.length = Some(content_length(line.value).ok_or(Violation::ContentLength)?);
        } else if line.is(b"transfer-encoding") {
            if self.chunked || !line.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::TransferEncoding);
            }
            self.chunked = true;
        } else if line.is(b"connection") && members(line.value).any(is_framing) {
            return Err(Violation::ConnectionNominates);
        }
        Ok(())
    }

    /// Checks what only the whole head shows.
    pub(super) fn check(&self, version: Version) -> Result<(), Violation> {
        match (self.chunked, self.length, version) {
            (true, Some(_), _) => Err(Violation::LengthAndEncoding),
            (true, None, Version::Http10) => Err(Violation::EncodingInHttp10),
            _ => Ok(()),
        }
    }

    /// Whether the fields announce content.
    pub(super) fn has_content(&self) -> bool {
        self.chunked || self.length.is_some_and(|length| length > 0)
    }
}
