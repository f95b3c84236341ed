//! The Kafka proxies under comparison, with their settings. Only Portcullis and Kroxylicious judge by topic.

use std::{
    fmt::Write as _,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use super::{
    super::{
        laboratory::{Laboratory, Place, Process, SERVER, own_program},
        peers::{Peer, find, node, server_policy},
    },
    Task, broker,
};

/// Port of the broker, which Portcullis steers.
const PORT: u16 = 9092;
/// The broker.
pub const BROKER: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER), PORT);
/// How proxies reach it.
const BEHIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

/// Where requests go: to the broker itself, or to the proxy beside it.
#[must_use]
pub fn target(peer: Peer) -> SocketAddr {
    let port = match peer {
        Peer::Relay => 9192,
        Peer::Haproxy => 9193,
        Peer::Kroxylicious => 9194,
        _ => PORT,
    };
    SocketAddr::new(SERVER.into(), port)
}

/// How a peer is started that allows these requests; `None` where nobody carries them.
///
/// # Errors
/// Its program is missing, or its settings cannot be written.
pub fn command(
    peer: Peer,
    laboratory: &Laboratory,
    rules: &[String],
    portcullis: &Path,
    upstream: &Process,
) -> io::Result<Option<Command>> {
    let (target, directory) = (target(peer), laboratory.directory());
    let tasks: Vec<Task> = rules.iter().map(|rule| Task::of(rule)).collect();
    let written = |name: &str, text: String| {
        let file = directory.join(name);
        fs::write(&file, text).map(|()| file)
    };
    let command = match peer {
        Peer::Direct | Peer::Nginx | Peer::Hyper | Peer::Dnsdist => return Ok(None),
        Peer::Relay => {
            let mut command = laboratory.command(Place::Proxy, own_program());
            command.args(["relay", &target.to_string(), &BEHIND.to_string()]);
            command
        }
        Peer::Haproxy => {
            let mut command = laboratory.command(Place::Proxy, find("haproxy")?);
            command.args(["-db", "-f"]).arg(written("haproxy.cfg", haproxy(target))?);
            command
        }
        Peer::Kroxylicious => {
            let classes = broker::set_up("kroxylicious/jars")?.join("*");
            let own = broker::set_up("kroxylicious/classes")?;
            let mut command = laboratory.command(Place::Proxy, find("java")?);
            command.args(["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-cp"]);
            command.arg(format!("{}:{}", own.display(), classes.display())).arg("Proxy");
            command.arg(written("kroxylicious.yaml", kroxylicious(target, &tasks))?);
            command
        }
        Peer::Portcullis | Peer::Sockets | Peer::Unsteered | Peer::UnsteeredSockets => {
            let tasks = if peer.steers_nothing() { &[][..] } else { &tasks };
            node(peer, laboratory, portcullis, &policy(tasks, upstream))?
        }
    };
    Ok(Some(command))
}

fn haproxy(target: SocketAddr) -> String {
    format!(
        "global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend front
  bind {target} backlog 4096
  default_backend back
backend back
  server upstream {BEHIND}
"
    )
}

/// With a filter of ours that looks at the topics of requests: its runtime brings none.
fn kroxylicious(target: SocketAddr, tasks: &[Task]) -> String {
    let topics: Vec<&str> = tasks.iter().map(|task| &*task.topic).collect();
    format!(
        "filterDefinitions:
  - {{name: topics, type: Topics, config: {{allowed: [{}]}}}}
defaultFilters: [topics]
virtualClusters:
  - name: bench
    targetCluster: {{bootstrapServers: \"{BEHIND}\"}}
    gateways:
      - name: bench
        portIdentifiesNode: {{bootstrapAddress: \"{target}\", nodeStartPort: {}}}
",
        topics.join(", "),
        target.port() + 1,
    )
}

/// The server as an endpoint, and one policy: roles and topics; the port alone without any.
fn policy(tasks: &[Task], upstream: &Process) -> String {
    let mut text = server_policy(("portcullis.io/v1", "NetworkPolicy"), PORT, upstream);
    if !tasks.is_empty() {
        text.push_str("          rules:\n            kafka:\n");
    }
    for task in tasks {
        let _ = writeln!(text, "              - {{role: {}, topic: {}}}", task.role(), task.topic);
    }
    text
}
