//! Attaches the programs that see packets at a cgroup.

use std::os::fd::BorrowedFd;

use aya::{
    Ebpf,
    programs::{CgroupSkb, CgroupSkbAttachType, links::FdLink},
};

use super::{BoxError, Link, Loader, MODE, program};
use crate::{error::RedirectError, persist::persist};

impl Loader {
    /// Attaches a judge of packets to a cgroup, of those that its sockets send or get.
    pub(crate) fn attach_skb(
        &self,
        ebpf: &mut Ebpf,
        (name, side): (&'static str, CgroupSkbAttachType),
        cgroup: BorrowedFd<'_>,
        pin: &str,
    ) -> Result<Link, RedirectError> {
        let failed = |source| RedirectError::Attach { program: name, target: pin.to_owned(), source };
        let program: &mut CgroupSkb = program(ebpf, name).map_err(failed)?;
        persist(|| program.load()).map_err(|error| failed(error.into()))?;
        let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| failed(error.into()))?;
        let attach = || -> Result<FdLink, BoxError> {
            let id = program.attach(cgroup, side, MODE)?;
            program.take_link(id)?.try_into().map_err(|_| BoxError::from("the kernel is too old for links"))
        };
        self.put(pin, &fd, attach).map_err(failed)
    }
}
