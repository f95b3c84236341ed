//! Kafka's frames, as far as the tests send their own: old versions without tags to query a broker past the node, and
//! session fetches in both layouts.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any answer takes. What takes longer hangs.
const HANG: Duration = Duration::from_secs(30);

/// What a request is written into.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn i8(mut self, value: i8) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn i16(mut self, value: i16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn i64(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.i16(i16::try_from(text.len()).unwrap()).raw(text.as_bytes())
    }

    /// A count of the layout with tags, or a length: one more than it says, in the form of small numbers.
    pub(crate) fn compact(mut self, count: usize) -> Self {
        let mut left = count + 1;
        while left > 0x7f {
            self.0.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
            left >>= 7;
        }
        self.0.push(u8::try_from(left).unwrap());
        self
    }

    pub(crate) fn count(self, count: usize) -> Self {
        self.i32(i32::try_from(count).unwrap())
    }
}

/// What an answer is read from.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn raw(&mut self, count: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(count);
        self.0 = left;
        taken
    }

    pub(crate) fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.raw(1).try_into().unwrap())
    }

    pub(crate) fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.raw(2).try_into().unwrap())
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.raw(4).try_into().unwrap())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.raw(8).try_into().unwrap())
    }

    /// A text; that of null is empty.
    pub(crate) fn text(&mut self) -> String {
        let length = usize::try_from(self.i16()).unwrap_or(0);
        String::from_utf8(self.raw(length).to_vec()).unwrap()
    }

    pub(crate) fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.raw(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    /// A number of a record: with its sign in the last bit.
    pub(crate) fn zigzag(&mut self) -> i64 {
        let value = self.varint();
        i64::try_from(value >> 1).unwrap() ^ -i64::try_from(value & 1).unwrap()
    }

    /// A count of the layout with tags; that of null is 0.
    pub(crate) fn compact(&mut self) -> usize {
        usize::try_from(self.varint()).unwrap().saturating_sub(1)
    }

    pub(crate) fn count(&mut self) -> usize {
        usize::try_from(self.i32()).unwrap_or(0)
    }

    pub(crate) fn tags(&mut self) {
        for _ in 0..self.varint() {
            self.varint();
            let size = usize::try_from(self.varint()).unwrap();
            self.raw(size);
        }
    }
}

/// A connection to a broker.
pub(crate) struct Connection {
    stream: TcpStream,
    next: i32,
}

impl Connection {
    /// Connects from the network namespace of the thread.
    pub(crate) fn open(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, HANG)?;
        stream.set_read_timeout(Some(HANG))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, next: 0 })
    }

    /// Asks, and gives what is behind the header of the answer. The headers have tags where `tagged` is set.
    pub(crate) fn ask(&mut self, key: i16, version: i16, tagged: bool, body: &Writer) -> std::io::Result<Vec<u8>> {
        self.next += 1;
        let header = Writer::default().i16(key).i16(version).i32(self.next).text("room");
        let header = if tagged { header.raw(&[0]) } else { header };
        let length = header.0.len() + body.0.len();
        self.stream.write_all(&Writer::default().count(length).raw(&header.0).raw(&body.0).0)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut answer)?;
        assert_eq!(answer[..4], self.next.to_be_bytes(), "the answer to another request");
        let header = if tagged { 5 } else { 4 };
        Ok(answer.split_off(header))
    }

    /// Writes a record.
    pub(crate) fn write(&mut self, topic: &str, value: &str) {
        let batch = batch(value);
        let body = Writer::default().i16(-1).i16(-1).i32(10_000).count(1).text(topic).count(1).i32(0);
        let answer = self.ask(0, 7, false, &body.count(batch.len()).raw(&batch)).unwrap();
        let mut answer = Reader(&answer);
        assert_eq!((answer.count(), answer.text(), answer.count(), answer.i32()), (1, topic.to_owned(), 1, 0));
        assert_eq!(answer.i16(), 0, "{topic} does not take {value:?}");
    }
}

/// A batch with one record, without a producer.
pub(crate) fn batch(value: &str) -> Vec<u8> {
    let zigzag = |writer: Writer, value: usize| writer.compact(2 * value - 1);
    // Attributes, two times since the batch's, no key; the value, no headers.
    let record = Writer::default().raw(&[0, 0, 0, 1]);
    let record = zigzag(record, value.len()).raw(value.as_bytes()).raw(&[0]);
    // Attributes, last offset, times, producer, its epoch and number; one record.
    let body = Writer::default().i16(0).i32(0).i64(0).i64(0).i64(-1).i16(-1).i32(-1).count(1);
    let body = zigzag(body, record.0.len()).raw(&record.0).0;
    let whole = Writer::default().i64(0).count(body.len() + 9).i32(-1).i8(2);
    whole.i32(crc32c(&body).cast_signed()).raw(&body).0
}

/// The checksum of batches (RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    let byte = |sum: u32, byte: &u8| {
        let bit = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
        (0..8).fold(sum ^ u32::from(*byte), bit)
    };
    !bytes.iter().fold(!0, byte)
}

/// The values of the records in batches of the current format, without compression, from an offset on; and the next offset.
pub(crate) fn records(batches: &[u8], from: i64) -> (Vec<String>, i64) {
    let (mut reader, mut values, mut next) = (Reader(batches), Vec::new(), from);
    // The last batch may be cut.
    while reader.0.len() > 12 {
        let base = reader.i64();
        let length = reader.count();
        if reader.0.len() < length {
            break;
        }
        let mut batch = Reader(reader.raw(length));
        // Leader's epoch, format, checksum; attributes, last offset, two times, producer, its epoch, first number.
        batch.raw(4 + 1 + 4);
        let control = batch.i16() & 0x20 != 0;
        let last = base + i64::from(batch.i32());
        batch.raw(8 + 8 + 8 + 2 + 4);
        for _ in 0..batch.count() {
            let size = usize::try_from(batch.zigzag()).unwrap();
            let mut record = Reader(batch.raw(size));
            record.i8();
            record.zigzag();
            let offset = base + record.zigzag();
            let key = usize::try_from(record.zigzag()).unwrap_or(0);
            record.raw(key);
            let value = usize::try_from(record.zigzag()).unwrap_or(0);
            let value = String::from_utf8(record.raw(value).to_vec()).unwrap();
            if offset >= from && !control {
                values.push(value);
            }
        }
        next = next.max(last + 1);
    }
    (values, next)
}
