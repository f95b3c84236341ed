//! What the process asks of the machine: open files, threads, and a lock that says who runs here.

use std::{
    fs, io,
    num::NonZeroUsize,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    thread,
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::{
        resource::{Resource, getrlimit, rlim_t, setrlimit},
        stat::{Mode, umask},
    },
};

use crate::cli::exit::{Exit, Failure};

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

/// The API socket, with the lock that keeps a second process off it. Removed when dropped.
#[derive(Debug)]
pub struct ApiSocket {
    path: PathBuf,
    _lock: Flock<fs::File>,
}

impl ApiSocket {
    /// Binds the socket with the given mode. Takes the place of a socket whose process is gone.
    ///
    /// # Errors
    /// Another process has it, or the path cannot be used.
    pub fn bind(path: &Path, mode: u32) -> Result<(Self, UnixListener), Failure> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|error| unusable(path, &error))?;
        }
        let lock = lock(path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(path, &error)),
            _ => {}
        }
        // The socket is there with its final rights at once: nobody gets in between `bind` and `chmod`.
        let before = umask(Mode::from_bits_truncate(0o777 & !mode));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(|error| unusable(path, &error))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| unusable(path, &error))?;
        listener.set_nonblocking(true).map_err(|error| unusable(path, &error))?;
        Ok((Self { path: path.to_owned(), _lock: lock }, listener))
    }
}

impl Drop for ApiSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the API socket could not be removed");
        }
    }
}

/// The lock is a file beside the socket. It stays when the process ends: removing it would let two processes hold
/// locks on two files of one name.
fn lock(socket: &Path) -> Result<Flock<fs::File>, Failure> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let file = fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| unusable(Path::new(&path), &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => Failure::new(
            Exit::Failed,
            format!("another portcullis is running on {}", socket.display()),
            "there is one per node: stop that one, or give this one its own --socket, --state-directory and steering.bpffs",
        ),
        errno => unusable(Path::new(&path), &errno.into()),
    })
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "run portcullis as root, or name a socket elsewhere with --socket",
        _ => "name another socket with --socket (api.socket in the settings)",
    };
    Failure::new(Exit::Failed, format!("cannot use {}: {error}", path.display()), remedy)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{ApiSocket, default_workers};

    #[test]
    fn a_second_process_on_one_socket_is_refused_and_a_dead_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/api.sock");
        let (first, _listener) = ApiSocket::bind(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let refused = ApiSocket::bind(&path, 0o600).unwrap_err();
        assert!(refused.message.contains("another portcullis is running"), "{}", refused.message);
        assert!(path.exists(), "the first one keeps its socket");

        drop(first);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a process that died leaves its socket");
        ApiSocket::bind(&path, 0o660).unwrap();
    }

    #[test]
    fn there_is_always_a_worker() {
        assert!((1..=4).contains(&default_workers()));
    }
}
