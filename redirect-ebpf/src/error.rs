//! Errors: what failed, where, and what to do.

use std::{io, path::PathBuf};

use aya::maps::MapError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// No cgroup2 hierarchy is mounted.
    #[error("no cgroup2 is mounted; mount one (mount -t cgroup2 none /sys/fs/cgroup) or name it in steering.cgroup")]
    NoCgroup,
    /// A cgroup cannot be opened.
    #[error("cannot open cgroup {path}: {source}; is the path right?")]
    Cgroup {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// bpffs is not to be had.
    #[error(
        "cannot use {path} as a directory of bpffs: {source}; mount one there (mount -t bpf bpf /sys/fs/bpf) or name another in steering.bpffs"
    )]
    Bpffs {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The programs could not be loaded.
    #[error("cannot load the eBPF programs: {}; needs CAP_BPF and CAP_NET_ADMIN and Linux 6.1 or newer", brief(source))]
    Load {
        /// Why.
        source: Box<aya::EbpfError>,
    },
    /// A program is refused or cannot be attached.
    #[error("cannot attach {program} to {target}: {}", brief(source.as_ref()))]
    Attach {
        /// Its name.
        program: &'static str,
        /// To what.
        target: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A map operation failed.
    #[error("cannot {verb} map {map}: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What was tried.
        verb: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel's tables have no room left. What was in force stays, what is new is refused.
    #[error(
        "map {0} is full, so what is new is refused; let policies name fewer or wider ranges, or lower fqdn.addresses"
    )]
    Full(&'static str),
    /// A table could not be set, and what it speaks of could not be refused either.
    #[error("{cause}; its flows pass UNJUDGED, because they could not be refused until then: {source}")]
    Open {
        /// Why it was not set.
        cause: Box<Self>,
        /// Why it was not refused.
        #[source]
        source: Box<Self>,
    },
    /// Something in a network namespace failed.
    #[error("cannot {step} in the network namespace of endpoint {endpoint}: {source}")]
    Namespace {
        /// Number of the endpoint.
        endpoint: u32,
        /// What was tried.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A number the kernel's tables have no room for.
    #[error("endpoint number {0} is out of range; at most 16383 endpoints a node")]
    Number(u32),
    /// Another process has the directory of bpffs.
    #[error(
        "{path} is used by {holder}: there is one node on it at a time; stop that one, or give this one a steering.bpffs, --socket, --admin-address and --state-directory of its own"
    )]
    Claimed {
        /// The directory.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// The directory of bpffs would end with this process's mount namespace.
    #[error(
        "{path} is on a bpffs that only this mount namespace has, so it would end with this process, and what policy denies would pass; mount one that the host has (mount -t bpf bpf /sys/fs/bpf, before this starts), or set onProxyDown: pass"
    )]
    PrivateBpffs {
        /// The directory.
        path: PathBuf,
    },
    /// Capabilities that are always needed.
    #[error("this process lacks {0}; run it as root with all of them (deploy/portcullis.service lists them)")]
    Capability(String),
    /// The kernel is too old.
    #[error("this kernel ({release}) lacks {lacks}; needs Linux 6.1 or newer")]
    Kernel {
        /// Its release.
        release: String,
        /// What it lacks.
        lacks: &'static str,
    },
    /// The kernel could not be asked what it has.
    #[error("cannot ask this kernel for its eBPF helpers: {}; is bpf(2) allowed here (seccomp, lockdown)?", brief(source.as_ref()))]
    Probe {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Echo requests cannot be judged.
    #[error("this kernel ({release}) has no program for it; needs Linux 6.15 or newer")]
    NoEcho {
        /// Its release.
        release: String,
    },
    /// An endpoint's cgroup contains the one that the programs above all pods are attached to.
    #[error(
        "cgroup {path} contains {cgroup}, below which pods are; name that one for the whole node, or set steering.cgroup to {path}"
    )]
    AboveAll {
        /// The endpoint's.
        path: PathBuf,
        /// The one above all endpoints.
        cgroup: PathBuf,
    },
    /// Two endpoints of the host in one network namespace.
    #[error(
        "endpoint {other} already steers this network namespace or a cgroup in it; a connection does not tell from which of two it came, so only one is supported"
    )]
    SecondHost {
        /// The endpoint that is there.
        other: u32,
    },
}

/// How many last lines of a message are shown: the reason is at the end of the verifier's output.
const TOLD: usize = 4;

/// A cause with those below it, each in its last lines. The whole of a long one is logged for whoever debugs programs.
fn brief(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.len() > TOLD {
            tracing::debug!("{text}");
        }
        let kept = lines[lines.len().saturating_sub(TOLD)..].join("; ");
        if !told.iter().any(|before| before.contains(&kept)) {
            told.push(kept);
        }
        cause = error.source();
    }
    told.join(": ")
}

impl RedirectError {
    /// An entry could not be written.
    pub(crate) fn write(map: &'static str) -> impl FnOnce(MapError) -> Self {
        move |error| match &error {
            MapError::SyscallError(call) if call.io_error.raw_os_error() == Some(libc::ENOSPC) => Self::Full(map),
            _ => Self::map(map, "write")(error),
        }
    }

    pub(crate) fn map<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        map: &'static str,
        verb: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Map { map, verb, source: source.into() }
    }
}
