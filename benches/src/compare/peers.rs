//! The proxies under comparison: their settings, and how each starts. One worker, no access log, keep-alive on both sides.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;

use super::{
    cases::{Case, Protocol},
    dns, http2,
    idle::answered,
    kafka,
    laboratory::{Laboratory, Place, Process, SERVER, own_program},
    web,
};

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
    /// Kroxylicious with a filter that looks at topics
    Kroxylicious,
    /// Portcullis
    Portcullis,
    /// Portcullis without its second line at packets
    Sockets,
    /// Portcullis with a policy of ports only: nothing is steered
    Unsteered,
    /// The same without its second line at packets
    UnsteeredSockets,
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
            Self::Kroxylicious => "kroxylicious",
            Self::Portcullis => "portcullis",
            Self::Sockets => "sockets",
            Self::Unsteered => "unsteered",
            Self::UnsteeredSockets => "unsteered-sockets",
        }
    }

    /// Returns whether it judges packets as well as sockets.
    #[must_use]
    pub fn judges_packets(self) -> bool {
        !matches!(self, Self::Sockets | Self::UnsteeredSockets)
    }

    /// Returns whether it is Portcullis, in one form or another.
    #[must_use]
    pub fn is_portcullis(self) -> bool {
        matches!(self, Self::Portcullis | Self::Sockets) || self.steers_nothing()
    }

    /// Returns whether it is Portcullis with nothing to steer.
    #[must_use]
    pub fn steers_nothing(self) -> bool {
        matches!(self, Self::Unsteered | Self::UnsteeredSockets)
    }

    /// Returns whether it judges requests of this protocol.
    #[must_use]
    pub fn judges(self, protocol: Protocol) -> bool {
        match self {
            Self::Direct | Self::Relay => false,
            Self::Haproxy => protocol != Protocol::Kafka,
            _ => !self.steers_nothing(),
        }
    }

    /// Returns whether it takes part in work of this protocol.
    #[must_use]
    pub fn speaks(self, protocol: Protocol) -> bool {
        match self {
            Self::Direct | Self::Relay | Self::Portcullis | Self::Sockets => true,
            Self::Nginx => matches!(protocol, Protocol::Http1 | Protocol::Http2),
            Self::Haproxy | Self::Unsteered | Self::UnsteeredSockets => protocol != Protocol::Dns,
            Self::Hyper => protocol == Protocol::Http2,
            Self::Dnsdist => protocol == Protocol::Dns,
            Self::Kroxylicious => protocol == Protocol::Kafka,
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
        let web = |version: web::Version| {
            Ok::<_, io::Error>((version.target(self), version.command(self, laboratory, &rules, portcullis, upstream)?))
        };
        let (target, command) = match case.protocol {
            Protocol::Http1 => web(web::HTTP1)?,
            Protocol::Http2 => web(web::HTTP2)?,
            Protocol::Dns => {
                let target = dns::peers::target(self);
                (target, dns::peers::command(self, laboratory, target, case, portcullis)?)
            }
            Protocol::Kafka => {
                let command = kafka::peers::command(self, laboratory, &rules, portcullis, upstream)?;
                (kafka::peers::target(self), command)
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
                Protocol::Kafka => kafka::answered(target, subject),
            })
        };
        self.wait(laboratory, case.protocol, &mut process, answers)?;
        Ok(Running { target, process: Some(process) })
    }

    /// Waits until what it answers (`true`: an allowed request) is as it should be.
    fn wait(
        self,
        laboratory: &Laboratory,
        protocol: Protocol,
        process: &mut Process,
        answers: impl Fn(bool) -> io::Result<()>,
    ) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let allowed = answers(true);
            // It judges before it is able to end in order, and a policy of ports is in force without any answer that tells.
            let serves = !self.is_portcullis() || laboratory.said(self.name()).contains("policy is in force");
            let judged = serves && (!self.judges(protocol) || answers(false).is_err());
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

/// Starts a server: this program as one of its parts.
///
/// # Errors
/// It does not come up.
pub(super) fn start_server(laboratory: &Laboratory, part: &str, address: SocketAddr) -> io::Result<Process> {
    let mut command = laboratory.command(Place::Server, own_program());
    let mut process = laboratory.start(part, command.args([part, &address.to_string()]))?;
    process.line().map_err(|error| io::Error::other(format!("{error}\n{}", laboratory.said(part))))?;
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

/// The server as an endpoint, and one policy of a kind for what comes to its port; the rules are to follow, indented as `rules` below
/// `ports`.
pub(super) fn server_policy((api, kind): (&str, &str), port: u16, upstream: &Process) -> String {
    format!(
        "apiVersion: portcullis.io/v1
kind: Endpoint
metadata: {{name: server, namespace: bench, labels: {{app: server}}}}
spec:
  addresses: [{SERVER}]
  networkNamespace: /proc/{}/ns/net
---
apiVersion: {api}
kind: {kind}
metadata: {{name: requests, namespace: bench}}
spec:
  endpointSelector: {{matchLabels: {{app: server}}}}
  ingress:
    - toPorts:
        - ports: [{{port: \"{port}\", protocol: TCP}}]
",
        upstream.id()
    )
}

/// Portcullis with these resources, as this peer.
pub(super) fn node(peer: Peer, laboratory: &Laboratory, program: &Path, resources: &str) -> io::Result<Command> {
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
steering: {{bpffs: {}, packets: {}}}
",
        file.display(),
        laboratory.bpf_directory().display(),
        peer.judges_packets()
    );
    fs::write(&settings, text)?;
    let mut command = laboratory.command(Place::Node, program);
    command.args(["run", "--release-on-stop", "--config"]).arg(settings);
    Ok(command)
}
