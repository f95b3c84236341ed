//! Finds bpffs and cgroup2, and opens what is in them.

use std::{
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::{
        stat::{fstat, major, minor},
        statfs::{FsType, statfs},
    },
};

use crate::error::RedirectError;

/// Layout of the maps: of their names, kinds, keys and values. Those of another one belong to another version.
const LAYOUT: &str = "v5";
const BPF_FS: FsType = FsType(0xcafe_4a11);

/// The directory for our pins below that of the settings.
pub(crate) fn pin_directory(bpffs: &Path) -> PathBuf {
    bpffs.join(LAYOUT)
}

/// The directories of other layouts.
pub(crate) fn other_layouts(bpffs: &Path) -> Result<Vec<PathBuf>, RedirectError> {
    let entries = fs::read_dir(bpffs).map_err(|source| RedirectError::Bpffs { path: bpffs.to_owned(), source })?;
    let is_layout = |name: &str| {
        name != LAYOUT && name.strip_prefix('v').is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
    };
    let others = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_layout));
    Ok(others.map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

/// Makes the directory of the settings; mounts bpffs at /sys/fs/bpf when nothing is mounted there. With `outlives` it has to be
/// there when this process is not: a mount of this process's own namespace would go with it, and pins with the mount.
pub(crate) fn make_directory(bpffs: &Path, outlives: bool) -> Result<(), RedirectError> {
    let failed = |source: io::Error| RedirectError::Bpffs { path: bpffs.to_owned(), source };
    let standard = Path::new("/sys/fs/bpf");
    let mounted = bpffs.starts_with(standard) && !is_bpffs(standard);
    if mounted {
        mount(Some("bpf"), standard, Some("bpf"), MsFlags::empty(), None::<&str>).map_err(|e| failed(e.into()))?;
    }
    let made = fs::create_dir_all(bpffs).map_err(failed).and_then(|()| match is_bpffs(bpffs) {
        false => Err(failed(io::Error::other("it is no bpffs"))),
        true if outlives && is_private(bpffs) => Err(RedirectError::PrivateBpffs { path: bpffs.to_owned() }),
        true => Ok(()),
    });
    if made.is_err() && mounted {
        let _ = umount2(standard, MntFlags::MNT_DETACH);
    }
    made
}

/// Whether the first process, which ends with the machine, does not have this file system mounted anywhere. Where it
/// cannot be asked, nobody knows.
fn is_private(path: &Path) -> bool {
    let (Ok(found), Ok(mounts)) = (fs::metadata(path), fs::read_to_string("/proc/1/mountinfo")) else { return false };
    let device = format!("{}:{}", major(found.dev()), minor(found.dev()));
    !mounts.lines().any(|line| line.split(' ').nth(2) == Some(&device))
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS)
}

/// Where cgroup2 is mounted. Never assumed: on machines with both hierarchies it is not /sys/fs/cgroup.
pub(crate) fn cgroup_root() -> Result<PathBuf, RedirectError> {
    let mounts = fs::read_to_string("/proc/mounts").map_err(|_| RedirectError::NoCgroup)?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .find(|(_, kind)| *kind == "cgroup2")
        .map(|(path, _)| PathBuf::from(path))
        .ok_or(RedirectError::NoCgroup)
}

/// The absolute path of a cgroup: as it is when it lies below the mount, else taken from there.
///
/// # Errors
/// No cgroup2 hierarchy is mounted.
pub fn cgroup_path(path: &Path) -> Result<PathBuf, RedirectError> {
    let root = cgroup_root()?;
    if path.starts_with(&root) {
        return Ok(path.to_owned());
    }
    Ok(root.join(path.strip_prefix("/").unwrap_or(path)))
}

/// The path of a cgroup without links in it, to be compared with others.
pub(crate) fn real_path(path: &Path) -> Result<PathBuf, RedirectError> {
    fs::canonicalize(path).map_err(|source| RedirectError::Cgroup { path: path.to_owned(), source })
}

/// What tells a cgroup from every other that is there at the same time: its inode.
pub(crate) fn cgroup_number(cgroup: &OwnedFd, path: &Path) -> Result<u64, RedirectError> {
    let found = fstat(cgroup).map_err(|error| RedirectError::Cgroup { path: path.to_owned(), source: error.into() })?;
    Ok(found.st_ino)
}

/// Opens a cgroup.
pub(crate) fn open_cgroup(path: &Path) -> Result<OwnedFd, RedirectError> {
    let opened = File::open(path).map_err(|source| RedirectError::Cgroup { path: path.to_owned(), source })?;
    Ok(opened.into())
}
