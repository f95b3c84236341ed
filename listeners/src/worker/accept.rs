//! Accepts connections.

use std::{fs::File, io, net::SocketAddr};

use nix::sys::epoll::EpollFlags;
use portcullis_codecs::relay::Side;
use portcullis_rules::world::EndpointId;
use socket2::Socket;

use crate::{
    event::{context::WorkerContext, slots::EventSource, sources::ListenerSlots},
    judge::FlowAuthorizer,
    pair::{Pair, turn_away},
    share::ShareExhausted,
    sockets,
    worker::Worker,
};

/// Connections that one listener takes in before others have their turn.
const ACCEPTS: usize = 64;
/// Turns of one listener at the end, which are more than its queue can hold.
const LAST_TURNS: usize = 1024;
/// Descriptors of a connection: the client's and the server's.
const FILES: usize = 2;
/// How long listeners rest when not even turning away works, in milliseconds.
const REST_MS: u64 = 100;

/// Where connections come in to a worker.
#[derive(Debug)]
pub(super) struct Acceptor {
    listeners: ListenerSlots,
    /// A descriptor that is given up to turn somebody away when there is no other left.
    spare: Option<File>,
    /// When listeners that rest are heard again.
    reopens: Option<u64>,
}

/// What came of one accept.
enum Arrival {
    /// Somebody came.
    Client(Socket, SocketAddr),
    /// Somebody was turned away, or is gone already.
    Lost,
    /// Nobody is there.
    Nobody,
}

impl Acceptor {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { listeners: ListenerSlots::new(EventSource::Listener), spare: Some(spare()?), reopens: None })
    }

    pub(super) fn open(&mut self, id: EndpointId, socket: Socket, core: &WorkerContext) {
        if let Err(error) = self.listeners.open(id, socket, core) {
            tracing::error!(%error, endpoint = id.0, "a listener cannot be heard; its connections are refused");
        }
    }

    pub(super) fn close(&mut self, id: EndpointId) {
        self.listeners.close(id);
    }

    pub(super) fn close_all(&mut self) {
        self.listeners.close_all();
        self.reopens = None;
    }

    pub(super) fn reopens(&self) -> Option<u64> {
        self.reopens
    }

    /// Lets nobody connect to any listener from now on, but whoever has connected or is about to.
    fn refuse_new(&self) {
        for listener in (0..self.listeners.places()).filter_map(|place| self.listeners.at(place)) {
            if let Err(error) = sockets::refuse_new(&listener.socket) {
                tracing::warn!(%error, endpoint = listener.id.0, "connections that come in the last moment may be reset");
            }
        }
    }

    /// Hears all listeners again, when their rest is over.
    pub(super) fn reopen(&mut self, core: &WorkerContext) {
        if self.reopens.is_none_or(|at| at > core.now) {
            return;
        }
        self.reopens = None;
        self.listeners.listen_for(EpollFlags::EPOLLIN, core);
    }

    /// There is nothing left to accept with: better deaf for a moment than a loop that finds nothing.
    fn rest(&mut self, core: &WorkerContext) {
        self.reopens = Some(core.now + REST_MS);
        self.listeners.listen_for(EpollFlags::empty(), core);
    }

    fn arrival(&mut self, place: usize, core: &mut WorkerContext) -> Arrival {
        let Some(listener) = self.listeners.at(place) else { return Arrival::Nobody };
        let error = match sockets::accept(&listener.socket) {
            Ok((socket, client)) => return Arrival::Client(socket, client),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Arrival::Nobody,
            Some(libc::EMFILE | libc::ENFILE) => self.shed(place, core),
            Some(libc::ENOBUFS | libc::ENOMEM) => {
                self.rest(core);
                Arrival::Nobody
            }
            // Gone before it was taken (accept(2) tells errors of the connection, too).
            _ => Arrival::Lost,
        }
    }

    /// No descriptor is left: the spare one serves to turn away whoever waits longest, who would else hang.
    fn shed(&mut self, place: usize, core: &mut WorkerContext) -> Arrival {
        core.exit.limit("open_files");
        self.spare = None;
        let accepted = self.listeners.at(place).and_then(|listener| sockets::accept(&listener.socket).ok());
        let turned_away = accepted.map(|(socket, _)| turn_away(socket)).is_some();
        self.spare = spare().ok();
        if turned_away && self.spare.is_some() {
            return Arrival::Lost;
        }
        self.rest(core);
        Arrival::Nobody
    }
}

fn spare() -> io::Result<File> {
    File::open("/dev/null")
}

impl Worker {
    /// Takes in what has come to a listener. True: there may be more.
    pub(super) fn accept(&mut self, place: usize) -> bool {
        for _ in 0..ACCEPTS {
            let Some(id) = self.acceptor.listeners.at(place).map(|listener| listener.id) else { return false };
            match self.acceptor.arrival(place, &mut self.core) {
                Arrival::Client(socket, client) => self.take_in(id, socket, client),
                Arrival::Lost => {}
                Arrival::Nobody => return false,
            }
        }
        true
    }

    /// Takes in what has connected by now, then closes all listeners: the kernel resets what it has accepted and nobody has taken.
    pub(super) fn accept_last(&mut self) {
        self.acceptor.refuse_new();
        for place in 0..self.acceptor.listeners.places() {
            let _ = (0..LAST_TURNS).take_while(|_| self.accept(place)).count();
        }
        self.acceptor.close_all();
    }

    /// Registers a connection, then judges it: a change of policy in between finds it in the table.
    fn take_in(&mut self, id: EndpointId, socket: Socket, client: SocketAddr) {
        let destination = sockets::original_destination(&socket);
        if let (Some(probe), Ok(to)) = (&self.core.shared.options.probe, &destination)
            && probe.is_for(*to)
        {
            // Whoever does not read it in time learns nothing from it.
            let _ = sockets::send(&socket, &probe.answer);
            return;
        }
        let Some(shares) = self.core.shares.get(&id) else { return turn_away(socket) };
        let capacity = &self.core.options().capacity;
        let taken = match shares.connections.take(1, capacity.connections, capacity.connections_per_endpoint) {
            Ok(taken) => taken,
            Err(full) => {
                match full {
                    ShareExhausted::Node => self.core.exit.limit("connections"),
                    ShareExhausted::Endpoint => self.core.endpoint_limit("connectionsPerEndpoint", id),
                }
                return turn_away(socket);
            }
        };
        let Some(files) = self.core.take_files(id, FILES) else { return turn_away(socket) };
        let token = self.table.reserve();
        let registered = destination
            .and_then(|to| self.core.register(&socket, token, Side::Downstream).map_err(Into::into).map(|()| to));
        let destination = match registered {
            Ok(destination) => destination,
            Err(error) => {
                tracing::debug!(%error, %client, "a connection was lost while it was taken in");
                self.table.release(token);
                return turn_away(socket);
            }
        };
        let mut judge = FlowAuthorizer::new(id, client, destination);
        judge.learns = self.core.learns();
        self.core.exit.opened();
        self.table.put(token, Box::new(Pair::new(token, socket, judge, [taken, files], self.core.now)));
        self.with(token, |pair, core| pair.admit(core));
    }
}
