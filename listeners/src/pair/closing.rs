//! Ends a pair at the relay's request, so that the client still reads the last bytes.

use portcullis_codecs::relay::Side;

use crate::{
    event::context::WorkerContext,
    judge::ResetCause,
    pair::{Pair, PairOutcome, PairProgress, end::End},
    transport::ReadOutcome,
};

/// Bytes that a client may send after the last word before it is cut off.
const MOST_DRAINED: usize = 1024 * 1024;

/// Where a pair stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Bytes are relayed.
    Open,
    /// The last word goes out; then the client is read until it ends too, or a close with unread bytes would send a
    /// reset that overtakes the word.
    Draining { drained: usize },
    /// The client is reset as soon as it has been sent the answers that were due.
    Resetting,
}

impl Pair {
    /// What was said reaches the client, then both sides are closed.
    pub(super) fn close_in_order(&mut self, now: u64) {
        self.begin(Phase::Draining { drained: 0 }, now);
        self.ends[Side::Downstream as usize].end_stream();
        self.ends[Side::Upstream as usize].end_stream();
    }

    /// Both sides are reset; the client not before it has been sent what is on its way.
    pub(super) fn close_by_reset(&mut self, now: u64) {
        self.begin(Phase::Resetting, now);
        self.ends[Side::Upstream as usize].close(true);
    }

    fn begin(&mut self, phase: Phase, now: u64) {
        self.phase = phase;
        self.clocks.winding = now;
        self.clocks.head = None;
        self.clocks.body = None;
        for end in &mut self.ends {
            end.forget_held();
        }
    }

    /// Carries on with ending.
    pub(super) fn wind_up(&mut self, core: &mut WorkerContext) -> PairProgress {
        for end in &mut self.ends {
            if end.flush() {
                self.clocks.winding = core.now;
            }
        }
        let [client, server] = &mut self.ends;
        let ends = match &mut self.phase {
            Phase::Open => false,
            Phase::Resetting => client.broken || client.all_sent(),
            Phase::Draining { drained } => {
                // All forwarded bytes are on their way to it, and what it still sends is not needed.
                if server.broken || server.fin_sent {
                    server.close(false);
                }
                client.broken || (client.fin_sent && drain(client, drained, core) && server.is_absent())
            }
        };
        if ends { PairProgress::Over(self.last_outcome()) } else { PairProgress::Wait }
    }

    fn last_outcome(&self) -> PairOutcome {
        match self.phase {
            Phase::Open | Phase::Draining { .. } => PairOutcome::Closed,
            Phase::Resetting => match self.judge.cause {
                Some(ResetCause::Violated) => PairOutcome::Violation,
                Some(ResetCause::Denied) => PairOutcome::Denied,
                // It has ended within an answer.
                None => PairOutcome::ResetBy(Side::Upstream),
            },
        }
    }
}

/// Reads and drops what the client still sends. Returns `true` at its end, or once [`MOST_DRAINED`] bytes were dropped.
fn drain(client: &mut End, drained: &mut usize, core: &mut WorkerContext) -> bool {
    let mut buffer = core.take_buffer();
    while client.may_read() && *drained < MOST_DRAINED {
        match client.read(&mut buffer) {
            Ok(ReadOutcome::Bytes(bytes)) => *drained += bytes,
            Ok(ReadOutcome::Nothing | ReadOutcome::Eof) => {}
            Err(_) => client.eof = true,
        }
    }
    core.put_buffer(buffer);
    client.eof || *drained >= MOST_DRAINED
}
