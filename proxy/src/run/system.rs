//! What the process needs from the machine: open files, threads, and a lock that shows which process runs here.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    num::NonZeroUsize,
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt, chown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    thread,
};

use nix::{
    fcntl::{Flock, FlockArg},
    ifaddrs::getifaddrs,
    sys::{
        resource::{Resource, getrlimit, rlim_t, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{Gid, Group},
};

use crate::cli::exit::{ExitStatus, Failure};

/// Open files that are asked for: two per connection, for half a million connections.
const OPEN_FILES: rlim_t = 1 << 20;
/// Most workers that are started without being asked for. One core relays tens of thousands of requests a second;
/// what is left belongs to the applications of the node.
const MOST_WORKERS: usize = 4;

/// Raises the limit of open files as far as the system allows, at most to [`OPEN_FILES`]; tells the limit in force.
pub fn raise_open_files() -> rlim_t {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    for limit in [OPEN_FILES.max(soft), hard] {
        if setrlimit(Resource::RLIMIT_NOFILE, limit, hard.max(limit)).is_ok() {
            return limit;
        }
    }
    soft
}

/// Workers of the data plane where nobody says: as many as the affinity and the cgroup's quota allow, at most
/// [`MOST_WORKERS`].
#[must_use]
pub fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_WORKERS)
}

/// Memory that the process may have, in bytes: the least of the limits of its cgroups, its own, and what the machine
/// has.
#[must_use]
pub fn memory_limit() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine_memory(&text));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let cgroup = Path::new(CGROUPS).join(path);
    let above = cgroup.ancestors().take_while(|cgroup| cgroup.starts_with(CGROUPS));
    let limits = above.filter_map(|cgroup| fs::read_to_string(cgroup.join("memory.max")).ok()?.trim().parse().ok());
    let own = [Resource::RLIMIT_DATA, Resource::RLIMIT_AS].into_iter().filter_map(|resource| getrlimit(resource).ok());
    limits.chain(machine).chain(own.map(|(soft, _)| soft)).min().unwrap_or(u64::MAX)
}

/// Where cgroups are, as service managers mount them.
const CGROUPS: &str = "/sys/fs/cgroup";

fn machine_memory(meminfo: &str) -> Option<u64> {
    let kilobytes = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?;
    kilobytes.parse::<u64>().ok()?.checked_mul(1024)
}

/// A Unix socket of the node, with the lock that keeps a second process off it. Removed when dropped.
#[derive(Debug)]
pub struct OwnSocket {
    path: PathBuf,
    _lock: Flock<fs::File>,
}

impl OwnSocket {
    /// Binds the socket with the given mode and group. Takes the place of a socket whose process is gone.
    ///
    /// # Errors
    /// Another process has it, or the path cannot be used.
    pub fn bind(path: &Path, mode: u32, group: Option<&str>) -> Result<(Self, UnixListener), Failure> {
        let group = group.map(group_of).transpose()?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|error| unusable(path, &error))?;
        }
        let lock = lock(path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(path, &error)),
            _ => {}
        }
        // The socket appears with its final mode at once, so nobody can connect between `bind` and `chmod`.
        let before = umask(Mode::from_bits_truncate(0o777 & !mode));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(|error| unusable(path, &error))?;
        if let Some(group) = group {
            chown(path, None, Some(group.as_raw())).map_err(|error| unusable(path, &error))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| unusable(path, &error))?;
        listener.set_nonblocking(true).map_err(|error| unusable(path, &error))?;
        Ok((Self { path: path.to_owned(), _lock: lock }, listener))
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a socket could not be removed");
        }
    }
}

fn group_of(name: &str) -> Result<Gid, Failure> {
    let known = Group::from_name(name).ok().flatten().map(|group| group.gid);
    known.ok_or_else(|| {
        Failure::new(
            ExitStatus::Failed,
            format!("there is no group {name}"),
            "name one of /etc/group in api.group and admin.group",
        )
    })
}

/// The lock is a file beside the socket, which only its owner may open. It stays when the process ends: removing it would let two processes hold
/// locks on two files of one name.
fn lock(socket: &Path) -> Result<Flock<fs::File>, Failure> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let file = fs::File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|error| unusable(Path::new(&path), &error))?;
    // An older one may be open to all, who then could hold it.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(|error| unusable(Path::new(&path), &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => Failure::new(
            ExitStatus::Failed,
            format!("another portcullis is running on {}", socket.display()),
            "there is one per node: stop that one, or give this one its own --socket, --admin-address, --state-directory and steering.bpffs",
        ),
        errno => unusable(Path::new(&path), &errno.into()),
    })
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run portcullis as root, or name a socket elsewhere with --socket or --admin-address"
        }
        _ => "name another socket with --socket or --admin-address (api.socket, admin.address in the settings)",
    };
    Failure::new(ExitStatus::Failed, format!("cannot use {}: {error}", path.display()), remedy)
}

/// The addresses of the network namespace of this thread, which is the node's.
///
/// # Errors
/// They cannot be listed.
pub fn own_addresses() -> io::Result<BTreeSet<IpAddr>> {
    Ok(getifaddrs()?.filter_map(|interface| own(interface.address?)).collect())
}

fn own(address: nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{OwnSocket, default_workers, machine_memory, memory_limit};

    #[test]
    fn a_second_process_on_one_socket_is_refused_and_a_dead_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/api.sock");
        let (first, _listener) = OwnSocket::bind(&path, 0o600, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let refused = OwnSocket::bind(&path, 0o600, None).unwrap_err();
        assert!(refused.message.contains("another portcullis is running"), "{}", refused.message);
        assert!(path.exists(), "the first one keeps its socket");

        drop(first);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a process that died leaves its socket");
        OwnSocket::bind(&path, 0o660, None).unwrap();
    }

    #[test]
    fn nobody_else_can_hold_the_lock_of_a_socket() {
        let directory = tempfile::tempdir().unwrap();
        let (path, lock) = (directory.path().join("api.sock"), directory.path().join("api.sock.lock"));
        fs::write(&lock, "").unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).unwrap();
        let _held = OwnSocket::bind(&path, 0o660, None).unwrap();
        assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = OwnSocket::bind(&path, 0o660, Some("no such group")).unwrap_err();
        assert!(refused.message.contains("there is no group no such group"), "{}", refused.message);
    }

    #[test]
    fn the_memory_that_there_is_is_known() {
        assert_eq!(machine_memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(machine_memory("MemFree: 1 kB\n"), None);
        assert!((1 << 20..u64::MAX).contains(&memory_limit()));
    }

    #[test]
    fn there_is_always_a_worker() {
        assert!((1..=4).contains(&default_workers()));
    }
}
