//! Named network namespaces.

use std::{
    fs::File,
    panic,
    path::{Path, PathBuf},
    thread,
};

use nix::sched::{CloneFlags, setns};

use crate::{error::Result, process::run};

/// Where `ip netns` keeps them.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A named network namespace with its loopback up. Deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    /// The name is taken, or the right to do so is missing.
    pub fn create(name: &str) -> Result<Self> {
        run(&["ip", "netns", "add", name], "")?;
        let made = Self { name: name.to_owned() };
        // Addresses are of use at once: nobody else is on these links.
        made.inside(|| {
            for file in ["conf/all/accept_dad", "conf/default/accept_dad"] {
                let _ = std::fs::write(format!("/proc/sys/net/ipv6/{file}"), "0");
            }
        });
        run(&["ip", "-n", name, "link", "set", "lo", "up"], "")?;
        Ok(made)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// Runs code on a thread inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.path(), work)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run(&["ip", "netns", "delete", &self.name], "");
    }
}

/// Runs code on a thread inside a network namespace. A panic of it goes on here.
pub(crate) fn inside<T: Send>(netns: &Path, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let entered = File::open(netns).and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?));
            match entered {
                Ok(()) => work(),
                Err(error) => panic::panic_any(format!("cannot enter {}: {error}", netns.display())),
            }
        });
        thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
    })
}
