//! Packet programs of endpoints that share the host's namespace. Their devices belong to everybody, so their packets
//! are judged at their sockets, by programs at the cgroup of a service, or for the host itself at the cgroup above all
//! endpoints.

use std::{collections::BTreeMap, os::fd::AsFd, path::Path};

use aya::programs::CgroupSkbAttachType;

use super::{DevicePair, JudgedDevices, LINKS, PacketEndpoint, PacketJudge, PacketPrograms};
use crate::{
    error::RedirectError, links::Loader, namespace, places, posts::AttachedProgram, preflight, site::AttachSite,
};

/// The programs, and what they see.
const PROGRAMS: [(&str, CgroupSkbAttachType); 2] =
    [("send", CgroupSkbAttachType::Egress), ("receive", CgroupSkbAttachType::Ingress)];

impl PacketPrograms {
    /// Judges the packets of all sockets of a cgroup from now on. What is detached or swapped is attached again.
    ///
    /// # Errors
    /// The kernel refuses a program, or the cgroup is gone. What was judged before is judged on.
    pub(crate) fn judge_sockets(
        &mut self,
        subject: &PacketEndpoint<'_>,
        site: AttachSite,
        cgroup: &Path,
        loader: &mut Loader,
    ) -> Result<(), RedirectError> {
        let PacketEndpoint { id, netns, inode } = *subject;
        if !self.wanted || (site == AttachSite::Node && !self.tells_namespaces()) {
            return self.forget(id);
        }
        let opened = places::open_cgroup(cgroup)?;
        let number = places::cgroup_number(&opened, cgroup)?;
        let listeners: Vec<DevicePair> = vec![(site.number(), Some((number, 0)))];
        if self.guarded.get(&id).is_some_and(|guarded| guarded.listeners == listeners && guarded.fault().is_none()) {
            return Ok(());
        }
        let failed = |source| RedirectError::Namespace { endpoint: id, step: "look at", source };
        let home = namespace::inside(netns, namespace::cookie).map_err(failed)?;
        let mut ebpf = loader.load(id, home, site.number())?;
        let mut posts = BTreeMap::new();
        let attached = PROGRAMS.into_iter().try_for_each(|program| {
            let name = format!("{LINKS}{id}-{inode}-{}-{number}", program.0);
            let link = loader.attach_skb(&mut ebpf, program, opened.as_fd(), &name)?;
            posts.insert(name, AttachedProgram::Cgroup(link));
            Ok(())
        });
        self.replace(id, attached, JudgedDevices { listeners, guard: PacketJudge::Cgroup, posts })
    }

    /// Whether the kernel tells the packets of the host's own sockets from those of pods. It is told once where it does not.
    fn tells_namespaces(&mut self) -> bool {
        if self.feasible.is_none() {
            let feasible = preflight::has_echo();
            self.feasible = Some(feasible);
            if !feasible {
                tracing::warn!(
                    "packets of the host itself that no hook at a socket sees (raw sockets) pass: Linux 6.15 is needed"
                );
            }
        }
        self.feasible == Some(true)
    }
}
