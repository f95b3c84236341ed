//! Domain names: their wire format and their text form.

use std::fmt;

use super::{Violation, wire::HEADER};

/// Most bytes of a name on the wire, the final zero included (RFC 1035 §2.3.4).
const LONGEST: usize = 255;
/// Most bytes of its text: four for each byte of a label, and the dots.
const LONGEST_TEXT: usize = 4 * LONGEST;
/// Most bytes of a label.
const LONGEST_LABEL: u8 = 63;

/// A name as it stands on the wire, in lower case (RFC 4343) and without pointers: names are equal if these are.
#[derive(Clone, Copy)]
pub(super) struct Name {
    bytes: [u8; LONGEST],
    length: usize,
}

/// Whether a name may use pointers (RFC 1035 §4.1.4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointers {
    Follow,
    Refuse,
}

impl Name {
    /// Reads the name at a place of a message. Also gives the place behind it.
    pub(super) fn read(message: &[u8], at: usize, pointers: Pointers) -> Result<(Self, usize), Violation> {
        let cut = if pointers == Pointers::Follow { Violation::CutRecord } else { Violation::CutQuestion };
        let mut name = Self { bytes: [0; LONGEST], length: 0 };
        let (mut next, mut end, mut earliest) = (at, None, at);
        loop {
            let length = *message.get(next).ok_or(cut)?;
            match length {
                0..=LONGEST_LABEL => {
                    let label = message.get(next..=next + usize::from(length)).ok_or(cut)?;
                    name.push(label)?;
                    next += label.len();
                    if length == 0 {
                        return Ok((name, end.unwrap_or(next)));
                    }
                }
                0xc0.. if pointers == Pointers::Refuse => return Err(Violation::CompressedQuestion),
                0xc0.. => {
                    let low = *message.get(next + 1).ok_or(cut)?;
                    end = end.or(Some(next + 2));
                    next = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    // Each leads further back than all before it, so they end.
                    if next < HEADER || next >= earliest {
                        return Err(Violation::Pointer);
                    }
                    earliest = next;
                }
                _ => return Err(Violation::LabelType),
            }
        }
    }

    fn push(&mut self, label: &[u8]) -> Result<(), Violation> {
        let to = self.bytes.get_mut(self.length..self.length + label.len()).ok_or(Violation::LongName)?;
        // A length is no letter.
        to.copy_from_slice(label);
        to.make_ascii_lowercase();
        self.length += label.len();
        Ok(())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Writes the name as policies have it: with its final dot. Bytes other than letters, digits, `-` and `_` become
    /// `\DDD` (RFC 1035 §5.1), so that no two names have one text.
    pub(super) fn text<'t>(&self, text: &'t mut Text) -> &'t str {
        text.length = 0;
        let mut rest = self.as_bytes();
        while let Some((length, behind)) = rest.split_first() {
            let (label, behind) = behind.split_at(usize::from(*length).min(behind.len()));
            for byte in label {
                match byte {
                    b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(*byte),
                    _ => {
                        text.push(b'\\');
                        text.push(b'0' + byte / 100);
                        text.push(b'0' + byte / 10 % 10);
                        text.push(b'0' + byte % 10);
                    }
                }
            }
            if *length > 0 || text.length == 0 {
                text.push(b'.');
            }
            rest = behind;
        }
        std::str::from_utf8(&text.bytes[..text.length]).unwrap_or_default()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut Text::default()))
    }
}

/// Room for the text of a name.
pub(super) struct Text {
    bytes: [u8; LONGEST_TEXT],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; LONGEST_TEXT], length: 0 }
    }
}

impl Text {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

/// Whether two questions as they stand on the wire are the same but for the case of their names (RFC 4343): name, type
/// and class.
pub(super) fn same_question(a: &[u8], b: &[u8]) -> bool {
    match (a.split_last_chunk::<4>(), b.split_last_chunk::<4>()) {
        (Some((name, asked)), Some((other, answered))) => asked == answered && name.eq_ignore_ascii_case(other),
        _ => false,
    }
}
