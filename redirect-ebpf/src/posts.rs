//! Attaches a packet program to a side of a device, in front of the programs of others, and verifies that it is there.
//!
//! A link stays at its device when the device moves to another namespace, and device numbers are reused. So neither
//! the name of a pin nor the link itself shows what is judged: only the list of programs that the kernel runs at that
//! place now.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use aya::{
    Ebpf,
    programs::{LinkOrder, ProgramFd, SchedClassifier, TcAttachType, links::FdLink, tc::TcAttachOptions},
};
use nix::net::if_::if_indextoname;

use crate::{
    error::RedirectError,
    filters::{self, FilterSide},
    links::{BoxError, Link, Loader, TOO_OLD, program, remove_pin},
    namespace,
    persist::persist,
    pinned::Pinned,
    sys,
};

/// By what programs are held at devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldBy {
    /// Links, which nobody in a namespace can take away.
    Links,
    /// Filters, where the kernel has no links there. The pins are those of the programs, and tell where a filter is.
    Filters,
}

/// A side of a device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSide {
    pub(crate) netns: Arc<OwnedFd>,
    pub(crate) device: u32,
    pub(crate) ingress: bool,
}

impl DeviceSide {
    fn side(&self) -> FilterSide {
        FilterSide { device: self.device, ingress: self.ingress }
    }
}

/// How a program of ours stands among those that run at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProgramStanding {
    /// It runs first.
    First,
    /// Programs of these numbers run before it; 0 is a filter without one. What they let pass for good, or send elsewhere, it
    /// never sees.
    Behind(Vec<u32>),
    /// It does not run.
    Absent,
}

/// A judge at its place.
#[derive(Debug)]
pub(crate) enum AttachedProgram {
    /// At a device, by a link.
    Link(DeviceSide, Link),
    /// At a device, by a filter. Number, and pin, of the program of the filter whose name is the pin's.
    Filter(DeviceSide, u32, Pinned),
    /// At a cgroup, where all programs are asked, in whatever order.
    Cgroup(Link),
}

impl AttachedProgram {
    /// Attaches a judge. One that an earlier process, or an earlier try, has pinned gets another program where it stands
    /// first; else a new one takes its place in front, and the old one goes after that.
    pub(crate) fn take(
        loader: &Loader,
        by: HeldBy,
        ebpf: &mut Ebpf,
        name: &'static str,
        place: DeviceSide,
        pin: &str,
    ) -> Result<Self, RedirectError> {
        let failed = |source| RedirectError::Attach { program: name, target: pin.to_owned(), source };
        let attached = namespace::inside(place.netns.as_fd(), || Ok(attach(loader, by, ebpf, name, &place, pin)));
        attached.map_err(|error| failed(error.into()))?.map_err(failed)
    }

    /// Puts its pin back where that is gone. Returns whether that had to be done.
    pub(crate) fn restore_pin(&mut self) -> io::Result<bool> {
        match self {
            Self::Link(_, link) | Self::Cgroup(link) => link.restore_pin(),
            Self::Filter(_, _, pinned) => pinned.restore(),
        }
    }

    /// Detaches it.
    pub(crate) fn remove(self) -> io::Result<()> {
        match self {
            Self::Link(_, link) | Self::Cgroup(link) => link.remove(),
            Self::Filter(place, _, pinned) => {
                remove_filter(&place, pinned.path())?;
                pinned.unpin().map(drop)
            }
        }
    }

    /// The namespace that it is looked at in.
    fn netns(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Link(place, _) | Self::Filter(place, ..) => Some(place.netns.as_fd()),
            Self::Cgroup(_) => None,
        }
    }

    /// How it stands, in the calling thread's namespace.
    fn standing(&self) -> io::Result<ProgramStanding> {
        match self {
            Self::Cgroup(link) => Ok(if link.is_intact() { ProgramStanding::First } else { ProgramStanding::Absent }),
            Self::Link(place, link) => {
                let is_it = |(program, number): &(u32, u32)| (*program, *number) == (link.program(), link.number());
                let found = sys::device_programs(place.device, place.ingress)?;
                Ok(standing(&found, is_it, |(program, _)| *program))
            }
            Self::Filter(place, program, pinned) => {
                let name = filters::name(pinned.path());
                let found = filters::chain(place.side())?;
                Ok(standing(
                    &found,
                    |filter| filter.program == *program && filter.name == name,
                    |filter| filter.program,
                ))
            }
        }
    }
}

fn standing<T>(chain: &[T], is_it: impl Fn(&T) -> bool, program: impl Fn(&T) -> u32) -> ProgramStanding {
    match chain.iter().position(is_it) {
        Some(0) => ProgramStanding::First,
        Some(at) => ProgramStanding::Behind(chain[..at].iter().map(program).collect()),
        None => ProgramStanding::Absent,
    }
}

/// How each of these stands, in their order. One that cannot be looked at is absent: its device is gone.
pub(crate) fn standings<'a>(posts: impl Iterator<Item = &'a AttachedProgram>) -> io::Result<Vec<ProgramStanding>> {
    let posts: Vec<&AttachedProgram> = posts.collect();
    let places = posts.iter().filter_map(|post| Some((post.netns()?, *post))).collect();
    let mut looked = namespace::through(places, AttachedProgram::standing)?.into_iter();
    let found = posts.iter().map(|post| match post.netns() {
        Some(_) => looked.next().unwrap_or(Ok(ProgramStanding::Absent)),
        None => post.standing(),
    });
    Ok(found.map(|found| found.unwrap_or(ProgramStanding::Absent)).collect())
}

/// Takes away the filter whose program is pinned at a path, and nothing else.
pub(crate) fn remove_filter(place: &DeviceSide, pin: &Path) -> io::Result<()> {
    namespace::inside(place.netns.as_fd(), || filters::remove(place.side(), &filters::name(pin)))
}

fn attach(
    loader: &Loader,
    by: HeldBy,
    ebpf: &mut Ebpf,
    name: &'static str,
    place: &DeviceSide,
    pin: &str,
) -> Result<AttachedProgram, BoxError> {
    let program: &mut SchedClassifier = program(ebpf, name)?;
    if program.fd().is_err() {
        persist(|| program.load())?;
    }
    let fd = program.fd()?.try_clone()?;
    match by {
        HeldBy::Links => link(loader, program, &fd, place, pin).map(|link| AttachedProgram::Link(place.clone(), link)),
        HeldBy::Filters => filter(program, &loader.pin_path(pin), place),
    }
}

fn link(
    loader: &Loader,
    program: &mut SchedClassifier,
    fd: &ProgramFd,
    place: &DeviceSide,
    pin: &str,
) -> Result<Link, BoxError> {
    let stands_first = |link: BorrowedFd<'_>| {
        let first = sys::device_programs(place.device, place.ingress).map(|found| found.first().map(|first| first.1));
        sys::link_info(link).is_ok_and(|info| first.is_ok_and(|first| first == Some(info.id)))
    };
    loader.put_where(pin, fd, stands_first, || -> Result<FdLink, BoxError> {
        let device = if_indextoname(place.device)?.to_string_lossy().into_owned();
        let side = if place.ingress { TcAttachType::Ingress } else { TcAttachType::Egress };
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = program.attach_with_options(&device, side, order)?;
        program.take_link(id)?.try_into().map_err(|_| BoxError::from(TOO_OLD))
    })
}

/// The pin comes first: what is at a device is always found again.
fn filter(program: &SchedClassifier, pin: &Path, place: &DeviceSide) -> Result<AttachedProgram, BoxError> {
    let new = pin.with_file_name(format!("{}-new", pin.file_name().unwrap_or_default().to_string_lossy()));
    remove_pin(&new)?;
    sys::pin(program.fd()?.as_fd(), &new)?;
    fs::rename(&new, pin)?;
    filters::put(place.side(), &filters::name(pin), program.fd()?.as_fd())?;
    Ok(AttachedProgram::Filter(place.clone(), program.info()?.id(), Pinned::open(pin)?))
}
