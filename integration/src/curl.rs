//! Runs the real curl.

use crate::{
    error::{Error, Result},
    process::Finished,
    site::Site,
};

/// What curl tells of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// curl's exit code: 0 answered, 7 refused, 28 timed out, 52 closed without an answer, 56 reset.
    pub exit: i32,
    /// The status; 0 without an answer.
    pub status: u16,
    /// The body.
    pub body: String,
    /// What curl says on standard error.
    pub error: String,
}

/// curl's exit code for a refused connection.
pub const REFUSED: i32 = 7;
/// curl's exit code for a connection that was reset while it waited for the answer.
pub const RESET: i32 = 56;

/// Makes a request; `more` are arguments of curl before the URL. A hanging one ends after 20 seconds (exit code 28).
///
/// # Errors
/// curl cannot be started.
pub fn curl(site: &Site, more: &[&str], url: &str) -> Result<Answer> {
    let mut words = vec!["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}"];
    words.extend_from_slice(more);
    words.push(url);
    answer(&site.run(&words)?)
}

fn answer(finished: &Finished) -> Result<Answer> {
    let unexpected = || Error::Unexpected(format!("curl said: {} {}", finished.stdout, finished.stderr));
    let exit = finished.code.ok_or_else(unexpected)?;
    let (body, status) = finished.stdout.rsplit_once('\n').ok_or_else(unexpected)?;
    let status = status.parse().map_err(|_| unexpected())?;
    Ok(Answer { exit, status, body: body.to_owned(), error: finished.stderr.trim().to_owned() })
}
