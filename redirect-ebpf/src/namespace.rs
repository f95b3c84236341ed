//! Network namespaces: running code inside one, and finding one again.

use std::{
    fs::{self, File},
    io,
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    thread,
};

use nix::sched::{CloneFlags, setns};

use crate::sys;

/// Runs `work` on a thread of its own inside a network namespace. Only that thread ever changes its namespace.
pub(crate) fn inside<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            work()
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace panicked")))
    })
}

/// Runs `work` for each of these in its namespace, in turn, on one thread: a thousand of them take milliseconds.
pub(crate) fn through<P: Send, T: Send>(
    places: Vec<(BorrowedFd<'_>, P)>,
    work: impl Fn(P) -> io::Result<T> + Send + Sync,
) -> io::Result<Vec<io::Result<T>>> {
    let Some(first) = places.first().map(|(netns, _)| *netns) else { return Ok(Vec::new()) };
    inside(first, || {
        let mut at = first.as_raw_fd();
        let enter = |(netns, place): (BorrowedFd<'_>, P)| {
            if netns.as_raw_fd() != at {
                setns(netns, CloneFlags::CLONE_NEWNET)?;
                at = netns.as_raw_fd();
            }
            work(place)
        };
        Ok(places.into_iter().map(enter).collect())
    })
}

/// The cookie of the calling thread's namespace.
pub(crate) fn cookie() -> io::Result<u64> {
    let probe = UdpSocket::bind(("0.0.0.0", 0)).or_else(|_| UdpSocket::bind(("::", 0)))?;
    sys::netns_cookie(probe.as_fd())
}

/// The inode number of a namespace: its name while it lives.
pub(crate) fn inode(netns: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(File::from(netns.try_clone_to_owned()?).metadata()?.ino())
}

/// Finds a namespace by its inode among the named ones and those of processes.
pub(crate) fn find(inode: u64) -> Option<OwnedFd> {
    paths()
        .find(|path| fs::metadata(path).is_ok_and(|found| found.ino() == inode))
        .and_then(|path| File::open(path).ok())
        .map(OwnedFd::from)
}

/// Where namespaces are: the named ones, then those of processes.
pub(crate) fn paths() -> impl Iterator<Item = PathBuf> {
    let named = ["/run/netns", "/run/docker/netns"].into_iter().flat_map(entries);
    let processes = entries("/proc").filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
    });
    named.chain(processes.map(|path| path.join("ns/net")))
}

fn entries(directory: &str) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}
