//! The packet programs of endpoints, and reactions to changes in their namespaces.

use std::{io, os::fd::AsFd, sync::mpsc::Receiver};

use super::Redirect;
use crate::{
    error::RedirectError,
    packets::{PacketEndpoint, PacketJudge},
    site::AttachSite,
    watch::NetlinkWatch,
};

impl Redirect {
    /// Tells from now on, by their numbers, of endpoints in whose namespaces somebody has changed what steering needs: such
    /// ones are to be attached again. At most a few times a second for each.
    ///
    /// # Errors
    /// No thread or descriptor is to be had.
    pub fn watch(&mut self) -> io::Result<Receiver<u32>> {
        let (watch, reports) = NetlinkWatch::begin()?;
        for (id, attached) in &self.attached {
            watch.add(*id, attached.netns.as_fd(), attached.inode)?;
        }
        self.watch = Some(watch);
        Ok(reports)
    }

    pub(super) fn listen(&self, id: u32) -> io::Result<()> {
        let (Some(watch), Some(attached)) = (&self.watch, self.attached.get(&id)) else { return Ok(()) };
        watch.add(id, attached.netns.as_fd(), attached.inode)
    }

    /// Judges the packets of an endpoint while it has a table.
    ///
    /// # Errors
    /// The kernel refuses a program. What the hooks at sockets see is judged all the same.
    pub fn judge_packets(&mut self, id: u32) -> Result<(), RedirectError> {
        let Some(attached) = self.attached.get(&id) else { return Ok(()) };
        if !self.maps.judges(id) {
            return self.packets.forget(id);
        }
        if self.packets.guard(id) == PacketJudge::Off {
            // Connections that are open now are older than the programs, whatever was recorded before their packets were judged.
            self.judge.forget_older(id)?;
        }
        let (netns, inode, site) = (attached.netns.as_fd(), attached.inode, attached.site);
        let cgroup = match site {
            AttachSite::Pod => {
                return self.packets.judge(&PacketEndpoint { id, netns, inode }, &mut self.loader);
            }
            AttachSite::Node => &self.cgroup,
            // It has none until it is attached.
            AttachSite::Service => match &attached.cgroup {
                Some(cgroup) => cgroup,
                None => return Ok(()),
            },
        };
        self.packets.judge_sockets(&PacketEndpoint { id, netns, inode }, site, cgroup, &mut self.loader)
    }

    /// Where the packets of an endpoint are judged.
    #[must_use]
    pub fn guard(&self, id: u32) -> PacketJudge {
        self.packets.guard(id)
    }
}
