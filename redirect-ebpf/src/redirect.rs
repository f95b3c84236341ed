//! The loader: what is attached, and in which order.

mod end;
mod inspect;
mod packets;
mod ports;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::{self, File},
    io,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use aya::programs::CgroupSkbAttachType::Egress;
use portcullis_redirect_common::{MAX_ENDPOINTS, POD, slot};

use self::end::unpin_all;
pub use self::inspect::RedirectInspection;
use crate::{
    attachment::{KernelAttachment, Listeners, RedirectOptions},
    claim::Claim,
    connections::ConnectionPolicy,
    datagrams::Ranges,
    echo::Echo,
    error::RedirectError,
    links::{ABOVE_ALL, ECHO, EGRESS, Link, Loader, remove_links},
    maps::Maps,
    namespace,
    packets::PacketPrograms,
    pinned::remove_other_links,
    places, preflight,
    refusals::Refusals,
    routes,
    site::{AttachPoint, AttachSite},
    sysctl,
    upstreams::{UpstreamHandle, UpstreamMaps},
    watch::NetlinkWatch,
};

#[derive(Debug)]
struct Attached {
    netns: OwnedFd,
    inode: u64,
    site: AttachSite,
    /// Of a service, its cgroup.
    cgroup: Option<PathBuf>,
    /// Its own addresses.
    addresses: Vec<IpAddr>,
    /// Of a service, its ports.
    owned: Vec<(u8, u16)>,
    links: Vec<Link>,
    /// Whether some link is not what it was, so that all are to be made again.
    broken: bool,
}

/// The loader. Dropping it without [`Redirect::close`] is what a crash does: pinned links stay. One that took over nothing and
/// has attached nothing leaves nothing.
pub struct Redirect {
    directory: PathBuf,
    claim: Claim,
    options: RedirectOptions,
    /// Nothing was here before, and no endpoint has been attached yet.
    fresh: bool,
    loader: Loader,
    workers: u32,
    maps: Maps,
    upstreams: UpstreamHandle,
    /// The programs above all pods, and the cgroup that they are attached to.
    node: Vec<Link>,
    cgroup: PathBuf,
    /// What judges echo requests there, while policy speaks of them.
    echo: Echo,
    /// What judges packets.
    packets: PacketPrograms,
    /// What notices changes in namespaces.
    watch: Option<NetlinkWatch>,
    attached: BTreeMap<u32, Attached>,
    /// The ports whose datagrams are steered, by endpoint.
    udp_ports: BTreeMap<u32, Ranges>,
    /// The ports whose datagrams were steered and are refused now, by endpoint.
    lost_ports: BTreeMap<u32, Ranges>,
    /// Endpoints whose open connections may fare otherwise than they were told.
    changed: BTreeSet<u32>,
    judge: Arc<ConnectionPolicy>,
}

impl Redirect {
    /// Loads the programs and attaches those above all pods; takes over what an earlier process pinned.
    ///
    /// # Errors
    /// The kernel or a capability is missing, bpffs or cgroup2 is not to be had, another process has the directory, or the
    /// kernel refuses the programs. Where nothing was before, nothing is left.
    pub fn open(options: RedirectOptions) -> Result<Self, RedirectError> {
        preflight::look()?;
        places::make_directory(&options.bpffs, options.pin)?;
        let claim = Claim::take(&options.bpffs, &options.owner)?;
        Self::succeed(options, claim)
    }

    /// The same beside a process that goes on for now and has handed its claim on.
    ///
    /// # Errors
    /// As of [`Redirect::open`].
    pub fn succeed(options: RedirectOptions, claim: Claim) -> Result<Self, RedirectError> {
        let directory = places::pin_directory(&options.bpffs);
        let fresh = !directory.exists();
        let opened = Self::load(&directory, options, &claim, fresh);
        if opened.is_err() && fresh {
            let _ = unpin_all(&directory, &claim);
        }
        opened
    }

    fn load(directory: &Path, options: RedirectOptions, claim: &Claim, fresh: bool) -> Result<Self, RedirectError> {
        fs::create_dir_all(directory).map_err(|source| RedirectError::Bpffs { path: directory.to_owned(), source })?;
        let path = match &options.cgroup {
            Some(path) => places::real_path(path)?,
            None => places::real_path(&places::cgroup_root()?)?,
        };
        let mut loader = Loader::new(directory, &options);
        let workers = options.workers.max(1);
        let node = attach_above_all(&mut loader, directory, &path)?;
        loader.hold_maps()?;
        let mut maps = Maps::open(directory)?;
        maps.forget_upstreams()?;
        let upstreams = UpstreamMaps {
            own_sockets: maps.descriptor("OWN_SOCKETS")?,
            own_upstreams: maps.descriptor("OWN_UPSTREAMS")?,
        };
        let packets = PacketPrograms::new(directory, &options);
        let upstreams = UpstreamHandle { maps: Arc::new(upstreams) };
        let judge = Arc::new(ConnectionPolicy::open(directory)?);
        Ok(Self {
            directory: directory.to_owned(),
            claim: claim.clone(),
            options,
            fresh,
            loader,
            workers,
            maps,
            upstreams,
            node,
            cgroup: path,
            echo: Echo::new(),
            packets,
            watch: None,
            attached: BTreeMap::new(),
            udp_ports: BTreeMap::new(),
            lost_ports: BTreeMap::new(),
            changed: BTreeSet::new(),
            judge,
        })
    }

    /// The right to the directory, for a process that takes over while this one goes on.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.claim.clone()
    }

    /// Judges echo requests from now on if some table speaks of ICMP, and no more if none does. Each packet on its way out
    /// passes the program that does it.
    ///
    /// # Errors
    /// The kernel refuses the program. Everything else is judged all the same.
    pub fn judge_echo(&mut self) -> Result<(), RedirectError> {
        self.echo.settle(self.maps.judges_echo(), &mut self.loader, &self.cgroup)
    }

    /// Steers an endpoint, whose table has to be set before. Again: with other addresses, listeners or ports.
    ///
    /// # Errors
    /// Something in its namespace fails, or a map is full. What policy wants steered is then refused, until another try succeeds
    /// or [`Redirect::detach`] undoes what was done so far. Only where the kernel takes no program is nothing judged: in the
    /// namespace, of what comes in; of a service of the host, of what its cgroup opens.
    pub fn attach(&mut self, attachment: &KernelAttachment<'_>) -> Result<(), RedirectError> {
        let id = attachment.id;
        let site = AttachSite::of(&attachment.place, &self.cgroup)?;
        let inode = self.enlist(attachment, site)?;
        self.fresh = false;
        let cookie = match namespace::inside(attachment.place.netns(), namespace::cookie) {
            Ok(cookie) => cookie,
            Err(source) => return Err(self.attach_from_outside(attachment, site, inode, source)),
        };
        let prepared = self.prepare(attachment, inode, cookie);
        let listening = match prepared {
            Ok(()) => *attachment,
            Err(_) => KernelAttachment { listeners: Listeners::default(), ..*attachment },
        };
        let filled = self.fill(&listening, site);
        let first = self.attached.get(&id).is_some_and(|attached| attached.links.is_empty() || attached.broken);
        let linked = if first { self.link(attachment, site, inode, cookie) } else { Ok(()) };
        // Whatever failed before, what can be judged is judged from here on.
        let entered = match site {
            // Its own programs judge it. An earlier process may have taken it for the whole host.
            AttachSite::Service => self.maps.leave_pod(id).map(drop),
            _ => self.maps.enter_pod(cookie, id),
        };
        if first {
            self.changed.insert(id);
        }
        // Of a service only processes of its cgroup could try.
        if site != AttachSite::Service {
            self.maps.set_probe(id);
        }
        let judged = self.judge_packets(id);
        if let Err(error) = self.listen(id) {
            tracing::warn!(endpoint = id, %error, "changes in its namespace are noticed only in turn");
        }
        prepared.and(filled).and(linked).and(entered).and(judged)
    }

    /// What can be done for a namespace that cannot be entered: what comes in for steered ports is refused.
    fn attach_from_outside(
        &mut self,
        attachment: &KernelAttachment<'_>,
        site: AttachSite,
        inode: u64,
        cause: io::Error,
    ) -> RedirectError {
        let (endpoint, deaf) = (attachment.id, KernelAttachment { listeners: Listeners::default(), ..*attachment });
        let attached = self.fill(&deaf, site).and_then(|()| match self.attached.get(&endpoint) {
            Some(attached) if attached.links.is_empty() && site != AttachSite::Service => {
                self.link(attachment, site, inode, 0)
            }
            _ => Ok(()),
        });
        let step = "enter (so that what its processes open passes UNJUDGED)";
        attached.err().unwrap_or(RedirectError::Namespace { endpoint, step, source: cause })
    }

    /// What a namespace needs so that steered flows find their listener.
    fn prepare(&mut self, attachment: &KernelAttachment<'_>, inode: u64, cookie: u64) -> Result<(), RedirectError> {
        let (netns, addresses) = (attachment.place.netns(), attachment.addresses);
        let failed = |step| move |source| RedirectError::Namespace { endpoint: attachment.id, step, source };
        let old = namespace::inside(netns, sysctl::switch_on).map_err(failed("set sysctls"))?;
        self.maps.remember_sysctls(cookie, old)?;
        let (ports, lost) = self.ports_inside(inode);
        let found = namespace::inside(netns, || routes::set_up(addresses, &ports, &lost))
            .map_err(failed("make rules and routes (is its loopback device up?)"))?;
        self.maps.set_broadcasts(attachment.id, &found.broadcasts)?;
        let shared = matches!(attachment.place, AttachPoint::Host { .. });
        self.maps.set_hosts(attachment.id, shared.then_some(found.own.as_slice()))
    }

    /// Notes an endpoint before anything is done for it, so that all of it is undone when a step fails. Gives the inode
    /// of its namespace.
    fn enlist(&mut self, attachment: &KernelAttachment<'_>, site: AttachSite) -> Result<u64, RedirectError> {
        let id = attachment.id;
        if id == 0 || id >= MAX_ENDPOINTS {
            return Err(RedirectError::Number(id));
        }
        let netns = attachment.place.netns();
        let failed = |step| move |source| RedirectError::Namespace { endpoint: id, step, source };
        let inode = namespace::inode(netns).map_err(failed("look at"))?;
        if self.attached.get(&id).is_some_and(|attached| attached.inode != inode) {
            self.let_go(id)?;
        }
        self.refuse_second_host(id, inode, site)?;
        let attached = match self.attached.entry(id) {
            Entry::Vacant(vacant) => {
                let netns = netns.try_clone_to_owned().map_err(failed("keep"))?;
                let (addresses, owned, links) = (Vec::new(), Vec::new(), Vec::new());
                vacant.insert(Attached { netns, inode, site, cgroup: None, addresses, owned, links, broken: false })
            }
            Entry::Occupied(occupied) => occupied.into_mut(),
        };
        attached.site = site;
        attached.addresses = attachment.addresses.to_vec();
        (attached.cgroup, attached.owned) = match attachment.place {
            AttachPoint::Host { cgroup, ports, .. } if site == AttachSite::Service => {
                (Some(places::cgroup_path(cgroup)?), ports.to_vec())
            }
            _ => (None, Vec::new()),
        };
        Ok(inode)
    }

    /// Nothing in a steered connection tells which of two cgroups of one namespace it came from.
    fn refuse_second_host(&self, id: u32, inode: u64, site: AttachSite) -> Result<(), RedirectError> {
        let host = |at: &Attached| at.site != AttachSite::Pod || site != AttachSite::Pod;
        let other = self.attached.iter().find(|(other, at)| **other != id && at.inode == inode && host(at));
        other.map_or(Ok(()), |(other, _)| Err(RedirectError::SecondHost { other: *other }))
    }

    fn fill(&mut self, attachment: &KernelAttachment<'_>, site: AttachSite) -> Result<(), RedirectError> {
        let id = attachment.id;
        self.maps.set_locals(id, attachment.addresses)?;
        self.maps.set_shared(id, site != AttachSite::Pod)?;
        match attachment.place {
            AttachPoint::Host { ports, .. } if site == AttachSite::Service => self.maps.set_owned(id, ports)?,
            _ => self.maps.set_owned(id, &[])?,
        }
        for (v6, udp, listeners) in attachment.listeners.each() {
            // Without an address of its own in a family there is no route, so what policy wants steered is refused.
            let routed = attachment.addresses.iter().any(|address| address.is_ipv6() == v6);
            // What they accept is ours as well.
            let failed = |source| RedirectError::Namespace { endpoint: id, step: "mark listeners", source };
            listeners.iter().try_for_each(|listener| self.upstreams.adopt(listener.as_fd())).map_err(failed)?;
            self.maps.set_listeners(slot(id, v6, udp), self.workers, if routed { listeners } else { &[] })?;
        }
        self.mark_creations(id)
    }

    fn link(
        &mut self,
        attachment: &KernelAttachment<'_>,
        site: AttachSite,
        inode: u64,
        cookie: u64,
    ) -> Result<(), RedirectError> {
        let id = attachment.id;
        let prefix = format!("endpoint-{id}-{inode}");
        let mut ebpf = self.loader.load(id, cookie, site.number())?;
        let mut names = vec![format!("{prefix}-lookup")];
        let mut links = vec![self.loader.attach_lookup(&mut ebpf, attachment.place.netns(), &names[0])?];
        if let AttachPoint::Host { cgroup, .. } = attachment.place
            && site == AttachSite::Service
        {
            let path = places::cgroup_path(cgroup)?;
            let cgroup = places::open_cgroup(&path)?;
            let number = places::cgroup_number(&cgroup, &path)?;
            let prefix = format!("{prefix}-{number}");
            links.extend(self.loader.attach_egress(&mut ebpf, cgroup.as_fd(), &prefix)?);
            // What judges all its packets judges these.
            if !self.options.packets {
                let echo = format!("{prefix}-{ECHO}");
                links.push(self.loader.attach_skb(&mut ebpf, (ECHO, Egress), cgroup.as_fd(), &echo)?);
                names.push(echo);
            }
            names.extend(EGRESS.map(|program| format!("{prefix}-{program}")));
            self.maps.set_service(id, Some(number), cookie)?;
        }
        self.attached.entry(id).and_modify(|attached| (attached.links, attached.broken) = (links, false));
        remove_other_links(&self.directory, id, inode, &names)
    }

    /// A handle for worker threads.
    #[must_use]
    pub fn upstreams(&self) -> UpstreamHandle {
        self.upstreams.clone()
    }

    /// Reads refused flows. Has to be called in a tokio runtime.
    ///
    /// # Errors
    /// The ring cannot be opened or polled.
    pub fn refusals(&self) -> Result<Refusals, RedirectError> {
        Refusals::new(self.maps.refusals()?, self.maps.lost()?)
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        if self.fresh {
            std::mem::take(&mut self.node).into_iter().chain(self.echo.take()).for_each(|link| drop(link.remove()));
            let _ = unpin_all(&self.directory, &self.claim);
        }
    }
}

/// Attaches the programs above all pods to their cgroup. Links that an earlier process has pinned stay where they are: at
/// another cgroup, if the setting was another.
fn attach_above_all(loader: &mut Loader, directory: &Path, path: &Path) -> Result<Vec<Link>, RedirectError> {
    let cgroup = places::open_cgroup(path)?;
    let mut ebpf = loader.load(0, 0, POD)?;
    let name = format!("{ABOVE_ALL}{}", places::cgroup_number(&cgroup, path)?);
    let links = loader.attach_egress(&mut ebpf, cgroup.as_fd(), &name)?;
    remove_links(directory, |pin| pin.starts_with(ABOVE_ALL) && !pin.starts_with(&format!("{name}-")))?;
    Ok(links)
}

/// A namespace as callers open it.
impl Redirect {
    /// Opens a network namespace by its path.
    ///
    /// # Errors
    /// Nothing is there.
    pub fn open_netns(path: &Path) -> io::Result<OwnedFd> {
        Ok(File::open(path)?.into())
    }
}
