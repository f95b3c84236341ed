//! Network namespaces and cgroups of endpoints: opened by path, told apart by what they are.

use std::{
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
};

use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

/// The namespace this process lives in: the host's.
pub const HOST: &str = "/proc/self/ns/net";

/// Tells one namespace or cgroup from every other that is there at the same time: its inode and device.
pub type Identity = (u64, u64);

/// What is at a path now.
///
/// # Errors
/// Nothing is there, or it may not be looked at.
pub fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens a network namespace: `/run/netns/NAME` or `/proc/PID/ns/net`.
///
/// # Errors
/// Nothing is there, or it is no namespace.
pub fn open_namespace(path: &Path) -> io::Result<(OwnedFd, Identity)> {
    let file = File::open(path)?;
    // A file that is left over below /run/netns when nothing is mounted on it.
    if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC {
        let message = format!("{} is a plain file, no network namespace", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let metadata = file.metadata()?;
    Ok((file.into(), (metadata.dev(), metadata.ino())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{HOST, identity, open_namespace};

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
