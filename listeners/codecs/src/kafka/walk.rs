//! Walks a message field by field, guided by the table, in the order of its bytes. It keeps nothing but its position
//! and resumes there when more bytes arrive, so a message in many pieces costs no more than one in a single piece.
//! Content that no rule needs (above all records) is skipped by its length and need not be buffered.

use super::{
    Violation,
    api::{API_VERSIONS, METADATA},
    event::{WalkEvent, WalkProgress},
    layout::{FieldKind, FieldMeaning, Layout, LayoutField, one},
    level::{EntryPart, LEVELS, WalkLevel},
    value::{ValueEncoding, size},
    wire::Window,
};

/// Bytes in front of the header's fields: length of the frame, request, version, number.
pub(super) const REQUEST_HEAD: usize = 12;
/// The same of a response: length of the frame and number.
pub(super) const RESPONSE_HEAD: usize = 8;

/// What librdkafka (seen up to 2.16) writes behind its request for metadata of all topics: it makes room for a count of four
/// bytes, and writes one. Brokers do not look at it.
const METADATA_SLACK: &[u8] = &[1, 0, 0];

/// The header of a request behind its first twelve bytes (`RequestHeader.json`). In flexible versions tags follow.
static HEADER: &[LayoutField] = &[one(FieldKind::ShortString).null().means(FieldMeaning::ClientId)];

/// A walk through one message.
#[derive(Clone, Debug)]
pub struct Walk {
    form: ValueEncoding,
    /// Up to where all is read or passed over.
    at: usize,
    /// The place behind the frame.
    end: usize,
    /// The outermost first.
    levels: [WalkLevel; LEVELS],
    depth: usize,
    /// What stands behind the levels is none of ours.
    rest: bool,
    /// What may stand behind the last field.
    slack: &'static [u8],
}

/// Whether something was read, or has not come yet.
type Moved = Result<bool, Violation>;

impl Walk {
    /// Through a request of a version that there is, in a frame that ends at a place.
    #[must_use]
    pub fn request(layout: &'static Layout, version: i16, end: usize) -> Self {
        let mut walk = Self::of(layout, version, end, REQUEST_HEAD);
        walk.push(WalkLevel::of(HEADER));
        if layout.key == METADATA && walk.form.flexible {
            walk.slack = METADATA_SLACK;
        }
        walk
    }

    /// Through a response of a version that there is, in a frame that ends at a place.
    #[must_use]
    pub fn response(layout: &'static Layout, version: i16, end: usize) -> Self {
        let mut walk = Self::of(layout, version, end, RESPONSE_HEAD);
        // Who asks for versions does not know yet which headers the broker can write (KIP-511).
        if walk.form.flexible && layout.key != API_VERSIONS {
            walk.push(WalkLevel::of(&[]));
        }
        walk
    }

    /// Through the header of a request of which nothing more is known.
    #[must_use]
    pub fn header(end: usize) -> Self {
        Self { rest: true, ..Self::of(&Layout::of(0, 0, 0, HEADER), 0, end, REQUEST_HEAD) }
    }

    fn of(layout: &Layout, version: i16, end: usize, at: usize) -> Self {
        let mut levels = [WalkLevel::of(&[]); LEVELS];
        levels[0].fields = layout.fields;
        let flexible = layout.flexible.contains(version);
        Self { form: ValueEncoding { version, flexible }, at, end, levels, depth: 1, rest: false, slack: &[] }
    }

    /// Up to where all is read or passed over; may be beyond what has come.
    #[must_use]
    pub fn place(&self) -> usize {
        self.at
    }

    /// Goes on through what has come: these bytes, of which the first stands at `from`, which is not behind
    /// [`Walk::place`].
    ///
    /// # Errors
    /// When the message cannot be read in one way only. Then the walk is over.
    pub fn walk(
        &mut self,
        bytes: &[u8],
        from: usize,
        visit: &mut dyn FnMut(WalkEvent<'_>),
    ) -> Result<WalkProgress, Violation> {
        let window = Window { bytes, from, end: self.end };
        while let Some(top) = self.depth.checked_sub(1) {
            if !self.step(top, &window, visit)? {
                return Ok(WalkProgress::More);
            }
        }
        if self.rest {
            self.at = self.end;
        }
        if self.at < self.end {
            if self.end - self.at != self.slack.len() {
                return Err(Violation::Trailing);
            }
            match window.take(self.at, self.slack.len())? {
                None => return Ok(WalkProgress::More),
                Some((bytes, _)) if *bytes == *self.slack => {}
                Some(_) => return Err(Violation::Trailing),
            }
        }
        Ok(if window.seen() < self.end { WalkProgress::More } else { WalkProgress::Complete })
    }

    /// One field of the innermost level, or its end.
    fn step(&mut self, top: usize, window: &Window<'_>, visit: &mut dyn FnMut(WalkEvent<'_>)) -> Moved {
        let WalkLevel { fields, values, part, .. } = self.levels[top];
        match part {
            EntryPart::Field(index) => {
                let Some(field) = fields.get(usize::from(index)) else {
                    return if self.form.flexible { self.tags(top, window, visit) } else { self.end_entry(top, visit) };
                };
                let absent = field.tag.is_some() || !field.versions.contains(self.form.version);
                let next = if values { EntryPart::End } else { EntryPart::Field(index + 1) };
                self.levels[top].part = next;
                // A list's own versions were asked when it began.
                let moved = match (values, absent) {
                    (true, _) => self.value(field, window, visit)?,
                    (false, true) => true,
                    (false, false) => self.field(field, 0, window, visit)?,
                };
                if !moved {
                    self.levels[top].part = part;
                }
                Ok(moved)
            }
            EntryPart::TagCount => self.tags(top, window, visit),
            EntryPart::Tags { left: 0, .. } => self.end_entry(top, visit),
            EntryPart::Tags { left, last } => self.tagged(top, left - 1, last, window, visit),
            EntryPart::End => self.end_entry(top, visit),
        }
    }

    /// How many tagged fields there are: none, as a rule.
    fn tags(&mut self, top: usize, window: &Window<'_>, visit: &mut dyn FnMut(WalkEvent<'_>)) -> Moved {
        self.levels[top].part = EntryPart::TagCount;
        let Some((left, behind)) = window.varint(self.at)? else { return Ok(false) };
        if left as usize > self.end - behind {
            return Err(Violation::Count);
        }
        self.at = behind;
        if left == 0 {
            return self.end_entry(top, visit);
        }
        self.levels[top].part = EntryPart::Tags { left, last: None };
        Ok(true)
    }

    fn end_entry(&mut self, top: usize, visit: &mut dyn FnMut(WalkEvent<'_>)) -> Moved {
        let level = &mut self.levels[top];
        let tells = level.meaning != FieldMeaning::Plain && !level.values;
        if tells {
            visit(WalkEvent::EntryEnd(level.meaning, self.at));
        }
        level.entries -= 1;
        level.part = EntryPart::Field(0);
        if level.entries > 0 {
            if tells {
                visit(WalkEvent::Entry(level.meaning, self.at));
            }
            return Ok(true);
        }
        self.depth = top;
        if level.end != 0 && level.end != self.at {
            return Err(Violation::TagSize);
        }
        Ok(true)
    }

    /// One tagged field: its tag, its size, and if it is known its value.
    fn tagged(
        &mut self,
        top: usize,
        left: u32,
        last: Option<u32>,
        window: &Window<'_>,
        visit: &mut dyn FnMut(WalkEvent<'_>),
    ) -> Moved {
        let Some((tag, behind)) = window.varint(self.at)? else { return Ok(false) };
        if last.is_some_and(|last| tag <= last) {
            return Err(Violation::TagOrder);
        }
        let Some((size, behind)) = window.varint(behind)? else { return Ok(false) };
        let end = behind.checked_add(size as usize).filter(|end| *end <= self.end).ok_or(Violation::Length)?;
        let fields = self.levels[top].fields;
        let known = fields.iter().find(|field| {
            field.tag.is_some_and(|known| u32::from(known) == tag) && field.versions.contains(self.form.version)
        });
        let (part, before) = (self.levels[top].part, self.at);
        self.levels[top].part = EntryPart::Tags { left, last: Some(tag) };
        let Some(field) = known else {
            self.at = end;
            return Ok(true);
        };
        self.at = behind;
        // Only within its size: it may not take what stands behind it for its own.
        let inside = Window { end, ..*window };
        if !self.field(field, end, &inside, visit)? {
            (self.levels[top].part, self.at) = (part, before);
            return Ok(false);
        }
        if self.depth == top + 1 && self.at != end {
            return Err(Violation::TagSize);
        }
        Ok(true)
    }

    /// A field that is present: a list, a structure or a value. `end`: the place where it has to end, else 0.
    fn field(
        &mut self,
        field: &'static LayoutField,
        end: usize,
        window: &Window<'_>,
        visit: &mut dyn FnMut(WalkEvent<'_>),
    ) -> Moved {
        if field.list {
            return self.list(field, end, window, visit);
        }
        let FieldKind::Struct(fields) = field.kind else { return self.value(field, window, visit) };
        if field.nullable.contains(self.form.version) {
            let Some((there, behind)) = window.int8(self.at)? else { return Ok(false) };
            self.at = behind;
            match there {
                -1 => return Ok(true),
                1 => {}
                _ => return Err(Violation::Presence),
            }
        }
        self.push(WalkLevel { end, ..WalkLevel::of(fields) });
        Ok(true)
    }

    fn list(
        &mut self,
        field: &'static LayoutField,
        end: usize,
        window: &Window<'_>,
        visit: &mut dyn FnMut(WalkEvent<'_>),
    ) -> Moved {
        let Some((count, behind)) = window.length(self.at, self.form.count(), Violation::Count)? else {
            return Ok(false);
        };
        if count.is_none() && !field.nullable.contains(self.form.version) {
            return Err(Violation::Null);
        }
        if field.meaning != FieldMeaning::Plain {
            visit(WalkEvent::List { meaning: field.meaning, count, span: self.at..behind });
        }
        self.at = behind;
        let count = count.unwrap_or(0);
        let (Some(entries), true) = (u32::try_from(count).ok(), count > 0) else { return Ok(true) };
        match (field.kind, size(field.kind)) {
            (FieldKind::Struct(fields), _) => {
                self.push(WalkLevel { entries, meaning: field.meaning, end, ..WalkLevel::of(fields) });
                if field.meaning != FieldMeaning::Plain {
                    visit(WalkEvent::Entry(field.meaning, self.at));
                }
            }
            (_, Some(size)) if field.meaning == FieldMeaning::Plain => {
                let bytes = count.checked_mul(size).filter(|bytes| *bytes <= window.end - self.at);
                self.at += bytes.ok_or(Violation::Count)?;
            }
            _ => self.push(WalkLevel { entries, values: true, end, ..WalkLevel::of(std::slice::from_ref(field)) }),
        }
        Ok(true)
    }

    /// A value without fields: of a field, or an entry of a list.
    fn value(&mut self, field: &LayoutField, window: &Window<'_>, visit: &mut dyn FnMut(WalkEvent<'_>)) -> Moved {
        let Some((value, span)) = self.form.value(field, window, self.at)? else { return Ok(false) };
        self.at = span.end;
        if field.meaning != FieldMeaning::Plain {
            visit(WalkEvent::Value { meaning: field.meaning, value, span });
        }
        Ok(true)
    }

    fn push(&mut self, level: WalkLevel) {
        self.levels[self.depth] = level;
        self.depth += 1;
    }
}
