//! The loader: what is attached, and in which order.

mod ports;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::{self, File},
    io,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use portcullis_redirect_common::{MAX_ENDPOINTS, POD, slot};

use crate::{
    attachment::{Attachment, Listeners, Options},
    connections::Judge,
    datagrams::Ranges,
    echo::Echo,
    error::Error,
    layouts,
    legs::{LegMaps, Legs},
    links::{ABOVE_ALL, ECHO, EGRESS, Link, Loader, Pin, remove_link, remove_links, remove_other_links, remove_pin},
    maps::{self, Maps},
    namespace, places,
    refusals::Refusals,
    routes,
    site::{Place, Site},
    sysctl,
};

#[derive(Debug)]
struct Attached {
    netns: OwnedFd,
    inode: u64,
    site: Site,
    /// Of a service, its cgroup.
    cgroup: Option<PathBuf>,
    /// Its own addresses.
    addresses: Vec<IpAddr>,
    /// Of a service, its ports.
    owned: Vec<(u8, u16)>,
    links: Vec<Link>,
}

/// The loader. Dropping it without [`Redirect::close`] is what a crash does: pinned links stay.
pub struct Redirect {
    directory: PathBuf,
    loader: Loader,
    workers: u32,
    maps: Maps,
    legs: Legs,
    /// The programs above all pods, and the cgroup that they are attached to.
    node: Vec<Link>,
    cgroup: PathBuf,
    /// What judges echo requests there, while policy speaks of them.
    echo: Echo,
    attached: BTreeMap<u32, Attached>,
    /// The ports whose datagrams are steered, by endpoint.
    udp_ports: BTreeMap<u32, Ranges>,
    /// The ports whose datagrams were steered and are refused now, by endpoint.
    lost_ports: BTreeMap<u32, Ranges>,
    /// Endpoints whose open connections may fare otherwise than they were told.
    changed: BTreeSet<u32>,
    judge: Arc<Judge>,
}

impl Redirect {
    /// Loads the programs and attaches those above all pods; takes over what an earlier process pinned.
    ///
    /// # Errors
    /// bpffs or cgroup2 is not to be had, or the kernel refuses the programs.
    pub fn open(options: Options) -> Result<Self, Error> {
        let directory = places::pin_directory(&options.bpffs)?;
        let path = match &options.cgroup {
            Some(path) => places::real_path(path)?,
            None => places::real_path(&places::cgroup_root()?)?,
        };
        let cgroup = places::open_cgroup(&path)?;
        let workers = options.workers.max(1);
        let mut loader = Loader::new(&directory, &options);
        let mut ebpf = loader.load(0, 0, POD)?;
        // Links that an earlier process has pinned stay where they are: at another cgroup, if the setting was another.
        let name = format!("{ABOVE_ALL}{}", places::cgroup_number(&cgroup, &path)?);
        let node = loader.attach_egress(&mut ebpf, cgroup.as_fd(), &name)?;
        remove_links(&directory, |pin| pin.starts_with(ABOVE_ALL) && !pin.starts_with(&format!("{name}-")))?;
        let mut maps = Maps::open(&directory)?;
        maps.forget_legs()?;
        let legs = LegMaps { own_sockets: maps.descriptor("OWN_SOCKETS")?, own_legs: maps.descriptor("OWN_LEGS")? };
        let legs = Legs { maps: Arc::new(legs) };
        let judge = Arc::new(Judge::open(&directory)?);
        Ok(Self {
            directory,
            loader,
            workers,
            maps,
            legs,
            node,
            cgroup: path,
            echo: Echo::default(),
            attached: BTreeMap::new(),
            udp_ports: BTreeMap::new(),
            lost_ports: BTreeMap::new(),
            changed: BTreeSet::new(),
            judge,
        })
    }

    /// Judges echo requests from now on if some table speaks of ICMP, and no more if none does. Each packet on its way out
    /// passes the program that does it.
    ///
    /// # Errors
    /// The kernel refuses the program. Everything else is judged all the same.
    pub fn judge_echo(&mut self) -> Result<(), Error> {
        self.echo.settle(self.maps.judges_echo(), &mut self.loader, &self.cgroup)
    }

    /// Steers an endpoint, whose table has to be set before. Again: with other addresses, listeners or ports.
    ///
    /// # Errors
    /// Something in its namespace fails, or a map is full. What policy wants steered is then refused, until another try succeeds
    /// or [`Redirect::detach`] undoes what was done so far. Only where the kernel takes no program is nothing judged: in the
    /// namespace, of what comes in; of a service of the host, of what its cgroup opens.
    pub fn attach(&mut self, attachment: &Attachment<'_>) -> Result<(), Error> {
        let id = attachment.id;
        let site = Site::of(&attachment.place, &self.cgroup)?;
        let inode = self.enlist(attachment, site)?;
        let failed = |source| Error::Namespace { endpoint: id, step: "enter", source };
        let cookie = namespace::inside(attachment.place.netns(), namespace::cookie).map_err(failed)?;
        let prepared = self.prepare(attachment, inode, cookie);
        let listening = match prepared {
            Ok(()) => *attachment,
            Err(_) => Attachment { listeners: Listeners::default(), ..*attachment },
        };
        let filled = self.fill(&listening, site);
        let first = self.attached.get(&id).is_some_and(|attached| attached.links.is_empty());
        let linked = if first { self.link(attachment, site, inode, cookie) } else { Ok(()) };
        // Whatever failed before, what can be judged is judged from here on.
        let entered = match site {
            // Its own programs judge it. An earlier process may have taken it for the whole host.
            Site::Service => self.maps.leave_pod(id).map(drop),
            _ => self.maps.enter_pod(cookie, id),
        };
        if first {
            self.changed.insert(id);
        }
        prepared.and(filled).and(linked).and(entered)
    }

    /// What a namespace needs so that steered flows find their listener.
    fn prepare(&mut self, attachment: &Attachment<'_>, inode: u64, cookie: u64) -> Result<(), Error> {
        let (netns, addresses) = (attachment.place.netns(), attachment.addresses);
        let failed = |step| move |source| Error::Namespace { endpoint: attachment.id, step, source };
        let old = namespace::inside(netns, sysctl::switch_on).map_err(failed("set sysctls"))?;
        self.maps.remember_sysctls(cookie, old)?;
        let (ports, lost) = self.ports_inside(inode);
        let broadcasts = namespace::inside(netns, || routes::set_up(addresses, &ports, &lost))
            .map_err(failed("make rules and routes (is its loopback device up?)"))?;
        self.maps.set_broadcasts(attachment.id, &broadcasts)
    }

    /// Notes an endpoint before anything is done for it, so that all of it is undone when a step fails. Gives the inode
    /// of its namespace.
    fn enlist(&mut self, attachment: &Attachment<'_>, site: Site) -> Result<u64, Error> {
        let id = attachment.id;
        if id == 0 || id >= MAX_ENDPOINTS {
            return Err(Error::Number(id));
        }
        let netns = attachment.place.netns();
        let failed = |step| move |source| Error::Namespace { endpoint: id, step, source };
        let inode = namespace::inode(netns).map_err(failed("look at"))?;
        if self.attached.get(&id).is_some_and(|attached| attached.inode != inode) {
            self.release(id)?;
        }
        self.refuse_second_host(id, inode, site)?;
        let attached = match self.attached.entry(id) {
            Entry::Vacant(vacant) => {
                let netns = netns.try_clone_to_owned().map_err(failed("keep"))?;
                let (addresses, owned, links) = (Vec::new(), Vec::new(), Vec::new());
                vacant.insert(Attached { netns, inode, site, cgroup: None, addresses, owned, links })
            }
            Entry::Occupied(occupied) => occupied.into_mut(),
        };
        attached.site = site;
        attached.addresses = attachment.addresses.to_vec();
        (attached.cgroup, attached.owned) = match attachment.place {
            Place::Host { cgroup, ports, .. } if site == Site::Service => {
                (Some(places::cgroup_path(cgroup)?), ports.to_vec())
            }
            _ => (None, Vec::new()),
        };
        Ok(inode)
    }

    /// Nothing in a steered connection tells which of two cgroups of one namespace it came from.
    fn refuse_second_host(&self, id: u32, inode: u64, site: Site) -> Result<(), Error> {
        let host = |at: &Attached| at.site != Site::Pod || site != Site::Pod;
        let other = self.attached.iter().find(|(other, at)| **other != id && at.inode == inode && host(at));
        other.map_or(Ok(()), |(other, _)| Err(Error::SecondHost { other: *other }))
    }

    fn fill(&mut self, attachment: &Attachment<'_>, site: Site) -> Result<(), Error> {
        let id = attachment.id;
        self.maps.set_locals(id, attachment.addresses)?;
        self.maps.set_shared(id, site != Site::Pod)?;
        match attachment.place {
            Place::Host { ports, .. } if site == Site::Service => self.maps.set_owned(id, ports)?,
            _ => self.maps.set_owned(id, &[])?,
        }
        for (v6, udp, listeners) in attachment.listeners.each() {
            // Without an address of its own in a family there is no route, so what policy wants steered is refused.
            let routed = attachment.addresses.iter().any(|address| address.is_ipv6() == v6);
            // What they accept is ours as well.
            let failed = |source| Error::Namespace { endpoint: id, step: "mark listeners", source };
            listeners.iter().try_for_each(|listener| self.legs.adopt(listener.as_fd())).map_err(failed)?;
            self.maps.set_listeners(slot(id, v6, udp), self.workers, if routed { listeners } else { &[] })?;
        }
        self.mark_births(id)
    }

    fn link(&mut self, attachment: &Attachment<'_>, site: Site, inode: u64, cookie: u64) -> Result<(), Error> {
        let id = attachment.id;
        let prefix = format!("endpoint-{id}-{inode}");
        let mut ebpf = self.loader.load(id, cookie, site.number())?;
        let mut names = vec![format!("{prefix}-lookup")];
        let mut links = vec![self.loader.attach_lookup(&mut ebpf, attachment.place.netns(), &names[0])?];
        if let Place::Host { cgroup, .. } = attachment.place
            && site == Site::Service
        {
            let path = places::cgroup_path(cgroup)?;
            let cgroup = places::open_cgroup(&path)?;
            let number = places::cgroup_number(&cgroup, &path)?;
            let prefix = format!("{prefix}-{number}");
            links.extend(self.loader.attach_egress(&mut ebpf, cgroup.as_fd(), &prefix)?);
            let echo = format!("{prefix}-{ECHO}");
            links.push(self.loader.attach_echo(&mut ebpf, cgroup.as_fd(), &echo)?);
            names.push(echo);
            names.extend(EGRESS.map(|program| format!("{prefix}-{program}")));
            self.maps.set_service(id, Some(number), cookie)?;
        }
        self.attached.entry(id).and_modify(|attached| attached.links = links);
        remove_other_links(&self.directory, id, inode, &names)
    }

    /// Steers an endpoint no more: everything of it is gone, sysctls have their old values. Not steered: fine.
    ///
    /// # Errors
    /// Something of it is left. A namespace that is gone is no error.
    pub fn detach(&mut self, id: u32) -> Result<(), Error> {
        self.release(id)?;
        self.set_table(id, &[])?;
        self.udp_ports.remove(&id);
        self.lost_ports.remove(&id);
        self.changed.remove(&id);
        self.maps.set_birth_mark(id, false)
    }

    /// Steers an endpoint no more, but keeps its table.
    fn release(&mut self, id: u32) -> Result<(), Error> {
        let cookies = self.maps.leave_pod(id)?;
        let inode = self.attached.get(&id).map(|attached| attached.inode);
        match self.attached.iter().find(|(other, at)| **other != id && Some(at.inode) == inode) {
            // The same namespace under another number: it stays steered.
            Some((other, _)) => {
                let other = *other;
                cookies.iter().try_for_each(|cookie| self.maps.enter_pod(*cookie, other))?;
            }
            None => {
                if let Some(attached) = self.attached.get(&id) {
                    let failed = |source| Error::Namespace { endpoint: id, step: "keep", source };
                    let netns = attached.netns.try_clone().map_err(failed)?;
                    self.clean_namespace(id, netns.as_fd())?;
                }
                for cookie in cookies {
                    self.maps.forget_sysctls(cookie);
                }
            }
        }
        self.unlink(id)?;
        for (v6, udp, _) in Listeners::default().each() {
            self.maps.set_listeners(slot(id, v6, udp), self.workers, &[])?;
        }
        self.maps.set_owned(id, &[])?;
        self.maps.set_service(id, None, 0)?;
        self.maps.set_broadcasts(id, &[])?;
        self.maps.set_shared(id, false)?;
        self.maps.set_locals(id, &[])
    }

    /// Removes the links of an endpoint, also those that an attachment made which failed half-way.
    fn unlink(&mut self, id: u32) -> Result<(), Error> {
        let failed = |source| Error::Bpffs { path: self.directory.clone(), source };
        let mut links = self.attached.remove(&id).into_iter().flat_map(|attached| attached.links);
        links.try_for_each(Link::remove).map_err(failed)?;
        let mut pins = Pin::all(&self.directory)?.into_iter().filter(|pin| pin.id == id);
        pins.try_for_each(|pin| remove_link(&pin.path)).map_err(failed)
    }

    fn clean_namespace(&mut self, id: u32, netns: BorrowedFd<'_>) -> Result<(), Error> {
        let failed = |step| move |source| Error::Namespace { endpoint: id, step, source };
        let cookie = namespace::inside(netns, namespace::cookie).map_err(failed("look at"))?;
        namespace::inside(netns, routes::tear_down).map_err(failed("remove rules and routes of"))?;
        if let Some(old) = self.maps.forget_sysctls(cookie) {
            namespace::inside(netns, || sysctl::restore(old)).map_err(failed("restore sysctls"))?;
        }
        Ok(())
    }

    /// Removes what an earlier process left for endpoints other than these.
    ///
    /// # Errors
    /// Something of it is left.
    pub fn retain(&mut self, ids: &[u32]) -> Result<(), Error> {
        for pin in Pin::all(&self.directory)? {
            // One that could not be attached yet keeps what it has: its steered flows are refused, not passed.
            let current = self.attached.get(&pin.id).is_none_or(|attached| attached.inode == pin.inode);
            if current && ids.contains(&pin.id) {
                continue;
            }
            if let Some(netns) = namespace::find(pin.inode) {
                let shared = self.attached.values().any(|attached| attached.inode == pin.inode);
                if !shared {
                    self.clean_namespace(pin.id, netns.as_fd())?;
                }
            }
            remove_link(&pin.path).map_err(|source| Error::Bpffs { path: pin.path, source })?;
        }
        for id in self.maps.endpoints()? {
            if !ids.contains(&id) {
                self.detach(id)?;
            }
        }
        layouts::remove_others(&self.directory)
    }

    /// A handle for worker threads.
    #[must_use]
    pub fn legs(&self) -> Legs {
        self.legs.clone()
    }

    /// Reads refused flows. Has to be called in a tokio runtime.
    ///
    /// # Errors
    /// The ring cannot be opened or polled.
    pub fn refusals(&self) -> Result<Refusals, Error> {
        Refusals::new(self.maps.refusals()?, self.maps.lost()?)
    }

    /// Ends. With `keep` pinned links stay, so that steered flows are refused until the next process comes; else
    /// everything that is ours is gone.
    ///
    /// # Errors
    /// Something is left; the rest is removed nevertheless.
    pub fn close(mut self, keep: bool) -> Result<(), Error> {
        if keep {
            return Ok(());
        }
        let ids: Vec<u32> = self.attached.keys().copied().collect();
        let mut results: Vec<Result<(), Error>> = ids.into_iter().map(|id| self.detach(id)).collect();
        results.push(self.retain(&[]));
        for link in std::mem::take(&mut self.node).into_iter().chain(self.echo.take()) {
            results.push(link.remove().map_err(|source| Error::Bpffs { path: self.directory.clone(), source }));
        }
        results.push(self.unpin_all());
        results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }

    fn unpin_all(&self) -> Result<(), Error> {
        let failed = |source| Error::Bpffs { path: self.directory.clone(), source };
        for name in maps::NAMES {
            remove_pin(&self.directory.join(name)).map_err(failed)?;
        }
        fs::remove_dir(&self.directory).map_err(failed)?;
        // The directory above may hold what another version pinned; then it stays.
        if let Some(above) = self.directory.parent() {
            let _ = fs::remove_dir(above);
        }
        Ok(())
    }
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
