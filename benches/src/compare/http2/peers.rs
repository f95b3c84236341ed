//! Who carries the requests over HTTP/2: the settings of each.

use std::{
    fmt::Write as _,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use super::super::{
    idle::most_connections,
    laboratory::{Laboratory, Place, Process, SERVER, own_program},
    peers::{Peer, find, node, policy},
};

/// Port of the server, which Portcullis steers; the others listen beside it.
const UPSTREAM: u16 = 50_051;
/// How the others reach the server.
const BEHIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), UPSTREAM);

/// Where requests go: to the server itself, or to the proxy beside it.
#[must_use]
pub fn target(peer: Peer) -> SocketAddr {
    let port = match peer {
        Peer::Direct | Peer::Portcullis | Peer::Dnsdist => UPSTREAM,
        Peer::Relay => 50_081,
        Peer::Nginx => 50_082,
        Peer::Haproxy => 50_083,
        Peer::Hyper => 50_084,
    };
    SocketAddr::new(SERVER.into(), port)
}

/// Starts the server.
///
/// # Errors
/// It does not come up.
pub fn start_upstream(laboratory: &Laboratory) -> io::Result<Process> {
    let mut command = laboratory.command(Place::Server, own_program());
    let mut process =
        laboratory.start("http2-upstream", command.args(["http2-upstream", &format!("0.0.0.0:{UPSTREAM}")]))?;
    process.line().map_err(|error| io::Error::other(format!("{error}\n{}", laboratory.said("http2-upstream"))))?;
    Ok(process)
}

/// How a peer is started that allows POST to these paths; `None` where nobody carries the requests.
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
    let command = match peer {
        Peer::Direct | Peer::Dnsdist => return Ok(None),
        Peer::Relay => {
            let mut command = laboratory.command(Place::Proxy, own_program());
            command.args(["relay", &target.to_string(), &BEHIND.to_string()]);
            command
        }
        Peer::Hyper => {
            let file = directory.join("hyper.patterns");
            fs::write(&file, patterns(rules).join("\n"))?;
            let mut command = laboratory.command(Place::Proxy, own_program());
            command.args(["terminator", &target.to_string(), &BEHIND.to_string()]).arg(file);
            command
        }
        Peer::Nginx => {
            let file = directory.join("nginx.conf");
            fs::write(&file, nginx(directory, target, rules, most_connections()?))?;
            let mut command = laboratory.command(Place::Proxy, find("nginx")?);
            command.arg("-c").arg(file).arg("-e").arg("stderr");
            command
        }
        Peer::Haproxy => {
            let paths = directory.join("haproxy.paths");
            fs::write(&paths, rules.join("\n") + "\n")?;
            let file = directory.join("haproxy.cfg");
            fs::write(&file, haproxy(&paths, target, most_connections()?))?;
            let mut command = laboratory.command(Place::Proxy, find("haproxy")?);
            command.args(["-db", "-f"]).arg(file);
            command
        }
        Peer::Portcullis => node(laboratory, portcullis, &policy("POST", UPSTREAM, &patterns(rules), upstream))?,
    };
    Ok(Some(command))
}

/// The paths as regular expressions: the service's name has a dot.
fn patterns(rules: &[String]) -> Vec<String> {
    rules.iter().map(|rule| rule.replace('.', r"\.")).collect()
}

/// nginx keeps a connection to the server for each call at a time, so that many are kept.
fn nginx(directory: &Path, target: SocketAddr, rules: &[String], connections: u64) -> String {
    let directory = directory.display();
    let mut locations = String::new();
    for rule in rules {
        let _ = writeln!(
            locations,
            "    location = {rule} {{ if ($request_method != POST) {{ return 403; }} grpc_pass grpc://upstream; }}"
        );
    }
    format!(
        "daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr error;
events {{ worker_connections {}; multi_accept on; }}
http {{
  access_log off; tcp_nodelay on; keepalive_timeout 600s; keepalive_requests 1000000000; server_tokens off;
  client_max_body_size 0; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream upstream {{ server {BEHIND}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen {target} http2 backlog=4096;
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
  http-reuse always
frontend front
  bind {target} backlog 4096 proto h2
  acl calls method POST
  acl known path -f {paths}
  http-request deny deny_status 403 unless calls known
  default_backend back
backend back
  server upstream {BEHIND} proto h2
"
    )
}
