//! Creates sockets inside another network namespace. A socket stays in its namespace, whichever thread uses it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    thread,
};

use nix::sched::{CloneFlags, setns};

/// Tries to come home before the connection is given up.
const TRIES: usize = 3;

/// The network namespace of the calling thread.
pub(crate) fn current() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Does something inside a namespace on the calling thread and comes back; 3 to 5 µs.
///
/// # Errors
/// The namespace cannot be entered, or the way back fails. Even then no socket of another namespace comes of it: every
/// one is made behind an explicit entry.
pub(crate) fn hop<T>(
    to: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
    action: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    setns(to, CloneFlags::CLONE_NEWNET)?;
    let result = action();
    let mut back = setns(home, CloneFlags::CLONE_NEWNET);
    for _ in 1..TRIES {
        if back.is_ok() {
            break;
        }
        back = setns(home, CloneFlags::CLONE_NEWNET);
    }
    if let Err(error) = back {
        tracing::error!(%error, "a worker could not leave a network namespace");
        return Err(error.into());
    }
    result
}

/// Does something inside a namespace on a thread of its own, which ends there.
///
/// # Errors
/// No thread, no entry, or what the action says.
pub(crate) fn inside<T: Send>(
    namespace: impl AsFd + Send,
    action: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("namespace".to_owned());
        let thread = builder.spawn_scoped(scope, move || {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            action()
        })?;
        thread.join().map_err(|_| io::Error::other("the thread inside the namespace panicked"))?
    })
}
