//! Finds the owner of a socket: the cgroup of the processes that hold it, if it was created in another one.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A cgroup with all below it, and the sockets that its processes hold.
#[derive(Debug, Default)]
pub(super) struct Owners {
    cgroups: BTreeSet<u64>,
    inodes: BTreeSet<u32>,
}

impl Owners {
    /// What goes meanwhile has no sockets any more.
    pub(super) fn of(cgroup: &Path) -> Self {
        let mut owners = Self::default();
        owners.add(cgroup);
        owners
    }

    fn add(&mut self, cgroup: &Path) {
        self.cgroups.extend(fs::metadata(cgroup).map(|found| found.ino()));
        let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            self.inodes.extend(entries(&Path::new("/proc").join(process).join("fd")).filter_map(|fd| socket(&fd)));
        }
        for below in entries(cgroup).filter(|path| path.is_dir()) {
            self.add(&below);
        }
    }

    /// Whether a socket was made in the cgroup, or is in the hands of a process there.
    pub(super) fn have(&self, cgroup: u64, inode: u32) -> bool {
        self.cgroups.contains(&cgroup) || self.inodes.contains(&inode)
    }
}

/// The sockets that this process holds, by inode.
///
/// # Errors
/// There is no /proc.
pub(super) fn held() -> io::Result<BTreeSet<u32>> {
    Ok(fs::read_dir("/proc/self/fd")?.flatten().filter_map(|entry| socket(&entry.path())).collect())
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The inode of a descriptor that is a socket.
fn socket(descriptor: &Path) -> Option<u32> {
    let target = fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::fd::AsFd};

    use super::*;

    #[test]
    fn a_descriptor_tells_its_sockets_inode() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = fs::File::from(socket.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino();
        let found = held().unwrap();
        assert!(found.contains(&u32::try_from(inode).unwrap()), "{inode} in {found:?}");
        assert_eq!(super::socket(Path::new("/proc/self/exe")), None);
    }
}
