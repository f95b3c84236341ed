//! Writes request heads whose header lines a rule changes. All other bytes stay the same.

use memchr::memchr;
use portcullis_rules::effects::HeaderChange;

use super::field::{self, Piece};

/// Writes a whole head that has been read before, its empty line included, with some of its headers changed.
pub(super) fn head(head: &[u8], changes: &[HeaderChange], out: &mut Vec<u8>) {
    let first_line = memchr(b'\n', head).map_or(head.len(), |lf| lf + 1);
    let (first_line, mut section) = head.split_at(first_line);
    out.reserve(head.len());
    out.extend_from_slice(first_line);
    while let Ok(Piece::Line(line, length)) = field::read(section) {
        let (whole, rest) = section.split_at(length);
        let goes = changes.iter().any(|change| change.kept.is_none() && line.is(change.name.as_bytes()));
        if !goes {
            out.extend_from_slice(whole);
        }
        section = rest;
    }
    for (name, value) in changes.iter().flat_map(|change| change.added.iter().map(|value| (&change.name, value))) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.text().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
