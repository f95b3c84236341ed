//! The second line: which devices of an endpoint have programs that judge packets, and where.
//!
//! A device has a program on its own side that knows the socket of each packet, and, where it has a peer in another
//! namespace, programs there that nothing inside can take away. Endpoints that share the host's namespace are judged by their
//! cgroup instead. Only endpoints that have a table are judged.

mod sockets;

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::programs::TcAttachType;
use nix::net::if_::if_indextoname;
use portcullis_redirect_common::POD;

use crate::{
    devices::{self, Device, Peer},
    error::Error,
    links::{Link, Loader, remove_links},
    namespace, preflight,
};

/// What the pins begin with: `packets-NUMBER-INODE-PROGRAM-DEVICE`.
const PREFIX: &str = "packets-";

/// Where the packets of an endpoint are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
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
struct Guarded {
    /// Those whose programs are all attached; none after a failure, so that all are attached again.
    doors: Vec<Door>,
    guard: Guard,
    /// By the names of their pins.
    links: BTreeMap<String, Link>,
}

impl Guarded {
    fn is_intact(&self) -> bool {
        self.links.values().all(Link::is_intact)
    }
}

/// A device, and its peer: inode of the namespace, number.
type Door = (u32, Option<(u64, u32)>);

/// Who judges packets of which endpoint.
#[derive(Debug)]
pub(crate) struct Packets {
    directory: PathBuf,
    wanted: bool,
    /// Whether the kernel can judge at devices as well.
    on: bool,
    /// Whether it tells the host's packets from those of pods, once that was asked.
    feasible: Option<bool>,
    keep_open: bool,
    guarded: BTreeMap<u32, Guarded>,
    /// Namespaces in which peers were found.
    outsides: Vec<OwnedFd>,
}

/// An endpoint as the second line sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) id: u32,
    pub(crate) netns: BorrowedFd<'a>,
    pub(crate) inode: u64,
}

impl Packets {
    /// Nobody is judged yet.
    pub(crate) fn new(directory: &Path, wanted: bool, keep_open: bool) -> Self {
        let on = wanted && preflight::has_device_links();
        if wanted && !on {
            tracing::warn!(
                "packets that no hook at a socket sees (raw sockets, translations) pass: Linux 6.6 is needed"
            );
        }
        Self {
            directory: directory.to_owned(),
            wanted,
            on,
            feasible: None,
            keep_open,
            guarded: BTreeMap::new(),
            outsides: Vec::new(),
        }
    }

    /// Where the packets of an endpoint are judged.
    pub(crate) fn guard(&self, id: u32) -> Guard {
        self.guarded.get(&id).map_or(Guard::Off, |guarded| guarded.guard)
    }

    /// All links, for their pins to be put back.
    pub(crate) fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.guarded.values_mut().flat_map(|guarded| guarded.links.values_mut())
    }

    /// Endpoints of which some program is detached or swapped. Judging their packets again mends it.
    pub(crate) fn detached(&self) -> impl Iterator<Item = u32> {
        self.guarded.iter().filter(|(_, guarded)| !guarded.is_intact()).map(|(id, _)| *id)
    }

    /// Judges the packets of an endpoint from now on, at each of its devices. What is detached or swapped is attached again.
    ///
    /// # Errors
    /// The kernel refuses a program, or the namespace is gone. What is judged elsewhere stays so.
    pub(crate) fn judge(&mut self, subject: &Subject<'_>, loader: &mut Loader) -> Result<(), Error> {
        if !self.on {
            return self.forget(subject.id);
        }
        let failed = |source| Error::Namespace { endpoint: subject.id, step: "find the devices", source };
        let found = self.doors(subject).map_err(failed)?;
        let doors: Vec<Door> = found.iter().map(door).collect();
        if self.guarded.get(&subject.id).is_some_and(|guarded| guarded.doors == doors && guarded.is_intact()) {
            return Ok(());
        }
        let mut links = BTreeMap::new();
        let attached = found.iter().try_for_each(|(device, peer)| {
            self.attach(subject, device, peer.as_ref(), loader, &mut |name, link| drop(links.insert(name, link)))
        });
        let outside = found.iter().all(|(_, peer)| peer.is_some());
        let guard = if outside { Guard::Outside } else { Guard::Inside };
        self.replace(subject.id, attached, Guarded { doors, guard, links })
    }

    /// Has an endpoint judged by what was just attached, and takes away what was there before. After a failure both go on judging.
    fn replace(&mut self, id: u32, attached: Result<(), Error>, made: Guarded) -> Result<(), Error> {
        let mut before = self.guarded.remove(&id).map(|guarded| guarded.links).unwrap_or_default();
        let Guarded { doors, guard, mut links } = made;
        if let Err(error) = attached {
            before.append(&mut links);
            self.guarded.insert(id, Guarded { doors: Vec::new(), guard: Guard::Off, links: before });
            return Err(error);
        }
        // Under a name that stays the link is the same one, with another program.
        before.retain(|name, _| !links.contains_key(name));
        let guarded = self.guarded.entry(id).insert_entry(Guarded { doors, guard, links }).into_mut();
        end(&self.directory, before)?;
        remove_links(&self.directory, |name| is_of(name, id) && !guarded.links.contains_key(name))
    }

    fn doors(&mut self, subject: &Subject<'_>) -> io::Result<Vec<(Device, Option<Peer>)>> {
        let mut doors = Vec::new();
        for device in namespace::inside(subject.netns, devices::outward)? {
            let peer = devices::peer_of(subject.netns, &device, &self.outsides)?;
            if let Some(peer) = &peer {
                self.remember(peer)?;
            }
            doors.push((device, peer));
        }
        Ok(doors)
    }

    fn remember(&mut self, peer: &Peer) -> io::Result<()> {
        for outside in &self.outsides {
            if namespace::inode(outside.as_fd())? == peer.inode {
                return Ok(());
            }
        }
        self.outsides.push(peer.netns.try_clone()?);
        Ok(())
    }

    /// What judges outside comes first: nothing inside is trusted without it.
    fn attach(
        &self,
        subject: &Subject<'_>,
        device: &Device,
        peer: Option<&Peer>,
        loader: &mut Loader,
        put: &mut dyn FnMut(String, Link),
    ) -> Result<(), Error> {
        let Subject { id, netns, inode } = *subject;
        let failed = |source| Error::Namespace { endpoint: id, step: "judge packets at a device", source };
        let named = |program: &str, place: String| format!("{PREFIX}{id}-{inode}-{program}-{place}");
        loader.set_constant("WITHIN", peer.map_or(-1, |peer| peer.within).cast_unsigned());
        loader.set_constant("KEEP_OPEN", self.keep_open.into());
        let mut ebpf = loader.load(id, 0, POD)?;
        let mut at = |netns: BorrowedFd<'_>, index, program, side, name: String| -> Result<(), Error> {
            let link = namespace::inside(netns, || {
                let device = if_indextoname(index)?.to_string_lossy().into_owned();
                Ok(loader.attach_device(&mut ebpf, program, (&device, side), &name))
            });
            put(name, link.map_err(failed)??);
            Ok(())
        };
        match peer {
            Some(peer) => {
                let (there, place) = (peer.netns.as_fd(), format!("{}-{}", peer.inode, peer.index));
                at(netns, device.index, "leave", TcAttachType::Egress, named("leave", device.index.to_string()))?;
                at(there, peer.index, "gate", TcAttachType::Ingress, named("gate", place.clone()))?;
                at(there, peer.index, "arrive", TcAttachType::Egress, named("arrive", place))
            }
            None => {
                at(netns, device.index, "leave", TcAttachType::Egress, named("leave", device.index.to_string()))?;
                at(netns, device.index, "arrive", TcAttachType::Ingress, named("arrive", device.index.to_string()))
            }
        }
    }

    /// Judges the packets of an endpoint no more.
    pub(crate) fn forget(&mut self, id: u32) -> Result<(), Error> {
        let links = self.guarded.remove(&id).map(|guarded| guarded.links).unwrap_or_default();
        end(&self.directory, links)?;
        remove_links(&self.directory, |name| is_of(name, id))
    }

    /// Removes what an earlier process left for other endpoints.
    pub(crate) fn retain(&mut self, ids: &[u32]) -> Result<(), Error> {
        let others: Vec<u32> = self.guarded.keys().copied().filter(|id| !ids.contains(id)).collect();
        others.into_iter().try_for_each(|id| self.forget(id))?;
        remove_links(&self.directory, |name| name.starts_with(PREFIX) && !ids.iter().any(|id| is_of(name, *id)))
    }
}

/// Detaches links at once, whether or not their pins are still there.
fn end(directory: &Path, links: BTreeMap<String, Link>) -> Result<(), Error> {
    let failed = |source| Error::Bpffs { path: directory.to_owned(), source };
    links.into_values().try_for_each(Link::remove).map_err(failed)
}

fn door((device, peer): &(Device, Option<Peer>)) -> Door {
    (device.index, peer.as_ref().map(|peer| (peer.inode, peer.index)))
}

fn is_of(name: &str, id: u32) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.split('-').next() == Some(&id.to_string()))
}
