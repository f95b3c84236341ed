//! Handles violations: each ends its stream or the connection (RFC 9113 §5.4).

use super::{
    Http2, budget, frame,
    streams::{Half, OpenStream},
    turn::RelayCall,
    violation::{ErrorCode, Violated, Violation},
    way::FrameStage,
};
use crate::{
    fact::Facts,
    relay::{ResponseSummary, Side},
};

impl Http2 {
    /// Ends the connection. The offending side gets the error code, if it can still be sent.
    pub(super) fn end(&mut self, side: Side, violation: Violation, turn: &mut RelayCall<'_>) {
        turn.checker.violated(&Violated { violation, side });
        // What has not said SETTINGS speaks no HTTP/2.
        let [client, server] = &self.ways;
        if side == Side::Upstream && server.stage == FrameStage::Frames && client.may_be_spoken_into() {
            frame::go_away(0, violation.code(), turn.words(side));
        }
        let code = if side == Side::Downstream { violation.code() } else { ErrorCode::InternalError };
        let close = self.say_last(self.streams.last(), code, turn);
        turn.close(close);
    }

    /// A message on an open stream is malformed: resets the stream on both sides.
    pub(super) fn cut(
        &mut self,
        index: usize,
        violation: Violation,
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        let stream = self.streams.close(index);
        let code = if turn.from == Side::Downstream { ErrorCode::Cancel } else { ErrorCode::InternalError };
        frame::reset(stream.id, code, self.words(turn.from.peer(), turn));
        give_up(&stream, turn);
        self.refuse(stream.id, violation, turn)
    }

    /// Tells a side that what it sent on a stream is not taken.
    pub(super) fn refuse(&mut self, id: u32, violation: Violation, turn: &mut RelayCall<'_>) -> Result<(), Violation> {
        let side = turn.from;
        turn.checker.violated(&Violated { violation, side });
        frame::reset(id, violation.code(), self.words(side, turn));
        self.budgets[side as usize].provoked_resets.spend()
    }

    /// One half of an open stream has come on: forgets the stream if both have ended.
    pub(super) fn came_on(&mut self, index: usize, turn: &mut RelayCall<'_>) {
        let stream = self.streams.get(index);
        if stream.halves[turn.from as usize] != Half::Ended {
            return;
        }
        if turn.from == Side::Upstream {
            give_up(stream, turn);
            stream.told = true;
            budget::answered(&mut self.budgets);
        }
        if stream.halves == [Half::Ended; 2] {
            self.streams.close(index);
        }
    }
}

/// A stream is over: if its answer was not told of yet, tells what there was of it.
pub(super) fn give_up(stream: &OpenStream, turn: &mut RelayCall<'_>) {
    if !stream.told {
        let OpenStream { exchange, status, .. } = *stream;
        turn.checker.answered(ResponseSummary { exchange, status: status.map(i32::from), facts: Facts::NONE });
    }
}
