//! How the client learns that its request was refused. A refusal never changes the compression state of the server,
//! which continues between client and server.

use super::{
    Http2, frame,
    hpack::Stateless,
    turn::RelayCall,
    violation::{ErrorCode, Violated, Violation},
};
use crate::{
    http::grpc::Call,
    relay::{Close, Side},
};

impl Http2 {
    /// A denied request is reset. Not as REFUSED_STREAM, which would say that it may be tried again (RFC 9113 §8.7).
    pub(super) fn deny_by_reset(&mut self, id: u32, turn: &mut RelayCall<'_>) {
        frame::reset(id, ErrorCode::Cancel, self.words(Side::Downstream, turn));
    }

    /// A denied request takes its connection along. It counts as dealt with, so that it is not tried again.
    pub(super) fn deny_by_disconnect(&mut self, id: u32, turn: &mut RelayCall<'_>) {
        self.say_last(id, ErrorCode::Cancel, turn);
        turn.close(Close::Reset);
    }

    /// A denied request is answered: by the status of a call for gRPC, else by 403.
    pub(super) fn deny_by_answer(&mut self, id: u32, call: Option<Call>, end_stream: bool, turn: &mut RelayCall<'_>) {
        if let Some(call) = call {
            self.answer(id, end_stream, turn, |block| {
                block
                    .field(b":status", b"200")
                    .field(b"content-type", call.content_type().as_bytes())
                    .field(b"grpc-status", Call::DENIED.as_bytes())
                    .field(b"grpc-message", Call::MESSAGE.as_bytes());
            });
        } else {
            self.answer(id, end_stream, turn, |block| {
                block.field(b":status", b"403").field(b"content-length", b"0");
            });
        }
    }

    /// A request is too large to be judged (RFC 6585 §5).
    pub(super) fn refuse_large(
        &mut self,
        id: u32,
        violation: Violation,
        end_stream: bool,
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        turn.checker.violated(&Violated { violation, side: Side::Downstream });
        self.answer(id, end_stream, turn, |block| {
            block.field(b":status", b"431").field(b"content-length", b"0");
        });
        self.budgets[Side::Downstream as usize].provoked_resets.spend()
    }

    /// Answers a request by a head alone, and stops it if it goes on (RFC 9113 §8.1).
    fn answer(&mut self, id: u32, end_stream: bool, turn: &mut RelayCall<'_>, say: impl FnOnce(&mut Stateless<'_>)) {
        let due = match self.for_client {
            None => self.ways[Side::Upstream as usize].decoder.due_size_update(),
            // Whatever the client waits for, no table is used any more.
            Some(_) => Some(0),
        };
        let out = self.words(Side::Downstream, turn);
        frame::headers(id, true, out, |out| say(&mut Stateless::new(due, out)));
        if !end_stream {
            frame::reset(id, ErrorCode::NoError, out);
        }
    }
}
