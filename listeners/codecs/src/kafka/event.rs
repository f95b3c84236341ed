//! The events that a walk through a message produces.

use std::ops::Range;

use super::layout::FieldMeaning;

/// A value that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkValue<'b> {
    /// There is none.
    Null,
    /// A number or a truth.
    Number(i64),
    /// An id.
    Uuid([u8; 16]),
    /// A text. All but the client's name are UTF-8.
    Text(&'b [u8]),
    /// Bytes, which may not have come yet.
    Unread,
}

/// What a walk meets, in the order of its bytes. Places count from the start of the frame, its length included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkEvent<'b> {
    /// A value that means something.
    Value {
        /// What.
        meaning: FieldMeaning,
        /// Its value.
        value: WalkValue<'b>,
        /// Where it stands, without its length.
        span: Range<usize>,
    },
    /// A list that means something. Its entries follow.
    List {
        /// What.
        meaning: FieldMeaning,
        /// How many entries it has; `None` for null.
        count: Option<usize>,
        /// Where the count stands.
        span: Range<usize>,
    },
    /// An entry with fields of such a list begins here.
    Entry(FieldMeaning, usize),
    /// It ends before this place.
    EntryEnd(FieldMeaning, usize),
}

/// How far a walk got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkProgress {
    /// The message is complete, and is as long as its frame.
    Complete,
    /// More of it has to come.
    More,
}
