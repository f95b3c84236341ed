//! A judge of packets at a side of a device: attached in front of what others have attached there, and seen to be there.
//!
//! A link stays at its device when that moves to another namespace, and numbers of devices are used again. So neither the
//! name of a pin nor the link itself tells what is judged: only the programs that the kernel runs at that place now.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use aya::{
    Ebpf,
    programs::{LinkOrder, SchedClassifier, TcAttachType, links::FdLink, tc::TcAttachOptions},
};
use nix::net::if_::if_indextoname;

use crate::{
    error::Error,
    links::{BoxError, Link, Loader, TOO_OLD, program},
    namespace,
    persist::persist,
    sys,
};

/// A side of a device.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) netns: Arc<OwnedFd>,
    pub(crate) device: u32,
    pub(crate) ingress: bool,
}

/// How a program of ours stands among those that run at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It runs first.
    First,
    /// Programs of these numbers run before it. What they let pass for good, or send elsewhere, it never sees.
    Behind(Vec<u32>),
    /// It does not run.
    Absent,
}

/// A judge at its place.
#[derive(Debug)]
pub(crate) struct Post {
    place: Place,
    link: Link,
}

impl Post {
    /// Attaches a judge. One that an earlier process, or an earlier try, has pinned gets another program where it stands
    /// first; else a new one takes its place in front, and the old one goes after that.
    pub(crate) fn take(
        loader: &Loader,
        ebpf: &mut Ebpf,
        name: &'static str,
        place: Place,
        pin: &str,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Attach { program: name, target: pin.to_owned(), source };
        let attached = namespace::inside(place.netns.as_fd(), || Ok(attach(loader, ebpf, name, &place, pin)));
        let link = attached.map_err(|error| failed(error.into()))?.map_err(failed)?;
        Ok(Self { place, link })
    }

    /// Puts its pin back where that is gone. Tells whether that had to be done.
    pub(crate) fn restore_pin(&mut self) -> io::Result<bool> {
        self.link.restore_pin()
    }

    /// Detaches it.
    pub(crate) fn remove(self) -> io::Result<()> {
        self.link.remove()
    }
}

/// How each of these stands, in their order. One that cannot be looked at is absent: its device is gone.
pub(crate) fn standings<'a>(posts: impl Iterator<Item = &'a Post>) -> io::Result<Vec<Standing>> {
    let look = |post: &Post| standing(&post.place, post.link.number(), Some(post.link.program()));
    let places = posts.map(|post| (post.place.netns.as_fd(), post)).collect();
    let found = namespace::through(places, look)?;
    Ok(found.into_iter().map(|found| found.unwrap_or(Standing::Absent)).collect())
}

/// Works on the calling thread's namespace.
fn standing(place: &Place, link: u32, program: Option<u32>) -> io::Result<Standing> {
    let found = sys::device_programs(place.device, place.ingress)?;
    let is_it = |found: &(u32, u32)| found.1 == link && program.is_none_or(|program| found.0 == program);
    Ok(match found.iter().position(is_it) {
        Some(0) => Standing::First,
        Some(at) => Standing::Behind(found[..at].iter().map(|(program, _)| *program).collect()),
        None => Standing::Absent,
    })
}

fn attach(loader: &Loader, ebpf: &mut Ebpf, name: &'static str, place: &Place, pin: &str) -> Result<Link, BoxError> {
    let program: &mut SchedClassifier = program(ebpf, name)?;
    if program.fd().is_err() {
        persist(|| program.load())?;
    }
    let fd = program.fd()?.try_clone()?;
    let stands_first = |link: BorrowedFd<'_>| {
        let held = sys::link_info(link).and_then(|info| standing(place, info.id, None));
        held.is_ok_and(|standing| standing == Standing::First)
    };
    loader.put_where(pin, &fd, stands_first, || -> Result<FdLink, BoxError> {
        let device = if_indextoname(place.device)?.to_string_lossy().into_owned();
        let side = if place.ingress { TcAttachType::Ingress } else { TcAttachType::Egress };
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = program.attach_with_options(&device, side, order)?;
        program.take_link(id)?.try_into().map_err(|_| BoxError::from(TOO_OLD))
    })
}
