//! A request as the rules see it, while it is still being read.

use std::{borrow::Cow, sync::Arc};

use portcullis_rules::{
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
};

use super::{
    SCHEMA, api,
    denial::divides,
    fields::{API_KEY, API_VERSION, CLIENT_ID, GROUP, OPERATION, ROLE, TOPIC, TRANSACTIONAL_ID},
    frame::Frame,
    layout::request,
    names::{Named, Names, Topic},
    words,
};

/// A number as text, and maybe a letter behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    bytes: [u8; Digits::MOST + 1],
    from: usize,
    letter: bool,
}

impl Digits {
    /// Digits of a number, with its sign.
    const MOST: usize = 6;

    pub(super) fn of(number: i16, letter: Option<u8>) -> Self {
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

    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[self.from..Self::MOST]
    }

    pub(super) fn with_letter(&self) -> &[u8] {
        &self.bytes[self.from..Self::MOST + usize::from(self.letter)]
    }
}

/// Who asked for all topics, until the answer comes of which each topic is judged.
#[derive(Debug)]
pub(super) struct Asker {
    key: i16,
    kind: Digits,
    version: Digits,
    names: Names,
    coordinator: Option<Named>,
}

impl Asker {
    /// Of a request that names no topic. What it names it needs no more.
    pub(super) fn of(frame: &Frame, names: &mut Names) -> Self {
        Self {
            key: frame.layout.key,
            kind: Digits::of(frame.layout.key, frame.variety()),
            version: Digits::of(frame.version, None),
            names: std::mem::take(names),
            coordinator: frame.coordinates(),
        }
    }

    /// The request as if it had named these topics.
    pub(super) fn asking<'a>(&'a self, topics: &'a [Arc<str>]) -> Asked<'a> {
        Asked {
            key: self.key,
            kind: self.kind,
            version: self.version,
            names: &self.names,
            coordinator: self.coordinator,
            session: topics,
            all: false,
            has_parts: true,
            bytes: &[],
            from: 0,
        }
    }
}

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct Asked<'b> {
    key: i16,
    kind: Digits,
    version: Digits,
    names: &'b Names,
    /// What the keys of coordinators are.
    coordinator: Option<Named>,
    /// Topics of its fetch session, behind those that it names itself.
    session: &'b [Arc<str>],
    /// It asks for all topics.
    all: bool,
    has_parts: bool,
    /// Bytes of the frame, the first of which has the place `from`.
    bytes: &'b [u8],
    from: usize,
}

impl<'b> Asked<'b> {
    pub(super) fn new(frame: &Frame, names: &'b Names, session: &'b [Arc<str>], bytes: &'b [u8]) -> Self {
        let Frame { layout, version, taken, .. } = *frame;
        Self {
            key: layout.key,
            kind: Digits::of(layout.key, frame.variety()),
            version: Digits::of(version, None),
            names,
            coordinator: frame.coordinates(),
            session,
            all: frame.all,
            has_parts: divides(layout, version) && frame.lists == 1 && !frame.all,
            bytes,
            from: taken,
        }
    }

    /// The request that would create these topics.
    pub(super) fn creating(self) -> Self {
        let last = request(api::CREATE_TOPICS).map_or(0, |layout| layout.versions.last);
        let (kind, version) = (Digits::of(api::CREATE_TOPICS, None), Digits::of(last, None));
        Self { key: api::CREATE_TOPICS, kind, version, ..self }
    }

    fn topic(&self, number: usize) -> Option<&[u8]> {
        let own = &self.names.topics;
        match own.get(number) {
            None => self.session.get(number - own.len()).map(|name| name.as_bytes()),
            Some(Topic::Name { at, length }) => {
                let start = (*at as usize).checked_sub(self.from);
                start.and_then(|start| self.bytes.get(start..start + usize::from(*length)))
            }
            Some(Topic::Known(known)) => self.names.known.get(*known as usize).map(|name| name.as_bytes()),
            Some(Topic::Id(_) | Topic::Unnamed) => None,
        }
    }

    fn concerns_topics(&self) -> bool {
        request(self.key).is_some_and(|layout| api::concerns_topics(layout, self.topics()))
    }

    fn topics(&self) -> usize {
        self.names.topics.len() + self.session.len()
    }
}

impl Request for Asked<'_> {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        let value = match field.0 {
            ROLE | OPERATION => Some(self.kind.with_letter()),
            API_KEY => Some(self.kind.text()),
            API_VERSION => Some(self.version.text()),
            // One that names itself with nothing counts as one without a name.
            CLIENT_ID => Some(&*self.names.client).filter(|client| !client.is_empty()),
            _ => (self.count(field) > Some(0)).then(|| self.nth(field, 0)),
        };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value)))
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        match (field.0, self.field(field, "")) {
            (API_KEY, _) => Some(words::shown(self.key)),
            // The kind says it.
            (ROLE | OPERATION, _) => None,
            (_, FieldValue::Value(value)) => Some(value),
            _ => None,
        }
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        let transaction = self.coordinator == Some(Named::Transaction);
        let (concerned, count) = match field.0 {
            GROUP => {
                let count = self.names.count(Named::Group, self.coordinator);
                (api::concerns_groups(self.key, transaction), count)
            }
            TRANSACTIONAL_ID => {
                let count = self.names.count(Named::Transaction, self.coordinator);
                (api::concerns_transactions(self.key, transaction, count), count)
            }
            TOPIC if self.all => (true, 0),
            TOPIC if self.topics() == 0 && api::may_want_nothing(self.key) => (false, 0),
            TOPIC => (self.concerns_topics(), self.topics()),
            _ => (false, 0),
        };
        concerned.then_some(count)
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        match field.0 {
            GROUP => self.names.nth(Named::Group, self.coordinator, number),
            TRANSACTIONAL_ID => self.names.nth(Named::Transaction, self.coordinator, number),
            _ => self.topic(number).unwrap_or_default(),
        }
    }

    fn has_parts(&self) -> bool {
        self.has_parts
    }

    fn kind(&self) -> Option<usize> {
        usize::try_from(self.key).ok()
    }

    fn lists(&self) -> bool {
        self.all && self.topics() == 0 && api::lists_topics(self.key)
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
