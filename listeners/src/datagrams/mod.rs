//! Judged datagrams: receiving them, assigning them to flows, and sending the answers.

mod acceptor;
mod flow;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::SocketAddr,
};

use nix::sys::epoll::{EpollEvent, EpollFlags};
use portcullis_rules::world::EndpointId;
use socket2::Socket;

pub(crate) use self::flow::DatagramFlow;
use self::{
    acceptor::DatagramAcceptor,
    flow::{Coming, FlowDenial},
};
use crate::{
    event::{
        context::WorkerContext,
        mailbox::ReleaseTarget,
        slots::{EventSource, SlotTable, SlotToken},
        sources::EndpointListener,
    },
    judge::RefreshOutcome,
    share::{ShareExhausted, fits},
    sockets::datagrams as sockets,
};

/// Datagrams of one socket before the others have their turn.
const TURN: usize = 64;

/// Turns of one socket at the end, which are more than its queue can hold.
const LAST_TURNS: usize = 1024;

/// A client's socket and the server that it asks.
type DatagramKey = (EndpointId, SocketAddr, SocketAddr);

/// The datagrams of one worker.
#[derive(Default)]
pub(crate) struct DatagramRelay {
    acceptor: DatagramAcceptor,
    flows: SlotTable<DatagramFlow>,
    by_key: HashMap<DatagramKey, SlotToken, foldhash::fast::RandomState>,
    /// How many flows each endpoint has.
    by_endpoint: HashMap<EndpointId, usize, foldhash::fast::RandomState>,
    /// Deadlines, the next one first. Of a flow only the entry that it names counts.
    deadlines: BinaryHeap<Reverse<(u64, SlotToken)>>,
    /// Scratch space for what the kernel says beside a datagram.
    control: Vec<u8>,
}

impl DatagramRelay {
    /// Receives for an endpoint from now on.
    pub(crate) fn open(&mut self, id: EndpointId, listener: Socket, core: &WorkerContext) {
        self.acceptor.open(id, listener, core);
    }

    /// Ends everything of an endpoint.
    pub(crate) fn close(&mut self, id: EndpointId, core: &mut WorkerContext) {
        self.acceptor.close(id);
        self.end_all(core, |flow| flow.endpoint == id);
    }

    /// Ends everything.
    pub(crate) fn end(&mut self, core: &mut WorkerContext) {
        self.end_all(core, |_| true);
    }

    /// Whether an answer is due to anybody.
    pub(crate) fn are_due(&self) -> bool {
        (0..self.flows.slots()).filter_map(|slot| self.flows.at(slot)).any(|(_, flow)| flow.is_due())
    }

    /// When there is something to be done next.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes all that has come to any listener.
    pub(crate) fn receive_all(&mut self, core: &mut WorkerContext) {
        for place in 0..self.acceptor.places() {
            let _ = (0..LAST_TURNS).take_while(|_| self.receive(place, core)).count();
        }
    }

    /// Takes what has come to a listener. True: there may be more.
    pub(crate) fn receive(&mut self, place: usize, core: &mut WorkerContext) -> bool {
        let mut more = true;
        let mut buffer = core.take_buffer();
        buffer.resize(buffer.len().max(sockets::LARGEST), 0);
        for _ in 0..TURN {
            let Some(EndpointListener { id, socket }) = self.acceptor.at(place) else {
                more = false;
                break;
            };
            let id = *id;
            match sockets::receive(socket, &mut buffer, &mut self.control) {
                Ok(Some(arrived)) => match arrived.to {
                    // Which of the links is meant the kernel does not say.
                    Some(SocketAddr::V6(to)) if to.ip().is_unicast_link_local() => {
                        core.exit.datagram_lost("link_local")
                    }
                    Some(to) => self.query(id, arrived.client, to, &buffer[..arrived.bytes], core),
                    None => core.exit.datagram_lost("no_destination"),
                },
                Ok(None) => {
                    more = false;
                    break;
                }
                Err(error) => tracing::debug!(%error, endpoint = id.0, "a datagram was not received"),
            }
        }
        core.put_buffer(buffer);
        more
    }

    /// A datagram of a client.
    fn query(
        &mut self,
        id: EndpointId,
        client: SocketAddr,
        server: SocketAddr,
        datagram: &[u8],
        core: &mut WorkerContext,
    ) {
        let Some((token, mut flow)) = self.flow((id, client, server), core) else { return };
        let answer = flow.query(datagram, core);
        if let Some(answer) = answer {
            self.acceptor.answer(&flow, &answer, core);
        }
        self.put_back(token, flow);
    }

    /// The flow of a datagram, in force; a new one where there is none.
    fn flow(&mut self, key: DatagramKey, core: &mut WorkerContext) -> Option<(SlotToken, Box<DatagramFlow>)> {
        let found = self.by_key.get(&key).copied();
        if let Some((token, mut flow)) = found.and_then(|token| Some((token, self.flows.take(token)?))) {
            let turn = flow.refresh(core);
            if turn == RefreshOutcome::Stays && !flow.retired {
                return Some((token, flow));
            }
            self.by_key.remove(&key);
            match turn {
                RefreshOutcome::Stays | RefreshOutcome::Changed => self.put_back(token, flow),
                RefreshOutcome::Denied => self.release(token, flow, core),
            }
        }
        core.renew();
        let (id, client, server) = key;
        self.make_room(id, core);
        if !self.has_room(id, core) {
            match self.flows.len() < core.options().capacity.flows {
                true => core.endpoint_limit("flowsPerEndpoint", id),
                false => core.exit.limit("flows"),
            }
            return None;
        }
        let files = core.take_files(id, 1)?;
        let mut flow = match DatagramFlow::new(id, client, server, files, core) {
            Ok(flow) => flow,
            Err(FlowDenial::Policy) => return None,
            Err(FlowDenial::Upstream(error)) => {
                core.exit.datagram_lost("upstream_socket");
                tracing::warn!(%error, %client, %server, "no upstream socket could be created for a datagram");
                return None;
            }
        };
        let token = self.flows.reserve();
        let event = EpollEvent::new(EpollFlags::EPOLLIN, EventSource::Flow(token).to_event());
        if let Err(error) = core.epoll.add(&flow.upstream, event) {
            tracing::error!(%error, "the upstream socket of a datagram cannot be watched");
            flow.end(core);
            self.flows.release(token);
            return None;
        }
        self.by_key.insert(key, token);
        *self.by_endpoint.entry(id).or_default() += 1;
        Some((token, Box::new(flow)))
    }

    fn has_room(&self, id: EndpointId, core: &WorkerContext) -> bool {
        let own = self.by_endpoint.get(&id).copied().unwrap_or(0);
        let capacity = &core.options().capacity;
        fits(own, self.flows.len(), capacity.flows, capacity.flows_per_endpoint)
    }

    /// Sees to it that there is room for one more flow of an endpoint: what only lingers goes before its time, the oldest
    /// first. An endpoint that has its share takes nothing from others.
    fn make_room(&mut self, id: EndpointId, core: &mut WorkerContext) {
        let most = core.options().capacity.flows;
        let mut others = Vec::new();
        for _ in 0..TURN {
            let file = core.has_file(id);
            if self.has_room(id, core) && file.is_ok() {
                break;
            }
            let Some((token, flow)) = self.next_due(u64::MAX) else { break };
            let all_full = self.flows.len() >= most || file == Err(ShareExhausted::Node);
            if flow.lingers() && (flow.endpoint == id || all_full) {
                self.release(token, flow, core);
            } else {
                others.push((token, flow));
            }
        }
        others.into_iter().for_each(|(token, flow)| self.put_back(token, flow));
    }

    /// Takes the flow whose deadline comes first, if it comes until then.
    fn next_due(&mut self, until: u64) -> Option<(SlotToken, Box<DatagramFlow>)> {
        loop {
            let Reverse((deadline, token)) = self.deadlines.peek().copied().filter(|Reverse((at, _))| *at <= until)?;
            self.deadlines.pop();
            let Some(mut flow) = self.flows.take(token) else { continue };
            if flow.armed == Some(deadline) {
                flow.armed = None;
                return Some((token, flow));
            }
            // An earlier one has come up since.
            self.flows.put(token, flow);
        }
    }

    /// Takes what a server has sent.
    pub(crate) fn answers(&mut self, token: SlotToken, core: &mut WorkerContext) {
        let Some(mut flow) = self.flows.take(token) else { return };
        let mut buffer = core.take_buffer();
        buffer.resize(buffer.len().max(sockets::LARGEST), 0);
        let mut turn = RefreshOutcome::Stays;
        for _ in 0..TURN {
            let bytes = match sockets::receive_from(&flow.upstream, flow.asked(), &mut buffer) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    core.exit.datagram_lost("foreign");
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // Nobody hears there. The client will find out by silence, as from a host that is down.
                    tracing::debug!(%error, server = %flow.server, "a server does not take datagrams");
                    core.exit.datagram_lost("refused_by_server");
                    continue;
                }
            };
            // A policy may have come into force since it was asked.
            turn = flow.refresh(core);
            if turn == RefreshOutcome::Denied {
                break;
            }
            self.came(token, &mut flow, &buffer[..bytes], core);
            // If something else has come all the same, the kernel tells again.
            if !flow.expects() {
                break;
            }
        }
        core.put_buffer(buffer);
        match turn {
            RefreshOutcome::Stays | RefreshOutcome::Changed => self.put_back(token, flow),
            RefreshOutcome::Denied => self.release(token, flow, core),
        }
    }

    fn came(&mut self, token: SlotToken, flow: &mut DatagramFlow, datagram: &[u8], core: &mut WorkerContext) {
        match flow.answer(datagram, core) {
            Coming::Pass => {
                flow.goes_on(core);
                self.pass(flow, datagram, core);
            }
            Coming::Drop => {}
            Coming::Hold(number, resolution) => {
                if core.learn(flow.judge(), resolution, ReleaseTarget::Flow(token, number)) {
                    flow.goes_on(core);
                    self.pass(flow, datagram, core);
                } else {
                    flow.hold(number, datagram, core);
                }
            }
        }
    }

    fn pass(&mut self, flow: &mut DatagramFlow, datagram: &[u8], core: &mut WorkerContext) {
        flow.moved_back(datagram.len(), core);
        self.acceptor.answer(flow, datagram, core);
    }

    /// What a held answer tells is in force, or will not be.
    pub(crate) fn commit(&mut self, token: SlotToken, number: u64, known: bool, core: &mut WorkerContext) {
        let Some(mut flow) = self.flows.take(token) else { return };
        if flow.refresh(core) == RefreshOutcome::Denied {
            return self.release(token, flow, core);
        }
        self.let_go(&mut flow, number, known, core);
        self.put_back(token, flow);
    }

    fn let_go(&mut self, flow: &mut DatagramFlow, number: u64, known: bool, core: &mut WorkerContext) {
        if let Some(answer) = flow.release(number, known, core) {
            self.pass(flow, &answer, core);
        }
    }

    /// Does what is due.
    pub(crate) fn fire(&mut self, core: &mut WorkerContext) {
        while let Some((token, mut flow)) = self.next_due(core.now) {
            while let Some(number) = flow.overdue(core.now) {
                self.let_go(&mut flow, number, false, core);
            }
            flow.expire(core);
            if flow.is_over(core) {
                self.release(token, flow, core);
            } else {
                self.put_back(token, flow);
            }
        }
    }

    fn put_back(&mut self, token: SlotToken, mut flow: Box<DatagramFlow>) {
        let deadline = flow.deadline();
        if flow.armed.is_none_or(|armed| deadline < armed) {
            flow.armed = Some(deadline);
            self.deadlines.push(Reverse((deadline, token)));
        }
        self.flows.put(token, flow);
    }

    fn release(&mut self, token: SlotToken, mut flow: Box<DatagramFlow>, core: &mut WorkerContext) {
        let key = (flow.endpoint, flow.client, flow.server);
        if self.by_key.get(&key) == Some(&token) {
            self.by_key.remove(&key);
        }
        if let Some(own) = self.by_endpoint.get_mut(&flow.endpoint) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_endpoint.remove(&flow.endpoint);
            }
        }
        flow.end(core);
        self.flows.release(token);
    }

    fn end_all(&mut self, core: &mut WorkerContext, which: impl Fn(&DatagramFlow) -> bool) {
        for slot in 0..self.flows.slots() {
            let Some((token, flow)) = self.flows.at(slot) else { continue };
            if which(flow)
                && let Some(flow) = self.flows.take(token)
            {
                self.release(token, flow, core);
            }
        }
    }
}
