//! Judging echo requests of ICMP, which costs each packet on its way out a look: only while policy speaks of them.

use std::{os::fd::AsFd, path::Path};

use portcullis_redirect_common::POD;

use crate::{
    error::Error,
    links::{ABOVE_ALL, ECHO, Link, Loader},
    places,
};

/// The program above all pods that judges echo requests, while it is attached.
#[derive(Debug, Default)]
pub(crate) struct Echo(Option<Link>);

impl Echo {
    /// Attaches it or takes it away, also where an earlier process has pinned it.
    ///
    /// # Errors
    /// The kernel refuses the program, which asks for the namespace of a packet's socket: Linux 6.15 lets it.
    pub(crate) fn settle(&mut self, wanted: bool, loader: &mut Loader, cgroup: &Path) -> Result<(), Error> {
        if wanted && self.0.is_some() {
            return Ok(());
        }
        let opened = places::open_cgroup(cgroup)?;
        let pin = format!("{ABOVE_ALL}{}-{ECHO}", places::cgroup_number(&opened, cgroup)?);
        if !wanted {
            self.0 = None;
            return loader.remove(&pin);
        }
        let mut ebpf = loader.load(0, 0, POD)?;
        self.0 = Some(loader.attach_echo(&mut ebpf, opened.as_fd(), &pin)?);
        Ok(())
    }

    /// Gives its link away, to be removed.
    pub(crate) fn take(&mut self) -> Option<Link> {
        self.0.take()
    }
}
