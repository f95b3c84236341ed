//! Filters responses that list all topics, groups or transactional ids: removes those that the client may not see, as a broker
//! does.

use std::ops::Range;

use super::partial::PartialTopic;
use crate::kafka::{
    Violation, api,
    event::{WalkEvent, WalkValue},
    layout::{FieldMeaning, response},
    walk::Walk,
    wire::{set_length, write_count},
};

/// A list of what is told.
#[derive(Clone, Debug)]
struct List {
    /// Where its count stands.
    count: Range<usize>,
    /// It is null.
    null: bool,
    /// How many entries there are before it.
    before: usize,
}

/// What a response tells of one topic, group or transactional id.
#[derive(Clone, Copy, Debug)]
struct ListedTopic<'b> {
    start: usize,
    end: usize,
    told: ListingFacts<'b>,
}

/// What is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListingFacts<'b> {
    /// The topic, by name or where there is none by id, or the name of the group or transactional id.
    pub name: Option<PartialTopic<'b>>,
    /// The group that the topic is told for, if it is for one.
    pub group: Option<&'b [u8]>,
}

/// A whole response with lists of what is told.
#[derive(Debug)]
pub struct Listing<'b> {
    frame: &'b [u8],
    flexible: bool,
    /// What its lists mean.
    of: FieldMeaning,
    /// The group whose topics come.
    group: Option<&'b [u8]>,
    lists: Vec<List>,
    entries: Vec<ListedTopic<'b>>,
}

impl<'b> Listing<'b> {
    /// Reads a response. `None` if nothing is known of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(key: i16, version: i16, frame: &'b [u8]) -> Result<Option<Self>, Violation> {
        Self::read_with(key, version, frame, &mut |_| {})
    }

    /// The same, with somebody else who looks at all that comes.
    pub(in crate::kafka) fn read_with(
        key: i16,
        version: i16,
        frame: &'b [u8],
        also: &mut dyn FnMut(&WalkEvent<'_>),
    ) -> Result<Option<Self>, Violation> {
        let Some(layout) = response(key).filter(|layout| layout.versions.contains(version)) else { return Ok(None) };
        let flexible = layout.flexible.contains(version);
        let of = if api::lists_groups(key) || api::lists_transactions(key) {
            FieldMeaning::Entries
        } else {
            FieldMeaning::Topics
        };
        let mut listing = Self { frame, flexible, of, group: None, lists: Vec::new(), entries: Vec::new() };
        Walk::response(layout, version, frame.len()).walk(frame, 0, &mut |event| {
            also(&event);
            listing.see(&event);
        })?;
        Ok(Some(listing))
    }

    fn see(&mut self, event: &WalkEvent<'_>) {
        match event {
            WalkEvent::List { meaning, count, span } if *meaning == self.of => {
                let before = self.entries.len();
                self.lists.push(List { count: span.clone(), null: count.is_none(), before });
            }
            WalkEvent::Entry(meaning, at) if *meaning == self.of => {
                let told = ListingFacts { name: None, group: self.group };
                self.entries.push(ListedTopic { start: *at, end: *at, told });
            }
            WalkEvent::EntryEnd(meaning, at) if *meaning == self.of => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.end = *at;
                }
            }
            WalkEvent::Value { meaning, value: WalkValue::Text(_), span } => {
                let text = self.frame.get(span.clone()).unwrap_or_default();
                let names = self.of == FieldMeaning::Entries;
                match (*meaning, self.inside(span.start)) {
                    (FieldMeaning::GroupId | FieldMeaning::TransactionalId, Some(entry)) if names => {
                        entry.told.name = Some(PartialTopic::Name(text));
                    }
                    (FieldMeaning::GroupId, None) => self.group = Some(text),
                    (FieldMeaning::TopicName, Some(entry)) => entry.told.name = Some(PartialTopic::Name(text)),
                    _ => {}
                }
            }
            WalkEvent::Value { meaning: FieldMeaning::TopicId, value: WalkValue::Uuid(id), span } => {
                if let Some(entry) = self.inside(span.start) {
                    entry.told.name = entry.told.name.or(Some(PartialTopic::Id(*id)));
                }
            }
            _ => {}
        }
    }

    /// The entry that is being read at a place.
    fn inside(&mut self, place: usize) -> Option<&mut ListedTopic<'b>> {
        self.entries.last_mut().filter(|entry| entry.end == entry.start && entry.start <= place)
    }

    /// What it tells of, in order.
    pub fn told(&self) -> impl Iterator<Item = ListingFacts<'b>> + '_ {
        self.entries.iter().map(|entry| entry.told)
    }

    /// Writes it with that only which is kept, by their numbers.
    pub fn write(&self, keep: &dyn Fn(usize) -> bool, out: &mut Vec<u8>) {
        let begin = out.len();
        let mut at = 0;
        let ends = self.lists.iter().skip(1).map(|list| list.before).chain([self.entries.len()]);
        for (list, end) in self.lists.iter().zip(ends) {
            let kept = || (list.before..end).filter(|number| keep(*number));
            out.extend_from_slice(self.frame.get(at..list.count.start).unwrap_or_default());
            write_count((!list.null).then(|| kept().count()), self.flexible, out);
            for entry in kept().filter_map(|number| self.entries.get(number)) {
                out.extend_from_slice(self.frame.get(entry.start..entry.end).unwrap_or_default());
            }
            let last = self.entries.get(list.before..end).and_then(<[_]>::last);
            at = last.map_or(list.count.end, |entry| entry.end);
        }
        out.extend_from_slice(self.frame.get(at..).unwrap_or_default());
        set_length(begin, out);
    }
}
