//! Brings a configuration into force, in an order that is never more open than both the old and the new one.
//!
//! Listeners come before the snapshot that they need, the snapshot before the kernel's tables, the tables before an
//! endpoint is attached. Removal happens in reverse: an endpoint is detached first, and its listeners are closed last.
//! Names that are learned meanwhile come into force in between, through [`LearnedState`].

mod inspect;
mod open;
mod tries;

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    ops::Bound,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use portcullis_config::{EndpointLocation, LocalEndpoint, names::NameCache};
use portcullis_listeners::ListenerSockets;
use portcullis_redirect::PacketJudge;
use portcullis_rules::{
    snapshot::Snapshot,
    world::{Endpoint, EndpointId, NamedPort},
};

use self::{inspect::InspectionState, tries::AttachAttempts};
pub use crate::run::fault::Unsteered;
use crate::run::{
    backends::{CutCount, DataPlaneHandle, EndpointAttachment, EndpointSite, KernelHandle, PlaceFinder},
    fault::field,
    open::PendingReviews,
    place::PlaceIdentity,
    resolutions::LearnedState,
};

/// What is held of one local endpoint.
#[derive(Debug)]
struct Held {
    /// Where it was opened, and what was there.
    place: EndpointLocation,
    identity: PlaceIdentity,
    /// Where it is seen that it is still there: its place, or another way to it when that has gone.
    seen_at: PathBuf,
    namespace: OwnedFd,
    sockets: ListenerSockets,
    /// Why its listeners could not be opened, if they could not. What policy wants steered is refused until they are.
    deaf: Option<Unsteered>,
    /// The kernel's tables, as they were set last.
    attached: Option<Attached>,
}

/// The inputs of an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attached {
    addresses: Vec<IpAddr>,
    ports: Vec<NamedPort>,
}

impl Attached {
    fn of(endpoint: &Endpoint) -> Self {
        Self { addresses: endpoint.addresses.clone(), ports: endpoint.ports.clone() }
    }
}

/// What is wanted, what is held, and how to get from one to the other.
pub struct Reconciler<K, D, P> {
    resolutions: LearnedState<K>,
    plane: D,
    places: P,
    wanted: BTreeMap<EndpointId, LocalEndpoint>,
    held: BTreeMap<EndpointId, Held>,
    /// Endpoints whose detaching failed.
    leftovers: Vec<EndpointId>,
    /// Whether an earlier process's remains have been looked for.
    swept: bool,
    /// The endpoint that was attached again last.
    repaired: Option<EndpointId>,
    faults: BTreeMap<EndpointId, Unsteered>,
    /// Connections that are open when policy changes.
    open: PendingReviews,
    /// The processes that paths of endpoints named when they were opened first: a number may be used again.
    born: BTreeMap<EndpointId, (EndpointLocation, u64)>,
    watch: InspectionState,
    tries: AttachAttempts,
}

impl<K: KernelHandle, D: DataPlaneHandle, P: PlaceFinder> Reconciler<K, D, P> {
    /// Nothing is wanted, nothing is held, no name is known.
    pub fn new(kernel: K, plane: D, places: P) -> Self {
        Self::with(LearnedState::new(kernel, NameCache::default()), plane, places)
    }

    /// The same, with names that are known.
    pub fn with(resolutions: LearnedState<K>, plane: D, places: P) -> Self {
        Self {
            resolutions,
            plane,
            places,
            wanted: BTreeMap::new(),
            held: BTreeMap::new(),
            leftovers: Vec::new(),
            swept: false,
            repaired: None,
            faults: BTreeMap::new(),
            open: PendingReviews::default(),
            born: BTreeMap::new(),
            watch: InspectionState::default(),
            tries: AttachAttempts::default(),
        }
    }

    /// Brings a configuration into force; tells which endpoints could not be steered.
    pub fn apply(&mut self, snapshot: Arc<Snapshot>, locals: &[LocalEndpoint]) -> &BTreeMap<EndpointId, Unsteered> {
        self.wanted = locals.iter().map(|local| (local.id, local.clone())).collect();
        let wanted = &self.wanted;
        self.born.retain(|id, (place, _)| wanted.get(id).is_some_and(|local| local.place == *place));
        self.reconcile(Some(snapshot));
        &self.faults
    }

    /// Looks after what time changes: namespaces that came, went or were made anew, and steps that failed. Tells
    /// whether anything had to be done.
    pub fn maintain(&mut self) -> bool {
        let reviewed = self.open.maintain(&self.resolutions, &self.services());
        let stale = self.held.values().any(|held| self.has_changed(held));
        let unseen = self.open.unseen().next().is_some();
        if !stale && !unseen && self.faults.is_empty() && self.leftovers.is_empty() && !self.resolutions.are_due() {
            return reviewed;
        }
        self.reconcile(None);
        true
    }

    /// Attaches the next endpoint again, in turn: what somebody took away of its rules, routes or sysctls comes back.
    /// Returns whether the faults are others now.
    pub fn repair_next(&mut self) -> bool {
        let after = self.repaired.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.held.range((after, Bound::Unbounded)).next().or(self.held.iter().next());
        let Some(id) = next.map(|(id, _)| *id) else { return false };
        self.repaired = Some(id);
        self.repair(id)
    }

    /// Attaches an endpoint again; tells whether the faults are others now.
    pub fn repair(&mut self, id: EndpointId) -> bool {
        let Some(wanted) = self.wanted.get(&id).cloned() else { return false };
        if let Some(held) = self.held.get_mut(&id) {
            held.attached = None;
        }
        let before = self.faults.clone();
        match self.steer(&wanted) {
            Ok(()) => self.faults.remove(&id),
            Err(fault) => self.faults.insert(id, fault),
        };
        self.judge_echo();
        self.tell_unseen();
        self.log_changes(&before);
        self.faults != before
    }

    /// Where the packets of each endpoint are judged.
    pub fn guards(&self) -> BTreeMap<EndpointId, PacketJudge> {
        let mut guards = BTreeMap::new();
        // Without a kernel's side nothing is judged any more.
        let _ = self.resolutions.with_kernel(|kernel| {
            guards.extend(self.held.keys().map(|id| (*id, kernel.guard(*id))));
            Ok(())
        });
        guards
    }

    /// The endpoints that could not be steered, and why.
    pub fn faults(&self) -> &BTreeMap<EndpointId, Unsteered> {
        &self.faults
    }

    /// Open connections that were ended since this was asked last.
    pub fn take_cut(&mut self) -> CutCount {
        self.open.take_cut()
    }

    /// By which names are learnt while it works.
    pub fn resolutions(&self) -> &LearnedState<K> {
        &self.resolutions
    }

    /// Gives back what it worked with, to end it. Names are learnt until [`LearnedState::end`].
    pub fn into_parts(self) -> (LearnedState<K>, D) {
        (self.resolutions, self.plane)
    }

    fn reconcile(&mut self, snapshot: Option<Arc<Snapshot>>) {
        let before = std::mem::take(&mut self.faults);
        self.look_elsewhere();
        self.drop_replaced();
        self.open_wanted();
        if let Some(snapshot) = snapshot {
            self.resolutions.replace(snapshot, |snapshot| self.plane.publish(snapshot));
        }
        self.steer_wanted();
        self.drop_unwanted();
        self.judge_echo();
        self.open.follow(&self.resolutions, &self.held.keys().copied().collect());
        self.tell_unseen();
        self.sweep();
        self.log_changes(&before);
    }

    /// A fault is logged when it comes and when it goes, not at every try in between.
    fn log_changes(&self, before: &BTreeMap<EndpointId, Unsteered>) {
        let name = |id: &EndpointId| {
            let wanted = self.wanted.get(id);
            wanted.map_or_else(String::new, |local| format!("{}/{}", local.endpoint.namespace, local.endpoint.name))
        };
        for (id, fault) in self.faults.iter().filter(|(id, fault)| before.get(*id) != Some(*fault)) {
            tracing::error!(endpoint = name(id), field = fault.field, remedy = fault.remedy, "{}", fault.message);
        }
        for id in before.keys().filter(|id| !self.faults.contains_key(*id) && self.wanted.contains_key(*id)) {
            tracing::info!(endpoint = name(id), "steered after all");
        }
    }

    fn has_changed(&self, held: &Held) -> bool {
        !self.places.identity(&held.seen_at).is_ok_and(|identity| identity == held.identity)
    }

    /// A process that named a namespace may end before the others in it. Those are still to be judged.
    fn look_elsewhere(&mut self) {
        let gone = |held: &&mut Held| {
            let kind = self.places.identity(&held.seen_at).err().map(|error| error.kind());
            matches!(held.place, EndpointLocation::Netns(_)) && kind == Some(io::ErrorKind::NotFound)
        };
        for held in self.held.values_mut().filter(gone) {
            if let Some(path) = self.places.find(held.identity) {
                let (was, now) = (held.seen_at.display(), path.display());
                tracing::warn!("{was} is gone, but its network namespace is in use ({now}): it stays steered");
                held.seen_at = path;
            }
        }
    }

    /// Lets go of endpoints that live elsewhere now, or whose namespace is gone: holding its sockets would keep it alive.
    fn drop_replaced(&mut self) {
        let replaced = |(id, held): (&EndpointId, &Held)| {
            let moved = self.wanted.get(id).is_some_and(|wanted| wanted.place != held.place);
            (moved || self.has_changed(held)).then_some(*id)
        };
        let replaced: Vec<_> = self.held.iter().filter_map(replaced).collect();
        for id in replaced {
            self.detach(id);
            self.plane.close(id);
            self.held.remove(&id);
        }
    }

    fn open_wanted(&mut self) {
        self.open_deaf();
        let missing: Vec<_> =
            self.wanted.values().filter(|wanted| !self.held.contains_key(&wanted.id)).cloned().collect();
        for wanted in missing {
            match self.open(&wanted) {
                Ok(held) => {
                    self.held.insert(wanted.id, held);
                }
                Err(fault) => {
                    self.faults.insert(wanted.id, fault);
                }
            }
        }
    }

    fn steer_wanted(&mut self) {
        let ready: Vec<_> = self.wanted.values().filter(|wanted| self.held.contains_key(&wanted.id)).cloned().collect();
        for wanted in ready {
            if let Err(fault) = self.steer(&wanted) {
                self.faults.insert(wanted.id, fault);
            }
        }
    }

    fn steer(&mut self, wanted: &LocalEndpoint) -> Result<(), Unsteered> {
        if !self.held.contains_key(&wanted.id) {
            return Ok(());
        }
        let failed = |what: &str, error: String| Unsteered {
            field: field(&wanted.place),
            message: format!("{what}: {error}"),
            remedy: "look at the log; what the kernel was told before stays in force, what is new is refused until it \
                     succeeds, and it is tried again each second",
            absent: false,
        };
        let told = self.resolutions.tell_table(wanted.id);
        // Without its table, too: only an endpoint that is attached is refused what the table would have judged.
        let attached = self.attach(wanted);
        told.map_err(|error| failed("the kernel's table was not set", error))?;
        attached.map_err(|error| failed("its flows are not steered", error))?;
        self.held.get(&wanted.id).and_then(|held| held.deaf.clone()).map_or(Ok(()), Err)
    }

    fn attach(&mut self, wanted: &LocalEndpoint) -> Result<(), String> {
        let Some(held) = self.held.get_mut(&wanted.id) else { return Ok(()) };
        let inputs = Attached::of(&wanted.endpoint);
        if held.attached.as_ref() == Some(&inputs) {
            return Ok(());
        }
        let site = match &held.place {
            EndpointLocation::Netns(_) => EndpointSite::Pod,
            EndpointLocation::Cgroup(path) => EndpointSite::Cgroup(path),
        };
        let attachment = EndpointAttachment {
            id: wanted.id,
            site,
            namespace: held.namespace.as_fd(),
            endpoint: &wanted.endpoint,
            sockets: &held.sockets,
        };
        self.resolutions.with_kernel(|kernel| kernel.attach(&attachment))?;
        held.attached = Some(inputs);
        Ok(())
    }

    /// Where the kernel does not judge echo requests, that is a fault of the endpoints whose rules speak of them.
    fn judge_echo(&mut self) {
        let Err(error) = self.resolutions.with_kernel(K::judge_echo) else { return };
        // A service of the host has a judge of its own.
        let judged = |(id, held): &(&EndpointId, &Held)| {
            self.resolutions.speaks_of_icmp(**id)
                && !matches!(&held.place, EndpointLocation::Cgroup(path) if !self.places.is_whole(path))
        };
        for (id, held) in self.held.iter().filter(judged) {
            self.faults.entry(*id).or_insert_with(|| Unsteered {
                field: field(&held.place),
                message: format!("its echo requests (ICMP) are not judged: {error}"),
                remedy: "they pass; everything else of its policy is in force",
                absent: false,
            });
        }
    }

    /// The services of the host.
    fn services(&self) -> Vec<EndpointId> {
        let service = |held: &Held| matches!(held.place, EndpointLocation::Cgroup(_)) && held.attached.is_some();
        self.held.iter().filter(|(_, held)| service(held)).map(|(id, _)| *id).collect()
    }

    /// Where open connections could not be looked through, some may go on that policy denies.
    fn tell_unseen(&mut self) {
        for (id, unseen) in self.open.unseen() {
            let Some(held) = self.held.get(&id) else { continue };
            let (message, remedy) = unseen.told();
            self.faults.entry(id).or_insert_with(|| Unsteered {
                field: field(&held.place),
                message: message.to_owned(),
                remedy,
                absent: false,
            });
        }
    }

    fn drop_unwanted(&mut self) {
        let leftovers = std::mem::take(&mut self.leftovers);
        for id in leftovers {
            if !self.held.contains_key(&id) {
                self.detach(id);
            }
        }
        let unwanted: Vec<_> = self.held.keys().filter(|id| !self.wanted.contains_key(id)).copied().collect();
        for id in unwanted {
            self.detach(id);
            self.plane.close(id);
            self.held.remove(&id);
        }
    }

    fn detach(&mut self, id: EndpointId) {
        if let Err(error) = self.resolutions.detach(id) {
            tracing::error!(endpoint = id.0, %error, "an endpoint could not be detached; trying again");
            self.leftovers.push(id);
        }
    }

    /// Removes, once, what an earlier process left for endpoints that are not wanted.
    fn sweep(&mut self) {
        if self.swept {
            return;
        }
        let ids: Vec<_> = self.wanted.keys().copied().collect();
        match self.resolutions.with_kernel(|kernel| kernel.retain(&ids)) {
            Ok(()) => self.swept = true,
            Err(error) => tracing::error!(%error, "what an earlier process left could not be removed"),
        }
    }
}
