//! One direction of a connection: how far its bytes have been read.

use super::{
    frame::{END_HEADERS, FrameHeader, FrameKind},
    hpack::Decoder,
    settings::Http2Settings,
    violation::Violation,
};

/// Where in the bytes of a side we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameStage {
    /// In front of the client's preface.
    Preface,
    /// In front of the first frame, which has to be SETTINGS.
    Settings,
    /// Among frames.
    Frames,
}

/// What is left of a frame that is not looked into any more, its header included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameRemainder {
    pub(super) left: usize,
    /// It goes to the other side; otherwise it is dropped.
    pub(super) passes: bool,
    /// What its sender gets back for it when it is dropped.
    pub(super) credit: u32,
}

/// A header block that is not there as a whole: its frames so far.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    /// Bytes of whole frames.
    at: usize,
    frames: u32,
    begun: bool,
}

/// The bounds of a header block.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderBlockBounds {
    /// The largest payload of a frame.
    pub(super) payload: u32,
    /// Bytes of the block, its frames' headers included.
    pub(super) bytes: usize,
    /// Frames behind the first.
    pub(super) continuations: u32,
    /// What a block is that has more bytes.
    pub(super) long: Violation,
}

/// What comes from one side.
#[derive(Debug)]
pub(super) struct DirectionState {
    pub(super) stage: FrameStage,
    pub(super) payload: FrameRemainder,
    scan: Scan,
    /// Reads the header blocks.
    pub(super) decoder: Decoder,
    /// What this side has said.
    pub(super) settings: Http2Settings,
    /// Bytes of dropped DATA for which this side has not got its credit back.
    pub(super) owed: u32,
    /// What we have to say to the other side, behind what has to go there first.
    pub(super) words: Vec<u8>,
}

impl DirectionState {
    pub(super) fn new(stage: FrameStage, decoder: Decoder) -> Self {
        Self {
            stage,
            payload: FrameRemainder::default(),
            scan: Scan::default(),
            decoder,
            settings: Http2Settings::new(),
            owed: 0,
            words: Vec::new(),
        }
    }

    /// Whether a frame is on its way to the other side, so that nothing can be said there.
    pub(super) fn is_within_frame(&self) -> bool {
        self.payload.left > 0 && self.payload.passes
    }

    /// Whether something of ours may be said to the other side: what it hears first is SETTINGS (RFC 9113 §3.4).
    pub(super) fn may_be_spoken_into(&self) -> bool {
        self.stage == FrameStage::Frames && !self.is_within_frame()
    }

    /// Whether a header block has begun and is not there as a whole.
    pub(super) fn block_begun(&self) -> bool {
        self.scan.begun
    }

    /// Finds the end of the header block that `input` begins with. Remembers how far it has looked, and tells what is
    /// wrong as soon as the header of a frame shows it.
    pub(super) fn block_end(&mut self, input: &[u8], bounds: &HeaderBlockBounds) -> Result<Option<usize>, Violation> {
        let Some(first) = FrameHeader::read(input) else { return Ok(None) };
        self.scan.begun = true;
        while let Some(header) = FrameHeader::read(&input[self.scan.at..]) {
            header.check(bounds.payload)?;
            if self.scan.at > 0 && (header.kind != FrameKind::Continuation || header.stream != first.stream) {
                return Err(Violation::Continuation);
            }
            if self.scan.frames > bounds.continuations {
                return Err(Violation::ContinuationFlood);
            }
            let end = self.scan.at + header.whole();
            if end > bounds.bytes {
                return Err(bounds.long);
            }
            if input.len() < end {
                break;
            }
            if header.has(END_HEADERS) {
                self.scan = Scan::default();
                return Ok(Some(end));
            }
            self.scan = Scan { at: end, frames: self.scan.frames + 1, begun: true };
        }
        Ok(None)
    }
}
