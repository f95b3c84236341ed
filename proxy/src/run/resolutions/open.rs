//! Open connections, as far as names and the current snapshot need them.

use std::{collections::BTreeSet, net::IpAddr};

use portcullis_rules::{
    snapshot::Snapshot,
    world::{Direction, EndpointId},
};

use super::LearnedState;
use crate::run::backends::{EndpointConnections, KernelHandle};

/// What is open in the namespace of an endpoint, and in which directions (ingress, egress) it is kept.
type Open = (Box<dyn EndpointConnections>, [bool; 2]);

impl<K: KernelHandle> LearnedState<K> {
    /// The endpoints whose open connections may fare otherwise than when this was asked last.
    pub(crate) fn take_changed(&self) -> BTreeSet<EndpointId> {
        self.room().kernel.as_mut().map_or_else(BTreeSet::new, KernelHandle::take_changed)
    }

    /// In which directions (ingress, egress) an endpoint's open connections go on, whatever policy says of them.
    pub(crate) fn keeps_open(&self, id: EndpointId) -> [bool; 2] {
        keeps(&self.room().snapshot, id)
    }

    /// Whether policy refuses some of an endpoint's datagrams, or has them judged.
    pub(crate) fn judges_datagrams(&self, id: EndpointId) -> bool {
        self.room().snapshot.steering(id).judges_datagrams()
    }

    /// What is open in the namespace of an endpoint, and in which directions (ingress, egress) it is kept.
    pub(crate) fn open_connections(&self, id: EndpointId) -> Result<Option<Open>, String> {
        let room = self.room();
        let Some(kernel) = &room.kernel else { return Ok(None) };
        Ok(kernel.connections(id)?.map(|connections| (connections, keeps(&room.snapshot, id))))
    }

    /// The addresses to which endpoints with names in their policies have connections. Nothing waits while they are looked for.
    pub(crate) fn open_addresses(&self) -> Result<BTreeSet<IpAddr>, String> {
        let open = self.room().kernel.as_ref().map_or(Ok(Vec::new()), KernelHandle::connections_by_name)?;
        let mut peers = BTreeSet::new();
        for connections in open {
            peers.append(&mut connections.peers()?);
        }
        Ok(peers)
    }
}

fn keeps(snapshot: &Snapshot, id: EndpointId) -> [bool; 2] {
    [Direction::Ingress, Direction::Egress].map(|direction| snapshot.keeps_open(id, direction))
}
