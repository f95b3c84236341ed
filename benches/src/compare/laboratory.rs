//! The test network: two network namespaces joined by a veth pair, a separate third one, and the processes in them.
//!
//! The namespaces have no name. They live as long as this process holds them open, so nothing is left behind however
//! the process ends. Its children are killed with it.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The server's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);
/// The first of the client's addresses.
pub const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 10);
/// Names of directories of ours, before the number of the process.
const PREFIX: &str = "portcullis-compare-";
/// Where files stay in memory.
const MEMORY: &str = "/dev/shm";
/// Where the file system for BPF objects is.
const BPF: &str = "/sys/fs/bpf";
/// Addresses of the client: enough that ports do not run out.
const CLIENTS: u8 = 16;
/// How long a process has to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// The namespaces and a directory for what the proxies want on disk.
#[derive(Debug)]
pub struct Laboratory {
    client: File,
    server: File,
    node: File,
    directory: PathBuf,
    pinned: bool,
}

/// Where a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The client's namespace.
    Client,
    /// The server's namespace, on the cores of the load.
    Server,
    /// The server's namespace, on the core of the proxy.
    Proxy,
    /// The client's namespace, on the core of the proxy.
    Beside,
    /// A namespace apart, on the core of the proxy: where a node's own programs run.
    Node,
}

/// A process that is killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Laboratory {
    /// Makes it. With `pinned` and more than one core, proxies run on core 0 and all else on the others.
    ///
    /// # Errors
    /// Not root, `ip` is missing, or the kernel refuses.
    pub fn new(pinned: bool) -> io::Result<Self> {
        let directory = std::env::temp_dir().join(own_name());
        sweep();
        fs::create_dir_all(&directory)?;
        let cores = thread::available_parallelism()?.get();
        let [client, server, node] = [new_namespace()?, new_namespace()?, new_namespace()?];
        let laboratory = Self { client, server, node, directory, pinned: pinned && cores > 1 };
        laboratory.join()?;
        Ok(laboratory)
    }

    /// Addresses of the client, to connect from.
    #[must_use]
    pub fn sources(&self) -> Vec<IpAddr> {
        (0..u32::from(CLIENTS)).map(|index| Ipv4Addr::from_bits(FIRST_CLIENT.to_bits() + index).into()).collect()
    }

    /// The client's namespace, by a path that holds as long as this process runs.
    #[must_use]
    pub fn client(&self) -> String {
        path(&self.client)
    }

    /// A directory of our own.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A directory of our own whose files stay in memory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn memory_directory(&self) -> io::Result<PathBuf> {
        let directory = Path::new(MEMORY).join(own_name());
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// A directory for BPF objects of our own.
    #[must_use]
    pub fn bpf_directory(&self) -> PathBuf {
        Path::new(BPF).join(own_name())
    }

    fn join(&self) -> io::Result<()> {
        self.ip(Place::Server, &format!("link add uplink type veth peer name uplink netns {}", path(&self.client)))?;
        let mut client = Vec::new();
        for source in self.sources() {
            client.push(format!("address add {source}/16 dev uplink"));
        }
        for (place, addresses) in
            [(Place::Client, client), (Place::Server, vec![format!("address add {SERVER}/16 dev uplink")])]
        {
            self.ip(place, "link set lo up")?;
            for address in addresses {
                self.ip(place, &address)?;
            }
            self.ip(place, "link set uplink up")?;
        }
        Ok(())
    }

    fn ip(&self, place: Place, words: &str) -> io::Result<()> {
        let output = self.command(place, "ip").args(words.split(' ')).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// A command that will run in a namespace, on its cores, and die with us.
    pub fn command(&self, place: Place, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let namespace = match place {
            Place::Client | Place::Beside => &self.client,
            Place::Server | Place::Proxy => &self.server,
            Place::Node => &self.node,
        };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]).arg(format!("--net={}", path(namespace)));
        if self.pinned {
            let last = thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get) - 1;
            let cores = if matches!(place, Place::Proxy | Place::Beside | Place::Node) {
                "0".to_owned()
            } else {
                format!("1-{last}")
            };
            command.args(["taskset", "--cpu-list", &cores]);
        }
        command.arg(program);
        command
    }

    /// Does something from the client's namespace. Sockets made there stay there.
    ///
    /// # Errors
    /// What `act` says, or the namespace cannot be entered.
    pub fn in_client<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let inside = || {
            setns(&self.client, CloneFlags::CLONE_NEWNET)?;
            act()
        };
        thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| io::Error::other("a thread panicked"))?
    }

    /// Starts a process with pipes for its standard input and output; what it says on standard error goes to a file.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, name: &str, command: &mut Command) -> io::Result<Process> {
        let log = File::create(self.log(name))?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        Ok(Process { name: name.to_owned(), child })
    }

    /// What a process said on standard error, the last lines.
    #[must_use]
    pub fn said(&self, name: &str) -> String {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        // The namespaces go with their last descriptor.
        let _ = fs::remove_dir_all(&self.directory);
        let _ = fs::remove_dir_all(Path::new(MEMORY).join(own_name()));
        let _ = fs::remove_dir_all(self.bpf_directory());
    }
}

impl Process {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line it prints.
    ///
    /// # Errors
    /// It ended.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        // One byte at a time: what follows the line stays in the pipe.
        if let Some(output) = &mut self.child.stdout {
            BufReader::with_capacity(1, output).read_line(&mut line)?;
        }
        if line.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} ended early", self.name)));
        }
        Ok(line.trim_end().to_owned())
    }

    /// Sends it a line.
    ///
    /// # Errors
    /// It ended.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        use std::io::Write as _;
        let Some(input) = &mut self.child.stdin else { return Ok(()) };
        writeln!(input, "{line}")
    }

    /// Returns whether it runs.
    ///
    /// # Errors
    /// The kernel does not know it.
    pub fn runs(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Asks it to stop and waits; kills it when it does not.
    pub fn stop(mut self) {
        let Ok(number) = i32::try_from(self.child.id()) else { return };
        if kill(Pid::from_raw(number), Signal::SIGTERM).is_err() {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Everything it prints until it ends.
    ///
    /// # Errors
    /// It failed.
    pub fn finish(mut self) -> io::Result<String> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        if let Some(output) = &mut self.child.stdout {
            output.read_to_string(&mut text)?;
        }
        let status = self.child.wait()?;
        if status.success() { Ok(text) } else { Err(io::Error::other(format!("{}: {status}", self.name))) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that runs, to start its other parts: this very one, also when a build has put another in its place.
#[must_use]
pub fn own_program() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}

fn own_name() -> String {
    format!("{PREFIX}{}", std::process::id())
}

/// A new network namespace. The thread that made it is gone; the open file keeps it.
fn new_namespace() -> io::Result<File> {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        File::open("/proc/thread-self/ns/net")
    });
    made.join().map_err(|_| io::Error::other("the thread of a namespace panicked"))?
}

fn path(namespace: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd())
}

/// Removes what runs left that were killed: their directories, and what Portcullis pinned for them.
fn sweep() {
    for parent in [std::env::temp_dir(), PathBuf::from(MEMORY), PathBuf::from(BPF)] {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
            if number.is_some_and(|number| !Path::new(&format!("/proc/{number}")).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}
