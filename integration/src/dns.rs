//! A real DNS server: unbound, authoritative for the names that a laboratory needs.

use std::fs;

use crate::{
    error::{Result, trying},
    pod::Pod,
    process::Process,
};

/// The only zone: the root, so that it has every name or denies it itself and asks nobody.
const ZONE: &str = "\
. 60 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60
. 60 IN NS ns.test.
ns.test. 60 IN A 127.0.0.1
";

/// unbound on port 53 of both addresses of a pod.
#[derive(Debug)]
pub struct Unbound {
    /// The program.
    pub process: Process,
}

impl Unbound {
    /// Starts it with these records, one a line as in a zone file, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(pod: &Pod, records: &[&str]) -> Result<Self> {
        let directory = pod.directory().display().to_string();
        let (zone, file) = (format!("{directory}/zone"), format!("{directory}/unbound.conf"));
        trying("write the zone", fs::write(&zone, format!("{ZONE}{}\n", records.join("\n"))))?;
        let (v4, v6) = (pod.v4, pod.v6);
        let settings = format!(
            "server:
  interface: {v4}
  interface: {v6}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  do-daemonize: no
  chroot: \"\"
  username: \"\"
  directory: \"{directory}\"
  pidfile: \"\"
  use-syslog: no
  logfile: \"\"
  log-queries: yes
  verbosity: 1
  module-config: \"iterator\"
  max-udp-size: 4096
  so-reuseport: no
  incoming-num-tcp: 200
remote-control:
  control-enable: no
auth-zone:
  name: \".\"
  for-downstream: yes
  for-upstream: no
  zonefile: \"{zone}\"
"
        );
        trying("write unbound's settings", fs::write(&file, settings))?;
        let mut process = pod.spawn("unbound", &["/usr/sbin/unbound", "-d", "-c", &file])?;
        // It accepts connections before it has read its zone.
        process.wait_for_line("start of service")?;
        Ok(Self { process })
    }

    /// How many queries arrived for a name, in small letters and with its final dot; clients may write it as they like.
    #[must_use]
    pub fn arrived(&self, name: &str) -> usize {
        let name = format!(" {name} ");
        self.process.log().lines().filter(|line| line.to_ascii_lowercase().contains(&name)).count()
    }
}
