//! One plain request of each kind and version, with the names that a test chooses and the layout that the table
//! describes.

use portcullis_codecs::kafka::layout::{self, FieldKind, FieldMeaning, LayoutField};

use crate::{oracle::request_frame, random::varint};

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample<'n> {
    /// Topics, each with its id.
    pub(crate) topics: &'n [(&'n str, [u8; 16])],
    /// The kind of what is configured or looked up ([`FieldMeaning::ResourceType`], [`FieldMeaning::CoordinatorKeyType`]).
    pub(crate) kind: i8,
    /// Entries of each list that is not of topics.
    pub(crate) entries: usize,
    /// Whether what may be null is.
    pub(crate) nulls: bool,
    /// Whether topics are told by their ids where both could be.
    pub(crate) by_id: bool,
}

impl Sample<'_> {
    /// The frame.
    pub(crate) fn frame(&self, key: i16, version: i16) -> Vec<u8> {
        let layout = layout::request(key).expect("there is such a request");
        let flexible = layout.flexible.contains(version);
        let mut maker = Maker { key, sample: self, version, flexible, body: Vec::new() };
        maker.fields(layout.fields, 0);
        request_frame(key, version, Some("client"), &maker.body)
    }
}

/// A batch of records of a transaction, without records.
const BATCH: [u8; 61] = {
    let mut batch = [0; 61];
    // Its length behind here, its format, that it is part of a transaction.
    (batch[11], batch[16], batch[22]) = (49, 2, 0x10);
    batch
};

struct Maker<'s> {
    key: i16,
    sample: &'s Sample<'s>,
    version: i16,
    flexible: bool,
    body: Vec<u8>,
}

impl Maker<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    /// The fields of the entry with this number in its list.
    fn fields(&mut self, fields: &[LayoutField], entry: usize) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.versions.contains(version)) {
            self.field(field, entry);
        }
        if self.flexible {
            self.put(&[0]);
        }
    }

    fn field(&mut self, field: &LayoutField, entry: usize) {
        let null = self.sample.nulls && self.may_be_null(field);
        if !field.list {
            return self.value(field, entry, null);
        }
        let count = match field.meaning {
            FieldMeaning::Topics | FieldMeaning::ForgottenTopics | FieldMeaning::TopicName => self.sample.topics.len(),
            // What they are is not for this.
            FieldMeaning::Plain => 0,
            _ => self.sample.entries,
        };
        self.length((!null).then_some(count), 4);
        (0..if null { 0 } else { count }).for_each(|entry| self.value(field, entry, false));
    }

    fn length(&mut self, length: Option<usize>, bytes: usize) {
        if self.flexible {
            return self.put(&varint(length.map_or(0, |length| length + 1)));
        }
        let length = length.map_or(-1, |length| i32::try_from(length).expect("a length"));
        self.put(&length.to_be_bytes()[4 - bytes..]);
    }

    fn value(&mut self, field: &LayoutField, entry: usize, null: bool) {
        // Either tells a topic, and the other says nothing then.
        let either = matches!(self.key, 3 | 20) && field.versions.contains(self.version);
        let null =
            null || either && field.meaning == FieldMeaning::TopicName && self.sample.by_id && self.may_be_null(field);
        let number = match field.meaning {
            FieldMeaning::Partition => i64::try_from(entry).expect("a number"),
            FieldMeaning::ReplicaId | FieldMeaning::Acks | FieldMeaning::SessionEpoch => -1,
            FieldMeaning::ResourceType | FieldMeaning::CoordinatorKeyType => i64::from(self.sample.kind),
            // Patterns, operations and permissions of ACLs.
            _ if (29..=31).contains(&self.key) => 3,
            // Milliseconds.
            FieldMeaning::Plain if matches!(field.kind, FieldKind::Int32) => 1000,
            _ => 0,
        };
        let number = number.to_be_bytes();
        match field.kind {
            FieldKind::Bool => self.put(&[0]),
            FieldKind::Int8 => self.put(&number[7..]),
            FieldKind::Int16 | FieldKind::Uint16 => self.put(&number[6..]),
            FieldKind::Int32 => self.put(&number[4..]),
            FieldKind::Int64 | FieldKind::Float64 => self.put(&number),
            FieldKind::Uuid => {
                let id = self.sample.topics.get(entry).map_or([0; 16], |(_, id)| *id);
                self.put(&if either && !self.sample.by_id { [0; 16] } else { id });
            }
            FieldKind::String | FieldKind::ShortString => {
                let text = (!null).then(|| self.text(field.meaning, entry));
                self.length(text.as_ref().map(String::len), 2);
                self.put(text.unwrap_or_default().as_bytes());
            }
            FieldKind::Bytes => {
                let bytes = if field.meaning == FieldMeaning::Records { &BATCH[..] } else { &[] };
                self.length((!null).then_some(bytes.len()), 4);
                self.put(if null { &[] } else { bytes });
            }
            FieldKind::Struct(fields) => {
                if !field.list && self.may_be_null(field) {
                    self.put(&[if null { 0xff } else { 1 }]);
                }
                if !null {
                    self.fields(fields, entry);
                }
            }
        }
    }

    fn may_be_null(&self, field: &LayoutField) -> bool {
        field.nullable.contains(self.version)
    }

    fn text(&self, meaning: FieldMeaning, entry: usize) -> String {
        match meaning {
            FieldMeaning::TopicName | FieldMeaning::ForgottenTopicName => {
                self.sample.topics.get(entry).map_or("orders", |(name, _)| name).to_owned()
            }
            // The cluster has the number of the broker for a name.
            FieldMeaning::ResourceName if self.sample.kind == 4 => "1".to_owned(),
            FieldMeaning::ResourceName => format!("resource{entry}"),
            // No user stands in two lists.
            FieldMeaning::UserName => format!("user{}", self.body.len()),
            FieldMeaning::EntityType => "user".to_owned(),
            FieldMeaning::TopicRegex => String::new(),
            _ => format!("some{entry}"),
        }
    }
}
