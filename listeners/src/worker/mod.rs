//! One worker: a thread, an epoll loop, a connection table.

mod accept;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};
use portcullis_rules::world::EndpointId;

use self::accept::Acceptor;
use crate::{
    datagrams::DatagramRelay,
    event::{
        context::WorkerContext,
        mailbox::{Mailbox, Opening, ReleaseTarget, WorkerCommand, WorkerListener},
        shared::WorkersShared,
        slots::{EventSource, SlotTable, SlotToken},
    },
    options::millis,
    pair::{Pair, PairOutcome, PairProgress, TimeoutKind},
};

/// Events that are taken at a time.
const EVENTS: usize = 256;
/// Slots that are judged anew at a time after a change of policy, so that traffic does not wait for the walk. A pair
/// that has an event before is judged anew first.
const WALK: usize = 1024;
/// Deadlines of pairs that are gone which are not looked for.
const SLACK: usize = 4096;

/// A worker.
pub(crate) struct Worker {
    core: WorkerContext,
    mailbox: Arc<Mailbox>,
    table: SlotTable<Pair>,
    acceptor: Acceptor,
    datagrams: DatagramRelay,
    /// Deadlines, the next one first. A pair has at most one entry per kind.
    deadlines: BinaryHeap<Reverse<(u64, SlotToken, TimeoutKind, u8)>>,
    /// Pairs that have more to do.
    ready: VecDeque<SlotToken>,
    /// Where the walk after a change of policy stands.
    walk: Option<usize>,
    /// The publication for which it was begun last.
    walked: u64,
    /// When what is still open is reset, once we stop.
    stop: Option<u64>,
    /// When it ends without the answers that are still due.
    finish: Option<u64>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<WorkersShared>, mailbox: Arc<Mailbox>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&mailbox.waker, EpollEvent::new(EpollFlags::EPOLLIN, EventSource::Waker.to_event()))?;
        Ok(Self {
            core: WorkerContext::new(shared, Arc::clone(&mailbox), epoll),
            datagrams: DatagramRelay::default(),
            mailbox,
            table: SlotTable::default(),
            acceptor: Acceptor::new()?,
            deadlines: BinaryHeap::new(),
            ready: VecDeque::new(),
            walk: None,
            walked: 0,
            stop: None,
            finish: None,
        })
    }

    /// Runs until it gets the command to stop and all work is done.
    pub(crate) fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        while !self.is_done() {
            let count = match self.core.epoll.wait(&mut events, self.patience()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => {
                    tracing::error!(%error, "a worker cannot wait for events");
                    break;
                }
            };
            self.core.now = millis(self.core.shared.began.elapsed());
            self.core.renew();
            for event in &events[..count] {
                self.event(*event);
            }
            self.go_on();
            self.fire();
            if self.stop.take_if(|deadline| *deadline <= self.core.now).is_some() {
                self.end_all(PairOutcome::Stopped, |_| true);
            }
            self.datagrams.fire(&mut self.core);
            self.acceptor.reopen(&self.core);
            self.core.exit.flush();
        }
        self.end_all(PairOutcome::Stopped, |_| true);
        self.datagrams.end(&mut self.core);
        self.core.exit.flush();
    }

    fn is_done(&self) -> bool {
        self.finish
            .is_some_and(|deadline| self.table.len() == 0 && (!self.datagrams.are_due() || self.core.now >= deadline))
    }

    /// How long nothing may come.
    fn patience(&self) -> EpollTimeout {
        if !self.ready.is_empty() || self.walk.is_some() {
            return EpollTimeout::ZERO;
        }
        let next = self.deadlines.peek().map(|Reverse((deadline, ..))| *deadline);
        let Some(next) = [next, self.stop, self.finish, self.acceptor.reopens(), self.datagrams.next_deadline()]
            .into_iter()
            .flatten()
            .min()
        else {
            return EpollTimeout::NONE;
        };
        // One more, because `now` is cut to whole milliseconds.
        let wait = Duration::from_millis(next.saturating_sub(self.core.now).saturating_add(1));
        EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
    }

    fn event(&mut self, event: EpollEvent) {
        match EventSource::of_event(event.data()) {
            EventSource::Waker => {
                for command in self.mailbox.take() {
                    self.obey(command);
                }
            }
            EventSource::Listener(place) => {
                self.accept(place);
            }
            EventSource::Datagrams(place) => {
                self.datagrams.receive(place, &mut self.core);
            }
            EventSource::Pair(token, side) => {
                let flags = event.events();
                self.with(token, |pair, core| pair.event(side, flags, core));
            }
            EventSource::Flow(token) => self.datagrams.answers(token, &mut self.core),
        }
    }

    fn obey(&mut self, command: WorkerCommand) {
        match command {
            WorkerCommand::Open(Opening { id, listener: WorkerListener { listeners, datagrams, dial }, shares }) => {
                self.core.dials.insert(id, dial);
                self.core.shares.insert(id, shares);
                for listener in listeners {
                    self.acceptor.open(id, listener, &self.core);
                }
                for listener in datagrams {
                    self.datagrams.open(id, listener, &self.core);
                }
            }
            WorkerCommand::Close(id) => self.close(id),
            WorkerCommand::Commit { holder: ReleaseTarget::Pair(token, number), known } => {
                self.with(token, |pair, core| pair.committed(number, known, core));
            }
            WorkerCommand::Commit { holder: ReleaseTarget::Flow(token, number), known } => {
                self.datagrams.commit(token, number, known, &mut self.core);
            }
            WorkerCommand::Stop(drain) => {
                self.accept_last();
                sooner(&mut self.stop, self.core.now.saturating_add(millis(drain)));
            }
            WorkerCommand::Finish(wait) => {
                self.datagrams.receive_all(&mut self.core);
                sooner(&mut self.finish, self.core.now.saturating_add(millis(wait)));
            }
        }
    }

    fn close(&mut self, id: EndpointId) {
        self.acceptor.close(id);
        self.datagrams.close(id, &mut self.core);
        self.end_all(PairOutcome::Removed, |pair| pair.judge().key.endpoint == id);
        self.core.dials.remove(&id);
        self.core.shares.remove(&id);
    }

    fn end_all(&mut self, outcome: PairOutcome, which: impl Fn(&Pair) -> bool) {
        for slot in 0..self.table.slots() {
            let Some((token, pair)) = self.table.at(slot) else { continue };
            if which(pair) {
                self.with(token, |_, _| PairProgress::Over(outcome));
            }
        }
    }

    /// Does something with a pair and carries out what becomes of it. A panic ends this pair and no other.
    fn with(&mut self, token: SlotToken, action: impl FnOnce(&mut Pair, &mut WorkerContext) -> PairProgress) {
        // Taken out of the table, so that the pair can change while it uses the worker's other parts.
        let Some(mut pair) = self.table.take(token) else { return };
        let core = &mut self.core;
        let outcome = catch_unwind(AssertUnwindSafe(|| action(&mut pair, core))).unwrap_or_else(|_| {
            tracing::error!("relaying a connection has panicked; the connection is reset");
            core.output = Default::default();
            PairProgress::Over(PairOutcome::Fault)
        });
        if let PairProgress::Over(outcome) = outcome {
            pair.end(outcome, &mut self.core);
            self.table.release(token);
            return;
        }
        if outcome == PairProgress::Again && !std::mem::replace(&mut pair.queued, true) {
            self.ready.push_back(token);
        }
        let deadlines = &mut self.deadlines;
        let round = pair.round();
        pair.arm(|kind, at| deadlines.push(Reverse((at, token, kind, round))));
        #[cfg(test)]
        self.note_footprint(&pair);
        self.table.put(token, pair);
    }

    #[cfg(test)]
    fn note_footprint(&self, pair: &Pair) {
        let [last, most] = &self.core.shared.footprint;
        last.store(pair.footprint(), std::sync::atomic::Ordering::Relaxed);
        most.fetch_max(pair.footprint(), std::sync::atomic::Ordering::Relaxed);
    }

    /// The pairs that had more to do have one turn each; the walk goes on.
    fn go_on(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else { break };
            self.with(token, |pair, core| {
                pair.queued = false;
                pair.advance(core)
            });
        }
        if self.core.epoch != self.walked {
            self.walked = self.core.epoch;
            self.walk = Some(0);
        }
        let Some(from) = self.walk else { return };
        let to = (from + WALK).min(self.table.slots());
        for slot in from..to {
            if let Some((token, _)) = self.table.at(slot) {
                self.with(token, |pair, core| pair.refresh(core).map_or(PairProgress::Wait, PairProgress::Over));
            }
        }
        self.walk = (to < self.table.slots()).then_some(to);
    }

    /// Ends what has taken too long.
    fn fire(&mut self) {
        self.forget_deadlines();
        while let Some(Reverse((deadline, token, kind, round))) = self.deadlines.peek().copied() {
            if deadline > self.core.now {
                break;
            }
            self.deadlines.pop();
            self.with(token, |pair, core| {
                if pair.round() != round {
                    return PairProgress::Wait;
                }
                pair.disarm(kind);
                match pair.deadline(kind) {
                    Some(deadline) if deadline <= core.now => pair.late(kind, core),
                    // It has moved since; it gets a new entry.
                    _ => PairProgress::Wait,
                }
            });
        }
    }
}

impl Worker {
    /// Drops the deadlines of pairs that are gone, once they are more than those that are there can have: a connection may
    /// be over long before its hour is. Each call looks at no more than were added since the one before, times a few.
    fn forget_deadlines(&mut self) {
        if self.deadlines.len() < SLACK + 2 * TimeoutKind::ALL.len() * self.table.len() {
            return;
        }
        #[cfg(test)]
        self.core.shared.sweeps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let table = &self.table;
        self.deadlines.retain(|Reverse((_, token, _, round))| {
            table.at(token.slot()).is_some_and(|(known, pair)| known == *token && pair.round() == *round)
        });
    }
}

fn sooner(deadline: &mut Option<u64>, other: u64) {
    *deadline = Some(deadline.map_or(other, |deadline| deadline.min(other)));
}
