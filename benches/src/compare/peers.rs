//! The proxies under comparison: their settings, and how each starts. One worker, no access log, keep-alive on both sides.

use std::{
    fmt::Write as _,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;

use super::{
    cases::{Case, Protocol},
    dns, http2,
    idle::{answered, most_connections},
    laboratory::{Laboratory, Place, Process, SERVER, own_program},
};

/// Port of the upstream, which Portcullis steers; the others listen beside it.
const UPSTREAM: u16 = 80;
/// How the others reach the upstream.
const BEHIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), UPSTREAM);
/// How long a proxy may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether it is.
const PAUSE: Duration = Duration::from_millis(5);

/// Who carries the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// Nobody: the client talks to the upstream
    Direct,
    /// A relay that copies bytes and looks at none: the yardstick
    Relay,
    /// nginx
    Nginx,
    /// HAProxy
    Haproxy,
    /// A proxy on hyper that terminates HTTP/2, with the rules of Portcullis
    Hyper,
    /// dnsdist
    Dnsdist,
    /// Portcullis
    Portcullis,
}

/// A peer at work.
#[derive(Debug)]
pub struct Running {
    /// Where requests go.
    pub target: SocketAddr,
    /// The process, but for [`Peer::Direct`].
    pub process: Option<Process>,
}

impl Peer {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Hyper => "hyper",
            Self::Dnsdist => "dnsdist",
            Self::Portcullis => "portcullis",
        }
    }

    /// Tells whether it judges requests.
    #[must_use]
    pub fn judges(self) -> bool {
        !matches!(self, Self::Direct | Self::Relay)
    }

    /// Tells whether it takes part in work of this protocol.
    #[must_use]
    pub fn speaks(self, protocol: Protocol) -> bool {
        match self {
            Self::Direct | Self::Relay | Self::Portcullis => true,
            Self::Nginx | Self::Haproxy => protocol != Protocol::Dns,
            Self::Hyper => protocol == Protocol::Http2,
            Self::Dnsdist => protocol == Protocol::Dns,
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Direct | Self::Portcullis | Self::Hyper | Self::Dnsdist => UPSTREAM,
            Self::Relay => 8081,
            Self::Nginx => 8082,
            Self::Haproxy => 8083,
        }
    }

    /// Starts it with rules that allow what a case allows and nothing else, and waits until an allowed request is
    /// answered and, if it judges, a denied one is not.
    ///
    /// # Errors
    /// Its program is missing, or it is not ready in time; tells what it said.
    pub fn start(
        self,
        laboratory: &Laboratory,
        case: &Case,
        portcullis: &Path,
        upstream: &Process,
    ) -> io::Result<Running> {
        let rules = case.rules();
        let (target, command) = match case.protocol {
            Protocol::Http1 => {
                let target = SocketAddr::new(SERVER.into(), self.port());
                (target, self.http1(laboratory, target, &rules, portcullis, upstream)?)
            }
            Protocol::Http2 => {
                let command = http2::peers::command(self, laboratory, &rules, portcullis, upstream)?;
                (http2::peers::target(self), command)
            }
            Protocol::Dns => {
                let target = dns::peers::target(self);
                (target, dns::peers::command(self, laboratory, target, case, portcullis)?)
            }
        };
        let Some(mut command) = command else { return Ok(Running { target, process: None }) };
        let mut process = laboratory.start(self.name(), &mut command)?;
        let answers = |allowed: bool| {
            let subject = if allowed { &rules[0] } else { case.protocol.denied() };
            laboratory.in_client(|| match case.protocol {
                Protocol::Http1 => {
                    let text = format!("GET {subject} HTTP/1.1\r\nHost: upstream.bench\r\nConnection: close\r\n\r\n");
                    answered(target, None, &text).map(drop)
                }
                Protocol::Http2 => http2::answered(target, None, subject).map(drop),
                Protocol::Dns => dns::answered(target, subject),
            })
        };
        self.wait(laboratory, &mut process, answers)?;
        Ok(Running { target, process: Some(process) })
    }

    fn http1(
        self,
        laboratory: &Laboratory,
        target: SocketAddr,
        rules: &[String],
        portcullis: &Path,
        upstream: &Process,
    ) -> io::Result<Option<Command>> {
        let directory = laboratory.directory();
        let command = match self {
            Self::Direct | Self::Hyper | Self::Dnsdist => return Ok(None),
            Self::Relay => {
                let mut command = laboratory.command(Place::Proxy, own_program());
                command.args(["relay", &target.to_string(), &BEHIND.to_string()]);
                command
            }
            Self::Nginx => {
                let file = directory.join("nginx.conf");
                fs::write(&file, nginx(directory, target, rules, most_connections()?))?;
                let mut command = laboratory.command(Place::Proxy, find("nginx")?);
                command.arg("-c").arg(file).arg("-e").arg("stderr");
                command
            }
            Self::Haproxy => {
                let paths = directory.join("haproxy.paths");
                fs::write(&paths, rules.join("\n") + "\n")?;
                let file = directory.join("haproxy.cfg");
                fs::write(&file, haproxy(&paths, target, most_connections()?))?;
                let mut command = laboratory.command(Place::Proxy, find("haproxy")?);
                command.args(["-db", "-f"]).arg(file);
                command
            }
            Self::Portcullis => node(laboratory, portcullis, &policy("GET", UPSTREAM, rules, upstream))?,
        };
        Ok(Some(command))
    }

    /// Waits until what it answers (`true`: an allowed request) is as it should be.
    fn wait(
        self,
        laboratory: &Laboratory,
        process: &mut Process,
        answers: impl Fn(bool) -> io::Result<()>,
    ) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let allowed = answers(true);
            let judged = !self.judges() || answers(false).is_err();
            match allowed {
                Ok(()) if judged => return Ok(()),
                state if Instant::now() > deadline || !process.runs()? => {
                    let state =
                        state.err().map_or_else(|| "a denied request is answered".to_owned(), |e| e.to_string());
                    let said = laboratory.said(self.name());
                    return Err(io::Error::other(format!("{} is not ready: {state}\n{said}", self.name())));
                }
                _ => thread::park_timeout(PAUSE),
            }
        }
    }
}

/// Starts the upstream.
///
/// # Errors
/// It does not come up.
pub fn start_upstream(laboratory: &Laboratory) -> io::Result<Process> {
    let mut command = laboratory.command(Place::Server, own_program());
    let mut process = laboratory.start("upstream", command.args(["upstream", &format!("0.0.0.0:{UPSTREAM}")]))?;
    process.line().map_err(|error| io::Error::other(format!("{error}\n{}", laboratory.said("upstream"))))?;
    Ok(process)
}

/// A program of the system; `/usr/sbin` is not in everybody's PATH.
pub(super) fn find(program: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| io::Error::other(format!("{program} is missing; deploy/setup.sh bench installs it")))
}

fn nginx(directory: &Path, target: SocketAddr, rules: &[String], connections: u64) -> String {
    let directory = directory.display();
    let mut locations = String::new();
    for rule in rules {
        let _ = writeln!(
            locations,
            "    location = {rule} {{ if ($request_method != GET) {{ return 403; }} proxy_pass http://upstream; }}"
        );
    }
    format!(
        "daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr error;
events {{ worker_connections {}; multi_accept on; }}
http {{
  access_log off; tcp_nodelay on; keepalive_timeout 600s; keepalive_requests 1000000000; server_tokens off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi; proxy_max_temp_file_size 0;
  upstream upstream {{ server {BEHIND}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen {target} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
{locations}    location / {{ return 403; }}
  }}
}}
",
        2 * connections
    )
}

fn haproxy(paths: &Path, target: SocketAddr, connections: u64) -> String {
    let paths = paths.display();
    format!(
        "global
  nbthread 1
  maxconn {connections}
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  option http-keep-alive
  http-reuse always
frontend front
  bind {target} backlog 4096
  acl reads method GET
  acl known path -f {paths}
  http-request deny deny_status 403 unless reads known
  default_backend back
backend back
  server upstream {BEHIND}
"
    )
}

/// The server as an endpoint, and one policy: a method, and patterns of paths.
pub(super) fn policy(method: &str, port: u16, patterns: &[String], upstream: &Process) -> String {
    let mut text = format!(
        "apiVersion: portcullis.io/v1
kind: Endpoint
metadata: {{name: server, namespace: bench, labels: {{app: server}}}}
spec:
  addresses: [{SERVER}]
  networkNamespace: /proc/{}/ns/net
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: paths, namespace: bench}}
spec:
  endpointSelector: {{matchLabels: {{app: server}}}}
  ingress:
    - toPorts:
        - ports: [{{port: \"{port}\", protocol: TCP}}]
          rules:
            http:
",
        upstream.id()
    );
    for pattern in patterns {
        let _ = writeln!(text, "              - {{method: {method}, path: '{pattern}'}}");
    }
    text
}

/// Portcullis with these resources.
pub(super) fn node(laboratory: &Laboratory, program: &Path, resources: &str) -> io::Result<Command> {
    let directory = laboratory.directory();
    let file = directory.join("resources.yaml");
    fs::write(&file, resources)?;
    let settings = directory.join("portcullis.yaml");
    let shown = directory.display();
    // Each begins without the names that the one before it has learnt.
    match fs::remove_dir_all(directory.join("state")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A comparison that is killed must not leave refusing programs behind.
    let text = format!(
        "api: {{socket: {shown}/api.sock}}
admin: {{address: off}}
resources: [{}]
stateDirectory: {shown}/state
onProxyDown: pass
workers: 1
limits: {{connections: 100000}}
steering: {{bpffs: {}}}
",
        file.display(),
        laboratory.bpf_directory().display()
    );
    fs::write(&settings, text)?;
    let mut command = laboratory.command(Place::Node, program);
    command.args(["run", "--config"]).arg(settings);
    Ok(command)
}
