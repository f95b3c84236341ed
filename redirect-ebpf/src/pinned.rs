//! Pinned objects that the process also holds: a map or link with its descriptor. While the process lives, removing a
//! pin takes nothing away, and the pin can be restored.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use crate::{
    error::RedirectError,
    links::{remove_link, remove_pin},
    sys,
};

/// An object of the kernel with its pin.
#[derive(Debug)]
pub(crate) struct Pinned {
    object: OwnedFd,
    path: PathBuf,
    /// Inode of the pin: another one is somebody else's, whatever its name.
    inode: u64,
}

impl Pinned {
    /// Opens what is pinned at a path.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let object = sys::open_pinned(path)?;
        Ok(Self { object, path: path.to_owned(), inode: fs::symlink_metadata(path)?.ino() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the pin is there and is this one.
    pub(crate) fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode)
    }

    /// Pins it again where the pin is not there. Returns whether that had to be done.
    pub(crate) fn restore(&mut self) -> io::Result<bool> {
        if self.is_there() {
            return Ok(false);
        }
        remove_pin(&self.path)?;
        sys::pin(self.object.as_fd(), &self.path)?;
        self.inode = fs::symlink_metadata(&self.path)?.ino();
        Ok(true)
    }

    /// Removes the pin, and gives the object.
    pub(crate) fn unpin(self) -> io::Result<OwnedFd> {
        remove_pin(&self.path)?;
        Ok(self.object)
    }
}

impl AsFd for Pinned {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object.as_fd()
    }
}

/// The pin of an endpoint's link: `endpoint-NUMBER-INODE-PROGRAM`.
pub(crate) struct Pin {
    pub(crate) id: u32,
    pub(crate) inode: u64,
    pub(crate) path: PathBuf,
}

impl Pin {
    /// The pins of all endpoints.
    pub(crate) fn all(directory: &Path) -> Result<Vec<Self>, RedirectError> {
        let entries = fs::read_dir(directory);
        let entries = entries.map_err(|source| RedirectError::Bpffs { path: directory.to_owned(), source })?;
        Ok(entries.flatten().filter_map(|entry| Self::parse(entry.path())).collect())
    }

    fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("endpoint-")?;
        let mut parts = name.split('-');
        let (id, inode) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { id, inode, path })
    }
}

/// Detaches what an earlier process attached for an endpoint elsewhere: to another cgroup, or as a service that is the
/// whole host now. `names` are the pins that it has.
pub(crate) fn remove_other_links(directory: &Path, id: u32, inode: u64, names: &[String]) -> Result<(), RedirectError> {
    let is_ours = |pin: &Pin| names.iter().any(|name| pin.path.file_name().is_some_and(|file| file == name.as_str()));
    let pins = Pin::all(directory)?.into_iter();
    let mut others = pins.filter(|pin| pin.id == id && pin.inode == inode && !is_ours(pin));
    others.try_for_each(|pin| remove_link(&pin.path).map_err(|source| RedirectError::Bpffs { path: pin.path, source }))
}
