//! One flow of datagrams: one client socket, one server, and the open queries.

use std::{collections::VecDeque, io, net::SocketAddr, time::Instant};

use portcullis_codecs::{
    datagram::{AnswerStep, DatagramSession, QueryStep},
    relay::Side,
    resolution::LearnedAddresses,
};
use portcullis_rules::world::EndpointId;
use socket2::Socket;

use crate::{
    event::context::WorkerContext,
    judge::{FlowAuthorizer, PendingReply, RefreshOutcome, RequestChecker},
    options::millis,
    share::ShareGuard,
};

/// How long a flow is kept when nothing is outstanding, in milliseconds: the next query may come from the same socket.
const LINGER_MS: u64 = 500;

/// An answer that is held until its addresses are installed.
#[derive(Debug)]
struct Held {
    number: u64,
    answer: Vec<u8>,
    since: Instant,
    until: u64,
    /// The report to make when the answer is released, if answers are reported.
    due: Option<Box<PendingReply>>,
}

/// What the server's datagram comes to.
#[derive(Debug)]
pub(super) enum Coming {
    /// The client gets it as it came.
    Pass,
    /// It is held, by this number, until the resolution is in force.
    Hold(u64, LearnedAddresses),
    /// Nobody gets it.
    Drop,
}

/// A flow.
pub(crate) struct DatagramFlow {
    pub(super) endpoint: EndpointId,
    pub(super) client: SocketAddr,
    /// Where the client sends to: a service's VIP, where it is one. Answers come from there.
    pub(super) server: SocketAddr,
    pub(super) upstream: Socket,
    /// The upstream connection's own address.
    own: SocketAddr,
    judge: FlowAuthorizer,
    /// `None`: datagrams pass as they are.
    session: Option<Box<dyn DatagramSession>>,
    held: VecDeque<Held>,
    /// Numbers that held answers had so far.
    numbers: u64,
    /// The publication by which it was judged last.
    epoch: u64,
    /// When the last datagram moved.
    moved: u64,
    /// New queries of the client have another flow: this one only waits for answers.
    pub(super) retired: bool,
    /// Its next entry in the queue of deadlines; further ones are of no account.
    pub(super) armed: Option<u64>,
    /// Its descriptor is counted.
    _files: ShareGuard,
}

/// Why there is no flow.
#[derive(Debug)]
pub(super) enum FlowDenial {
    /// Policy denies it, or cannot be applied to datagrams.
    Policy,
    /// The upstream connection could not be made.
    Upstream(io::Error),
}

impl DatagramFlow {
    /// Judges a flow at L3 and L4 and makes its upstream connection.
    pub(super) fn new(
        endpoint: EndpointId,
        client: SocketAddr,
        server: SocketAddr,
        files: ShareGuard,
        core: &mut WorkerContext,
    ) -> Result<Self, FlowDenial> {
        let mut judge = FlowAuthorizer::of_datagrams(endpoint, client, server);
        judge.learns = core.learns();
        let draw = core.draw();
        let epoch = core.epoch;
        if !judge.admit(&mut core.context(), draw).passes() {
            return Err(FlowDenial::Policy);
        }
        let session = match judge.plan().outermost() {
            None => None,
            Some(rules) => Some(core.session(rules.schema(), &judge, server).ok_or(FlowDenial::Policy)?),
        };
        let upstream = core.dial_datagrams(&judge).map_err(FlowDenial::Upstream)?;
        let moved = core.now;
        Ok(Self {
            endpoint,
            client,
            server,
            upstream: upstream.socket,
            own: upstream.own,
            judge,
            session,
            held: VecDeque::new(),
            numbers: 0,
            epoch,
            moved,
            retired: false,
            armed: None,
            _files: files,
        })
    }

    /// Who is asked in fact: for a service's VIP, the backend.
    pub(super) fn asked(&self) -> SocketAddr {
        self.judge.destination
    }

    pub(super) fn judge(&self) -> &FlowAuthorizer {
        &self.judge
    }

    /// Judges it again if there is a new snapshot. What is to be relayed in another way still gets its answers.
    pub(super) fn refresh(&mut self, core: &mut WorkerContext) -> RefreshOutcome {
        core.renew();
        if self.epoch == core.epoch {
            return RefreshOutcome::Stays;
        }
        self.epoch = core.epoch;
        let turn = self.judge.refresh(&mut core.context());
        self.retired |= turn == RefreshOutcome::Changed;
        turn
    }

    /// What becomes of a datagram of the client: sent on, or answered by us with what is returned.
    pub(super) fn query(&mut self, datagram: &[u8], core: &mut WorkerContext) -> Option<Vec<u8>> {
        self.moved = core.now;
        let step = match &mut self.session {
            None => QueryStep::Forward,
            Some(session) => {
                let now = core.now;
                session.query(datagram, now, &mut RequestChecker::new(&mut self.judge, core.context()))
            }
        };
        match step {
            QueryStep::Forward => self.forward(datagram, core),
            QueryStep::Answer(answer) => Some(answer),
            QueryStep::Drop(_) => None,
        }
    }

    fn forward(&mut self, datagram: &[u8], core: &mut WorkerContext) -> Option<Vec<u8>> {
        core.exit.moved(self.judge.key.direction, Side::Downstream, datagram.len());
        self.judge.moved(Side::Downstream, datagram.len());
        // The first error may be that of a datagram before this one (udp(7)).
        let sent = self.upstream.send(datagram).or_else(|_| self.upstream.send(datagram));
        match sent {
            Ok(_) => None,
            Err(error) => {
                core.exit.datagram_lost("upstream");
                tracing::debug!(%error, client = %self.client, server = %self.server, "a datagram did not leave");
                self.session.as_ref().map(|session| session.unlearnt(datagram))
            }
        }
    }

    /// What becomes of a datagram of the server.
    pub(super) fn answer(&mut self, datagram: &[u8], core: &mut WorkerContext) -> Coming {
        self.moved = core.now;
        let step = match &mut self.session {
            None => AnswerStep::Forward,
            Some(session) => session.answer(datagram, &mut RequestChecker::new(&mut self.judge, core.context())),
        };
        match step {
            AnswerStep::Forward => Coming::Pass,
            AnswerStep::Hold(resolution) => {
                self.numbers += 1;
                Coming::Hold(self.numbers, resolution)
            }
            AnswerStep::Drop(_) => Coming::Drop,
        }
    }

    /// Keeps an answer back.
    pub(super) fn hold(&mut self, number: u64, answer: &[u8], core: &WorkerContext) {
        let until = core.now.saturating_add(millis(self.judge.params().timeouts.commit));
        let due = self.judge.take_due();
        self.held.push_back(Held { number, answer: answer.to_vec(), since: Instant::now(), until, due });
    }

    /// An answer goes on to the client without having been held.
    pub(super) fn goes_on(&mut self, core: &WorkerContext) {
        self.judge.goes_on(&core.exit);
    }

    /// Lets go of a held answer and tells of it: what the client gets. `None` if it is not held any more.
    pub(super) fn release(&mut self, number: u64, known: bool, core: &WorkerContext) -> Option<Vec<u8>> {
        let place = self.held.iter().position(|held| held.number == number)?;
        let held = self.held.remove(place)?;
        core.exit.held(held.since.elapsed(), known);
        if let Some(due) = held.due {
            self.judge.lets_go(*due, known, &core.exit);
        }
        Some(match &self.session {
            Some(session) if !known => session.unlearnt(&held.answer),
            _ => held.answer,
        })
    }

    /// The number of the next answer that was held for too long.
    pub(super) fn overdue(&self, now: u64) -> Option<u64> {
        self.held.front().filter(|held| held.until <= now).map(|held| held.number)
    }

    /// Forgets what was asked too long ago.
    pub(super) fn expire(&mut self, core: &mut WorkerContext) {
        let Some(before) = core.now.checked_sub(millis(self.judge.params().timeouts.answer)) else { return };
        let Some(session) = &mut self.session else { return };
        let lost = session.expire(before.saturating_add(1), &mut RequestChecker::new(&mut self.judge, core.context()));
        core.exit.unanswered(lost);
    }

    /// When there is something to be done about it.
    pub(super) fn deadline(&self) -> u64 {
        let held = self.held.front().map(|held| held.until);
        let answer = millis(self.judge.params().timeouts.answer);
        let oldest = match &self.session {
            Some(session) => session.oldest().map(|oldest| oldest.saturating_add(answer)),
            // Nobody knows whether an answer is due.
            None => Some(self.moved.saturating_add(answer)),
        };
        let idle = || self.moved.saturating_add(if self.retired { 0 } else { LINGER_MS });
        [held, oldest].into_iter().flatten().min().unwrap_or_else(idle)
    }

    /// Whether somebody waits for an answer, as far as that is known.
    pub(super) fn is_due(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.outstanding() > 0) || !self.held.is_empty()
    }

    /// Whether something may come from the server.
    pub(super) fn expects(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.outstanding() > 0)
    }

    /// Whether it is only there because the same socket may ask again.
    pub(super) fn lingers(&self) -> bool {
        !self.expects() && self.held.is_empty()
    }

    /// Whether nobody waits for anything of it.
    pub(super) fn is_over(&self, core: &WorkerContext) -> bool {
        !self.is_due() && self.deadline() <= core.now
    }

    pub(super) fn moved_back(&mut self, bytes: usize, core: &mut WorkerContext) {
        core.exit.moved(self.judge.key.direction, Side::Upstream, bytes);
        self.judge.moved(Side::Upstream, bytes);
    }

    /// It has ended: what has had no answer is recorded without.
    pub(super) fn end(&mut self, core: &mut WorkerContext) {
        for due in self.held.drain(..).filter_map(|held| held.due) {
            self.judge.gives_up(*due, &core.exit);
        }
        self.judge.end(&core.exit);
        // The kernel notes which upstream connection of ours asks whom, so that it is not steered back to us.
        core.forget_datagrams(self.endpoint, self.own, self.asked());
    }
}
