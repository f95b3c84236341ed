//! Attaches the packet programs (the second line): to which devices of an endpoint, and at which side.
//!
//! A device has a program on its own side that knows the socket of each packet. If it has a peer in another namespace,
//! it also has programs there, which nothing inside can remove. Endpoints that share the host's namespace are judged
//! by their cgroup instead. Only endpoints with a table are judged.

mod sockets;

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use portcullis_redirect_common::POD;

use crate::{
    attachment::RedirectOptions,
    devices::{self, Device, DevicePeer},
    error::RedirectError,
    links::{Loader, remove_links, remove_pin},
    namespace,
    posts::{self, AttachedProgram, DeviceSide, HeldBy, ProgramStanding, remove_filter},
    preflight,
};

/// What the pins of links begin with, and of programs that are filters: `packets-NUMBER-INODE-PROGRAM-DEVICE`, and for a
/// device elsewhere `...-PROGRAM-INODE-DEVICE`.
const LINKS: &str = "packets-";
const FILTERS: &str = "filters-";
const LEAVE: &str = "leave";
const GATE: &str = "gate";
const ARRIVE: &str = "arrive";
/// How often, one turn after the other, programs are put in front of those that somebody puts before them. Then only each so
/// many turns: two that do so would go on for ever.
const TURNS: u32 = 5;
const REST: u32 = 60;

/// Where the packets of an endpoint are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketJudge {
    /// Nowhere: there is no policy, or the setting is off, or the kernel cannot do it.
    Off,
    /// At its own devices, some of which have no peer outside. Who may administer its namespace may take that away.
    Inside,
    /// Outside of its namespace.
    Outside,
    /// At its cgroup, of a service of the host or the host itself: those of all sockets but packet sockets.
    Cgroup,
}

/// The devices of one endpoint that have programs.
#[derive(Debug)]
struct JudgedDevices {
    /// Those whose programs are all attached; none after a failure, so that all are attached again.
    listeners: Vec<DevicePair>,
    guard: PacketJudge,
    /// By the names of their pins.
    posts: BTreeMap<String, AttachedProgram>,
}

impl JudgedDevices {
    /// What is wrong with its programs.
    fn fault(&self) -> Option<PacketFault> {
        match posts::standings(self.posts.values()) {
            Ok(standings) => fault(&standings),
            Err(_) => Some(PacketFault::Detached),
        }
    }
}

/// What is wrong with the programs of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PacketFault {
    /// Some does not run.
    Detached,
    /// Programs of these numbers run before some.
    Behind(Vec<u32>),
}

fn fault(standings: &[ProgramStanding]) -> Option<PacketFault> {
    let others = |standing: &ProgramStanding| match standing {
        ProgramStanding::Behind(others) => others.clone(),
        _ => Vec::new(),
    };
    if standings.contains(&ProgramStanding::Absent) {
        return Some(PacketFault::Detached);
    }
    let others: Vec<u32> = standings.iter().flat_map(others).collect();
    (!others.is_empty()).then_some(PacketFault::Behind(others))
}

/// How often programs of others were before those of an endpoint, and for how many turns none has been.
#[derive(Debug, Default)]
struct OvertakenPrograms {
    turns: u32,
    calm: u32,
}

/// What an inspection found of an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PacketInspection {
    /// Judging its packets again mends it.
    Mendable(String),
    /// Somebody comes before its programs again and again.
    Overruled(String),
}

/// A device, and its peer: inode of the namespace, number.
type DevicePair = (u32, Option<(u64, u32)>);

/// Who judges packets of which endpoint.
#[derive(Debug)]
pub(crate) struct PacketPrograms {
    directory: PathBuf,
    wanted: bool,
    /// How at devices; `None`: nobody's packets are judged there.
    by: Option<HeldBy>,
    /// Whether the kernel tells the host's packets from those of pods, once that was asked.
    feasible: Option<bool>,
    guarded: BTreeMap<u32, JudgedDevices>,
    /// Turns in which programs of others were before those of an endpoint.
    overtaken: BTreeMap<u32, OvertakenPrograms>,
    /// Namespaces in which peers were found, with their inodes.
    outsides: Vec<(u64, Arc<OwnedFd>)>,
}

/// An endpoint as the second line sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketEndpoint<'a> {
    pub(crate) id: u32,
    pub(crate) netns: BorrowedFd<'a>,
    pub(crate) inode: u64,
}

impl PacketPrograms {
    /// Nobody is judged yet.
    pub(crate) fn new(directory: &Path, options: &RedirectOptions) -> Self {
        let by = match options.packets {
            false => None,
            true if options.device_links && preflight::has_device_links() => Some(HeldBy::Links),
            // They would outlive a crash, and what is steered would be refused.
            true if !options.pin => {
                tracing::warn!(
                    "packets that no hook at a socket sees (raw sockets, translations) pass: with onProxyDown: pass, Linux \
                     6.6 is needed to judge them"
                );
                None
            }
            true => Some(HeldBy::Filters),
        };
        let (guarded, overtaken, outsides) = Default::default();
        let (directory, wanted) = (directory.to_owned(), options.packets);
        Self { directory, wanted, by, feasible: None, guarded, overtaken, outsides }
    }

    /// Where the packets of an endpoint are judged.
    pub(crate) fn guard(&self, id: u32) -> PacketJudge {
        self.guarded.get(&id).map_or(PacketJudge::Off, |guarded| guarded.guard)
    }

    /// All programs, for their pins to be put back.
    pub(crate) fn posts(&mut self) -> impl Iterator<Item = &mut AttachedProgram> {
        self.guarded.values_mut().flat_map(|guarded| guarded.posts.values_mut())
    }

    /// Looks at the programs of all endpoints: whether they run where they were attached, and first.
    pub(crate) fn inspect(&mut self) -> BTreeMap<u32, PacketInspection> {
        let of = self.guarded.iter().flat_map(|(id, guarded)| guarded.posts.values().map(|_| *id));
        let of: Vec<u32> = of.collect();
        let all = self.guarded.values().flat_map(|guarded| guarded.posts.values());
        // Nothing is known where no thread is to be had. The next turn comes in a second.
        let Ok(standings) = posts::standings(all) else { return BTreeMap::new() };
        let mut by_endpoint: BTreeMap<u32, Vec<ProgramStanding>> = BTreeMap::new();
        for (id, standing) in of.into_iter().zip(standings) {
            by_endpoint.entry(id).or_default().push(standing);
        }
        let found = by_endpoint.into_iter().filter_map(|(id, standings)| Some((id, self.find(id, fault(&standings))?)));
        found.collect()
    }

    fn find(&mut self, id: u32, fault: Option<PacketFault>) -> Option<PacketInspection> {
        let others = match fault {
            None => {
                let overtaken = self.overtaken.get_mut(&id)?;
                overtaken.calm += 1;
                if overtaken.calm > REST {
                    self.overtaken.remove(&id);
                }
                return None;
            }
            Some(PacketFault::Detached) => {
                let what =
                    "the programs that judge its packets were detached or swapped, or their device is another one";
                return Some(PacketInspection::Mendable(what.into()));
            }
            Some(PacketFault::Behind(others)) => others.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        };
        let overtaken = self.overtaken.entry(id).or_default();
        overtaken.calm = 0;
        overtaken.turns += 1;
        if overtaken.turns <= TURNS || overtaken.turns.is_multiple_of(REST) {
            return Some(PacketInspection::Mendable(format!(
                "programs were put before those that judge its packets: {others}"
            )));
        }
        Some(PacketInspection::Overruled(format!(
            "somebody puts programs before those that judge its packets, again and again, and they may let pass what policy \
             refuses: programs {others}; stop whoever attaches them (bpftool net; bpftool link detach)"
        )))
    }

    /// Judges the packets of an endpoint from now on, at each of its devices. What does not run there, or not first, is
    /// attached again.
    ///
    /// # Errors
    /// The kernel refuses a program, or the namespace is gone. What is judged elsewhere stays so.
    pub(crate) fn judge(&mut self, subject: &PacketEndpoint<'_>, loader: &mut Loader) -> Result<(), RedirectError> {
        let Some(by) = self.by else { return self.forget(subject.id) };
        let failed = |source| RedirectError::Namespace { endpoint: subject.id, step: "find the devices", source };
        let found = self.listeners(subject).map_err(failed)?;
        let listeners: Vec<DevicePair> = found.iter().map(listener).collect();
        if self
            .guarded
            .get(&subject.id)
            .is_some_and(|guarded| guarded.listeners == listeners && guarded.fault().is_none())
        {
            return Ok(());
        }
        let netns = subject.netns.try_clone_to_owned().map(Arc::new).map_err(failed)?;
        let mut taken = BTreeMap::new();
        let attached = found.iter().try_for_each(|(device, peer)| {
            let inside = DeviceSide { netns: Arc::clone(&netns), device: device.index, ingress: false };
            self.attach(subject, by, inside, peer.as_ref(), loader, &mut |name, post| drop(taken.insert(name, post)))
        });
        let outside = found.iter().all(|(_, peer)| peer.is_some());
        let guard = if outside { PacketJudge::Outside } else { PacketJudge::Inside };
        self.replace(subject.id, attached, JudgedDevices { listeners, guard, posts: taken })
    }

    /// Has an endpoint judged by what was just attached, and takes away what was there before. After a failure both go on judging.
    fn replace(
        &mut self,
        id: u32,
        attached: Result<(), RedirectError>,
        made: JudgedDevices,
    ) -> Result<(), RedirectError> {
        let mut before = self.guarded.remove(&id).map(|guarded| guarded.posts).unwrap_or_default();
        let JudgedDevices { listeners, guard, mut posts } = made;
        if let Err(error) = attached {
            before.append(&mut posts);
            self.guarded.insert(id, JudgedDevices { listeners: Vec::new(), guard: PacketJudge::Off, posts: before });
            return Err(error);
        }
        // Under a name that stays the new one has taken the place of the one before, or is the same.
        before.retain(|name, _| !posts.contains_key(name));
        let guarded = self.guarded.entry(id).insert_entry(JudgedDevices { listeners, guard, posts }).into_mut();
        end(&self.directory, before)?;
        clear(&self.directory, |name| is_of(name, id) && !guarded.posts.contains_key(name))
    }

    fn listeners(&mut self, subject: &PacketEndpoint<'_>) -> io::Result<Vec<(Device, Option<DevicePeer>)>> {
        let mut listeners = Vec::new();
        for device in namespace::inside(subject.netns, devices::outward)? {
            let known: Vec<&OwnedFd> = self.outsides.iter().map(|(_, netns)| &**netns).collect();
            let mut peer = devices::peer_of(subject.netns, &device, &known)?;
            if let Some(peer) = &mut peer {
                self.share(peer);
            }
            listeners.push((device, peer));
        }
        Ok(listeners)
    }

    /// Keeps one descriptor for each namespace outside.
    fn share(&mut self, peer: &mut DevicePeer) {
        match self.outsides.iter().find(|(inode, _)| *inode == peer.inode) {
            Some((_, netns)) => peer.netns = Arc::clone(netns),
            None => self.outsides.push((peer.inode, Arc::clone(&peer.netns))),
        }
    }

    /// What judges outside comes first: nothing inside is trusted without it.
    fn attach(
        &self,
        subject: &PacketEndpoint<'_>,
        by: HeldBy,
        leaving: DeviceSide,
        peer: Option<&DevicePeer>,
        loader: &mut Loader,
        put: &mut dyn FnMut(String, AttachedProgram),
    ) -> Result<(), RedirectError> {
        let PacketEndpoint { id, inode, .. } = *subject;
        let prefix = if by == HeldBy::Links { LINKS } else { FILTERS };
        let mut judges = |within: i32, posts: Vec<(&'static str, DeviceSide, String)>| {
            loader.set_constant("WITHIN", within.cast_unsigned());
            // Before Linux 6.3 a process that may administer its namespace can write the index of a packet (sch_dsmark).
            loader.set_constant("STAMPS", (by == HeldBy::Links).into());
            let mut ebpf = loader.load(id, 0, POD)?;
            posts.into_iter().try_for_each(|(program, place, at)| {
                let name = format!("{prefix}{id}-{inode}-{program}-{at}");
                put(name.clone(), AttachedProgram::take(loader, by, &mut ebpf, program, place, &name)?);
                Ok(())
            })
        };
        if let Some(peer) = peer {
            let gate = DeviceSide { netns: Arc::clone(&peer.netns), device: peer.index, ingress: true };
            let arrive = DeviceSide { ingress: false, ..gate.clone() };
            let at = format!("{}-{}", peer.inode, peer.index);
            judges(peer.within, vec![(GATE, gate, at.clone()), (ARRIVE, arrive, at)])?;
        }
        // Whoever hands a packet to the device itself (bpf_redirect_peer) passes by what stands outside.
        let (arriving, at) = (DeviceSide { ingress: true, ..leaving.clone() }, leaving.device.to_string());
        judges(-1, vec![(LEAVE, leaving, at.clone()), (ARRIVE, arriving, at)])
    }

    /// Judges the packets of an endpoint no more.
    pub(crate) fn forget(&mut self, id: u32) -> Result<(), RedirectError> {
        self.overtaken.remove(&id);
        let posts = self.guarded.remove(&id).map(|guarded| guarded.posts).unwrap_or_default();
        end(&self.directory, posts)?;
        clear(&self.directory, |name| is_of(name, id))
    }

    /// Removes what an earlier process left for other endpoints.
    pub(crate) fn retain(&mut self, ids: &[u32]) -> Result<(), RedirectError> {
        let others: Vec<u32> = self.guarded.keys().copied().filter(|id| !ids.contains(id)).collect();
        others.into_iter().try_for_each(|id| self.forget(id))?;
        clear(&self.directory, |name| !ids.iter().any(|id| is_of(name, *id)))
    }
}

/// Detaches what an earlier process pinned, of the names that are wanted.
pub(crate) fn clear(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), RedirectError> {
    remove_links(directory, |name| name.starts_with(LINKS) && wanted(name))?;
    let failed = |source| RedirectError::Bpffs { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(FILTERS) || !wanted(&name) {
            continue;
        }
        // Where the namespace or the device is gone, so is the filter.
        if let Some(place) = place(&name) {
            remove_filter(&place, &entry.path()).map_err(failed)?;
        }
        remove_pin(&entry.path()).map_err(failed)?;
    }
    Ok(())
}

/// Where the filter is whose program has a pin of this name.
fn place(name: &str) -> Option<DeviceSide> {
    let mut parts = name.strip_prefix(FILTERS)?.split('-').skip(1);
    let (inside, program, first, second) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    let (inode, device) = second.map_or((inside, first), |second| (first, second));
    let netns = Arc::new(namespace::find(inode.parse().ok()?)?);
    let ingress = program == GATE || (program == ARRIVE && second.is_none());
    Some(DeviceSide { netns, device: device.parse().ok()?, ingress })
}

/// Detaches at once, whether or not pins are still there.
fn end(directory: &Path, posts: BTreeMap<String, AttachedProgram>) -> Result<(), RedirectError> {
    let failed = |source| RedirectError::Bpffs { path: directory.to_owned(), source };
    posts.into_values().try_for_each(AttachedProgram::remove).map_err(failed)
}

fn listener((device, peer): &(Device, Option<DevicePeer>)) -> DevicePair {
    (device.index, peer.as_ref().map(|peer| (peer.inode, peer.index)))
}

fn is_of(name: &str, id: u32) -> bool {
    let rest = name.strip_prefix(LINKS).or_else(|| name.strip_prefix(FILTERS));
    rest.is_some_and(|rest| rest.split('-').next() == Some(&id.to_string()))
}
