//! Where datagrams come in, and where answers leave.

use std::{
    collections::{HashMap, hash_map},
    io,
};

use nix::sys::epoll::{EpollEvent, EpollFlags};
use portcullis_rules::world::EndpointId;
use socket2::Socket;

use super::flow::Flow;
use crate::{
    sockets::datagrams as sockets,
    worker::{Core, Source},
};

#[derive(Debug)]
struct Door {
    id: EndpointId,
    listener: Socket,
}

/// The listeners of a worker, and what answers leave from.
#[derive(Debug, Default)]
pub(super) struct Doors {
    doors: Vec<Option<Door>>,
    /// By endpoint and family (`true` for IPv6).
    answers: HashMap<(EndpointId, bool), Socket>,
}

impl Doors {
    pub(super) fn open(&mut self, id: EndpointId, listener: Socket, core: &Core) {
        let place = self.doors.iter().position(Option::is_none).unwrap_or_else(|| {
            self.doors.push(None);
            self.doors.len() - 1
        });
        let event = EpollEvent::new(EpollFlags::EPOLLIN, Source::Datagrams(place).to_event());
        if let Err(error) = core.epoll.add(&listener, event) {
            tracing::error!(%error, endpoint = id.0, "a listener cannot be heard; its datagrams are lost");
            return;
        }
        self.doors[place] = Some(Door { id, listener });
    }

    pub(super) fn close(&mut self, id: EndpointId) {
        for door in &mut self.doors {
            if door.as_ref().is_some_and(|door| door.id == id) {
                *door = None;
            }
        }
        self.answers.retain(|(owner, ..), _| *owner != id);
    }

    pub(super) fn at(&self, place: usize) -> Option<(EndpointId, &Socket)> {
        self.doors.get(place)?.as_ref().map(|door| (door.id, &door.listener))
    }

    /// Sends a datagram to a flow's client as the server's. One that does not leave is lost, as any may be.
    pub(super) fn answer(&mut self, flow: &Flow, datagram: &[u8], core: &mut Core) {
        if let Err(error) = self.try_answer(flow, datagram, core) {
            core.exit.datagram_lost("downstream");
            tracing::debug!(%error, client = %flow.client, server = %flow.server, "an answer did not leave");
        }
    }

    fn try_answer(&mut self, flow: &Flow, datagram: &[u8], core: &mut Core) -> io::Result<()> {
        let v6 = flow.server.is_ipv6();
        let socket = match self.answers.entry((flow.endpoint, v6)) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => entry.insert(core.answers(flow.endpoint, v6)?),
        };
        sockets::answer(socket, datagram, flow.server, flow.client)
    }
}
