//! Real servers: httpbin on gunicorn, and PostgreSQL.

use std::{fs, net::SocketAddr, path::PathBuf};

use crate::{
    error::{Result, trying},
    pod::Pod,
    process::Process,
    site::Site,
};

const POSTGRES: &str = "/usr/lib/postgresql/15/bin";
/// Runs what follows as the database's user; the program still dies with its starter.
const AS_POSTGRES: [&str; 7] =
    ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "KILL", "--"];

/// httpbin on gunicorn, on port 80 of both addresses of a pod.
#[derive(Debug)]
pub struct Httpbin {
    /// The program.
    pub process: Process,
    access: PathBuf,
}

impl Httpbin {
    /// Starts it and waits until it accepts.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(pod: &Pod) -> Result<Self> {
        Self::start_at(pod, &[pod.address(false, 80), pod.address(true, 80)])
    }

    /// The same at other addresses of the pod.
    ///
    /// # Errors
    /// It does not start.
    ///
    /// # Panics
    /// Without an address.
    pub fn start_at(pod: &Pod, addresses: &[SocketAddr]) -> Result<Self> {
        let access = pod.directory().join("access.log");
        let log = access.display().to_string();
        let mut words = vec!["/usr/bin/gunicorn"];
        let addresses_as_text: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        words.extend(addresses_as_text.iter().flat_map(|address| ["-b", address]));
        words.extend(["-k", "gthread", "--threads", "4", "--worker-tmp-dir", "/dev/shm"]);
        words.extend(["--access-logfile", &log, "httpbin:app"]);
        let mut process = pod.spawn("httpbin", &words)?;
        pod.wait_for_port(addresses[0], &mut process)?;
        process.wait_for_line("Booting worker")?;
        Ok(Self { process, access })
    }

    /// Its access log, one line a request: what really arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.access).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// How many requests arrived whose line contains a text.
    #[must_use]
    pub fn arrived(&self, text: &str) -> usize {
        self.requests().iter().filter(|line| line.contains(text)).count()
    }
}

/// PostgreSQL on port 5432 of both addresses of a pod. Everybody may log in as `postgres`.
#[derive(Debug)]
pub struct Postgres {
    /// The program.
    pub process: Process,
}

impl Postgres {
    /// Makes a database, starts the server, and waits until it accepts.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(pod: &Pod) -> Result<Self> {
        let data = pod.directory().join("postgres");
        trying("make the database's directory", fs::create_dir_all(&data))?;
        let data = data.display().to_string();
        pod.run(&["chown", "postgres:postgres", &data])?.ok()?;
        let initdb = format!("{POSTGRES}/initdb");
        as_postgres(pod, &[&initdb, "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", &data])?;
        trying(
            "write pg_hba.conf",
            fs::write(format!("{data}/pg_hba.conf"), "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n"),
        )?;
        let (server, listen) = (format!("{POSTGRES}/postgres"), format!("listen_addresses={},{}", pod.v4, pod.v6));
        let mut words = AS_POSTGRES.to_vec();
        words.extend([&*server, "-D", &data, "-c", &listen, "-c", "unix_socket_directories=", "-c", "fsync=off"]);
        let mut process = pod.spawn("postgres", &words)?;
        pod.wait_for_port(pod.address(false, 5432), &mut process)?;
        process.wait_for_line("ready to accept connections")?;
        Ok(Self { process })
    }
}

fn as_postgres(site: &Site, words: &[&str]) -> Result<()> {
    let all: Vec<&str> = AS_POSTGRES.iter().chain(words).copied().collect();
    site.run(&all)?.ok().map(|_| ())
}
