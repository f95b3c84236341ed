//! The server's header blocks: responses and their trailers. They go on as they came, also those on streams that are
//! over, because the client's table has to follow them.

use super::{
    Http2,
    block::Block,
    field::{check_trailers, grpc_status},
    response::Head,
    streams::{Half, Place},
    turn::Turn,
    violation::Violation,
};
use crate::relay::{Answer, Side};

impl Http2 {
    /// A response that is malformed ends the connection: it cannot go on (RFC 9113 §8.1.1), and without it the client
    /// could not read those behind it.
    pub(super) fn response_block(&mut self, block: &Block<'_>, turn: &mut Turn<'_>) -> Result<(), Violation> {
        if let Some(violation) = block.large {
            return Err(violation);
        }
        match self.streams.place(block.stream) {
            Place::New | Place::Idle => return Err(Violation::IdleStream),
            Place::Ended => return Err(Violation::StreamClosed),
            Place::Over => {}
            Place::Open(index) => {
                match self.streams.get(index).halves[Side::Upstream as usize] {
                    Half::Head => self.response_head(index, block, turn)?,
                    Half::Body(_) | Half::Ended => self.response_trailers(index, block, turn)?,
                }
                self.came_on(index, turn);
            }
        }
        turn.pass(block.frames);
        Ok(())
    }

    fn response_head(&mut self, index: usize, block: &Block<'_>, turn: &mut Turn<'_>) -> Result<(), Violation> {
        let head = Head::read(block.fields)?;
        let stream = self.streams.get(index);
        stream.halves[Side::Upstream as usize] = head.behind(stream, block.end_stream)?;
        if head.is_interim() {
            return Ok(());
        }
        stream.status = Some(head.status);
        // The status of a call comes at its end.
        if !head.grpc || block.end_stream {
            stream.told = true;
            let Head { status, grpc_status, .. } = head;
            turn.checker.answered(Answer { exchange: stream.exchange, status: Some(status), grpc_status });
        }
        Ok(())
    }

    fn response_trailers(&mut self, index: usize, block: &Block<'_>, turn: &mut Turn<'_>) -> Result<(), Violation> {
        check_trailers(block.fields.iter())?;
        let stream = self.streams.get(index);
        stream.halves[Side::Upstream as usize].trailers(block.end_stream)?;
        if !std::mem::replace(&mut stream.told, true) {
            let grpc_status = grpc_status(block.fields.iter());
            turn.checker.answered(Answer { exchange: stream.exchange, status: stream.status, grpc_status });
        }
        Ok(())
    }
}
