//! The position of a walk through a message: one level for each structure or list that encloses it.

use super::{
    layout::{FieldKind, FieldMeaning, Layout, LayoutField},
    table,
};

/// Most levels of a message: its header, its body, and what stands in each other there.
pub(super) const LEVELS: usize = 7;

const fn deepest(fields: &[LayoutField]) -> usize {
    let (mut most, mut at) = (0, 0);
    while at < fields.len() {
        let below = match fields[at].kind {
            FieldKind::Struct(inner) => deepest(inner),
            _ if fields[at].list => 1,
            _ => 0,
        };
        if below > most {
            most = below;
        }
        at += 1;
    }
    most + 1
}

const fn all_fit(layouts: &[Layout]) -> bool {
    let mut at = 0;
    while at < layouts.len() {
        if deepest(layouts[at].fields) + 1 > LEVELS {
            return false;
        }
        at += 1;
    }
    true
}

// How deep a walk goes is the table's to say and no message's.
const _: () = assert!(all_fit(table::REQUESTS) && all_fit(table::RESPONSES));

/// Fields in the middle of which a walk is: of one structure, or of the entries of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalkLevel {
    pub(super) fields: &'static [LayoutField],
    /// Of the list, if it is one.
    pub(super) meaning: FieldMeaning,
    /// A list of values without fields: its only field is the list itself.
    pub(super) values: bool,
    /// Entries that have not ended.
    pub(super) entries: u32,
    pub(super) part: EntryPart,
    /// The place where it has to end, for what is tagged; else 0.
    pub(super) end: usize,
}

/// What comes next in an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum EntryPart {
    /// The field with this index, or one behind it.
    Field(u8),
    /// How many tagged fields there are.
    TagCount,
    /// So many tagged fields, each with a tag above the last.
    Tags { left: u32, last: Option<u32> },
    /// Its end.
    End,
}

impl WalkLevel {
    pub(super) const fn of(fields: &'static [LayoutField]) -> Self {
        Self { fields, meaning: FieldMeaning::Plain, values: false, entries: 1, part: EntryPart::Field(0), end: 0 }
    }
}
