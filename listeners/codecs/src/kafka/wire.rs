//! The primitive types of all messages: read from a frame that may be incomplete, and written.

use super::Violation;

/// Most bytes of a text: what two bytes with a sign count (Kafka's `MessageDataGenerator` checks compact ones too).
const LONGEST_TEXT: usize = 0x7fff;
/// The number of variable length has this many bytes at most.
const VARINT: usize = 5;

/// The length of the frame at the start of the input, its four bytes included; `None` if these have not come. `shortest`:
/// fewest bytes behind them.
pub(super) fn frame_length(input: &[u8], shortest: usize) -> Result<Option<usize>, Violation> {
    let Some(prefix) = input.first_chunk() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*prefix)).ok().filter(|length| *length >= shortest);
    length.and_then(|length| length.checked_add(prefix.len())).map(Some).ok_or(Violation::ShortFrame)
}

/// Part of a frame. Places count from the start of the frame, its length included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'b> {
    pub(super) bytes: &'b [u8],
    /// The place of the first of these bytes.
    pub(super) from: usize,
    /// The place behind the frame.
    pub(super) end: usize,
}

/// What was read and the place behind it; `None` if it has not come yet.
pub(super) type WireRead<T> = Result<Option<(T, usize)>, Violation>;

impl<'b> Window<'b> {
    /// The place behind the bytes that are there.
    pub(super) fn seen(&self) -> usize {
        self.from + self.bytes.len()
    }

    /// The bytes at a place.
    pub(super) fn take(&self, at: usize, length: usize) -> WireRead<&'b [u8]> {
        let behind = self.skip(at, length)?;
        let place = at.checked_sub(self.from);
        let found = place.and_then(|place| self.bytes.get(place..place + length));
        Ok(found.map(|bytes| (bytes, behind)))
    }

    /// The place behind bytes that nobody looks at.
    pub(super) fn skip(&self, at: usize, length: usize) -> Result<usize, Violation> {
        at.checked_add(length).filter(|behind| *behind <= self.end).ok_or(Violation::CutBody)
    }

    fn array<const N: usize>(&self, at: usize) -> WireRead<[u8; N]> {
        let read = self.take(at, N)?;
        Ok(read.and_then(|(bytes, behind)| Some((bytes.try_into().ok()?, behind))))
    }

    pub(super) fn int8(&self, at: usize) -> WireRead<i8> {
        Ok(self.array(at)?.map(|(bytes, behind)| (i8::from_be_bytes(bytes), behind)))
    }

    pub(super) fn int16(&self, at: usize) -> WireRead<i16> {
        Ok(self.array(at)?.map(|(bytes, behind)| (i16::from_be_bytes(bytes), behind)))
    }

    pub(super) fn int32(&self, at: usize) -> WireRead<i32> {
        Ok(self.array(at)?.map(|(bytes, behind)| (i32::from_be_bytes(bytes), behind)))
    }

    /// A number of variable length, seven bits a byte, the lowest first, in as few bytes as it takes.
    pub(super) fn varint(&self, at: usize) -> WireRead<u32> {
        let mut value = 0;
        for place in 0..VARINT {
            let Some(([byte], behind)) = self.array(at + place)? else { return Ok(None) };
            if place == VARINT - 1 && byte > 0x0f {
                return Err(Violation::WideVarint);
            }
            value |= u32::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                let padded = byte == 0 && place > 0;
                return if padded { Err(Violation::LongVarint) } else { Ok(Some((value, behind))) };
            }
        }
        Err(Violation::WideVarint)
    }

    /// A length or a count, `None` for null: below 0 by -1, and in flexible versions one more than it is, 0 for null.
    pub(super) fn length(&self, at: usize, form: LengthForm, wrong: Violation) -> WireRead<Option<usize>> {
        let plain = |read: Option<(i64, usize)>| match read {
            None => Ok(None),
            Some((-1, behind)) => Ok(Some((None, behind))),
            Some((length, behind)) => match usize::try_from(length) {
                Ok(length) if length <= self.end - behind => Ok(Some((Some(length), behind))),
                _ => Err(wrong),
            },
        };
        match form {
            LengthForm::Int16 => plain(self.int16(at)?.map(|(length, behind)| (i64::from(length), behind))),
            LengthForm::Int32 => plain(self.int32(at)?.map(|(length, behind)| (i64::from(length), behind))),
            LengthForm::Varint => plain(self.varint(at)?.map(|(length, behind)| (i64::from(length) - 1, behind))),
        }
    }

    /// The length of a text.
    pub(super) fn text_length(&self, at: usize, form: LengthForm) -> WireRead<Option<usize>> {
        let read = self.length(at, form, Violation::Length)?;
        match read {
            Some((Some(length), _)) if length > LONGEST_TEXT => Err(Violation::LongText),
            _ => Ok(read),
        }
    }
}

/// How a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LengthForm {
    Int16,
    Int32,
    Varint,
}

/// Begins the frame of a response: its length, which [`set_length`] sets later, and the number of the request. Returns its place.
pub(super) fn begin_frame(number: [u8; 4], out: &mut Vec<u8>) -> usize {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&number);
    begin
}

/// Sets the length of the frame that begins at a place and goes to the end.
pub(super) fn set_length(begin: usize, out: &mut [u8]) {
    add_length(begin, 0, out);
}

/// The same where so many bytes more come behind the end.
pub(super) fn add_length(begin: usize, more: usize, out: &mut [u8]) {
    if let Some((length, rest)) = out.get_mut(begin..).and_then(|frame| frame.split_first_chunk_mut()) {
        // No longer than the frame that it is made of.
        *length = u32::try_from(rest.len() + more).unwrap_or(u32::MAX).to_be_bytes();
    }
}

/// Writes the count of a list or the length of bytes; `None` for null.
pub(super) fn write_count(count: Option<usize>, flexible: bool, out: &mut Vec<u8>) {
    if flexible {
        return write_compact(count, out);
    }
    let count = count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX));
    out.extend_from_slice(&count.to_be_bytes());
}

/// Writes the length of a text; `None` for null.
pub(super) fn write_text_length(length: Option<usize>, flexible: bool, out: &mut Vec<u8>) {
    if flexible {
        return write_compact(length, out);
    }
    // What was read has a length that fits.
    let length = length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX));
    out.extend_from_slice(&length.to_be_bytes());
}

/// Writes a length as flexible versions do: one more than it is, 0 for null, seven bits a byte, the lowest first.
fn write_compact(length: Option<usize>, out: &mut Vec<u8>) {
    let mut left = length.map_or(0, |length| length + 1);
    while left > 0x7f {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    // Seven bits fit.
    out.push(left as u8);
}
