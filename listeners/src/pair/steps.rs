//! Shows bytes to the relay and carries out its steps.

use portcullis_codecs::relay::{Close, Relay, RelayOutput, RelayStep, Side};
use portcullis_rules::snapshot::Snapshot;

use crate::{
    event::context::WorkerContext,
    judge::{AuthorizationContext, FlowAuthorizer, RequestChecker},
    pair::{Pair, PairOutcome, buffered, closing::Phase},
    telemetry::TelemetrySink,
};

impl Pair {
    /// Shows the relay what is held of a side and what came now. What it does not take is held.
    pub(super) fn show(&mut self, side: Side, core: &mut WorkerContext, fresh: &[u8]) -> Result<(), PairOutcome> {
        // Taken out, so that the relay can read these bytes while its steps change the pair.
        let mut held = std::mem::take(&mut self.ends[side as usize].held);
        let was_held = !held.is_empty();
        if was_held {
            buffered::extend(&mut held, fresh, core.options().buffer);
        }
        let input = if was_held { &*held } else { fresh };
        if input.is_empty() {
            return Ok(());
        }
        let (length, taken) = (input.len(), self.steps(side, core, input));
        if self.phase == Phase::Open && taken < length {
            if was_held {
                held.drain(..taken);
            } else {
                held = fresh[taken..].to_vec();
            }
            self.ends[side as usize].held = held;
            self.keep(side, taken, core)?;
        } else {
            self.ends[side as usize].forget_held();
        }
        self.after_steps(side, taken > 0, core)
    }

    /// Carries out the relay's steps; tells how many bytes were taken. All that is forwarded in a row goes out in one
    /// write.
    fn steps(&mut self, side: Side, core: &mut WorkerContext, input: &[u8]) -> usize {
        // Taken out, because the relay works on the pair's judge at the same time.
        let Some(mut relay) = self.relay.take() else {
            self.forward(side, core, input);
            return input.len();
        };
        let (mut from, mut at) = (0, 0);
        while at < input.len() && self.phase == Phase::Open {
            let step = step(&mut *relay, side, &input[at..], &mut self.judge, core);
            let spoke = speaks(&core.output);
            let forwarded = at + step.forward;
            // Forwarded bytes are collected, and written before bytes that are dropped or added between them.
            if step.discard > 0 || spoke {
                self.forward(side, core, &input[from..forwarded]);
                from = forwarded + step.discard;
            }
            at = forwarded + step.discard;
            if spoke {
                self.speak(side, core);
            }
            let learnt = side == Side::Upstream && self.learn(&mut *relay, core);
            if side == Side::Upstream && self.resolution.is_none() {
                self.judge.goes_on(&core.exit);
            }
            // Without progress the relay waits for more input. An installed answer is progress without input.
            if step.taken() == 0 && !learnt {
                break;
            }
        }
        self.forward(side, core, &input[from..at]);
        self.relay = Some(relay);
        at
    }

    fn forward(&mut self, from: Side, core: &mut WorkerContext, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        core.exit.moved(self.judge.key.direction, from, bytes.len());
        self.judge.moved(from, bytes.len());
        self.ends[from.peer() as usize].write(bytes);
    }

    /// Sends what the relay says itself when `from` is shown, behind what its step forwarded, and ends the pair if it
    /// says so.
    pub(super) fn speak(&mut self, from: Side, core: &mut WorkerContext) {
        let output = &mut core.output;
        // What goes on in other bytes than it came in is relayed all the same.
        let relayed = std::mem::take(&mut output.relayed);
        core.exit.moved(self.judge.key.direction, from, relayed);
        self.judge.moved(from, relayed);
        self.ends[Side::Downstream as usize].write(&output.downstream);
        self.ends[Side::Upstream as usize].write(&output.upstream);
        output.downstream.clear();
        output.upstream.clear();
        match output.close.take() {
            Some(Close::Graceful) => self.close_in_order(core.now),
            Some(Close::Reset) => self.close_by_reset(core.now),
            None => {}
        }
    }

    fn after_steps(&mut self, side: Side, taken: bool, core: &mut WorkerContext) -> Result<(), PairOutcome> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        let Some(relay) = &self.relay else { return Ok(()) };
        let peer = &mut self.ends[side.peer() as usize];
        peer.again |= taken && !peer.held.is_empty();
        let pending = relay.head_pending();
        let begun = side == Side::Downstream && taken;
        self.clocks.head = match self.clocks.head {
            _ if !pending => None,
            Some(since) if !begun => Some(since),
            _ => Some(core.now),
        };
        self.clocks.body = if relay.body_waits() { self.clocks.body.or(Some(core.now)) } else { None };
        let upstream = &self.ends[Side::Upstream as usize];
        if upstream.is_absent() && upstream.is_full() { self.dial(core) } else { Ok(()) }
    }

    /// A side has ended its stream.
    pub(super) fn ended(&mut self, side: Side, core: &mut WorkerContext) -> Result<(), PairOutcome> {
        let held = self.ends[side as usize].held.len();
        self.ends[side as usize].forget_held();
        if let Some(relay) = &mut self.relay {
            // What was denied before is not why it ends now.
            self.judge.cause = None;
            let mut checker = checker(&mut self.judge, core.snapshot.as_deref(), &mut core.exit, core.now);
            relay.receive_eof(side, held, &mut checker, &mut core.output);
            self.speak(side, core);
        }
        if self.phase != Phase::Open {
            return Ok(());
        }
        if self.ends[side as usize].broken {
            return Err(PairOutcome::ResetBy(side));
        }
        let peer = &mut self.ends[side.peer() as usize];
        if peer.is_absent() {
            // Nobody was called, and nothing will come that is worth a call.
            self.close_in_order(core.now);
            return Ok(());
        }
        peer.end_stream();
        peer.again = !peer.held.is_empty();
        self.after_steps(side, false, core)
    }

    /// The server took too long for the word that a body waits for.
    pub(super) fn body_goes_on(&mut self) {
        self.clocks.body = None;
        if let Some(relay) = &mut self.relay {
            relay.body_timeout();
            self.ends[Side::Downstream as usize].again = true;
        }
    }

    /// The client took too long to send a head.
    pub(super) fn head_late(&mut self, core: &mut WorkerContext) {
        if let Some(relay) = &mut self.relay {
            let mut checker = checker(&mut self.judge, core.snapshot.as_deref(), &mut core.exit, core.now);
            relay.head_timeout(&mut checker, &mut core.output);
            self.speak(Side::Downstream, core);
        }
        self.clocks.head = None;
    }
}

pub(super) fn checker<'a>(
    judge: &'a mut FlowAuthorizer,
    snapshot: Option<&'a Snapshot>,
    exit: &'a mut TelemetrySink,
    now: u64,
) -> RequestChecker<'a> {
    RequestChecker::new(judge, AuthorizationContext { snapshot, exit, now })
}

/// One step of the relay, never longer than its input.
fn step(
    relay: &mut dyn Relay,
    side: Side,
    input: &[u8],
    judge: &mut FlowAuthorizer,
    core: &mut WorkerContext,
) -> RelayStep {
    let unseen = usize::try_from(relay.passthrough(side)).unwrap_or(usize::MAX).min(input.len());
    if unseen > 0 {
        relay.passed(side, unseen as u64);
        return RelayStep { forward: unseen, discard: 0 };
    }
    let mut checker = checker(judge, core.snapshot.as_deref(), &mut core.exit, core.now);
    let step = relay.receive(side, input, &mut checker, &mut core.output);
    let forward = step.forward.min(input.len());
    RelayStep { forward, discard: step.discard.min(input.len() - forward) }
}

fn speaks(output: &RelayOutput) -> bool {
    output.close.is_some() || !output.downstream.is_empty() || !output.upstream.is_empty()
}
