//! Runs programs: to their end, or in the background with their output in a file.

use std::{
    fs::{self, File},
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    error::{Error, Result, trying},
    wait,
};

/// What a program has left when it ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The program and its arguments.
    pub command: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// Makes any other end than success an error.
    ///
    /// # Errors
    /// The exit code is not 0.
    pub fn ok(self) -> Result<Self> {
        if self.code == Some(0) {
            return Ok(self);
        }
        let status = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        Err(Error::Failed { command: self.command, status, output: self.stdout + &self.stderr })
    }
}

/// Words of a command as a person would type them.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a program to its end, with the given text as its standard input.
///
/// # Errors
/// It cannot be started, or does not end. A failure of its own is in the result.
pub fn finish(mut command: Command, shown: String, input: &str) -> Result<Finished> {
    let starting = || format!("start {shown}");
    let mut files = trying(starting(), three_files(input))?;
    let clone = |file: &File| trying(starting(), file.try_clone());
    command.stdin(clone(&files[0])?).stdout(clone(&files[1])?).stderr(clone(&files[2])?);
    let mut process = Process { child: trying(starting(), command.spawn())?, name: shown.clone(), log: None };
    let status = process.wait()?;
    let mut text = |index: usize| -> Result<String> {
        let mut bytes = Vec::new();
        let read = files[index].rewind().and_then(|()| files[index].read_to_end(&mut bytes));
        trying(format!("read the output of {shown}"), read)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Finished { stdout: text(1)?, stderr: text(2)?, command: shown, code: status.code() })
}

/// Files, not pipes: nobody has to read them meanwhile.
fn three_files(input: &str) -> std::io::Result<[File; 3]> {
    let mut first = tempfile::tempfile()?;
    std::io::Write::write_all(&mut first, input.as_bytes())?;
    first.rewind()?;
    Ok([first, tempfile::tempfile()?, tempfile::tempfile()?])
}

/// Runs a program of this machine's, outside of every namespace, that has to succeed.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(words: &[&str], input: &str) -> Result<Finished> {
    let Some((program, arguments)) = words.split_first() else { return Err(Error::Unexpected("no program".into())) };
    let mut command = Command::new(program);
    command.args(arguments);
    let shown = shown(&command);
    finish(command, shown, input)?.ok()
}

/// A program in the background. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: Option<PathBuf>,
}

impl Process {
    /// Starts a program whose output, both streams, goes to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command, name: &str, log: &Path) -> Result<Self> {
        let starting = || format!("start {name}");
        let file = trying(starting(), File::options().create(true).append(true).open(log))?;
        command.stdin(Stdio::null()).stdout(trying(starting(), file.try_clone())?).stderr(file);
        let child = trying(starting(), command.spawn())?;
        Ok(Self { child, name: name.to_owned(), log: Some(log.to_owned()) })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = self.log.as_ref().and_then(|log| fs::read(log).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until a line of its output contains a text; gives that line.
    ///
    /// # Errors
    /// It ended, or the line does not come.
    pub fn wait_for_line(&mut self, text: &str) -> Result<String> {
        self.until(&format!("a line with {text:?}"), |log| {
            log.lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Waits until `look` finds something in its output.
    ///
    /// # Errors
    /// It ended, or nothing is found.
    pub fn until<T>(&mut self, what: &str, mut look: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let log = self.log.clone();
        let read = || log.as_ref().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
        wait::until(&format!("{what} of {}", self.name), read, || {
            wait::go_on()?;
            // Asked before the output is read: what a dead process wrote last is still seen.
            let ended = trying(format!("watch {}", self.name), self.child.try_wait())?;
            match (look(&read()), ended) {
                (Some(seen), _) => Ok(Some(seen)),
                (None, None) => Ok(None),
                (None, Some(status)) => {
                    Err(Error::Failed { command: self.name.clone(), status: status.to_string(), output: read() })
                }
            }
        })
    }

    /// Fails if it has ended, with what it wrote.
    ///
    /// # Errors
    /// It has ended.
    pub fn alive(&mut self) -> Result<()> {
        match trying(format!("watch {}", self.name), self.child.try_wait())? {
            None => Ok(()),
            Some(status) => {
                Err(Error::Failed { command: self.name.clone(), status: status.to_string(), output: self.log() })
            }
        }
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// It does not.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let (log, child) = (self.log(), &mut self.child);
        let what = format!("the end of {}", self.name);
        wait::until(&what, || log, || trying(format!("watch {}", self.name), child.try_wait()))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended and been waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        trying(format!("signal {}", self.name), kill(pid, signal).map_err(Into::into))
    }

    /// Kills it at once, as a crash does, and waits for its end.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        trying(format!("kill {}", self.name), killed).map(|_| ())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
