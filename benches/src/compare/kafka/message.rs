//! The few Kafka messages that the comparison sends and reads, in versions that name topics and are flexible
//! (KIP-482).

use std::io;

/// Kinds and versions.
const PRODUCE: (i16, i16) = (0, 12);
const FETCH: (i16, i16) = (1, 12);
const CREATE: (i16, i16) = (19, 2);
/// Where the correlation id stands in a frame.
const CORRELATION: usize = 8;
/// What clients wait for a broker, in milliseconds.
const TIMEOUT: i32 = 10_000;
/// A broker's word for a topic that this client may not use.
const FORBIDDEN: i16 = 29;
/// Castagnoli's polynomial, reversed: what batches of records are summed with.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Writes a message.
#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    /// The header of a request, flexible or not, behind room for its length.
    fn request((key, version): (i16, i16), flexible: bool) -> Self {
        let writer = Self(vec![0; 4]).i16(key).i16(version).i32(0).text("load");
        if flexible { writer.tags() } else { writer }
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn i8(self, value: i8) -> Self {
        self.raw(&value.to_be_bytes())
    }

    fn i16(self, value: i16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    fn i32(self, value: i32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    fn i64(self, value: i64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    fn text(self, text: &str) -> Self {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX)).raw(text.as_bytes())
    }

    fn varint(mut self, mut value: usize) -> Self {
        while value > 0x7f {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// The length of a list, a text or bytes of flexible messages.
    fn count(self, count: usize) -> Self {
        self.varint(count + 1)
    }

    fn compact(self, text: &str) -> Self {
        self.count(text.len()).raw(text.as_bytes())
    }

    /// No tagged fields.
    fn tags(self) -> Self {
        self.i8(0)
    }

    fn frame(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// Reads a message, as far as it is there.
#[derive(Clone, Copy, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.raw(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.raw(4)?.try_into().ok()?))
    }

    /// The length of a list, a text or bytes of flexible messages; nothing is none.
    fn count(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let byte = self.raw(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(usize::saturating_sub(value, 1));
            }
        }
        None
    }
}

/// One record of so many bytes, in a batch of its own.
#[must_use]
pub fn batch(size: usize) -> Vec<u8> {
    let zigzag = |length: usize| length << 1;
    // No attributes, no time and no offset beyond the batch's, no key; the value; no headers.
    let record = Writer::default().raw(&[0, 0, 0, 1]).varint(zigzag(size)).raw(&vec![b'r'; size]).i8(0).0;
    // No attributes, one record, times, no producer with an id.
    let summed = Writer::default().i16(0).i32(0).i64(1).i64(1).i64(-1).i16(-1).i32(-1).i32(1);
    let summed = summed.varint(zigzag(record.len())).raw(&record).0;
    let sum = checksum(&summed);
    let length = i32::try_from(4 + 1 + 4 + summed.len()).unwrap_or(i32::MAX);
    Writer::default().i64(0).i32(length).i32(-1).i8(2).raw(&sum.to_be_bytes()).raw(&summed).0
}

/// CRC-32C.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
    let byte = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum));
    !bytes.iter().fold(!0, byte)
}

/// Gives a request its number.
pub fn number(frame: &mut [u8], correlation: i32) {
    frame[CORRELATION..CORRELATION + 4].copy_from_slice(&correlation.to_be_bytes());
}

/// Writes a batch to the first partition of a topic; its leader's word is enough.
#[must_use]
pub fn produce(topic: &str, batch: &[u8]) -> Vec<u8> {
    let writer = Writer::request(PRODUCE, true).varint(0).i16(1).i32(TIMEOUT).count(1).compact(topic);
    let writer = writer.count(1).i32(0).count(batch.len()).raw(batch);
    writer.tags().tags().tags().frame()
}

/// Reads the batch at an offset of the first partition of a topic, in a session, which begins with the epoch 0; -1 is for none.
#[must_use]
pub fn fetch(topic: &str, offset: i64, (session, epoch): (i32, i32)) -> Vec<u8> {
    let writer = Writer::request(FETCH, true).i32(-1).i32(500).i32(1).i32(i32::MAX).i8(0).i32(session).i32(epoch);
    // However little is asked for, the first batch comes whole.
    let writer = writer.count(1).compact(topic).count(1).i32(0).i32(-1).i64(offset).i32(-1).i64(-1).i32(1).tags();
    writer.tags().count(0).compact("").tags().frame()
}

/// Makes topics of one partition.
#[must_use]
pub fn create(topics: &[String]) -> Vec<u8> {
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let writer = Writer::request(CREATE, false).i32(count(topics.len()));
    let writer = topics.iter().fold(writer, |writer, topic| writer.text(topic).i32(1).i16(1).i32(0).i32(0));
    writer.i32(TIMEOUT).i8(0).frame()
}

/// What an answer says, read from its first bytes (length included).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of its request.
    pub correlation: i32,
    /// Session of fetches, 0 without one.
    pub session: i32,
    /// An error of the request or of the partition, 0 without one.
    pub error: i16,
    /// Bytes of records.
    pub records: usize,
}

impl Answer {
    /// Of Produce.
    ///
    /// # Errors
    /// It is no such answer.
    pub fn to_produce(bytes: &[u8]) -> io::Result<Self> {
        let read = || {
            let mut reader = Reader(bytes);
            reader.raw(4)?;
            let correlation = reader.i32()?;
            reader.raw(1)?;
            let error = partition(&mut reader)?;
            Some(Self { correlation, session: 0, error, records: 0 })
        };
        read().ok_or_else(|| wrong(bytes))
    }

    /// Of Fetch.
    ///
    /// # Errors
    /// It is no such answer.
    pub fn to_fetch(bytes: &[u8]) -> io::Result<Self> {
        let read = || {
            let mut reader = Reader(bytes);
            reader.raw(4)?;
            let correlation = reader.i32()?;
            reader.raw(1 + 4)?;
            let (error, session) = (reader.i16()?, reader.i32()?);
            if error != 0 {
                return Some(Self { correlation, session, error, records: 0 });
            }
            let error = partition(&mut reader)?;
            // Three offsets, transactions that were given up (none), a replica to prefer.
            reader.raw(3 * 8)?;
            reader.count()?;
            reader.raw(4)?;
            Some(Self { correlation, session, error, records: reader.count()? })
        };
        read().ok_or_else(|| wrong(bytes))
    }

    /// Whether the request was done.
    ///
    /// # Errors
    /// It failed by anything but a denial.
    pub fn allowed(&self) -> io::Result<bool> {
        match self.error {
            0 => Ok(true),
            FORBIDDEN => Ok(false),
            error => Err(io::Error::other(format!("Kafka answers with the error {error}"))),
        }
    }
}

/// The error of the only partition of the only topic.
fn partition(reader: &mut Reader<'_>) -> Option<i16> {
    if reader.count()? != 1 {
        return None;
    }
    let name = reader.count()?;
    reader.raw(name)?;
    if reader.count()? != 1 {
        return None;
    }
    reader.i32()?;
    reader.i16()
}

fn wrong(bytes: &[u8]) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no answer that is expected: {}", bytes.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::{Answer, batch, checksum, create, fetch, produce};

    #[test]
    fn the_checksum_is_that_of_castagnoli() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn lengths_are_those_of_what_follows() {
        let record = batch(1024);
        assert_eq!(record[8..12], u32::try_from(record.len() - 12).unwrap().to_be_bytes());
        for frame in [produce("t", &record), fetch("t", 7, (1, 2)), create(&["t".to_owned()])] {
            assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());
        }
    }

    #[test]
    fn answers_tell_denials_from_failures() {
        let produced = |error: u8| [&[0, 0, 0, 0, 0, 0, 0, 7, 0, 2, 2, b't', 2, 0, 0, 0, 0, 0, error][..]].concat();
        let answer = |error| Answer::to_produce(&produced(error)).unwrap();
        assert_eq!(
            (answer(0).correlation, answer(0).allowed().unwrap(), answer(29).allowed().unwrap()),
            (7, true, false)
        );
        assert!(answer(6).allowed().is_err());
        assert!(Answer::to_produce(&produced(0)[..12]).is_err());
        let fetched = [
            &[0; 4][..],
            &[0, 0, 0, 9, 0],
            &[0; 4],
            &[0, 0],
            &[0, 0, 0, 5],
            &produced(0)[9..],
            &[0; 24],
            &[0],
            &[0; 4],
            &[0x81, 1],
        ];
        let answer = Answer::to_fetch(&fetched.concat()).unwrap();
        assert_eq!(answer, Answer { correlation: 9, session: 5, error: 0, records: 128 });
    }
}
