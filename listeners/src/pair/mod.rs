//! One client connection with its upstream connection. This is the only driver that moves bytes, for every protocol.
//!
//! A pair is registered with its worker before its flow is judged (`admit`). It then goes through these phases
//! ([`closing::Phase`]):
//!
//! ```text
//!  accepted ── admit: denied ───────────────────────────────────────────┐
//!     │ admit: allowed, or judged by a relay                            │
//!     ▼                                                                 │
//!   Open ── both streams ended ─────────────────────────────────────────┤
//!     │  ── a side resets, a deadline passes, policy denies the flow, ──┤
//!     │     the connect fails, the endpoint or the node goes            │
//!     │                                                                 │
//!     ├── the relay closes gracefully, or the client                    │
//!     │   ends before there is an upstream connection                   │
//!     │      ▼                                                          │
//!     │   Draining: send the last bytes to the client,                  │
//!     │      then read and drop what it still sends ── both closed ─────┤
//!     │                                                or out of time   │
//!     └── the relay resets                                              │
//!            ▼                                                          ▼
//!         Resetting: the upstream is reset at once, ───────────────► ended
//!            the client once its pending answers are sent,          (Outcome)
//!            or out of time
//! ```
//!
//! The upstream connection has states of its own:
//!
//! ```text
//!  absent ── nothing to judge, the server speaks first, or the first bytes for it ──► connecting
//!  connecting ── connected ──► relaying
//!  connecting ── ECONNREFUSED on ingress, once ──► connecting, through any device
//!  connecting ── another error, or the connect timeout ──► the pair ends
//! ```
//!
//! While the relay holds an answer until its addresses are installed (`hold`), the pair stays `Open`.

mod buffered;
mod closing;
mod deadlines;
mod end;
mod hold;
mod outcome;
mod steps;

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use nix::sys::epoll::EpollFlags;
use portcullis_codecs::relay::{Relay, Side};
use portcullis_rules::world::Direction;
use socket2::Socket;

use self::{closing::Phase, deadlines::PairTimers, end::End, hold::PendingAddresses};
pub(crate) use self::{deadlines::TimeoutKind, outcome::PairOutcome};
use crate::{
    event::{context::WorkerContext, slots::SlotToken},
    judge::{FlowAuthorizer, RefreshOutcome},
    share::ShareGuard,
    sockets,
    telemetry::metrics::Connect,
    transport::ReadOutcome,
};

/// Reads of one pair before the others have their turn.
const READS: usize = 8;

const SIDES: [Side; 2] = [Side::Downstream, Side::Upstream];

/// What the worker has to do with a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairProgress {
    /// Wait for events.
    Wait,
    /// Advance it again, after the others.
    Again,
    /// It has ended.
    Over(PairOutcome),
}

/// A connection pair.
pub(crate) struct Pair {
    token: SlotToken,
    ends: [End; 2],
    /// `None`: bytes pass as they are.
    relay: Option<Box<dyn Relay>>,
    /// Most bytes of one side that the relay holds back unless it asks for more.
    most_held: usize,
    judge: FlowAuthorizer,
    phase: Phase,
    clocks: PairTimers,
    /// The publication by which the flow was judged last.
    epoch: u64,
    /// Whether it stands in the worker's queue.
    pub(crate) queued: bool,
    /// The upstream connection's address, while the kernel knows it.
    upstream: Option<SocketAddr>,
    /// What the relay waits for before an answer may leave.
    resolution: Option<PendingAddresses>,
    /// Resolutions so far.
    resolutions: u64,
    /// The address that was learnt and is kept for this connection.
    in_use: Option<IpAddr>,
    /// It counts as one of its endpoint for as long as it is there.
    _taken: [ShareGuard; 2],
}

impl Pair {
    /// Takes an accepted connection. It is to be registered before it is admitted.
    pub(crate) fn new(
        token: SlotToken,
        client: Socket,
        judge: FlowAuthorizer,
        taken: [ShareGuard; 2],
        now: u64,
    ) -> Self {
        Self {
            token,
            ends: [End::accepted(client), End::default()],
            relay: None,
            most_held: 0,
            judge,
            phase: Phase::Open,
            clocks: PairTimers::new(now),
            epoch: 0,
            queued: false,
            upstream: None,
            resolution: None,
            resolutions: 0,
            in_use: None,
            _taken: taken,
        }
    }

    pub(crate) fn judge(&self) -> &FlowAuthorizer {
        &self.judge
    }

    pub(crate) fn socket(&self, side: Side) -> Option<&Socket> {
        self.ends[side as usize].socket()
    }

    /// Judges the flow at L3 and L4, and begins to relay it.
    pub(crate) fn admit(&mut self, core: &mut WorkerContext) -> PairProgress {
        core.renew();
        self.epoch = core.epoch;
        let draw = core.draw();
        if !self.judge.admit(&mut core.context(), draw).passes() {
            return PairProgress::Over(PairOutcome::Denied);
        }
        self.in_use = core.begin_use(self.judge.key.peer);
        let dial = match self.judge.plan().outermost() {
            None => true,
            Some(rules) => {
                let Some((relay, most_held)) = core.relay(rules.schema(), &self.judge) else {
                    return PairProgress::Over(PairOutcome::Fault);
                };
                let dial = !relay.client_first();
                (self.relay, self.most_held) = (Some(relay), most_held);
                dial
            }
        };
        let dialled = if dial { self.dial(core) } else { Ok(()) };
        dialled.map_or_else(PairProgress::Over, |()| PairProgress::Wait)
    }

    /// Judges the flow again if there is a new snapshot.
    pub(crate) fn refresh(&mut self, core: &mut WorkerContext) -> Option<PairOutcome> {
        core.renew();
        if self.epoch == core.epoch || self.phase != Phase::Open {
            return None;
        }
        self.epoch = core.epoch;
        let timeouts = self.judge.params().timeouts.clone();
        match self.judge.refresh(&mut core.context()) {
            RefreshOutcome::Stays => {
                if self.judge.params().timeouts != timeouts {
                    self.clocks.rearm();
                }
                None
            }
            RefreshOutcome::Denied => Some(PairOutcome::Denied),
            RefreshOutcome::Changed => Some(PairOutcome::PolicyChanged),
        }
    }

    /// Notes an event of the kernel, then advances.
    pub(crate) fn event(&mut self, side: Side, flags: EpollFlags, core: &mut WorkerContext) -> PairProgress {
        if self.ends[side as usize].connecting {
            match self.connected(core) {
                Err(outcome) => return PairProgress::Over(outcome),
                // A new upstream connection is on its way; the event was the old one's.
                Ok(()) if self.ends[side as usize].connecting => return PairProgress::Wait,
                Ok(()) => {}
            }
        }
        self.ends[side as usize].note(flags);
        if side == Side::Downstream && flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP) {
            self.clocks.fin = self.clocks.fin.or(Some(core.now));
        }
        self.advance(core)
    }

    /// Moves what can be moved.
    pub(crate) fn advance(&mut self, core: &mut WorkerContext) -> PairProgress {
        if let Some(outcome) = self.refresh(core) {
            return PairProgress::Over(outcome);
        }
        let mut reads = READS;
        while self.phase == Phase::Open {
            let mut moved = false;
            for side in SIDES {
                match self.turn(side, core, &mut reads) {
                    Ok(progress) => moved |= progress,
                    Err(outcome) => return PairProgress::Over(outcome),
                }
                if self.phase != Phase::Open {
                    return self.wind_up(core);
                }
            }
            if self.ends.iter().all(|end| end.eof && end.fin_sent) {
                return PairProgress::Over(PairOutcome::Closed);
            }
            if !moved {
                return PairProgress::Wait;
            }
            if reads == 0 {
                return PairProgress::Again;
            }
        }
        self.wind_up(core)
    }

    /// One side's turn: what waits for it, what is held of it, what can be read from it. Returns whether anything moved.
    fn turn(&mut self, side: Side, core: &mut WorkerContext, reads: &mut usize) -> Result<bool, PairOutcome> {
        let mut moved = self.ends[side as usize].flush();
        if moved {
            self.clocks.moved = core.now;
        }
        if self.ends[side.peer() as usize].is_full() {
            // Nothing is read while what was read before waits. A side that is gone ends the pair even so.
            return if self.ends[side as usize].broken { Err(PairOutcome::ResetBy(side)) } else { Ok(moved) };
        }
        if std::mem::take(&mut self.ends[side as usize].again) {
            self.show(side, core, &[])?;
            moved = true;
            if self.phase != Phase::Open || self.ends[side.peer() as usize].is_full() {
                return Ok(moved);
            }
        }
        let wanted = self.relay.as_ref().is_none_or(|relay| relay.wants(side));
        let end = &self.ends[side as usize];
        match wanted && end.may_read() {
            true if *reads > 0 => {
                *reads -= 1;
                moved |= self.read(side, core)?;
            }
            // It is gone, and has nothing more to say that anybody waits for.
            false if end.broken => return Err(PairOutcome::ResetBy(side)),
            _ => {}
        }
        Ok(moved)
    }

    /// Reads once and shows what came to the relay.
    fn read(&mut self, side: Side, core: &mut WorkerContext) -> Result<bool, PairOutcome> {
        let mut buffer = core.take_buffer();
        let result = match self.ends[side as usize].read(&mut buffer) {
            Ok(ReadOutcome::Bytes(bytes)) => {
                self.clocks.moved = core.now;
                self.clocks.silent &= side != Side::Downstream;
                // A policy may have come into force since this turn began, and the request after it.
                match self.refresh(core) {
                    Some(outcome) => Err(outcome),
                    None => self.show(side, core, &buffer[..bytes]).map(|()| true),
                }
            }
            Ok(ReadOutcome::Nothing) => Ok(false),
            Ok(ReadOutcome::Eof) => self.ended(side, core).map(|()| true),
            Err(_) => Err(PairOutcome::ResetBy(side)),
        };
        core.put_buffer(buffer);
        result
    }

    /// Makes the upstream connection.
    fn dial(&mut self, core: &mut WorkerContext) -> Result<(), PairOutcome> {
        self.clocks.dial(core.now);
        let upstream = match core.dial(&self.judge) {
            Ok(upstream) => upstream,
            Err(error) => return Err(self.unconnected(&error, core)),
        };
        self.upstream = Some(upstream.own);
        if let Err(error) = core.register(&upstream.socket, self.token, Side::Upstream) {
            return Err(self.unconnected(&error.into(), core));
        }
        self.ends[Side::Upstream as usize].connecting(upstream.socket);
        Ok(())
    }

    /// The connect has ended, one way or the other.
    fn connected(&mut self, core: &mut WorkerContext) -> Result<(), PairOutcome> {
        self.forget(core);
        let error = match self.socket(Side::Upstream).map(Socket::take_error) {
            Some(Ok(None)) => None,
            Some(Ok(Some(error)) | Err(error)) => Some(error),
            None => return Ok(()),
        };
        match error {
            // An application that is bound to its device does not see an upstream connection that comes by another.
            Some(error) if self.may_come_otherwise(&error) => {
                self.judge.any_device = true;
                self.dial(core)
            }
            Some(error) => Err(self.unconnected(&error, core)),
            None => {
                core.exit.connect(Connect::Connected, self.clocks.since_dial());
                self.ends[Side::Upstream as usize].connected();
                self.clocks.moved = core.now;
                Ok(())
            }
        }
    }

    fn may_come_otherwise(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::ConnectionRefused
            && self.judge.key.direction == Direction::Ingress
            && !self.judge.any_device
    }

    fn unconnected(&mut self, error: &io::Error, core: &mut WorkerContext) -> PairOutcome {
        let (connect, outcome) = match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => (Connect::Refused, PairOutcome::ConnectRefused),
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EPERM) => {
                (Connect::Unreachable, PairOutcome::ConnectUnreachable)
            }
            Some(libc::ETIMEDOUT) => (Connect::TimedOut, PairOutcome::ConnectTimeout),
            _ => (Connect::Failed, PairOutcome::ConnectFailed),
        };
        core.exit.connect(connect, self.clocks.since_dial());
        let way = self.judge.way();
        tracing::debug!(%error, client = %way.client, destination = %way.destination, "no upstream connection");
        outcome
    }

    /// Only the first packet of an upstream connection has to be known.
    fn forget(&mut self, core: &mut WorkerContext) {
        if let Some(upstream) = self.upstream.take() {
            core.forget(self.judge.key.endpoint, upstream, self.judge.destination);
        }
    }

    /// Ends the pair: sockets, records, metrics.
    pub(crate) fn end(mut self, outcome: PairOutcome, core: &mut WorkerContext) {
        self.forget(core);
        core.end_use(self.in_use);
        if outcome == PairOutcome::Overflow {
            core.exit.limit("held_bytes");
        }
        for end in &mut self.ends {
            end.close(outcome.resets());
        }
        self.judge.end(&core.exit);
        core.exit.ended(self.judge.key.direction, outcome.as_str());
    }

    /// Bytes of memory that it takes, those of its sockets and of the relay's own heap excepted.
    #[cfg(test)]
    pub(crate) fn footprint(&self) -> usize {
        let relay = self.relay.as_ref().map_or(0, |relay| size_of_val(&**relay));
        size_of::<Self>() + relay + self.ends.iter().map(End::heap).sum::<usize>()
    }
}

/// The socket of a client that is turned away before it is anybody's.
pub(crate) fn turn_away(client: Socket) {
    sockets::reset(client);
}
