//! bpffs and cgroup2: where they are, and opening what is in them.

use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        stat::fstat,
        statfs::{FsType, statfs},
    },
};

use crate::error::Error;

/// Layout of the maps: of their names, kinds, keys and values. Those of another one belong to another version.
const LAYOUT: &str = "v2";
const BPF_FS: FsType = FsType(0xcafe_4a11);

/// The directory for our pins; mounts bpffs at /sys/fs/bpf when nothing is mounted there.
pub(crate) fn pin_directory(bpffs: &Path) -> Result<PathBuf, Error> {
    let failed = |source: io::Error| Error::Bpffs { path: bpffs.to_owned(), source };
    let standard = Path::new("/sys/fs/bpf");
    if bpffs.starts_with(standard) && !is_bpffs(standard) {
        mount(Some("bpf"), standard, Some("bpf"), MsFlags::empty(), None::<&str>).map_err(|e| failed(e.into()))?;
    }
    let directory = bpffs.join(LAYOUT);
    fs::create_dir_all(&directory).map_err(failed)?;
    if is_bpffs(&directory) { Ok(directory) } else { Err(failed(io::Error::other("it is no bpffs"))) }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS)
}

/// Where cgroup2 is mounted. Never assumed: on machines with both hierarchies it is not /sys/fs/cgroup.
pub(crate) fn cgroup_root() -> Result<PathBuf, Error> {
    let mounts = fs::read_to_string("/proc/mounts").map_err(|_| Error::NoCgroup)?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .find(|(_, kind)| *kind == "cgroup2")
        .map(|(path, _)| PathBuf::from(path))
        .ok_or(Error::NoCgroup)
}

/// The absolute path of a cgroup: as it is when it lies below the mount, else taken from there.
///
/// # Errors
/// No cgroup2 hierarchy is mounted.
pub fn cgroup_path(path: &Path) -> Result<PathBuf, Error> {
    let root = cgroup_root()?;
    if path.starts_with(&root) {
        return Ok(path.to_owned());
    }
    Ok(root.join(path.strip_prefix("/").unwrap_or(path)))
}

/// The path of a cgroup without links in it, to be compared with others.
pub(crate) fn real_path(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|source| Error::Cgroup { path: path.to_owned(), source })
}

/// What tells a cgroup from every other that is there at the same time: its inode.
pub(crate) fn cgroup_number(cgroup: &OwnedFd, path: &Path) -> Result<u64, Error> {
    let found = fstat(cgroup).map_err(|error| Error::Cgroup { path: path.to_owned(), source: error.into() })?;
    Ok(found.st_ino)
}

/// Opens a cgroup.
pub(crate) fn open_cgroup(path: &Path) -> Result<OwnedFd, Error> {
    let opened = File::open(path).map_err(|source| Error::Cgroup { path: path.to_owned(), source })?;
    Ok(opened.into())
}
