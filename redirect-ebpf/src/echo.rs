//! Attaches the program that judges ICMP echo requests. It inspects each outgoing packet, so it is attached only while
//! a policy has rules for ICMP.

use std::{os::fd::AsFd, path::Path};

use aya::programs::CgroupSkbAttachType::Egress;
use portcullis_redirect_common::POD;

use crate::{
    error::RedirectError,
    links::{ABOVE_ALL, ECHO, Link, Loader},
    places, preflight,
};

/// The program above all pods that judges echo requests, while it is attached.
#[derive(Debug)]
pub(crate) struct Echo {
    link: Option<Link>,
    /// Whether the kernel has what it takes. It is asked once: a program that is refused costs a load at each try.
    feasible: bool,
}

impl Echo {
    /// Not attached.
    pub(crate) fn new() -> Self {
        Self { link: None, feasible: preflight::has_echo() }
    }

    /// Attaches it or takes it away, also where an earlier process has pinned it.
    ///
    /// # Errors
    /// The kernel refuses the program, which asks for the namespace of a packet's socket: Linux 6.15 lets it.
    pub(crate) fn settle(&mut self, wanted: bool, loader: &mut Loader, cgroup: &Path) -> Result<(), RedirectError> {
        if wanted && self.link.is_some() {
            return Ok(());
        }
        let opened = places::open_cgroup(cgroup)?;
        let pin = format!("{ABOVE_ALL}{}-{ECHO}", places::cgroup_number(&opened, cgroup)?);
        if !wanted {
            self.link = None;
            return loader.remove(&pin);
        }
        if !self.feasible {
            return Err(RedirectError::NoEcho { release: preflight::release() });
        }
        let mut ebpf = loader.load(0, 0, POD)?;
        self.link = Some(loader.attach_skb(&mut ebpf, (ECHO, Egress), opened.as_fd(), &pin)?);
        Ok(())
    }

    /// Its link, while it is attached.
    pub(crate) fn link(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }

    /// Gives its link away, to be removed.
    pub(crate) fn take(&mut self) -> Option<Link> {
        self.link.take()
    }
}
