//! The DNS proxies under comparison: the settings of dnsdist and Portcullis. Neither caches answers.

use std::{
    fmt::Write as _,
    fs, io,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
};

use super::{
    super::{
        cases::{Case, Denied},
        laboratory::{FIRST_CLIENT, Laboratory, Place, Process, SERVER, own_program},
        peers::{self, Peer, find, node},
    },
    names::{self, Allowed},
};

/// Port of the server, which Portcullis steers.
const PORT: u16 = 53;
/// A rule of Portcullis that allows connections to the addresses of all names that are asked for.
const RESOLVED: &str = r#"
    - toFQDNs: [{matchPattern: "**.bench.test"}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]"#;
/// The server.
const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER), PORT);

/// Where queries go: to the server itself, or to the proxy beside the client.
#[must_use]
pub fn target(peer: Peer) -> SocketAddr {
    match peer {
        Peer::Relay => SocketAddr::new(FIRST_CLIENT.into(), 8053),
        Peer::Dnsdist => SocketAddr::new(FIRST_CLIENT.into(), 8054),
        _ => UPSTREAM,
    }
}

/// Starts the server.
///
/// # Errors
/// It does not come up.
pub fn start_server(laboratory: &Laboratory) -> io::Result<Process> {
    peers::start_server(laboratory, "dns-upstream", UPSTREAM)
}

/// How a peer is started; `None` where nobody carries the queries.
///
/// # Errors
/// Its program is missing, or its settings cannot be written.
pub fn command(
    peer: Peer,
    laboratory: &Laboratory,
    target: SocketAddr,
    case: &Case,
    portcullis: &Path,
) -> io::Result<Option<Command>> {
    let rules = if case.denied == Denied::All { 1 } else { case.variants };
    let command = match peer {
        Peer::Direct
        | Peer::Nginx
        | Peer::Haproxy
        | Peer::Hyper
        | Peer::Kroxylicious
        | Peer::Unsteered
        | Peer::UnsteeredSockets => return Ok(None),
        Peer::Relay => {
            let mut command = laboratory.command(Place::Beside, own_program());
            command.args(["dns-relay", &target.to_string(), &UPSTREAM.to_string()]);
            command
        }
        Peer::Dnsdist => {
            let file = laboratory.directory().join("dnsdist.conf");
            fs::write(&file, dnsdist(laboratory.directory(), target, rules)?)?;
            let mut command = laboratory.command(Place::Beside, find("dnsdist")?);
            command.args(["--supervised", "--disable-syslog", "-C"]).arg(file);
            command
        }
        Peer::Portcullis | Peer::Sockets => {
            node(peer, laboratory, portcullis, &self::portcullis(laboratory, rules, case.learns))?
        }
    };
    Ok(Some(command))
}

/// A set of names and a tree of suffixes; what is in neither is refused.
fn dnsdist(directory: &Path, target: SocketAddr, rules: usize) -> io::Result<String> {
    let of = |wanted: fn(&Allowed) -> bool| {
        (0..rules).map(names::allowed).filter(wanted).map(|rule| rule.base() + "\n").collect::<String>()
    };
    fs::write(directory.join("dnsdist.names"), of(|rule| matches!(rule, Allowed::Name(_))))?;
    fs::write(directory.join("dnsdist.suffixes"), of(|rule| matches!(rule, Allowed::Below(_))))?;
    let directory = directory.display();
    Ok(format!(
        r#"setLocal("{target}")
setACL({{"0.0.0.0/0"}})
setSecurityPollSuffix("")
newServer({{address="{UPSTREAM}", name="upstream"}}):setUp()
local names = newDNSNameSet()
for name in io.lines("{directory}/dnsdist.names") do names:add(newDNSName(name)) end
local suffixes = newSuffixMatchNode()
for name in io.lines("{directory}/dnsdist.suffixes") do suffixes:add(newDNSName(name)) end
addAction(NotRule(OrRule({{QNameSetRule(names), SuffixMatchNodeRule(suffixes)}})), RCodeAction(DNSRCode.REFUSED))
"#
    ))
}

/// The client as an endpoint, and one policy. With `learns` it allows HTTPS to all that is resolved.
fn portcullis(laboratory: &Laboratory, rules: usize, learns: bool) -> String {
    let sources: Vec<String> = laboratory.sources().iter().map(ToString::to_string).collect();
    let mut text = format!(
        "apiVersion: portcullis.io/v1
kind: Endpoint
metadata: {{name: client, namespace: bench, labels: {{app: client}}}}
spec:
  addresses: [{}]
  networkNamespace: {}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: names, namespace: bench}}
spec:
  endpointSelector: {{matchLabels: {{app: client}}}}
  egress:{}
    - toCIDR: [{SERVER}/32]
      toPorts:
        - ports: [{{port: \"{PORT}\", protocol: UDP}}]
          rules:
            dns:
",
        sources.join(", "),
        laboratory.client(),
        if learns { RESOLVED } else { "" },
    );
    for rule in (0..rules).map(names::allowed) {
        let _ = match rule {
            Allowed::Name(_) => writeln!(text, "              - {{matchName: {}}}", rule.base()),
            Allowed::Below(_) => writeln!(text, "              - {{matchPattern: \"*.{}\"}}", rule.base()),
        };
    }
    text
}
