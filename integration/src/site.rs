//! The place where a program runs: a network namespace, a cgroup, and the names it resolves.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    error::Result,
    namespace,
    process::{self, Finished, Process, finish},
    wait,
};

/// What programs find: the distribution's, never those of whoever runs the laboratory.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Enters the cgroup, resolves names by the laboratory's files, and becomes the program.
const ENTER: &str = r#"echo $$ >"$0/cgroup.procs" && mount --bind "$1" /etc/hosts &&
{ [ ! -e /etc/resolv.conf ] || mount --bind "$2" /etc/resolv.conf; } && shift 2 && exec "$@""#;

/// One attempt to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// A place where programs run.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name in the laboratory.
    pub name: String,
    /// Its network namespace.
    pub netns: PathBuf,
    /// The cgroup of its programs.
    pub cgroup: PathBuf,
    /// The names it resolves; mounted over `/etc/hosts`.
    pub(crate) hosts: PathBuf,
    /// The servers it asks for other names; mounted over `/etc/resolv.conf`.
    pub(crate) resolvers: PathBuf,
    /// For logs and data.
    pub(crate) directory: PathBuf,
}

impl Site {
    /// The same place in another cgroup.
    #[must_use]
    pub fn in_cgroup(&self, cgroup: &Path) -> Self {
        Self { cgroup: cgroup.to_owned(), ..self.clone() }
    }

    /// A directory for files of this place.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A program that will run here as the root user; it dies with the thread that starts it.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        // Not `ip netns exec`: that mounts another /sys and hides the cgroups.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "nsenter"]);
        command.arg(format!("--net={}", self.netns.display()));
        // Slave: namespaces that come and go by name are seen, and no mount of ours gets out.
        command.args(["--", "unshare", "--mount", "--propagation", "slave", "--", "sh", "-c", ENTER]);
        command.arg(&self.cgroup).arg(&self.hosts).arg(&self.resolvers).args(words);
        command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").env("HOME", "/nonexistent");
        command.current_dir("/");
        command
    }

    /// Runs a program to its end. Its failure is no error here.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub fn run(&self, words: &[&str]) -> Result<Finished> {
        self.run_with(words, "")
    }

    /// Runs a program to its end, with a text as its standard input.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub fn run_with(&self, words: &[&str], input: &str) -> Result<Finished> {
        wait::go_on()?;
        finish(self.command(words), words.join(" "), input)
    }

    /// Starts a program in the background; its output is in its log, which is named after `name`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, name: &str, words: &[&str]) -> Result<Process> {
        self.spawn_command(name, self.command(words))
    }

    /// Starts a program, made by [`Site::command`], in the background.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_command(&self, name: &str, command: Command) -> Result<Process> {
        wait::go_on()?;
        let log = self.directory.join(format!("{name}.log"));
        Process::start(command, name, &log)
    }

    /// Runs code on a thread inside the network namespace; sockets it makes stay in there.
    ///
    /// # Panics
    /// When the namespace is gone, or when `work` panics.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        namespace::inside(&self.netns, work)
    }

    /// Waits until something here accepts connections at an address.
    ///
    /// # Errors
    /// Nothing does, or the program that should has ended.
    pub fn wait_for_port(&self, address: SocketAddr, server: &mut Process) -> Result<()> {
        let name = format!("{address} accepting connections");
        let log = server.log();
        wait::until(
            &name,
            || log,
            || {
                let accepts = self.inside(|| TcpStream::connect_timeout(&address, CONNECT).is_ok());
                if accepts {
                    return Ok(Some(()));
                }
                // A program that has ended is told with its output.
                server.until("life", |_| Some(())).map(|()| None)
            },
        )
    }

    /// Runs `ip` in the namespace, line by line.
    ///
    /// # Errors
    /// A line fails.
    pub fn ip(&self, lines: &str) -> Result<Finished> {
        let name = self.netns.file_name().unwrap_or_default().to_string_lossy().into_owned();
        process::run(&["ip", "-n", &name, "-batch", "-"], lines)
    }
}
