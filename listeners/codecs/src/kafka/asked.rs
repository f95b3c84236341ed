//! A request as the rules see it, while it is read.

use std::borrow::Cow;

use portcullis_rules::{
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
};

use super::{API_KEY, API_VERSION, CLIENT_ID, ROLE, SCHEMA, TOPIC, api, layout::Layout};

/// Where the name of a topic stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    /// The place in the frame.
    pub(super) at: u32,
    pub(super) length: u16,
}

impl Topic {
    /// Topics that are told by something else than a name: an id that is not known, or a regular expression. It is shown
    /// as the empty name, which no rule about topics takes.
    pub(super) const UNNAMED: Self = Self { at: 0, length: 0 };
}

/// A number as text, and maybe a letter behind it.
#[derive(Clone, Copy, Debug)]
struct Digits {
    bytes: [u8; Digits::MOST + 1],
    from: usize,
    letter: bool,
}

impl Digits {
    /// Digits of a number, with its sign.
    const MOST: usize = 6;

    fn of(number: i16, letter: Option<u8>) -> Self {
        let mut digits = Self { bytes: [b'-'; Self::MOST + 1], from: Self::MOST, letter: letter.is_some() };
        digits.bytes[Self::MOST] = letter.unwrap_or_default();
        let mut left = number.unsigned_abs();
        loop {
            digits.from -= 1;
            // A digit fits.
            digits.bytes[digits.from] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        digits.from -= usize::from(number < 0);
        digits
    }

    fn text(&self) -> &[u8] {
        &self.bytes[self.from..Self::MOST]
    }

    fn with_letter(&self) -> &[u8] {
        &self.bytes[self.from..Self::MOST + usize::from(self.letter)]
    }
}

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct Asked<'b> {
    key: Digits,
    version: Digits,
    /// Whether a rule about topics concerns it.
    concerns_topics: bool,
    client: &'b [u8],
    topics: &'b [Topic],
    /// Bytes of the frame, the first of which has the place `from`.
    bytes: &'b [u8],
    from: usize,
}

impl<'b> Asked<'b> {
    pub(super) fn new(
        layout: &Layout,
        version: i16,
        variety: Option<u8>,
        client: &'b [u8],
        topics: &'b [Topic],
        frame: (&'b [u8], usize),
    ) -> Self {
        let none = topics.is_empty() && api::goes_without_topics(layout.key);
        Self {
            key: Digits::of(layout.key, variety),
            version: Digits::of(version, None),
            concerns_topics: layout.names_topics && !none,
            client,
            topics,
            bytes: frame.0,
            from: frame.1,
        }
    }

    fn name(&self, topic: &Topic) -> &[u8] {
        let start = (topic.at as usize).checked_sub(self.from);
        start.and_then(|start| self.bytes.get(start..start + usize::from(topic.length))).unwrap_or_default()
    }
}

impl Request for Asked<'_> {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        let value = match field.0 {
            ROLE => Some(self.key.with_letter()),
            API_KEY => Some(self.key.text()),
            API_VERSION => Some(self.version.text()),
            // One that names itself with nothing counts as one without a name.
            CLIENT_ID => Some(self.client).filter(|client| !client.is_empty()),
            TOPIC => self.topics.first().map(|topic| self.name(topic)),
            _ => None,
        };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value)))
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        (field.0 == TOPIC && self.concerns_topics).then_some(self.topics.len())
    }

    fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
        self.topics.get(number).map(|topic| self.name(topic)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Digits;

    #[test]
    fn numbers_are_written_as_people_do() {
        for number in [0, 7, 10, 94, 12_345, i16::MAX, -1, -10, i16::MIN] {
            let (plain, lettered) = (Digits::of(number, None), Digits::of(number, Some(b'b')));
            assert_eq!([plain.text(), plain.with_letter(), lettered.text()], [number.to_string().as_bytes(); 3]);
            assert_eq!(lettered.with_letter(), format!("{number}b").as_bytes());
        }
    }
}
