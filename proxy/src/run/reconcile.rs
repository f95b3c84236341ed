//! Brings a configuration into force, in an order that is never more open than both the old and the new one.
//!
//! Listeners come before the snapshot that lets them judge, the snapshot before the kernel's tables, the tables before
//! an endpoint is attached. What goes, goes the other way round: detached first, its listeners closed last. Names that are
//! learnt meanwhile come into force in between, by [`Lessons`].

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    ops::Bound,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use portcullis_config::{LocalEndpoint, Place, names::Book};
use portcullis_rules::{
    snapshot::Snapshot,
    world::{Endpoint, EndpointId, Port},
};

use crate::run::{
    lessons::Lessons,
    open::Reviews,
    place::{HOST, Identity},
    ports::{Attachment, Cut, Kernel, Places, Plane, Site, Sockets},
};

/// A local endpoint that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsteered {
    /// The field of the resource that it is about.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What is held of one local endpoint.
#[derive(Debug)]
struct Held {
    /// Where it was opened, and what was there.
    place: Place,
    identity: Identity,
    namespace: OwnedFd,
    sockets: Sockets,
    /// What the kernel was told, when it was told last.
    attached: Option<Attached>,
}

/// The inputs of an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attached {
    addresses: Vec<IpAddr>,
    ports: Vec<Port>,
}

impl Attached {
    fn of(endpoint: &Endpoint) -> Self {
        Self { addresses: endpoint.addresses.clone(), ports: endpoint.ports.clone() }
    }
}

/// What is wanted, what is held, and how to get from one to the other.
pub struct Reconciler<K, D, P> {
    lessons: Lessons<K>,
    plane: D,
    places: P,
    wanted: BTreeMap<EndpointId, LocalEndpoint>,
    held: BTreeMap<EndpointId, Held>,
    /// Endpoints whose detaching failed.
    leftovers: Vec<EndpointId>,
    /// Whether an earlier process's remains have been looked for.
    swept: bool,
    /// The endpoint that was attached again last.
    mended: Option<EndpointId>,
    faults: BTreeMap<EndpointId, Unsteered>,
    /// Connections that are open when policy changes.
    open: Reviews,
}

impl<K: Kernel, D: Plane, P: Places> Reconciler<K, D, P> {
    /// Nothing is wanted, nothing is held, no name is known.
    pub fn new(kernel: K, plane: D, places: P) -> Self {
        Self::with(Lessons::new(kernel, Book::default()), plane, places)
    }

    /// The same, with names that are known.
    pub fn with(lessons: Lessons<K>, plane: D, places: P) -> Self {
        Self {
            lessons,
            plane,
            places,
            wanted: BTreeMap::new(),
            held: BTreeMap::new(),
            leftovers: Vec::new(),
            swept: false,
            mended: None,
            faults: BTreeMap::new(),
            open: Reviews::default(),
        }
    }

    /// Brings a configuration into force; tells which endpoints could not be steered.
    pub fn apply(&mut self, snapshot: Arc<Snapshot>, locals: &[LocalEndpoint]) -> &BTreeMap<EndpointId, Unsteered> {
        self.wanted = locals.iter().map(|local| (local.id, local.clone())).collect();
        self.reconcile(Some(snapshot));
        &self.faults
    }

    /// Looks after what time changes: namespaces that came, went or were made anew, and steps that failed. Tells
    /// whether anything had to be done.
    pub fn tend(&mut self) -> bool {
        let reviewed = self.open.tend(&self.lessons, &self.services());
        let stale = self.held.values().any(|held| self.has_changed(held));
        let unseen = self.open.unseen().next().is_some();
        if !stale && !unseen && self.faults.is_empty() && self.leftovers.is_empty() && !self.lessons.are_due() {
            return reviewed;
        }
        self.reconcile(None);
        true
    }

    /// Attaches the next endpoint again, in turn: what somebody took away of its rules, routes or sysctls comes back.
    /// Tells whether the faults are others now.
    pub fn mend_next(&mut self) -> bool {
        let after = self.mended.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.held.range((after, Bound::Unbounded)).next().or(self.held.iter().next());
        let Some(id) = next.map(|(id, _)| *id) else { return false };
        self.mended = Some(id);
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

    /// The endpoints that could not be steered, and why.
    pub fn faults(&self) -> &BTreeMap<EndpointId, Unsteered> {
        &self.faults
    }

    /// Open connections that were ended since this was asked last.
    pub fn take_cut(&mut self) -> Cut {
        self.open.take_cut()
    }

    /// By which names are learnt while it works.
    pub fn lessons(&self) -> &Lessons<K> {
        &self.lessons
    }

    /// Gives back what it worked with, to end it. Names are learnt until [`Lessons::end`].
    pub fn into_parts(self) -> (Lessons<K>, D) {
        (self.lessons, self.plane)
    }

    fn reconcile(&mut self, snapshot: Option<Arc<Snapshot>>) {
        let before = std::mem::take(&mut self.faults);
        self.drop_replaced();
        self.open_wanted();
        if let Some(snapshot) = snapshot {
            self.lessons.replace(snapshot, |snapshot| self.plane.publish(snapshot));
        }
        self.steer_wanted();
        self.drop_unwanted();
        self.judge_echo();
        self.open.follow(&self.lessons, &self.held.keys().copied().collect());
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
        !self.places.identity(watched(&held.place)).is_ok_and(|identity| identity == held.identity)
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

    fn open(&mut self, wanted: &LocalEndpoint) -> Result<Held, Unsteered> {
        let unopened = |error: io::Error| unopened(&wanted.place, &error);
        let (namespace, mut identity) = self.places.open(namespace_path(&wanted.place)).map_err(unopened)?;
        if let Place::Cgroup(path) = &wanted.place {
            identity = self.places.identity(path).map_err(unopened)?;
        }
        let handed = namespace.try_clone().map_err(unopened)?;
        let sockets = self.plane.open(wanted.id, handed).map_err(|error| Unsteered {
            field: field(&wanted.place),
            message: format!("listeners could not be opened there: {error}"),
            remedy: "look at the log; the node needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and files left to open",
        })?;
        let place = wanted.place.clone();
        Ok(Held { place, identity, namespace, sockets, attached: None })
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
        };
        let told = self.lessons.tell_table(wanted.id);
        // Without its table, too: only an endpoint that is attached is refused what the table would have judged.
        let attached = self.attach(wanted);
        told.map_err(|error| failed("the kernel's table was not set", error))?;
        attached.map_err(|error| failed("its flows are not steered", error))
    }

    fn attach(&mut self, wanted: &LocalEndpoint) -> Result<(), String> {
        let Some(held) = self.held.get_mut(&wanted.id) else { return Ok(()) };
        let inputs = Attached::of(&wanted.endpoint);
        if held.attached.as_ref() == Some(&inputs) {
            return Ok(());
        }
        let site = match &held.place {
            Place::Netns(_) => Site::Pod,
            Place::Cgroup(path) => Site::Cgroup(path),
        };
        let attachment = Attachment {
            id: wanted.id,
            site,
            namespace: held.namespace.as_fd(),
            endpoint: &wanted.endpoint,
            sockets: &held.sockets,
        };
        self.lessons.with_kernel(|kernel| kernel.attach(&attachment))?;
        held.attached = Some(inputs);
        Ok(())
    }

    /// Where the kernel does not judge echo requests, that is a fault of the endpoints whose rules speak of them.
    fn judge_echo(&mut self) {
        let Err(error) = self.lessons.with_kernel(K::judge_echo) else { return };
        for (id, held) in self.held.iter().filter(|(id, _)| self.lessons.speaks_of_icmp(**id)) {
            self.faults.entry(*id).or_insert_with(|| Unsteered {
                field: field(&held.place),
                message: format!("its echo requests (ICMP) are not judged: {error}"),
                remedy: "needs Linux 6.15 or newer; everything else of its policy is in force",
            });
        }
    }

    /// The services of the host.
    fn services(&self) -> Vec<EndpointId> {
        let service = |held: &Held| matches!(held.place, Place::Cgroup(_)) && held.attached.is_some();
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
        if let Err(error) = self.lessons.detach(id) {
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
        match self.lessons.with_kernel(|kernel| kernel.retain(&ids)) {
            Ok(()) => self.swept = true,
            Err(error) => tracing::error!(%error, "what an earlier process left could not be removed"),
        }
    }
}

/// The path whose disappearance means that the endpoint is gone.
fn watched(place: &Place) -> &Path {
    match place {
        Place::Netns(path) | Place::Cgroup(path) => path,
    }
}

fn namespace_path(place: &Place) -> &Path {
    match place {
        Place::Netns(path) => path,
        Place::Cgroup(_) => Path::new(HOST),
    }
}

fn field(place: &Place) -> &'static str {
    match place {
        Place::Netns(_) => "spec.networkNamespace",
        Place::Cgroup(_) => "spec.cgroup",
    }
}

fn unopened(place: &Place, error: &io::Error) -> Unsteered {
    let path: PathBuf = watched(place).into();
    let (message, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!("{} is not there", path.display()),
            "it is steered as soon as it appears; if it never will, correct the path or delete the endpoint",
        ),
        io::ErrorKind::PermissionDenied => (format!("{} may not be opened", path.display()), "run portcullis as root"),
        _ => {
            (format!("{}: {error}", path.display()), "name a network namespace, as /run/netns/NAME or /proc/PID/ns/net")
        }
    };
    Unsteered { field: field(place), message, remedy }
}
