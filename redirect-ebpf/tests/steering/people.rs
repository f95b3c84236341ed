//! Scripts that run as an unprivileged user, or as uid 0 without capabilities.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Stdio},
};

use portcullis_integration::{Need, Site, require};

use crate::bench;

pub(crate) const NOBODYS: &[&str] = &["--reuid=65534", "--clear-groups", "--no-new-privs"];
pub(crate) const ROOT_WITHOUT_CAPABILITIES: &[&str] = &["--bounding-set=-all", "--inh-caps=-all"];
pub(crate) const ROOT: &[&str] = &[];

pub(crate) fn able() -> bool {
    bench::able() && require(&[Need::Program("python3"), Need::Program("setpriv")])
}

/// Has every error of the system told by its name.
fn told(script: &str) -> String {
    let script: Vec<_> = script.lines().map(|line| format!(" {line}")).collect();
    let script = script.join("\n");
    format!(
        "import errno, os, select, socket, struct, sys\ntry:\n{script}\nexcept OSError as error: \
         print(errno.errorcode[error.errno], flush=True)"
    )
}

/// What a script of Python prints as somebody, or the name of its error.
pub(crate) fn run(from: &Site, who: &[&str], script: &str, arguments: &[&str]) -> String {
    let script = told(script);
    let words = [&["setpriv"], who, &["python3", "-c", &script], arguments].concat();
    let finished = from.run(&words).unwrap();
    finished.stdout.trim().to_owned() + finished.stderr.trim()
}

/// A script that prints a line at its start, and one for each line that it reads.
pub(crate) struct Somebody {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Somebody {
    pub(crate) fn start(from: &Site, who: &[&str], script: &str, arguments: &[&str]) -> Self {
        let script = told(script);
        let mut command = from.command(&[&["setpriv"], who, &["python3", "-c", &script], arguments].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// The next line.
    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Has it go on: what it says then.
    pub(crate) fn goes_on(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.says()
    }
}

impl Drop for Somebody {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
