//! Exit codes, and failures of commands.

use std::{fmt, io, process::ExitCode};

use crate::output::{CommandOutput, Style, plain};

/// Exit codes. They are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Ok = 0,
    /// Refused by the node, or failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A document or a settings file is wrong.
    Invalid = 3,
}

impl ExitStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Failed, Self::Usage, Self::Invalid];
}

impl From<ExitStatus> for ExitCode {
    fn from(exit: ExitStatus) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: ExitStatus,
    /// What is wrong; empty when it has been said already.
    pub message: String,
    /// What to do; may be empty.
    pub remedy: String,
}

impl Failure {
    /// A failure with a remedy.
    #[must_use]
    pub fn new(exit: ExitStatus, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { exit, message: message.into(), remedy: remedy.into() }
    }

    /// A failure whose message has been printed.
    #[must_use]
    pub fn said(exit: ExitStatus) -> Self {
        Self::new(exit, "", "")
    }

    /// Something that should not happen.
    #[must_use]
    pub fn internal(error: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Failed, format!("internal error: {error}"), "please report it, with what led to it")
    }

    /// Prints it on standard error.
    pub fn print(&self, output: &mut CommandOutput) {
        let paint = output.paint_err;
        if !self.message.is_empty() {
            output.say(format_args!("{} {}", paint.style(Style::Bad, "error:"), self.message));
        }
        if !self.remedy.is_empty() {
            output.say(format_args!("{} {}", paint.style(Style::Strong, " help:"), self.remedy));
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // The reader of standard output went away, as `head` does: no failure of ours.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::said(ExitStatus::Ok);
        }
        Self::new(ExitStatus::Failed, format!("cannot write the output: {error}"), "")
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let remedy = match status.code() {
            tonic::Code::Unimplemented => {
                "the node is of another version: compare `portcullis --version` on both sides"
            }
            tonic::Code::Unavailable => "the node went away: is portcullis still running? look at its log",
            _ => "",
        };
        Self::new(ExitStatus::Failed, format!("the node answered: {}", plain(status.message())), remedy)
    }
}
