//! The server's header blocks: responses and their trailers. They are forwarded unchanged, also those of streams that
//! are closed, because the client's compression table must follow them. After the first malformed block this is no
//! longer possible: that block is not forwarded, so the client's table would miss it. All later blocks are encoded
//! anew, without a dynamic table.

use super::{
    Http2,
    block::HeaderBlock,
    field::{check_trailers, grpc_status},
    frame,
    hpack::Encoder,
    response::StreamResponseHead,
    streams::{Half, StreamState},
    turn::RelayCall,
    violation::Violation,
};
use crate::{
    http::grpc,
    relay::{ResponseSummary, Side},
};

impl Http2 {
    /// A response that is malformed ends its stream (RFC 9113 §8.1.1).
    pub(super) fn response_block(
        &mut self,
        block: &HeaderBlock<'_>,
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        let index = match self.streams.place(block.stream) {
            StreamState::New | StreamState::Idle => return Err(Violation::IdleStream),
            StreamState::Ended => return Err(Violation::StreamClosed),
            StreamState::Reset | StreamState::Over => {
                match self.for_client {
                    None => turn.pass(block.frames),
                    Some(_) => turn.skip(block.frames.len()),
                }
                return Ok(());
            }
            StreamState::Open(index) => index,
        };
        if let Err(violation) = self.response(index, block, turn) {
            turn.skip(block.frames.len());
            self.for_client.get_or_insert_with(|| Box::new(Encoder::new(0)));
            return self.cut(index, violation, turn);
        }
        self.came_on(index, turn);
        match &mut self.for_client {
            None => turn.pass(block.frames),
            Some(encoder) => turn.replace(block.frames.len(), |out| {
                frame::headers(block.stream, block.end_stream, out, |out| encoder.encode(block.fields.iter(), out));
            }),
        }
        Ok(())
    }

    fn response(&mut self, index: usize, block: &HeaderBlock<'_>, turn: &mut RelayCall<'_>) -> Result<(), Violation> {
        match (block.large, self.streams.get(index).halves[Side::Upstream as usize]) {
            (Some(violation), _) => Err(violation),
            (None, Half::Head) => self.response_head(index, block, turn),
            (None, Half::Body(_) | Half::Ended) => self.response_trailers(index, block, turn),
        }
    }

    fn response_head(
        &mut self,
        index: usize,
        block: &HeaderBlock<'_>,
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        let head = StreamResponseHead::read(block.fields)?;
        let stream = self.streams.get(index);
        stream.halves[Side::Upstream as usize] = head.behind(stream, block.end_stream)?;
        if head.is_interim() {
            return Ok(());
        }
        stream.status = Some(head.status);
        // The status of a call comes at its end.
        if !head.grpc || block.end_stream {
            stream.told = true;
            let (status, facts) = (Some(head.status.into()), grpc::facts(head.grpc_status));
            turn.checker.answered(ResponseSummary { exchange: stream.exchange, status, facts });
        }
        Ok(())
    }

    fn response_trailers(
        &mut self,
        index: usize,
        block: &HeaderBlock<'_>,
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        let stream = self.streams.get(index);
        stream.halves[Side::Upstream as usize].trailers(block.end_stream)?;
        check_trailers(block.fields.iter())?;
        if !std::mem::replace(&mut stream.told, true) {
            let facts = grpc::facts(grpc_status(block.fields.iter()));
            turn.checker.answered(ResponseSummary {
                exchange: stream.exchange,
                status: stream.status.map(i32::from),
                facts,
            });
        }
        Ok(())
    }
}
