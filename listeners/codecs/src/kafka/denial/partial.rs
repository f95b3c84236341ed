//! Requests that are allowed in part. Writes the request without the refused topics, and the entries about these
//! topics that are put in front of the broker's own. Only sizes and counts change; all other bytes stay the same.

use std::ops::Range;

use super::{
    asked::ParsedRequest,
    template::{RefusedName, Template, TemplatePart, code, each, echo, empty, null, number, void},
    template_of,
    writer::{ATTEMPTED, ResponseWriter, TOPIC},
};
use crate::kafka::{
    Violation, api,
    event::{WalkEvent, WalkValue},
    layout::{FieldKind, FieldMeaning, Layout},
    walk::Walk,
    wire::{set_length, write_count},
};

/// Requests whose topics are answered one by one (`KafkaApis.scala`).
const DIVISIBLE: [i16; 13] = [0, 1, 2, 3, 8, 9, 19, 20, 21, 23, 28, 37, 78];
/// The request that is all or nothing, up to a version.
const ADD_PARTITIONS: (i16, i16) = (24, 3);
/// The request whose group, when that is refused, hides the topics in it.
const OFFSET_FETCH: i16 = 9;

/// What a broker says of a refused topic of OffsetFetch.
static OFFSETS: &[Template] = &[
    echo(FieldMeaning::TopicName).until(9),
    echo(FieldMeaning::TopicId).since(10),
    each(
        FieldMeaning::Partition,
        &[
            echo(FieldMeaning::Partition),
            number(FieldKind::Int64, -1),
            number(FieldKind::Int32, -1).since(5),
            void(),
            code(RefusedName::Topic),
        ],
    ),
];

/// The same of a share group's fetch (`SharePartitionManager`, `KafkaApis.handleShareFetchRequest`).
static SHARED: &[Template] = &[
    echo(FieldMeaning::TopicId),
    each(
        FieldMeaning::Partitions,
        &[
            echo(FieldMeaning::Partition),
            code(RefusedName::Topic),
            null(),
            // Nothing was acknowledged.
            number(FieldKind::Int16, 0),
            null(),
            // Its leader, a structure: nobody, and no tags.
            number(FieldKind::Int32, 0),
            number(FieldKind::Int32, 0),
            number(FieldKind::Int8, 0),
            // No records, none acquired.
            empty(),
            empty(),
        ],
    ),
];

/// A topic as a request tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartialTopic<'b> {
    /// By its name, which is UTF-8.
    Name(&'b [u8]),
    /// By its id (KIP-516).
    Id([u8; 16]),
}

/// A request in two parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Partial {
    /// The request without the refused topics, a whole frame. Where none is left it still is a valid request, but to some
    /// that means all topics (Metadata 0), or those of a session (Fetch).
    pub request: Vec<u8>,
    /// Topics that are left in it.
    pub left: usize,
    /// Entries about the refused topics, for [`super::merge`].
    pub entries: Vec<u8>,
    /// How many.
    pub refused: usize,
    /// What the list in the response means that these belong to.
    pub list: FieldMeaning,
}

/// Takes the refused topics out of a request. `None` where a request cannot be divided: its kind does not name topics one
/// by one, it names none, or it has several lists of them.
///
/// # Errors
/// When the frame is no whole request of that layout and version.
pub fn divide(
    layout: &'static Layout,
    version: i16,
    frame: &[u8],
    refuse: &dyn Fn(PartialTopic<'_>) -> bool,
) -> Result<Option<Partial>, Violation> {
    let (found, asked) = Lists::read(layout, version, frame, refuse)?;
    let Some(fields) = fields(layout.key, version) else { return Ok(None) };
    let (Some((count, meaning)), 1) = (found.list.clone(), found.lists) else { return Ok(None) };
    let flexible = layout.flexible.contains(version);
    let mut partial = found.take_out(frame, &count, flexible);
    let mut writer = ResponseWriter::new(version, flexible, asked.scope(), &mut partial.entries);
    writer.instead = Some(TOPIC);
    let entries = asked.scope().entries(meaning).zip(&found.entries);
    entries.filter(|(_, entry)| entry.refused).for_each(|(scope, _)| writer.fields(fields, scope));
    Ok(Some(partial))
}

/// Why an entry is refused that is about a group or a transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRefusal {
    /// For what it is about.
    Name,
    /// For topics of the group.
    Topics,
}

/// Takes entries about groups or transactional ids out of a request, by their numbers. `None` if it does not ask about several
/// of them.
///
/// # Errors
/// When the frame is no whole request of that layout and version.
pub fn divide_names(
    layout: &'static Layout,
    version: i16,
    frame: &[u8],
    refused: &dyn Fn(usize) -> Option<EntryRefusal>,
) -> Result<Option<Partial>, Violation> {
    let Some(of) = api::each(layout.key, version) else { return Ok(None) };
    let mut found = Lists::default();
    let asked = ParsedRequest::read_with(layout, version, frame, &mut |event| found.add_name(event, of, refused))?;
    let (Some((count, _)), Some(fields)) = (found.list.clone(), fields_of(layout.key, version, &[of])) else {
        return Ok(None);
    };
    let flexible = layout.flexible.contains(version);
    let mut partial = found.take_out(frame, &count, flexible);
    let mut writer = ResponseWriter::new(version, flexible, asked.scope(), &mut partial.entries);
    for (number, scope) in asked.scope().entries(of).enumerate() {
        if let Some(cause) = refused(number) {
            writer.instead = (cause == EntryRefusal::Topics).then_some(TOPIC);
            writer.fields(fields, scope);
        }
    }
    Ok(Some(partial))
}

/// Appends a request for all topics as one for none, where a version can say so.
///
/// # Errors
/// When the frame is no whole request of that layout and version. Then nothing is appended.
pub(in crate::kafka) fn ask_for_none(
    layout: &'static Layout,
    version: i16,
    frame: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Violation> {
    let mut count = None;
    Walk::request(layout, version, frame.len()).walk(frame, 0, &mut |event| {
        if let WalkEvent::List { meaning: FieldMeaning::Topics, span, .. } = event {
            count.get_or_insert(span);
        }
    })?;
    let count = count.ok_or(Violation::CutFrame)?;
    let begin = out.len();
    out.extend_from_slice(frame.get(..count.start).unwrap_or_default());
    write_count(Some(0), layout.flexible.contains(version), out);
    out.extend_from_slice(frame.get(count.end..).unwrap_or_default());
    set_length(begin, out);
    Ok(())
}

/// Denies AddPartitionsToTxn up to version 3, which a broker takes whole or not at all: appends an answer with 29 for the
/// refused topics and 55 for the others. Whether it is such a request.
///
/// # Errors
/// When the frame is no whole request of that layout and version. Then nothing is appended.
pub fn deny_whole(
    layout: &'static Layout,
    version: i16,
    frame: &[u8],
    refuse: &dyn Fn(PartialTopic<'_>) -> bool,
    out: &mut Vec<u8>,
) -> Result<bool, Violation> {
    let (key, last) = ADD_PARTITIONS;
    let Some(fields) = topics(key, version).filter(|_| layout.key == key && version <= last) else { return Ok(false) };
    let (found, asked) = Lists::read(layout, version, frame, refuse)?;
    let flexible = layout.flexible.contains(version);
    let mut writer = ResponseWriter::new(version, flexible, asked.scope(), out);
    let begin = writer.head(asked.number());
    writer.throttle();
    writer.long(Some(found.entries.len()));
    for (scope, entry) in asked.scope().entries(FieldMeaning::Topics).zip(&found.entries) {
        writer.instead = Some(if entry.refused { TOPIC } else { ATTEMPTED });
        writer.fields(fields, scope);
    }
    writer.tags();
    set_length(begin, out);
    Ok(true)
}

/// Whether a request of this kind and version can be divided, if it has one list of topics.
pub(in crate::kafka) fn divides(layout: &Layout, version: i16) -> bool {
    fields(layout.key, version).is_some()
}

/// What is said of a refused topic.
fn fields(key: i16, version: i16) -> Option<&'static [Template]> {
    match key {
        OFFSET_FETCH => Some(OFFSETS),
        api::SHARE_FETCH => Some(SHARED),
        _ => topics(key, version).filter(|_| DIVISIBLE.contains(&key)),
    }
}

/// What is said of each topic when all is denied.
fn topics(key: i16, version: i16) -> Option<&'static [Template]> {
    fields_of(key, version, &[FieldMeaning::Topics, FieldMeaning::TopicName])
}

/// What is said of each entry of a list when all is denied.
fn fields_of(key: i16, version: i16, lists: &[FieldMeaning]) -> Option<&'static [Template]> {
    template_of(key)?.iter().filter(|field| field.versions.contains(version)).find_map(|field| match field.part {
        TemplatePart::Each(of, fields) if lists.contains(&of) => Some(fields),
        _ => None,
    })
}

/// An entry that names a topic, and where it stands.
#[derive(Clone, Copy, Debug)]
struct TopicEntry {
    start: usize,
    end: usize,
    refused: bool,
}

/// The lists of topics of a request.
#[derive(Debug, Default)]
struct Lists {
    lists: usize,
    /// Where the count of the first stands, and what the list means.
    list: Option<(std::ops::Range<usize>, FieldMeaning)>,
    entries: Vec<TopicEntry>,
    /// An entry is being read.
    inside: bool,
    /// The place behind the count of the list, or behind its last name.
    behind: usize,
}

impl Lists {
    /// The request without what is refused, and no entries yet.
    fn take_out(&self, frame: &[u8], count: &Range<usize>, flexible: bool) -> Partial {
        let refused = self.entries.iter().filter(|entry| entry.refused).count();
        let left = self.entries.len() - refused;
        let list = self.list.as_ref().map_or(FieldMeaning::Topics, |(_, of)| api::told_in(*of));
        let mut request = frame.get(..count.start).unwrap_or_default().to_vec();
        write_count(Some(left), flexible, &mut request);
        for entry in self.entries.iter().filter(|entry| !entry.refused) {
            request.extend_from_slice(frame.get(entry.start..entry.end).unwrap_or_default());
        }
        let behind = self.entries.last().map_or(count.end, |entry| entry.end);
        request.extend_from_slice(frame.get(behind..).unwrap_or_default());
        set_length(0, &mut request);
        Partial { request, left, entries: Vec::new(), refused, list }
    }

    /// Takes in what comes next of a list of names of a meaning, or of entries about one each.
    fn add_name(&mut self, event: &WalkEvent<'_>, of: FieldMeaning, refused: &dyn Fn(usize) -> Option<EntryRefusal>) {
        let number = self.entries.len();
        match event {
            WalkEvent::List { meaning, count: Some(_), span } if *meaning == of => {
                self.behind = span.end;
                self.list.get_or_insert((span.clone(), of));
            }
            WalkEvent::Entry(meaning, start) if *meaning == of => {
                self.entries.push(TopicEntry { start: *start, end: *start, refused: refused(number).is_some() });
            }
            WalkEvent::EntryEnd(meaning, end) if *meaning == of => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.end = *end;
                }
            }
            WalkEvent::Value { meaning, value: WalkValue::Text(_), span } if *meaning == of => {
                let (start, refused) = (self.behind, refused(number).is_some());
                self.entries.push(TopicEntry { start, end: span.end, refused });
                self.behind = span.end;
            }
            _ => {}
        }
    }

    /// Reads a whole frame, and all else that it says.
    fn read<'b>(
        layout: &'static Layout,
        version: i16,
        frame: &'b [u8],
        refuse: &dyn Fn(PartialTopic<'_>) -> bool,
    ) -> Result<(Self, ParsedRequest<'b>), Violation> {
        let mut found = Self::default();
        let either = api::names_or_ids(layout.key);
        let asked = ParsedRequest::read_with(layout, version, frame, &mut |event| found.add(event, either, refuse))?;
        Ok((found, asked))
    }

    fn add(&mut self, event: &WalkEvent<'_>, either: bool, refuse: &dyn Fn(PartialTopic<'_>) -> bool) {
        match event {
            WalkEvent::List {
                meaning: meaning @ (FieldMeaning::Topics | FieldMeaning::TopicName),
                count: Some(_),
                span,
            } => {
                self.lists += 1;
                self.behind = span.end;
                self.list.get_or_insert((span.clone(), *meaning));
            }
            WalkEvent::Entry(FieldMeaning::Topics, start) => {
                self.inside = true;
                self.entries.push(TopicEntry { start: *start, end: *start, refused: false });
            }
            WalkEvent::EntryEnd(FieldMeaning::Topics, end) => {
                self.inside = false;
                if let Some(entry) = self.entries.last_mut() {
                    entry.end = *end;
                }
            }
            WalkEvent::Value { meaning: FieldMeaning::TopicName, value: WalkValue::Text(name), span } => {
                if !self.inside {
                    self.entries.push(TopicEntry { start: self.behind, end: span.end, refused: false });
                    self.behind = span.end;
                }
                self.judge(refuse(PartialTopic::Name(name)));
            }
            // A zero stands for an id where a name stands beside it.
            WalkEvent::Value { meaning: FieldMeaning::TopicId, value: WalkValue::Uuid(id), .. }
                if !either || *id != [0; 16] =>
            {
                self.judge(refuse(PartialTopic::Id(*id)));
            }
            _ => {}
        }
    }

    /// Takes in what is said of the entry that is read.
    fn judge(&mut self, refused: bool) {
        if let Some(entry) = self.entries.last_mut() {
            entry.refused |= refused;
        }
    }
}
