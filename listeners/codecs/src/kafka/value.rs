//! Values that have no fields of their own.

use std::ops::Range;

use super::{
    Violation,
    event::WalkValue,
    layout::{FieldKind, FieldMeaning, LayoutField},
    wire::{LengthForm, Window},
};

/// A value and where it stands; `None` if it has not come yet.
pub(super) type LocatedValue<'b> = Result<Option<(WalkValue<'b>, Range<usize>)>, Violation>;

/// How the values of one message are written, of the version that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueEncoding {
    pub(super) version: i16,
    pub(super) flexible: bool,
}

impl ValueEncoding {
    /// How the count of a list is written, and the length of bytes.
    pub(super) fn count(self) -> LengthForm {
        if self.flexible { LengthForm::Varint } else { LengthForm::Int32 }
    }

    /// The value of a field, or an entry of a list of them.
    pub(super) fn value<'b>(self, field: &LayoutField, window: &Window<'b>, at: usize) -> LocatedValue<'b> {
        match field.kind {
            FieldKind::Bool => truth(window, at),
            FieldKind::Bytes => self.bytes(field, window, at),
            FieldKind::String | FieldKind::ShortString => self.text(field, window, at),
            kind if field.meaning == FieldMeaning::Plain => {
                let end = window.skip(at, size(kind).unwrap_or(0))?;
                Ok(Some((WalkValue::Unread, at..end)))
            }
            kind => number(kind, window, at),
        }
    }

    /// Null, where it may be. An entry of a list is never null.
    fn null<'b>(self, field: &LayoutField, at: usize) -> LocatedValue<'b> {
        let nullable = !field.list && field.nullable.contains(self.version);
        if nullable { Ok(Some((WalkValue::Null, at..at))) } else { Err(Violation::Null) }
    }

    fn text<'b>(self, field: &LayoutField, window: &Window<'b>, at: usize) -> LocatedValue<'b> {
        let varint = self.flexible && !matches!(field.kind, FieldKind::ShortString);
        let form = if varint { LengthForm::Varint } else { LengthForm::Int16 };
        let Some((length, start)) = window.text_length(at, form)? else { return Ok(None) };
        let Some(length) = length else { return self.null(field, start) };
        if field.meaning == FieldMeaning::Plain {
            return Ok(Some((WalkValue::Unread, start..start + length)));
        }
        let Some((text, end)) = window.take(start, length)? else { return Ok(None) };
        // What a client calls itself is no name of anything.
        if field.meaning != FieldMeaning::ClientId && std::str::from_utf8(text).is_err() {
            return Err(Violation::Text);
        }
        Ok(Some((WalkValue::Text(text), start..end)))
    }

    fn bytes<'b>(self, field: &LayoutField, window: &Window<'b>, at: usize) -> LocatedValue<'b> {
        let Some((length, start)) = window.length(at, self.count(), Violation::Length)? else { return Ok(None) };
        length.map_or_else(|| self.null(field, start), |length| Ok(Some((WalkValue::Unread, start..start + length))))
    }
}

/// Bytes of a value that always has as many.
pub(super) fn size(kind: FieldKind) -> Option<usize> {
    match kind {
        FieldKind::Int8 => Some(1),
        FieldKind::Int16 | FieldKind::Uint16 => Some(2),
        FieldKind::Int32 => Some(4),
        FieldKind::Int64 | FieldKind::Float64 => Some(8),
        FieldKind::Uuid => Some(16),
        // Each has to be looked at.
        FieldKind::Bool | FieldKind::String | FieldKind::ShortString | FieldKind::Bytes | FieldKind::Struct(_) => None,
    }
}

fn truth<'b>(window: &Window<'b>, at: usize) -> LocatedValue<'b> {
    match window.int8(at)? {
        None => Ok(None),
        Some((truth @ (0 | 1), behind)) => Ok(Some((WalkValue::Number(i64::from(truth)), at..behind))),
        Some(_) => Err(Violation::Truth),
    }
}

fn number<'b>(kind: FieldKind, window: &Window<'b>, at: usize) -> LocatedValue<'b> {
    let Some((bytes, behind)) = window.take(at, size(kind).unwrap_or(0))? else { return Ok(None) };
    let value = match *bytes {
        [n] => WalkValue::Number(i64::from(i8::from_be_bytes([n]))),
        [a, b] => WalkValue::Number(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => WalkValue::Number(i64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => match (bytes.try_into(), bytes.try_into()) {
            (Ok(id), _) => WalkValue::Uuid(id),
            (_, Ok(number)) => WalkValue::Number(i64::from_be_bytes(number)),
            _ => WalkValue::Unread,
        },
    };
    Ok(Some((value, at..behind)))
}
