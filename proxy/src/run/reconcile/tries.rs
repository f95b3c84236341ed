//! The schedule and results of self-checks, and the search for processes that the hooks do not see.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::Bound,
};

use portcullis_config::EndpointLocation;
use portcullis_rules::world::EndpointId;

use super::Reconciler;
use crate::run::{
    backends::{DataPlaneHandle, KernelHandle, PlaceFinder},
    cgroups::{ParentCgroup, StrayProcesses},
    fault::{Unsteered, field},
    place::PlaceIdentity,
    selfcheck::{NEW_AT_ONCE, ROUND, SelfCheckTarget},
};

/// What is known of tries.
#[derive(Debug, Default)]
pub(super) struct AttachAttempts {
    /// Those that were tried since they were attached.
    tried: BTreeSet<EndpointId>,
    /// The one whose turn it was last.
    last: Option<EndpointId>,
    /// Those that failed once: they are attached again, and tried again.
    doubted: BTreeSet<EndpointId>,
    /// Those that failed again.
    failed: BTreeMap<EndpointId, Unsteered>,
    /// Those with a process that no hook sees.
    strays: BTreeMap<EndpointId, Unsteered>,
    stray: StrayProcesses,
}

impl AttachAttempts {
    pub(super) fn faults(&self) -> impl Iterator<Item = (&EndpointId, &Unsteered)> {
        self.failed.iter().chain(&self.strays)
    }
}

impl<K: KernelHandle, D: DataPlaneHandle, P: PlaceFinder> Reconciler<K, D, P> {
    /// The endpoints to be tried now. `None` for one that cannot be tried: of a service only processes of its cgroup could,
    /// and where this process is not below the cgroup above all endpoints (`above`) no hook sees it.
    pub fn due_tries(&mut self, above: Option<&ParentCgroup>) -> Vec<Option<SelfCheckTarget>> {
        let (held, tries) = (&self.held, &mut self.tries);
        tries.tried.retain(|id| held.get(id).is_some_and(|held| held.attached.is_some()));
        tries.doubted.retain(|id| held.contains_key(id));
        tries.failed.retain(|id, _| held.contains_key(id));
        let ready = |id: &EndpointId| held[id].attached.is_some() && held[id].deaf.is_none();
        let again = tries.doubted.iter().chain(tries.failed.keys()).copied();
        let fresh = held.keys().filter(|id| !tries.tried.contains(id)).copied().take(NEW_AT_ONCE);
        let mut due: BTreeSet<EndpointId> = again.chain(fresh).collect();
        for _ in 0..held.len().div_ceil(ROUND) {
            let after = tries.last.map_or(Bound::Unbounded, Bound::Excluded);
            tries.last = held.range((after, Bound::Unbounded)).next().map(|(id, _)| *id);
            due.extend(tries.last);
        }
        let blind = above.is_some_and(|above| !above.holds_me());
        due.retain(ready);
        tries.tried.extend(&due);
        due.into_iter().map(|id| if blind { None } else { self.try_of(id) }).collect()
    }

    fn try_of(&self, id: EndpointId) -> Option<SelfCheckTarget> {
        let held = self.held.get(&id)?;
        let whole = match &held.place {
            EndpointLocation::Netns(_) => true,
            EndpointLocation::Cgroup(path) => self.places.is_whole(path),
        };
        let addresses = &self.wanted.get(&id)?.endpoint.addresses;
        let families = [false, true].map(|v6| addresses.iter().any(|address: &IpAddr| address.is_ipv6() == v6));
        let namespace = held.namespace.try_clone().ok().filter(|_| whole)?;
        Some(SelfCheckTarget { id, namespace, families })
    }

    /// Notes what came of a try. One that failed is attached again and tried again before it is a fault.
    pub fn tried(&mut self, id: EndpointId, result: Result<(), String>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let Err(what) = result else {
            self.tries.doubted.remove(&id);
            if self.tries.failed.remove(&id).is_some() {
                tracing::info!(endpoint = id.0, "the self-check passes again");
            }
            return;
        };
        held.attached = None;
        let fault = Unsteered {
            field: field(&held.place),
            message: format!("the self-check failed: {what}"),
            remedy: "look for other programs, rules and firewalls in its network namespace; it is attached and tried \
                     again each second",
            absent: false,
        };
        if let Some(wanted) = self.wanted.get(&id).cloned()
            && let Err(fault) = self.steer(&wanted)
        {
            self.faults.insert(id, fault);
        }
        if self.tries.doubted.insert(id) {
            tracing::warn!(endpoint = id.0, "a self-check failed and is made again: {what}");
            return;
        }
        if self.tries.failed.insert(id, fault).is_none() {
            tracing::error!(endpoint = id.0, "a self-check failed again: {what}");
        }
    }

    /// Looks for processes in endpoints' namespaces that are not below the cgroup above all endpoints.
    pub fn look_for_strays(&mut self, above: &ParentCgroup) {
        let is_pod = |held: &&super::Held| matches!(held.place, EndpointLocation::Netns(_));
        let places: BTreeMap<PlaceIdentity, EndpointId> =
            self.held.iter().filter(|(_, held)| is_pod(held)).map(|(id, held)| (held.identity, *id)).collect();
        let found = self.tries.stray.look(above, &places).clone();
        let fault = |(id, process): (EndpointId, String)| {
            let message = format!(
                "what {process} opens is not judged: it runs in this network namespace, but not below steering.cgroup"
            );
            let remedy = "name a cgroup in steering.cgroup that is above all pods (the default is the root), or run it below that one";
            (id, Unsteered { field: "spec.networkNamespace", message, remedy, absent: false })
        };
        let strays: BTreeMap<_, _> = found.into_iter().map(fault).collect();
        for (id, fault) in strays.iter().filter(|(id, fault)| self.tries.strays.get(*id) != Some(*fault)) {
            let name = self.wanted.get(id).map_or_else(String::new, |local| local.endpoint.name.to_string());
            tracing::error!(endpoint = name, remedy = fault.remedy, "{}", fault.message);
        }
        self.tries.strays = strays;
    }
}
