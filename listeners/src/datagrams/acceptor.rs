//! The sockets where datagrams arrive, and those through which answers leave.

use std::{
    collections::{HashMap, hash_map},
    io,
};

use portcullis_rules::world::EndpointId;
use socket2::Socket;

use super::flow::DatagramFlow;
use crate::{
    event::{
        context::WorkerContext,
        slots::EventSource,
        sources::{EndpointListener, ListenerSlots},
    },
    sockets::datagrams as sockets,
};

/// The listeners of a worker, and what answers leave from.
#[derive(Debug)]
pub(super) struct DatagramAcceptor {
    listeners: ListenerSlots,
    /// By endpoint and family (`true` for IPv6).
    answers: HashMap<(EndpointId, bool), Socket>,
}

impl Default for DatagramAcceptor {
    fn default() -> Self {
        Self { listeners: ListenerSlots::new(EventSource::Datagrams), answers: HashMap::new() }
    }
}

impl DatagramAcceptor {
    pub(super) fn open(&mut self, id: EndpointId, listener: Socket, core: &WorkerContext) {
        if let Err(error) = self.listeners.open(id, listener, core) {
            tracing::error!(%error, endpoint = id.0, "a listener cannot be heard; its datagrams are lost");
        }
    }

    pub(super) fn close(&mut self, id: EndpointId) {
        self.listeners.close(id);
        self.answers.retain(|(owner, ..), _| *owner != id);
    }

    pub(super) fn places(&self) -> usize {
        self.listeners.places()
    }

    pub(super) fn at(&self, place: usize) -> Option<&EndpointListener> {
        self.listeners.at(place)
    }

    /// Sends a datagram to a flow's client as the server's. One that does not leave is lost, as any may be.
    pub(super) fn answer(&mut self, flow: &DatagramFlow, datagram: &[u8], core: &mut WorkerContext) {
        if let Err(error) = self.try_answer(flow, datagram, core) {
            core.exit.datagram_lost("downstream");
            tracing::debug!(%error, client = %flow.client, server = %flow.server, "an answer did not leave");
        }
    }

    fn try_answer(&mut self, flow: &DatagramFlow, datagram: &[u8], core: &mut WorkerContext) -> io::Result<()> {
        let v6 = flow.server.is_ipv6();
        let socket = match self.answers.entry((flow.endpoint, v6)) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => entry.insert(core.answers(flow.endpoint, v6)?),
        };
        sockets::answer(socket, datagram, flow.server, flow.client)
    }
}
