//! What a denial repeats from its request: the lists with their entries, and the values that carry a meaning.

use crate::kafka::{
    Violation,
    event::{WalkEvent, WalkProgress, WalkValue},
    layout::{FieldMeaning, Layout},
    walk::Walk,
};

/// What is kept of a request, in the order of its bytes.
#[derive(Clone, Copy, Debug)]
struct RequestToken {
    what: RequestItem,
    meaning: FieldMeaning,
    /// For an entry the index of its end, else the place of the value in the frame.
    start: u32,
    /// The place behind the value.
    end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestItem {
    Entry,
    End,
    Text,
    Null,
    Fixed,
}

/// A request that was read.
#[derive(Debug)]
pub(super) struct ParsedRequest<'b> {
    frame: &'b [u8],
    tokens: Vec<RequestToken>,
}

/// Part of a request: all of it, an entry, or one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    frame: &'a [u8],
    tokens: &'a [RequestToken],
    /// The index of the first of these tokens.
    from: usize,
}

/// A value of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestValue<'a> {
    Null,
    Text(&'a [u8]),
    /// A number, a truth or an id, as it is written.
    Fixed(&'a [u8]),
}

impl<'b> ParsedRequest<'b> {
    /// Reads a whole frame.
    pub(super) fn read(layout: &'static Layout, version: i16, frame: &'b [u8]) -> Result<Self, Violation> {
        Self::read_with(layout, version, frame, &mut |_| {})
    }

    /// The same, with somebody else who looks at all that comes.
    pub(super) fn read_with(
        layout: &'static Layout,
        version: i16,
        frame: &'b [u8],
        also: &mut dyn FnMut(&WalkEvent<'_>),
    ) -> Result<Self, Violation> {
        let mut tokens: Vec<RequestToken> = Vec::new();
        let mut open = Vec::new();
        // Frames that are held are far below 4 GiB.
        let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let mut add = |event: WalkEvent<'_>| {
            also(&event);
            let token = match event {
                WalkEvent::List { .. } => return,
                WalkEvent::Entry(meaning, at) => {
                    open.push(tokens.len());
                    RequestToken { what: RequestItem::Entry, meaning, start: 0, end: place(at) }
                }
                WalkEvent::EntryEnd(meaning, at) => {
                    let here = place(tokens.len());
                    if let Some(begin) = open.pop().and_then(|begin| tokens.get_mut(begin)) {
                        begin.start = here;
                    }
                    RequestToken { what: RequestItem::End, meaning, start: 0, end: place(at) }
                }
                WalkEvent::Value { meaning, value, span } => {
                    let what = match value {
                        WalkValue::Null => RequestItem::Null,
                        WalkValue::Text(_) => RequestItem::Text,
                        WalkValue::Number(_) | WalkValue::Uuid(_) => RequestItem::Fixed,
                        WalkValue::Unread => return,
                    };
                    RequestToken { what, meaning, start: place(span.start), end: place(span.end) }
                }
            };
            tokens.push(token);
        };
        match Walk::request(layout, version, frame.len()).walk(frame, 0, &mut add)? {
            WalkProgress::Complete => Ok(Self { frame, tokens }),
            WalkProgress::More => Err(Violation::CutFrame),
        }
    }

    /// The number of the request, by which the client tells the answer.
    pub(super) fn number(&self) -> [u8; 4] {
        self.frame.get(8..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope { frame: self.frame, tokens: &self.tokens, from: 0 }
    }
}

impl<'a> Scope<'a> {
    fn said(&self, token: &RequestToken) -> RequestValue<'a> {
        let bytes = self.frame.get(token.start as usize..token.end as usize).unwrap_or_default();
        match token.what {
            RequestItem::Text => RequestValue::Text(bytes),
            RequestItem::Fixed => RequestValue::Fixed(bytes),
            _ => RequestValue::Null,
        }
    }

    /// The first value of a meaning.
    pub(super) fn value(&self, meaning: FieldMeaning) -> Option<RequestValue<'a>> {
        let is = |token: &&RequestToken| {
            token.meaning == meaning && !matches!(token.what, RequestItem::Entry | RequestItem::End)
        };
        self.tokens.iter().find(is).map(|token| self.said(token))
    }

    /// The first number of a meaning.
    pub(super) fn number(&self, meaning: FieldMeaning) -> Option<i64> {
        let RequestValue::Fixed(bytes) = self.value(meaning)? else { return None };
        match *bytes {
            [n] => Some(i64::from(n.cast_signed())),
            [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
            _ => None,
        }
    }

    /// The entries of the lists of a meaning, or the values of it.
    pub(super) fn entries(self, meaning: FieldMeaning) -> impl Iterator<Item = Scope<'a>> + Clone {
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let token = self.tokens.get(at)?;
                let begin = at;
                at += 1;
                if token.meaning != meaning || token.what == RequestItem::End {
                    continue;
                }
                if token.what == RequestItem::Entry {
                    at = (token.start as usize).saturating_sub(self.from).max(at);
                }
                let inside = if token.what == RequestItem::Entry { begin + 1 } else { begin };
                let tokens = self.tokens.get(inside..at).unwrap_or_default();
                return Some(Self { tokens, from: self.from + inside, ..self });
            }
        })
    }
}
