//! Claims a directory of bpffs for one process. A second process would swap its own programs into the first one's
//! links, and remove them when it ends.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::error::RedirectError;

/// A link in the directory that says who has it. bpffs holds no files.
const OWNER: &str = "owner";

/// The lock of a directory: of the directory itself, so that it is seen from every mount namespace. It ends with the last
/// descriptor, however the process ends. A process that takes over is given a clone.
#[derive(Clone, Debug)]
pub struct Claim {
    directory: PathBuf,
    lock: Arc<Flock<File>>,
}

impl Claim {
    /// Takes a directory that is there. `owner` is what others are told: the socket by which this process is asked.
    ///
    /// # Errors
    /// Another process has it.
    pub(crate) fn take(directory: &Path, owner: &str) -> Result<Self, RedirectError> {
        let failed = |source| RedirectError::Bpffs { path: directory.to_owned(), source };
        let file = File::open(directory).map_err(failed)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(file, errno)| match errno {
            Errno::EWOULDBLOCK => {
                RedirectError::Claimed { path: directory.to_owned(), holder: holder(directory, &file) }
            }
            errno => failed(errno.into()),
        })?;
        let claim = Self { directory: directory.to_owned(), lock: Arc::new(lock) };
        claim.sign(owner).map_err(failed)?;
        if claim.is_in_place() { Ok(claim) } else { Err(failed(io::ErrorKind::NotFound.into())) }
    }

    /// Whether the directory at the path is the one that is locked.
    pub(crate) fn is_in_place(&self) -> bool {
        let held = self.lock.metadata().map(|held| (held.dev(), held.ino()));
        let there = fs::metadata(&self.directory).map(|there| (there.dev(), there.ino()));
        held.is_ok() && held.ok() == there.ok()
    }

    fn sign(&self, owner: &str) -> io::Result<()> {
        let path = self.directory.join(OWNER);
        remove(&path)?;
        symlink(format!("process {} ({owner})", process::id()), path)
    }

    /// Takes the name of the owner away, so that the directory can be removed.
    pub(crate) fn unsign(&self) -> io::Result<()> {
        remove(&self.directory.join(OWNER))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Who has the directory, as it says itself; else by the kernel's list of locks (proc_locks(5)).
fn holder(directory: &Path, locked: &File) -> String {
    if let Ok(told) = fs::read_link(directory.join(OWNER)) {
        return told.to_string_lossy().into_owned();
    }
    let inode = locked.metadata().map_or(0, |found| found.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let line = locks.lines().find(|line| line.contains("FLOCK") && line.contains(&format!(":{inode} ")));
    let pid = line.and_then(|line| line.split_whitespace().nth(4));
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
