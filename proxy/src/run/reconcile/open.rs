//! Opens the namespace or cgroup of an endpoint, and refuses one that cannot be its own.

use std::{io, path::Path};

use portcullis_config::{EndpointLocation, LocalEndpoint};
use portcullis_listeners::ListenerSockets;
use portcullis_rules::world::EndpointId;

use super::{Held, Reconciler};
use crate::run::{
    backends::{DataPlaneHandle, KernelHandle, PlaceFinder},
    fault::{Unsteered, field, namespace_path, refused, unopened, watched},
    place::{HOST, PlaceIdentity},
};

/// The network namespace of the first process: the host's, where this one has another.
const FIRST: &str = "/proc/1/ns/net";

impl<K: KernelHandle, D: DataPlaneHandle, P: PlaceFinder> Reconciler<K, D, P> {
    pub(super) fn open(&mut self, wanted: &LocalEndpoint) -> Result<Held, Unsteered> {
        let unopened = |error: io::Error| unopened(&wanted.place, &error);
        let (namespace, mut identity) = self.places.open(namespace_path(&wanted.place)).map_err(unopened)?;
        match &wanted.place {
            EndpointLocation::Netns(_) => self.refuse_anothers(wanted, identity)?,
            EndpointLocation::Cgroup(path) => identity = self.places.identity(path).map_err(unopened)?,
        }
        let handed = namespace.try_clone().map_err(unopened)?;
        let (place, seen_at) = (wanted.place.clone(), watched(&wanted.place).to_owned());
        let (sockets, deaf) = match self.plane.open(wanted.id, handed) {
            Ok(sockets) => (sockets, None),
            Err(error) => (ListenerSockets::default(), Some(deaf(&wanted.place, &error))),
        };
        Ok(Held { place, identity, seen_at, namespace, sockets, deaf, attached: None })
    }

    /// A pod has a namespace of its own, and the process whose number its path has is the one it was declared with.
    fn refuse_anothers(&mut self, wanted: &LocalEndpoint, identity: PlaceIdentity) -> Result<(), Unsteered> {
        let (place, path) = (&wanted.place, watched(&wanted.place));
        if [HOST, FIRST].iter().any(|host| self.places.identity(Path::new(host)).is_ok_and(|found| found == identity)) {
            let message = format!("{} is the host's network namespace, of all its processes", path.display());
            let remedy = "correct the path (its process may have ended and its number be used again); the host itself \
                          is an endpoint with `cgroup: /`";
            return Err(refused(place, message, remedy));
        }
        let is_other = |(id, held): &(&EndpointId, &Held)| {
            **id != wanted.id && matches!(held.place, EndpointLocation::Netns(_)) && held.identity == identity
        };
        let other = self.held.iter().filter(is_other).find_map(|(id, _)| self.wanted.get(id));
        if let Some(LocalEndpoint { endpoint: other, .. }) = other {
            let named = format!("{}/{}", other.namespace, other.name);
            let message = format!("{} is the network namespace of endpoint {named} already", path.display());
            return Err(refused(
                place,
                message,
                "one namespace is one endpoint: delete one of the two, or correct its path",
            ));
        }
        let Some(born) = self.places.born(path) else { return Ok(()) };
        let (_, first) = self.born.entry(wanted.id).or_insert_with(|| (place.clone(), born));
        if *first == born {
            return Ok(());
        }
        let message = format!("{} is of another process than the endpoint was declared with", path.display());
        Err(refused(
            place,
            message,
            "its process has ended and its number was used again: correct or delete the endpoint",
        ))
    }

    /// Tries again to open listeners that could not be opened.
    pub(super) fn open_deaf(&mut self) {
        for (id, held) in self.held.iter_mut().filter(|(_, held)| held.deaf.is_some()) {
            let opened = held.namespace.try_clone().and_then(|handed| self.plane.open(*id, handed));
            match opened {
                Ok(sockets) => (held.sockets, held.deaf, held.attached) = (sockets, None, None),
                Err(error) => held.deaf = Some(deaf(&held.place, &error)),
            }
        }
    }
}

fn deaf(place: &EndpointLocation, error: &io::Error) -> Unsteered {
    Unsteered {
        field: field(place),
        message: format!("listeners could not be opened there, so what policy wants steered is refused: {error}"),
        remedy: "look at the log; the node needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and files left to open",
        absent: false,
    }
}
