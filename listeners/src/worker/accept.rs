//! Taking connections in.

use std::{fs::File, io, net::SocketAddr, sync::atomic::Ordering};

use nix::sys::epoll::{EpollEvent, EpollFlags};
use portcullis_codecs::relay::Side;
use portcullis_rules::world::EndpointId;
use socket2::Socket;

use crate::{
    judge::Judge,
    pair::{Pair, turn_away},
    sockets,
    worker::{Core, Worker, table::Source},
};

/// Connections that one listener takes in before others have their turn.
const ACCEPTS: usize = 64;
/// How long listeners rest when not even turning away works, in milliseconds.
const REST_MS: u64 = 100;

#[derive(Debug)]
struct Door {
    id: EndpointId,
    socket: Socket,
}

/// The listeners of a worker.
#[derive(Debug)]
pub(super) struct Doors {
    doors: Vec<Option<Door>>,
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

impl Doors {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { doors: Vec::new(), spare: Some(spare()?), reopens: None })
    }

    pub(super) fn open(&mut self, id: EndpointId, socket: Socket, core: &Core) {
        let place = self.doors.iter().position(Option::is_none).unwrap_or_else(|| {
            self.doors.push(None);
            self.doors.len() - 1
        });
        let event = EpollEvent::new(EpollFlags::EPOLLIN, Source::Listener(place).to_event());
        if let Err(error) = core.epoll.add(&socket, event) {
            tracing::error!(%error, endpoint = id.0, "a listener cannot be heard; its connections are refused");
            return;
        }
        self.doors[place] = Some(Door { id, socket });
    }

    pub(super) fn close(&mut self, id: EndpointId) {
        for door in &mut self.doors {
            if door.as_ref().is_some_and(|door| door.id == id) {
                *door = None;
            }
        }
    }

    pub(super) fn close_all(&mut self) {
        self.doors.clear();
        self.reopens = None;
    }

    pub(super) fn reopens(&self) -> Option<u64> {
        self.reopens
    }

    /// Hears all listeners again, when their rest is over.
    pub(super) fn reopen(&mut self, core: &Core) {
        if self.reopens.is_none_or(|at| at > core.now) {
            return;
        }
        self.reopens = None;
        self.listen_for(EpollFlags::EPOLLIN, core);
    }

    /// There is nothing left to accept with: better deaf for a moment than a loop that finds nothing.
    fn rest(&mut self, core: &Core) {
        self.reopens = Some(core.now + REST_MS);
        self.listen_for(EpollFlags::empty(), core);
    }

    fn listen_for(&self, flags: EpollFlags, core: &Core) {
        for (place, door) in self.doors.iter().enumerate() {
            let Some(door) = door else { continue };
            let mut event = EpollEvent::new(flags, Source::Listener(place).to_event());
            if let Err(error) = core.epoll.modify(&door.socket, &mut event) {
                tracing::error!(%error, endpoint = door.id.0, "a listener cannot be rested or woken");
            }
        }
    }

    fn arrival(&mut self, place: usize, core: &mut Core) -> Arrival {
        let Some(Some(door)) = self.doors.get(place) else { return Arrival::Nobody };
        let error = match sockets::accept(&door.socket) {
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
    fn shed(&mut self, place: usize, core: &mut Core) -> Arrival {
        core.exit.limit("open_files");
        self.spare = None;
        let turned_away = match self.doors.get(place) {
            Some(Some(door)) => match sockets::accept(&door.socket) {
                Ok((socket, _)) => {
                    turn_away(socket);
                    true
                }
                Err(_) => false,
            },
            _ => false,
        };
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
    pub(super) fn accept(&mut self, place: usize) {
        for _ in 0..ACCEPTS {
            let Some(id) = self.doors.doors.get(place).and_then(Option::as_ref).map(|door| door.id) else { return };
            match self.doors.arrival(place, &mut self.core) {
                Arrival::Client(socket, client) => self.take_in(id, socket, client),
                Arrival::Lost => {}
                Arrival::Nobody => return,
            }
        }
    }

    /// Registers a connection, then judges it: a change of policy in between finds it in the table.
    fn take_in(&mut self, id: EndpointId, socket: Socket, client: SocketAddr) {
        let shared = &self.core.shared;
        if shared.connections.fetch_add(1, Ordering::Relaxed) >= shared.options.connections {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            self.core.exit.limit("connections");
            return turn_away(socket);
        }
        let token = self.table.reserve();
        let registered = sockets::original_destination(&socket)
            .and_then(|to| self.core.register(&socket, token, Side::Downstream).map_err(Into::into).map(|()| to));
        let destination = match registered {
            Ok(destination) => destination,
            Err(error) => {
                tracing::debug!(%error, %client, "a connection was lost while it was taken in");
                self.table.release(token);
                self.core.shared.connections.fetch_sub(1, Ordering::Relaxed);
                return turn_away(socket);
            }
        };
        let mut judge = Judge::new(id, client, destination);
        judge.learns = self.core.learns();
        self.core.exit.opened();
        self.table.put(token, Box::new(Pair::new(token, socket, judge, self.core.now)));
        self.with(token, |pair, core| pair.admit(core));
    }
}
