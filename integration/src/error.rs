//! Errors of the laboratory.

use std::{fmt, io};

/// Short for results of the laboratory.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. `Debug` shows the same text as `Display`, so that a failed `unwrap` reads well.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program ended with a failure.
    #[error("{command} ended with {status}\n{output}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// Its exit code or signal.
        status: String,
        /// What it wrote.
        output: String,
    },
    /// Something cannot be done.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// Something that was waited for did not happen.
    #[error("{what}: waited {seconds} s in vain\n{log}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// What is known of it.
        log: String,
    },
    /// Somebody wants this process to end.
    #[error("interrupted")]
    Interrupted,
    /// Something was answered that makes no sense.
    #[error("{0}")]
    Unexpected(String),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says what was tried when it fails.
pub(crate) fn trying<T>(what: impl Into<String>, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io { what: what.into(), source })
}
