//! What a test needs from the machine. A test whose needs are missing says so and is skipped; with
//! `PORTCULLIS_REQUIRE_ALL=1` it fails.

use std::{env, fs, io::Write, path::Path};

/// Something a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// The root user.
    Root,
    /// A kernel with BPF, its types, and cgroup2.
    Bpf,
    /// IPv6.
    Ipv6,
    /// Linux of this version at least.
    Linux(u32, u32),
    /// A program on the laboratory's path.
    Program(&'a str),
    /// A module of the distribution's Python.
    PythonModule(&'a str),
    /// Something of the set-up, by its path.
    Path(&'a str),
    /// The program under test, built.
    Portcullis,
    /// Another program of this workspace, built.
    Built(&'a str),
}

impl Need<'_> {
    /// What is missing, if it is.
    fn missing(self) -> Option<String> {
        let absent = |there: bool, what: &str| (!there).then(|| what.to_owned());
        match self {
            Self::Root => absent(nix::unistd::geteuid().is_root(), "root (namespaces and BPF need it): run as root"),
            Self::Bpf => {
                let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
                let cgroup2 = mounts.lines().any(|line| line.split(' ').nth(2) == Some("cgroup2"));
                absent(Path::new("/sys/kernel/btf/vmlinux").exists() && cgroup2, "BPF with BTF, or a cgroup2 mount")
            }
            Self::Ipv6 => absent(Path::new("/proc/sys/net/ipv6").exists(), "IPv6 in this kernel"),
            Self::Linux(major, minor) => {
                let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
                let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
                let running: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
                absent(running >= (major, minor), &format!("Linux {major}.{minor}"))
            }
            Self::Program(name) => {
                let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/postgresql/15/bin"];
                let there = places.iter().any(|place| Path::new(place).join(name).exists());
                absent(there, &format!("the program {name}: run deploy/setup.sh test"))
            }
            Self::PythonModule(name) => {
                let there = Path::new("/usr/lib/python3/dist-packages").join(name).exists();
                absent(there, &format!("the Python module {name}: run deploy/setup.sh test"))
            }
            Self::Path(path) => absent(Path::new(path).exists(), &format!("{path}: run deploy/setup.sh test")),
            Self::Portcullis => crate::node::binary().err().map(|error| error.to_string()),
            Self::Built(name) => absent(
                crate::node::built(name).is_some(),
                &format!("the program {name}: cargo build --workspace --bins"),
            ),
        }
    }
}

/// What is missing of all that, in words.
///
/// # Panics
/// When something is missing and `PORTCULLIS_REQUIRE_ALL=1` is set.
#[must_use]
pub fn lacking(needs: &[Need<'_>]) -> Option<String> {
    let missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    if missing.is_empty() {
        return None;
    }
    let missing = missing.join("; ");
    let strict = env::var_os("PORTCULLIS_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!strict, "{}: this machine lacks {missing} (PORTCULLIS_REQUIRE_ALL=1 makes this a failure)", whose());
    Some(missing)
}

/// Whether everything is there; says what is not. A test that gets `false` returns.
///
/// # Panics
/// When something is missing and `PORTCULLIS_REQUIRE_ALL=1` is set.
#[must_use]
pub fn require(needs: &[Need<'_>]) -> bool {
    let Some(missing) = lacking(needs) else { return true };
    // Straight to the stream: the test harness hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: this machine lacks {missing}", whose());
    false
}

fn whose() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}
