//! Values that have no fields of their own.

use std::ops::Range;

use super::{
    Violation,
    event::Value,
    layout::{Field, Kind, Meaning},
    wire::{LengthForm, Window},
};

/// A value and where it stands; `None` if it has not come yet.
pub(super) type Found<'b> = Result<Option<(Value<'b>, Range<usize>)>, Violation>;

/// How the values of one message are written, of the version that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) version: i16,
    pub(super) flexible: bool,
}

impl Form {
    /// How the count of a list is written, and the length of bytes.
    pub(super) fn count(self) -> LengthForm {
        if self.flexible { LengthForm::Varint } else { LengthForm::Int32 }
    }

    /// The value of a field, or an entry of a list of them.
    pub(super) fn value<'b>(self, field: &Field, window: &Window<'b>, at: usize) -> Found<'b> {
        match field.kind {
            Kind::Bool => truth(window, at),
            Kind::Bytes => self.bytes(field, window, at),
            Kind::String | Kind::ShortString => self.text(field, window, at),
            kind if field.meaning == Meaning::Plain => {
                let end = window.skip(at, size(kind).unwrap_or(0))?;
                Ok(Some((Value::Unread, at..end)))
            }
            kind => number(kind, window, at),
        }
    }

    /// Null, where it may be. An entry of a list is never null.
    fn null<'b>(self, field: &Field, at: usize) -> Found<'b> {
        let nullable = !field.list && field.nullable.contains(self.version);
        if nullable { Ok(Some((Value::Null, at..at))) } else { Err(Violation::Null) }
    }

    fn text<'b>(self, field: &Field, window: &Window<'b>, at: usize) -> Found<'b> {
        let varint = self.flexible && !matches!(field.kind, Kind::ShortString);
        let form = if varint { LengthForm::Varint } else { LengthForm::Int16 };
        let Some((length, start)) = window.text_length(at, form)? else { return Ok(None) };
        let Some(length) = length else { return self.null(field, start) };
        if field.meaning == Meaning::Plain {
            return Ok(Some((Value::Unread, start..start + length)));
        }
        let Some((text, end)) = window.take(start, length)? else { return Ok(None) };
        // What a client calls itself is no name of anything.
        if field.meaning != Meaning::ClientId && std::str::from_utf8(text).is_err() {
            return Err(Violation::Text);
        }
        Ok(Some((Value::Text(text), start..end)))
    }

    fn bytes<'b>(self, field: &Field, window: &Window<'b>, at: usize) -> Found<'b> {
        let Some((length, start)) = window.length(at, self.count(), Violation::Length)? else { return Ok(None) };
        length.map_or_else(|| self.null(field, start), |length| Ok(Some((Value::Unread, start..start + length))))
    }
}

/// Bytes of a value that always has as many.
pub(super) fn size(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Int8 => Some(1),
        Kind::Int16 | Kind::Uint16 => Some(2),
        Kind::Int32 => Some(4),
        Kind::Int64 | Kind::Float64 => Some(8),
        Kind::Uuid => Some(16),
        // Each has to be looked at.
        Kind::Bool | Kind::String | Kind::ShortString | Kind::Bytes | Kind::Struct(_) => None,
    }
}

fn truth<'b>(window: &Window<'b>, at: usize) -> Found<'b> {
    match window.int8(at)? {
        None => Ok(None),
        Some((truth @ (0 | 1), behind)) => Ok(Some((Value::Number(i64::from(truth)), at..behind))),
        Some(_) => Err(Violation::Truth),
    }
}

fn number<'b>(kind: Kind, window: &Window<'b>, at: usize) -> Found<'b> {
    let Some((bytes, behind)) = window.take(at, size(kind).unwrap_or(0))? else { return Ok(None) };
    let value = match *bytes {
        [n] => Value::Number(i64::from(i8::from_be_bytes([n]))),
        [a, b] => Value::Number(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Value::Number(i64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => match (bytes.try_into(), bytes.try_into()) {
            (Ok(id), _) => Value::Uuid(id),
            (_, Ok(number)) => Value::Number(i64::from_be_bytes(number)),
            _ => Value::Unread,
        },
    };
    Ok(Some((value, at..behind)))
}
