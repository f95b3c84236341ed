//! Programs and their links: loaded, attached and pinned, or swapped into a link that an earlier process has pinned.

mod cgroup_skb;

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{
        CgroupAttachMode, CgroupSock, CgroupSockAddr, CgroupSockopt, ProgramFd, SkLookup,
        links::{FdLink, PinnedLink},
    },
};

use crate::{
    attachment::RedirectOptions,
    error::RedirectError,
    maps,
    persist::persist,
    pinned::Pinned,
    sys::{self, LinkInfo},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../programs/portcullis.bpf.o");

/// `Single` makes a link that lets others attach as well; `AllowMultiple` is refused for links.
const MODE: CgroupAttachMode = CgroupAttachMode::Single;

/// The program that judges echo requests.
pub(crate) const ECHO: &str = "echo";

/// What the pins of the programs above all pods begin with; the number of the cgroup follows.
pub(crate) const ABOVE_ALL: &str = "node-";

/// The programs that judge egress.
pub(crate) const EGRESS: [&str; 7] = ["connect4", "connect6", "sendmsg4", "sendmsg6", "birth", "release", OPTIONS];

pub(crate) const TOO_OLD: &str = "the kernel is too old for links";
/// The program that judges options of sockets.
const OPTIONS: &str = "options";
/// Where it is attached (linux/bpf.h).
const BPF_CGROUP_SETSOCKOPT: i32 = 22;

/// Loads the object again and again, each time for one endpoint, over the same maps.
pub(crate) struct Loader {
    /// One for all loads: making one parses the kernel's types.
    loader: EbpfLoader<'static>,
    directory: PathBuf,
    pin: bool,
    /// Of the program that chooses a worker: their number, and what nobody can guess.
    choice: [u32; 2],
    /// How long an answer to a datagram may come, in nanoseconds.
    answers: u64,
    /// The maps that were loaded first: every further load has to be over these.
    maps: Vec<Pinned>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("directory", &self.directory).field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// A link of ours, held by its descriptor: it stays attached while this process lives, whatever becomes of its pin. One that
/// is pinned outlives the process.
#[derive(Debug)]
pub(crate) struct Link {
    held: Held,
    /// What it was when it was made: with this program, attached to this target.
    made: LinkInfo,
}

#[derive(Debug)]
enum Held {
    Alone(OwnedFd),
    Pinned(Pinned),
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.held {
            Held::Alone(link) => link.as_fd(),
            Held::Pinned(pinned) => pinned.as_fd(),
        }
    }
}

impl Link {
    fn new(held: Held) -> io::Result<Self> {
        let mut link = Self { held, made: LinkInfo::default() };
        link.made = sys::link_info(link.as_fd())?;
        Ok(link)
    }

    fn pinned(path: &Path) -> io::Result<Self> {
        Self::new(Held::Pinned(Pinned::open(path)?))
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.made.id
    }

    /// Number of its program.
    pub(crate) fn program(&self) -> u32 {
        self.made.program
    }

    /// Whether it is attached as it was made, with the program that it was given.
    pub(crate) fn is_intact(&self) -> bool {
        self.made.is_attached() && sys::link_info(self.as_fd()).is_ok_and(|found| found == self.made)
    }

    /// Puts its pin back where that is gone. Returns whether that had to be done.
    pub(crate) fn restore_pin(&mut self) -> io::Result<bool> {
        match &mut self.held {
            Held::Alone(_) => Ok(false),
            Held::Pinned(pinned) => pinned.restore(),
        }
    }

    /// Leaves the name of its pin to another one. It stays attached as long as this value lives.
    pub(crate) fn give_up_pin(self) -> io::Result<Self> {
        let held = match self.held {
            Held::Pinned(pinned) => Held::Alone(pinned.unpin()?),
            alone @ Held::Alone(_) => alone,
        };
        Ok(Self { held, made: self.made })
    }

    /// Detaches. One that another has detached is fine.
    pub(crate) fn remove(self) -> io::Result<()> {
        let _ = sys::detach_link(self.as_fd());
        self.give_up_pin().map(drop)
    }
}

/// Detaches a pinned link, whatever else holds it, and removes the pin. One that is gone is fine, and so is one whose
/// namespace or cgroup is gone.
pub(crate) fn remove_link(path: &Path) -> io::Result<()> {
    if let Ok(link) = sys::open_pinned(path) {
        let _ = sys::detach_link(link.as_fd());
    }
    remove_pin(path)
}

/// Detaches all links of a directory whose pins have such names.
pub(crate) fn remove_links(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), RedirectError> {
    let failed = |source| RedirectError::Bpffs { path: directory.to_owned(), source };
    let entries = fs::read_dir(directory).map_err(failed)?.flatten();
    let mut pins = entries.filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    pins.try_for_each(|entry| remove_link(&entry.path())).map_err(failed)
}

/// Removes a pin; one that is gone is fine.
pub(crate) fn remove_pin(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Loader {
    /// `directory` is where the maps are pinned; links too, when `pin` is set.
    pub(crate) fn new(directory: &Path, options: &RedirectOptions) -> Self {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        for name in maps::NAMES {
            loader.map_pin_path(name, directory.join(name));
        }
        let seed = RandomState::new().build_hasher().finish().to_ne_bytes();
        let choice = [options.workers.max(1), u32::from_ne_bytes([seed[0], seed[1], seed[2], seed[3]])];
        let answers = u64::try_from(options.answers.as_nanos()).unwrap_or(u64::MAX);
        Self { loader, directory: directory.to_owned(), pin: options.pin, choice, answers, maps: Vec::new() }
    }

    /// Holds the maps that a first load has pinned.
    pub(crate) fn hold_maps(&mut self) -> Result<(), RedirectError> {
        let open = |name: &&str| Pinned::open(&self.directory.join(name));
        let held: io::Result<Vec<Pinned>> = maps::NAMES.iter().map(open).collect();
        self.maps = held.map_err(|source| RedirectError::Bpffs { path: self.directory.clone(), source })?;
        Ok(())
    }

    /// Puts pins of maps back that are gone; gives their number.
    pub(crate) fn restore_maps(&mut self) -> Result<usize, RedirectError> {
        let mut restored = 0;
        for map in &mut self.maps {
            let done = map.restore().map_err(|source| RedirectError::Bpffs { path: map.path().to_owned(), source })?;
            restored += usize::from(done);
        }
        Ok(restored)
    }

    /// Loads the programs of an endpoint whose network namespace has this cookie; number 0 is for those above all pods.
    pub(crate) fn load(&mut self, endpoint: u32, home: u64, site: u32) -> Result<Ebpf, RedirectError> {
        // The loader keeps references for its life: 32 bytes an endpoint.
        let constants: &'static [u32; 4] = Box::leak(Box::new([endpoint, site, self.choice[0], self.choice[1]]));
        self.loader.override_global("ENDPOINT", &constants[0], true);
        self.loader.override_global("SITE", &constants[1], true);
        self.loader.override_global("WORKERS", &constants[2], true);
        self.loader.override_global("SEED", &constants[3], true);
        let times: &'static [u64; 2] = Box::leak(Box::new([home, self.answers]));
        self.loader.override_global("HOME", &times[0], true);
        self.loader.override_global("ANSWERS", &times[1], true);
        // Where a map had no pin the load would make another one, and its programs would judge by that: by nothing.
        self.restore_maps()?;
        let loaded = self.loader.load(OBJECT).map_err(|source| RedirectError::Load { source: Box::new(source) })?;
        match self.maps.iter().find(|map| !map.is_there()) {
            Some(map) => {
                let source = io::Error::other("its pin was taken away while programs were loaded");
                Err(RedirectError::Bpffs { path: map.path().to_owned(), source })
            }
            None => Ok(loaded),
        }
    }

    /// Attaches `lookup` to a namespace.
    pub(crate) fn attach_lookup(
        &self,
        ebpf: &mut Ebpf,
        netns: BorrowedFd<'_>,
        pin: &str,
    ) -> Result<Link, RedirectError> {
        let failed = |source| RedirectError::Attach { program: "lookup", target: pin.to_owned(), source };
        let program: &mut SkLookup = program(ebpf, "lookup").map_err(failed)?;
        persist(|| program.load()).map_err(|error| failed(error.into()))?;
        let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| failed(error.into()))?;
        let attach = || -> Result<FdLink, BoxError> {
            let id = program.attach(netns)?;
            Ok(program.take_link(id)?.into())
        };
        self.put(pin, &fd, attach).map_err(failed)
    }

    /// Attaches the egress programs to a cgroup.
    pub(crate) fn attach_egress(
        &self,
        ebpf: &mut Ebpf,
        cgroup: BorrowedFd<'_>,
        prefix: &str,
    ) -> Result<Vec<Link>, RedirectError> {
        EGRESS.into_iter().map(|name| self.attach_one(ebpf, name, cgroup, &format!("{prefix}-{name}"))).collect()
    }

    fn attach_one(
        &self,
        ebpf: &mut Ebpf,
        name: &'static str,
        cgroup: BorrowedFd<'_>,
        pin: &str,
    ) -> Result<Link, RedirectError> {
        let failed = |source| RedirectError::Attach { program: name, target: pin.to_owned(), source };
        let not_a_link = |_| BoxError::from(TOO_OLD);
        let link = if name == "birth" || name == "release" {
            let program: &mut CgroupSock = program(ebpf, name).map_err(failed)?;
            persist(|| program.load()).map_err(|error| failed(error.into()))?;
            let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| failed(error.into()))?;
            self.put(pin, &fd, || {
                let id = program.attach(cgroup, MODE)?;
                program.take_link(id)?.try_into().map_err(not_a_link)
            })
        } else if name == OPTIONS {
            let program: &mut CgroupSockopt = program(ebpf, name).map_err(failed)?;
            persist(|| program.load()).map_err(|error| failed(error.into()))?;
            let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| failed(error.into()))?;
            self.put(pin, &fd, || self.link_options(&fd, cgroup, pin))
        } else {
            let program: &mut CgroupSockAddr = program(ebpf, name).map_err(failed)?;
            persist(|| program.load()).map_err(|error| failed(error.into()))?;
            let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| failed(error.into()))?;
            self.put(pin, &fd, || {
                let id = program.attach(cgroup, MODE)?;
                program.take_link(id)?.try_into().map_err(not_a_link)
            })
        };
        link.map_err(failed)
    }

    /// Attaches the judge of options. Of such a link aya gives no descriptor away, so it is made without aya, and becomes one
    /// of aya's by way of a pin.
    fn link_options(&self, program: &ProgramFd, cgroup: BorrowedFd<'_>, pin: &str) -> Result<FdLink, BoxError> {
        let link = sys::create_link(program.as_fd(), cgroup, BPF_CGROUP_SETSOCKOPT)?;
        let path = self.directory.join(format!("{pin}-new"));
        remove_pin(&path)?;
        sys::pin(link.as_fd(), &path)?;
        Ok(PinnedLink::from_pin(&path)?.unpin()?)
    }

    /// Sets a constant of the programs that are loaded next.
    pub(crate) fn set_constant(&mut self, name: &'static str, value: u32) {
        let value: &'static u32 = Box::leak(Box::new(value));
        self.loader.override_global(name, value, true);
    }

    /// Where a pin of this name is.
    pub(crate) fn pin_path(&self, pin: &str) -> PathBuf {
        self.directory.join(pin)
    }

    /// Detaches what is pinned under a name; nothing is fine.
    pub(crate) fn remove(&self, pin: &str) -> Result<(), RedirectError> {
        let path = self.directory.join(pin);
        remove_link(&path).map_err(|source| RedirectError::Bpffs { path, source })
    }

    /// Swaps the program under a pinned link, or attaches and pins. A pinned link whose target is gone is made anew.
    /// Without pinning, one that an earlier process pinned goes as soon as ours is there.
    fn put(
        &self,
        pin: &str,
        program: &ProgramFd,
        attach: impl FnOnce() -> Result<FdLink, BoxError>,
    ) -> Result<Link, BoxError> {
        self.put_where(pin, program, |_| true, attach)
    }

    /// The same; a pinned link that does not fit is made anew as well, and goes when the new one is there.
    pub(crate) fn put_where(
        &self,
        pin: &str,
        program: &ProgramFd,
        fits: impl FnOnce(BorrowedFd<'_>) -> bool,
        attach: impl FnOnce() -> Result<FdLink, BoxError>,
    ) -> Result<Link, BoxError> {
        let path = self.directory.join(pin);
        if !self.pin {
            let made = attach()?;
            let link = Link::new(Held::Alone(sys::link_by_id(made.info()?.id())?))?;
            remove_link(&path)?;
            return Ok(link);
        }
        let before = sys::open_pinned(&path).ok();
        if let Some(link) = &before
            && fits(link.as_fd())
            && sys::update_link(link.as_fd(), program.as_fd()).is_ok()
        {
            return Ok(Link::pinned(&path)?);
        }
        // One of both is pinned at any time: whenever this process ends, something judges.
        let new = self.directory.join(format!("{pin}-new"));
        remove_pin(&new)?;
        attach()?.pin(&new)?;
        fs::rename(&new, &path)?;
        before.map(|link| sys::detach_link(link.as_fd()));
        Ok(Link::pinned(&path)?)
    }
}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A program of the object.
pub(crate) fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, BoxError>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or("it is not in the object")?;
    Ok(program.try_into()?)
}
