//! A request as the rules see it, while it is still being read.

use std::{borrow::Cow, ops::Range, sync::Arc};

use portcullis_rules::{
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
};

use super::{
    SCHEMA, api,
    denial::divides,
    fields::{API_KEY, API_VERSION, CLIENT_ID, GROUP, OPERATION, ROLE, TOPIC, TRANSACTIONAL_ID},
    frame::{Frame, FrameOutcome},
    layout::request,
    names::{Named, RequestNames, TopicName},
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

/// Who asked for all topics, groups or transactional ids, until the answer comes of which each is judged.
#[derive(Debug)]
pub(super) struct Asker {
    key: i16,
    kind: Digits,
    version: Digits,
    names: RequestNames,
    coordinator: Option<Named>,
    /// It asked for the topics of several groups.
    of_groups: bool,
}

impl Asker {
    /// Of a request that names none of these. What it names it needs no more.
    pub(super) fn of(frame: &Frame, names: &mut RequestNames) -> Self {
        let of_groups = api::has_topics_of_groups(frame.layout.key) && names.count(Named::Group, None) > 1;
        let mut names = std::mem::take(names);
        names.judged();
        Self {
            key: frame.layout.key,
            kind: Digits::of(frame.layout.key, frame.variety()),
            version: Digits::of(frame.version, None),
            names,
            coordinator: frame.coordinates(),
            of_groups,
        }
    }

    /// The request as if it had named what the answer tells: topics, which may be those of one of its groups, or groups or
    /// transactional ids.
    pub(super) fn asking<'a>(&'a self, group: Option<&'a [u8]>, told: &'a [Arc<str>]) -> RequestFacts<'a> {
        let told_as = told_as(self.key);
        RequestFacts {
            key: self.key,
            kind: self.kind,
            version: self.version,
            names: &self.names,
            coordinator: self.coordinator,
            told,
            told_as,
            group: group.filter(|_| self.of_groups),
            each: Some(told_as).filter(|field| *field != TOPIC),
            all: false,
            has_parts: true,
            bytes: &[],
            from: 0,
        }
    }
}

/// The field whose values the answer to a kind tells, where it is asked for all of them.
fn told_as(key: i16) -> u8 {
    match key {
        _ if api::lists_groups(key) => GROUP,
        _ if api::lists_transactions(key) => TRANSACTIONAL_ID,
        _ => TOPIC,
    }
}

/// The field of the names that a request is judged by one by one, if they are all there.
pub(super) fn each(frame: &Frame, names: &RequestNames) -> Option<u8> {
    let _ = api::each(frame.layout.key, frame.version).filter(|_| frame.outcome == FrameOutcome::Open)?;
    let transactions = names.count(Named::Transaction, frame.coordinates());
    let groups = names.count(Named::Group, frame.coordinates());
    match frame.layout.key {
        // The topics of one group are judged one by one.
        api::OFFSET_FETCH => (groups > 1).then_some(GROUP),
        _ if transactions > 0 => Some(TRANSACTIONAL_ID),
        _ => (groups > 0).then_some(GROUP),
    }
}

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct RequestFacts<'b> {
    key: i16,
    kind: Digits,
    version: Digits,
    names: &'b RequestNames,
    /// What the keys of coordinators are.
    coordinator: Option<Named>,
    /// What is told beside what it names itself: the topics of its fetch session, which come behind its own, or what its answer
    /// tells.
    told: &'b [Arc<str>],
    /// The field that this is of.
    told_as: u8,
    /// The only one of its groups that counts.
    group: Option<&'b [u8]>,
    /// The field of the names that are judged one by one, where these are not its topics.
    each: Option<u8>,
    /// It asks for all topics.
    all: bool,
    has_parts: bool,
    /// Bytes of the frame, the first of which has the place `from`.
    bytes: &'b [u8],
    from: usize,
}

impl<'b> RequestFacts<'b> {
    pub(super) fn new(frame: &Frame, names: &'b RequestNames, session: &'b [Arc<str>], bytes: &'b [u8]) -> Self {
        let Frame { layout, version, taken, .. } = *frame;
        let each = each(frame, names);
        Self {
            key: layout.key,
            kind: Digits::of(layout.key, frame.variety()),
            version: Digits::of(version, None),
            names,
            coordinator: frame.coordinates(),
            told: session,
            told_as: TOPIC,
            group: None,
            each,
            all: frame.all,
            has_parts: each.is_some() || divides(layout, version) && frame.lists == 1 && !frame.all,
            bytes,
            from: taken,
        }
    }

    /// The request as if it were about one of its groups, and about no topics.
    pub(super) fn of_group(self, number: usize) -> Self {
        let group = self.names.nth(Named::Group, self.coordinator, number);
        Self { group: Some(group), each: None, has_parts: false, ..self }
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
            None => self.told(number - own.len()),
            Some(TopicName::Name { at, length }) => {
                let start = (*at as usize).checked_sub(self.from);
                start.and_then(|start| self.bytes.get(start..start + usize::from(*length)))
            }
            Some(TopicName::Known(known)) => self.names.known.get(*known as usize).map(|name| name.as_bytes()),
            Some(TopicName::Id(_) | TopicName::Unnamed) => None,
        }
    }

    fn told(&self, number: usize) -> Option<&[u8]> {
        self.told.get(number).map(|name| name.as_bytes())
    }

    /// Whether its answer tells what it would have to name in this field.
    fn is_told(&self, field: u8) -> bool {
        self.each == Some(field) && self.told_as == field
    }

    fn concerns_topics(&self) -> bool {
        let one = self.group.is_some() && self.told.is_empty();
        !one && request(self.key).is_some_and(|layout| api::concerns_topics(layout, self.topics()))
    }

    fn topics(&self) -> usize {
        self.names.topics.len() + if self.told_as == TOPIC { self.told.len() } else { 0 }
    }
}

impl Request for RequestFacts<'_> {
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
            told if self.is_told(told) => (true, self.told.len()),
            GROUP if self.group.is_some() => (true, 1),
            GROUP => {
                let count = self.names.count(Named::Group, self.coordinator);
                (api::concerns_groups(self.key, transaction), count)
            }
            TRANSACTIONAL_ID => {
                let count = self.names.count(Named::Transaction, self.coordinator);
                (api::concerns_transactions(self.key, transaction, count), count)
            }
            TOPIC if self.all && self.group.is_none() => (true, 0),
            TOPIC if self.topics() == 0 && api::may_want_nothing(self.key) => (false, 0),
            TOPIC => (self.concerns_topics(), self.topics()),
            _ => (false, 0),
        };
        concerned.then_some(count)
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        match (field.0, self.group) {
            (told, _) if self.is_told(told) => self.told(number).unwrap_or_default(),
            (GROUP, Some(group)) => group,
            (GROUP, None) => self.names.nth(Named::Group, self.coordinator, number),
            (TRANSACTIONAL_ID, _) => self.names.nth(Named::Transaction, self.coordinator, number),
            _ => self.topic(number).unwrap_or_default(),
        }
    }

    fn each(&self) -> Option<FieldIndex> {
        self.each.map(FieldIndex)
    }

    fn beside(&self, number: usize, field: FieldIndex) -> Option<Range<usize>> {
        if field.0 != TOPIC || !api::has_topics_of_groups(self.key) { None } else { self.names.topics_of(number) }
    }

    fn has_parts(&self) -> bool {
        self.has_parts
    }

    fn kind(&self) -> Option<usize> {
        usize::try_from(self.key).ok()
    }

    fn lists(&self) -> Option<FieldIndex> {
        let all = self.all && (self.topics() == 0 || self.each.is_some()) && api::lists_topics(self.key);
        let field = if all { Some(TOPIC) } else { Some(told_as(self.key)).filter(|field| *field != TOPIC) };
        field.map(FieldIndex)
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
