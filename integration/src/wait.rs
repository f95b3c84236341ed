//! Waits for events, with a time limit.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// The longest that anything is waited for. Generous: a bound for what hangs, not a measure of what is slow.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Between two looks at a state that announces no change of its own (a file, a process, a port).
const LOOK: Duration = Duration::from_millis(5);

/// Looks until `look` sees something; `log` is asked for what is known when it does not come.
///
/// # Errors
/// [`PATIENCE`] is over, or `look` fails.
pub fn until<T>(what: &str, log: impl FnOnce() -> String, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if start.elapsed() > PATIENCE {
            return Err(Error::TimedOut { what: what.to_owned(), seconds: PATIENCE.as_secs(), log: log() });
        }
        thread::park_timeout(LOOK);
    }
}

/// Asks a socket again when it was interrupted: a wait with a limit may be, and the kernel does not take it up again (signal(7)).
///
/// # Errors
/// Any other of `ask`.
pub fn uninterrupted<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match ask() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets nothing more be started or waited for in this process, so that it soon comes to its end and cleans up.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Fails once [`interrupt`] was called. What cleans up does not ask.
pub(crate) fn go_on() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
