//! The kind of an endpoint: a pod, a service of the host, or the host itself.

use std::{os::fd::BorrowedFd, path::Path};

use portcullis_redirect_common::{NODE, POD, SERVICE};

use crate::{error::RedirectError, places};

/// Where an endpoint's flows are met.
#[derive(Clone, Copy, Debug)]
pub enum AttachPoint<'a> {
    /// A network namespace of its own.
    Pod {
        /// The namespace.
        netns: BorrowedFd<'a>,
    },
    /// A cgroup whose processes share their namespace with others. The cgroup above all endpoints stands for the whole
    /// host: every process in its namespace, and every port.
    Host {
        /// The namespace.
        netns: BorrowedFd<'a>,
        /// Path of the cgroup, absolute or below the cgroup2 mount.
        cgroup: &'a Path,
        /// The endpoint's ports (IP protocol number, port): ingress to others is not judged, unless it is the whole host.
        ports: &'a [(u8, u16)],
    },
}

impl AttachPoint<'_> {
    pub(crate) fn netns(&self) -> BorrowedFd<'_> {
        match self {
            Self::Pod { netns } | Self::Host { netns, .. } => *netns,
        }
    }
}

/// What an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttachSite {
    /// All of a network namespace of its own.
    Pod,
    /// The processes of a cgroup in the host's namespace, and some of its ports.
    Service,
    /// All of the host's namespace. Processes of its cgroup in other namespaces are none of it: they are pods.
    Node,
}

impl AttachSite {
    /// Tells a service from the whole host, which is named by the cgroup above all endpoints.
    ///
    /// # Errors
    /// The cgroup is not there; or it contains the one above all endpoints, so that its programs would judge the pods'
    /// processes as the host's.
    pub(crate) fn of(place: &AttachPoint<'_>, above_all: &Path) -> Result<Self, RedirectError> {
        let AttachPoint::Host { cgroup, .. } = place else { return Ok(Self::Pod) };
        let path = places::real_path(&places::cgroup_path(cgroup)?)?;
        if path == above_all {
            Ok(Self::Node)
        } else if above_all.starts_with(&path) {
            Err(RedirectError::AboveAll { path, cgroup: above_all.to_owned() })
        } else {
            Ok(Self::Service)
        }
    }

    /// The value for the programs.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Pod => POD,
            Self::Service => SERVICE,
            Self::Node => NODE,
        }
    }
}
