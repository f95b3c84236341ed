//! Network namespaces and cgroups of endpoints: opened by path, told apart by what they are.

use std::{
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

/// The namespace this process lives in: the host's.
pub const HOST: &str = "/proc/self/ns/net";

/// Tells one namespace or cgroup from every other that is there at the same time: its inode and device.
pub type PlaceIdentity = (u64, u64);

/// What is at a path now.
///
/// # Errors
/// Nothing is there, or it may not be looked at.
pub fn identity(path: &Path) -> io::Result<PlaceIdentity> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens a network namespace: `/run/netns/NAME` or `/proc/PID/ns/net`.
///
/// # Errors
/// Nothing is there, or it is no namespace.
pub fn open_namespace(path: &Path) -> io::Result<(OwnedFd, PlaceIdentity)> {
    let file = File::open(path)?;
    // A file that is left over below /run/netns when nothing is mounted on it.
    if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC {
        let message = format!("{} is a plain file, no network namespace", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let metadata = file.metadata()?;
    Ok((file.into(), (metadata.dev(), metadata.ino())))
}

/// The directories of all processes that this one may see.
pub fn processes() -> impl Iterator<Item = PathBuf> {
    let is_number = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_number)
}

/// The process that a path is about: `/proc/PID/...`.
#[must_use]
pub fn process_of(path: &Path) -> Option<u32> {
    path.strip_prefix("/proc").ok()?.components().next()?.as_os_str().to_str()?.parse().ok()
}

/// When a process began, in clock ticks since the machine's start: field 22 of proc_pid_stat(5), counted behind the name,
/// which may hold anything.
#[must_use]
pub fn start_time(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{HOST, identity, open_namespace, process_of, start_time};

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_number() {
        let mut child = std::process::Command::new("sleep").arg("9").spawn().unwrap();
        let path = format!("/proc/{}/ns/net", child.id());
        let process = process_of(Path::new(&path)).unwrap();
        assert_eq!(process, child.id());
        assert!(start_time(process).unwrap() >= start_time(std::process::id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(start_time(process), None);
        assert_eq!(process_of(Path::new("/run/netns/12")), None);
        assert_eq!(process_of(Path::new("/proc/self/ns/net")), None);
    }

    #[test]
    fn a_namespace_is_opened_and_a_leftover_file_is_not_taken_for_one() {
        let (_, ours) = open_namespace(Path::new(HOST)).unwrap();
        assert_eq!(identity(Path::new(HOST)).unwrap(), ours);
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = open_namespace(file.path()).unwrap_err();
        assert!(error.to_string().contains("no network namespace"), "{error}");
        assert!(open_namespace(Path::new("/nowhere")).is_err());
    }
}
