//! The timeouts of a pair. Times are milliseconds since the data plane started, as of the worker's last wake-up.

use std::time::{Duration, Instant};

use portcullis_codecs::relay::Side;

use crate::{
    event::context::WorkerContext,
    options::millis,
    pair::{Pair, PairOutcome, PairProgress, closing::Phase},
    telemetry::metrics::Connect,
};

/// How long a pair that ends waits for its client: to end its own stream, or to take the answers before a reset.
const WINDING_MS: u64 = 10_000;

/// What takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimeoutKind {
    /// The first byte of a client that is to speak first.
    FirstByte,
    /// A request head.
    Head,
    /// The server's word, for which a request's body waits.
    Body,
    /// The upstream connect.
    Connect,
    /// Nothing moves.
    Idle,
    /// Nothing moves, and one side has ended its stream.
    HalfClosed,
    /// Nothing moves, and the client has ended its stream behind what is not read.
    Gone,
    /// The connection as a whole.
    Total,
    /// What an answer tells is not in force yet.
    Resolution,
    /// The end.
    Winding,
}

impl TimeoutKind {
    pub(crate) const ALL: [Self; 10] = [
        Self::FirstByte,
        Self::Head,
        Self::Body,
        Self::Connect,
        Self::Idle,
        Self::HalfClosed,
        Self::Gone,
        Self::Total,
        Self::Resolution,
        Self::Winding,
    ];
}

/// Since when things are as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairTimers {
    opened: u64,
    pub(super) moved: u64,
    /// Nothing has come from the client yet.
    pub(super) silent: bool,
    pub(super) head: Option<u64>,
    /// When the client's end was seen, read or not.
    pub(super) fin: Option<u64>,
    pub(super) body: Option<u64>,
    dialled: u64,
    dial_began: Instant,
    pub(super) winding: u64,
    /// Which kinds have an entry in the worker's queue.
    armed: u16,
    /// How often the timeouts were others: entries from before are of no account.
    round: u8,
}

impl PairTimers {
    pub(super) fn new(now: u64) -> Self {
        Self {
            opened: now,
            moved: now,
            silent: true,
            head: None,
            fin: None,
            body: None,
            dialled: now,
            dial_began: Instant::now(),
            winding: now,
            armed: 0,
            round: 0,
        }
    }

    pub(super) fn dial(&mut self, now: u64) {
        self.dialled = now;
        self.dial_began = Instant::now();
    }

    /// The timeouts are others now: every kind gets a new entry.
    pub(super) fn rearm(&mut self) {
        (self.armed, self.round) = (0, self.round.wrapping_add(1));
    }

    pub(super) fn since_dial(&self) -> Duration {
        self.dial_began.elapsed()
    }
}

impl Pair {
    /// When a kind is due, if it runs at all.
    pub(crate) fn deadline(&self, kind: TimeoutKind) -> Option<u64> {
        let timeouts = &self.judge.params().timeouts;
        let client = &self.ends[Side::Downstream as usize];
        // While the last answer still goes out, it is a connection like any other.
        let open = match self.phase {
            Phase::Open => true,
            Phase::Draining { .. } => client.is_full(),
            Phase::Resetting => false,
        };
        let (since, limit) = match kind {
            TimeoutKind::FirstByte if open && self.waits_for_the_client() => {
                (self.clocks.opened, millis(timeouts.first_byte?))
            }
            TimeoutKind::Head if open => (self.clocks.head?, millis(timeouts.head)),
            TimeoutKind::Body if open => (self.clocks.body?, millis(timeouts.expect?)),
            TimeoutKind::Connect if self.ends[Side::Upstream as usize].connecting => {
                (self.clocks.dialled, millis(timeouts.connect))
            }
            TimeoutKind::Idle if open => (self.clocks.moved, millis(timeouts.idle?)),
            TimeoutKind::HalfClosed if open && self.ends.iter().any(|end| end.eof) => {
                (self.clocks.moved, millis(timeouts.half_closed?))
            }
            TimeoutKind::Gone if open && !client.eof && !self.wants_client() => {
                let limit = [timeouts.client_gone, timeouts.half_closed].into_iter().flatten().min()?;
                (self.clocks.fin?.max(self.clocks.moved), millis(limit))
            }
            TimeoutKind::Total => (self.clocks.opened, millis(timeouts.total?)),
            TimeoutKind::Resolution => (self.resolution?.since, millis(timeouts.commit)),
            TimeoutKind::Winding if !open => (self.clocks.winding, WINDING_MS),
            _ => return None,
        };
        Some(since.saturating_add(limit))
    }

    /// Whether the client is to speak first and has not. What is not judged is nobody's to wait for.
    fn waits_for_the_client(&self) -> bool {
        self.clocks.silent && self.relay.as_ref().is_some_and(|relay| relay.client_first())
    }

    /// The kinds that run and have no entry in the queue yet, with their deadlines. They count as having one now.
    pub(crate) fn arm(&mut self, mut enqueue: impl FnMut(TimeoutKind, u64)) {
        for kind in TimeoutKind::ALL {
            let bit = 1 << kind as u8;
            if self.clocks.armed & bit == 0
                && let Some(deadline) = self.deadline(kind)
            {
                self.clocks.armed |= bit;
                enqueue(kind, deadline);
            }
        }
    }

    /// The number of the timeouts by which entries are made now.
    pub(crate) fn round(&self) -> u8 {
        self.clocks.round
    }

    /// An entry of the queue is taken out of it.
    pub(crate) fn disarm(&mut self, kind: TimeoutKind) {
        self.clocks.armed &= !(1 << kind as u8);
    }

    /// A deadline has passed.
    pub(crate) fn late(&mut self, kind: TimeoutKind, core: &mut WorkerContext) -> PairProgress {
        match kind {
            TimeoutKind::FirstByte => PairProgress::Over(PairOutcome::FirstByteTimeout),
            TimeoutKind::Head => {
                if self.ends[Side::Upstream as usize].is_full() {
                    // The server is slow, and so we do not read the client.
                    self.clocks.head = Some(core.now);
                    return PairProgress::Wait;
                }
                self.head_late(core);
                self.advance(core)
            }
            TimeoutKind::Body => {
                let server = &self.ends[Side::Upstream as usize];
                if server.connecting || server.is_full() {
                    // It has not been asked yet.
                    self.clocks.body = Some(core.now);
                    return PairProgress::Wait;
                }
                self.body_goes_on();
                self.advance(core)
            }
            TimeoutKind::Connect => {
                core.exit.connect(Connect::TimedOut, self.clocks.since_dial());
                PairProgress::Over(PairOutcome::ConnectTimeout)
            }
            TimeoutKind::Idle => PairProgress::Over(PairOutcome::IdleTimeout),
            TimeoutKind::HalfClosed => PairProgress::Over(PairOutcome::HalfClosedTimeout),
            TimeoutKind::Gone => PairProgress::Over(PairOutcome::ClientGone),
            TimeoutKind::Total => PairProgress::Over(PairOutcome::TotalTimeout),
            TimeoutKind::Resolution => self.unlearnt(core),
            TimeoutKind::Winding => PairProgress::Over(self.wound_up()),
        }
    }

    /// Whether the relay takes what the client sends. Where it does, and only the server is slow, what the client has sent
    /// before it went is still to be delivered.
    fn wants_client(&self) -> bool {
        self.relay.as_ref().is_none_or(|relay| relay.wants(Side::Downstream))
    }

    /// A client that has not ended in time is closed all the same.
    fn wound_up(&self) -> PairOutcome {
        match self.phase {
            Phase::Resetting => PairOutcome::Denied,
            Phase::Open | Phase::Draining { .. } => PairOutcome::Closed,
        }
    }
}
