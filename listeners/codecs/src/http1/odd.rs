//! Responses that break the standard but that clients accept: a bare LF, a repeated length, a folded line. Policy
//! judges requests, so such a response is forwarded unchanged. After it nobody can tell for certain where the response
//! ends, so no further byte of the client reaches the server, and the connection closes behind the response.

use memchr::memchr_iter;

use super::{body::BodyState, chunked::Chunked, outstanding::RequestShape};
use crate::http::text::{content_length, has_member, members, trim};

/// Where in an odd answer we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnusualAnswer {
    /// In its head, of which so many bytes were looked through, and so many of them are whole lines.
    Head { seen: usize, lines: usize },
    /// In a body whose end can be told.
    Body(BodyState),
    /// It ends with the server's stream.
    UntilClose,
}

/// How an odd answer goes on behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterUnusual {
    /// It is no final answer.
    Interim,
    /// It has no body.
    Nothing,
    Body(BodyState),
    UntilClose,
    /// It cannot go on: no client could make anything of it, or it switches protocols.
    Refuse,
}

/// Finds the end of an odd head as lenient readers do: an empty line, with CR or without. Remembers how far it has looked.
pub(super) fn end(seen: &mut usize, lines: &mut usize, input: &[u8]) -> Option<usize> {
    for lf in memchr_iter(b'\n', &input[*seen..]).map(|offset| *seen + offset) {
        let line = &input[*lines..lf];
        let first = *lines == 0;
        *lines = lf + 1;
        if !first && matches!(line, [] | [b'\r']) {
            return Some(lf + 1);
        }
    }
    *seen = input.len();
    None
}

/// Whether the input begins as an answer does, as far as it is there.
pub(super) fn is_http(input: &[u8]) -> bool {
    let there = input.len().min(5);
    input[..there] == b"HTTP/"[..there]
}

/// Reads an odd head as most clients do: its status, and how it goes on.
pub(super) fn read(head: &[u8], asked: RequestShape) -> (u16, AfterUnusual) {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().map_or(0, status);
    let mut length = None;
    let (mut agree, mut encoded, mut chunked) = (true, false, false);
    for line in lines.filter(|line| !matches!(line, [b' ' | b'\t', ..])) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (trim(&line[..colon]), trim(&line[colon + 1..]));
        if name.eq_ignore_ascii_case(b"content-length") {
            for said in members(value).map(content_length) {
                agree &= said.is_some() && length.is_none_or(|other| Some(other) == said);
                length = said.or(length);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked |= has_member(value, b"chunked");
            encoded |= !value.eq_ignore_ascii_case(b"identity");
        }
    }
    let next = match status {
        0..100 | 101 => AfterUnusual::Refuse,
        200..300 if asked.connect => AfterUnusual::Refuse,
        102..200 | 100 => AfterUnusual::Interim,
        204 | 304 => AfterUnusual::Nothing,
        _ if asked.head => AfterUnusual::Nothing,
        _ if chunked => AfterUnusual::Body(BodyState::Chunked(Chunked::new())),
        _ if encoded || !agree => AfterUnusual::UntilClose,
        _ => match length {
            Some(0) => AfterUnusual::Nothing,
            Some(length) => AfterUnusual::Body(BodyState::Length(length)),
            None => AfterUnusual::UntilClose,
        },
    };
    (status, next)
}

/// The first three digits behind the version.
fn status(line: &[u8]) -> u16 {
    let behind = line.iter().position(|byte| *byte == b' ').map_or(&line[..0], |space| trim(&line[space..]));
    match behind {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            [a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0'))
        }
        _ => 0,
    }
}
