//! Frames (RFC 9113 §4 and §6), as far as the header tests need them.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `SETTINGS_HEADER_TABLE_SIZE`.
const TABLE_SIZE: u16 = 1;
/// The largest frame that everybody takes.
const LARGEST: usize = 16_384;

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The table's size that SETTINGS say.
    pub(crate) fn table_size(&self) -> Option<usize> {
        let settings = self.payload.as_chunks::<6>().0.iter();
        let pairs =
            settings.map(|[a, b, c, d, e, f]| (u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f])));
        pairs.filter(|(setting, _)| *setting == TABLE_SIZE).map(|(_, value)| value as usize).next_back()
    }

    pub(crate) fn is_ack(&self) -> bool {
        self.kind == SETTINGS && self.flags & ACK != 0
    }
}

/// A peer that reads and writes frames.
pub(crate) struct Wire(pub(crate) DuplexStream);

impl Wire {
    /// The next frame. GOAWAY and RST_STREAM are complaints of `h2` about what we wrote.
    pub(crate) async fn read(&mut self) -> Frame {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        assert!(kind != 3 && kind != 7, "h2 complains: {kind} {payload:?}");
        Frame { kind, flags, stream: u32::from_be_bytes(stream), payload }
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&[a, b, c, kind, flags][..], &stream.to_be_bytes()].concat();
        self.0.write_all(&head).await.unwrap();
        self.0.write_all(payload).await.unwrap();
    }

    /// Writes a message without body.
    pub(crate) async fn write_block(&mut self, stream: u32, block: &[u8]) {
        let mut parts = block.chunks(LARGEST).peekable();
        let (mut kind, mut flags) = (HEADERS, END_STREAM);
        while let Some(part) = parts.next() {
            flags |= if parts.peek().is_none() { END_HEADERS } else { 0 };
            self.write(kind, flags, stream, part).await;
            (kind, flags) = (CONTINUATION, 0);
        }
    }

    /// Reads what follows a frame of headers, until the block is whole.
    pub(crate) async fn read_block(&mut self, first: Frame) -> Vec<u8> {
        let (mut flags, mut block) = (first.flags, first.payload);
        assert_eq!(flags & !(END_STREAM | END_HEADERS), 0, "neither padding nor priority");
        while flags & END_HEADERS == 0 {
            let next = self.read().await;
            assert_eq!((next.kind, next.stream), (CONTINUATION, first.stream));
            block.extend(next.payload);
            flags = next.flags;
        }
        block
    }

    pub(crate) async fn write_table_size(&mut self, size: usize) {
        let payload = [&TABLE_SIZE.to_be_bytes()[..], &u32::try_from(size).unwrap().to_be_bytes()].concat();
        self.write(SETTINGS, 0, 0, &payload).await;
    }
}
