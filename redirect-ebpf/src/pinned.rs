//! What is pinned and held: a map or a link with its descriptor, so that a pin that somebody removes takes nothing away
//! while this process lives, and can be put back.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use crate::{links::remove_pin, sys};

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

    /// Pins it again where the pin is not there. Tells whether that had to be done.
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
