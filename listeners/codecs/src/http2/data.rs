//! DATA frames: counted and forwarded as they arrive. DATA for a stream that is not open is dropped, and its sender
//! gets the flow-control credit back, padding included. Otherwise the connection would stall (RFC 9113 §6.9).

use super::{
    Http2, budget,
    frame::{self, END_STREAM, FrameHeader},
    streams::StreamState,
    turn::RelayCall,
    violation::Violation,
    way::FrameRemainder,
};
use crate::relay::Side;

/// So much dropped DATA is given credit for at a time. It is a fraction of the smallest window that a connection begins
/// with, so the sender never waits for it.
const CREDIT: u32 = 4096;

impl Http2 {
    pub(super) fn data(
        &mut self,
        header: &FrameHeader,
        input: &[u8],
        turn: &mut RelayCall<'_>,
    ) -> Result<bool, Violation> {
        let from = turn.from;
        let Some(content) = header.content(input)? else { return Ok(false) };
        let end_stream = header.has(END_STREAM);
        budget::data(&mut self.budgets, from, content, end_stream)?;
        let passes = match self.streams.place(header.stream) {
            StreamState::New | StreamState::Idle => return Err(Violation::IdleStream),
            StreamState::Ended => return Err(Violation::StreamClosed),
            StreamState::Reset if from == Side::Downstream => {
                self.refuse(header.stream, Violation::StreamClosed, turn)?;
                false
            }
            StreamState::Reset | StreamState::Over => false,
            StreamState::Open(index) => {
                let taken = self.streams.get(index).halves[from as usize].data(content, end_stream);
                match taken {
                    Ok(()) => self.came_on(index, turn),
                    Err(violation) => self.cut(index, violation, turn)?,
                }
                taken.is_ok()
            }
        };
        let credit = if passes { 0 } else { header.length };
        self.ways[from as usize].payload = FrameRemainder { left: header.whole(), passes, credit };
        Ok(true)
    }

    /// Takes the available bytes of a frame whose payload is not parsed. Returns whether more may be taken at once.
    pub(super) fn payload(&mut self, input: &[u8], turn: &mut RelayCall<'_>) -> bool {
        let way = &mut self.ways[turn.from as usize];
        let bytes = way.payload.left.min(input.len());
        if way.payload.passes {
            if turn.rather_waits(bytes) {
                return false;
            }
            way.payload.left -= bytes;
            turn.pass(&input[..bytes]);
            return true;
        }
        way.payload.left -= bytes;
        turn.skip(bytes);
        if way.payload.left == 0 {
            way.owed = way.owed.saturating_add(std::mem::take(&mut way.payload.credit));
            if way.owed >= CREDIT {
                let owed = std::mem::take(&mut way.owed);
                frame::window_update(0, owed, self.words(turn.from, turn));
            }
        }
        true
    }
}
