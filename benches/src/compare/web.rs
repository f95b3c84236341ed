//! The proxies under comparison for HTTP/1 and HTTP/2, with their settings. They allow one method and some paths.

use std::{
    fmt::Write as _,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use super::{
    idle::most_connections,
    laboratory::{Laboratory, Place, Process, SERVER, own_program},
    peers::{Peer, find, node, server_policy, start_server},
};

/// A version of HTTP, and what the proxies call what they need for it.
pub(super) struct Version {
    method: &'static str,
    /// Port of the server, which Portcullis steers.
    server: u16,
    /// The others listen beside it, at this port and those behind it.
    others: u16,
    /// The part of this program that is the server.
    part: &'static str,
    nginx: Nginx,
    /// What HAProxy adds where it listens and where it connects.
    haproxy: &'static str,
}

struct Nginx {
    http: &'static str,
    /// Idle connections to the server that are kept.
    keepalive: u16,
    listen: &'static str,
    server: &'static str,
    pass: &'static str,
}

/// Requests with GET.
pub(super) const HTTP1: Version = Version {
    method: "GET",
    server: 80,
    others: 8081,
    part: "upstream",
    nginx: Nginx {
        http: "proxy_max_temp_file_size 0;",
        keepalive: 128,
        listen: "",
        server: "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;",
        pass: "proxy_pass http://upstream",
    },
    haproxy: "",
};

/// Calls with POST. nginx keeps a connection to the server for each call at a time, so that many are kept.
pub(super) const HTTP2: Version = Version {
    method: "POST",
    server: 50_051,
    others: 50_081,
    part: "http2-upstream",
    nginx: Nginx {
        http: "client_max_body_size 0;",
        keepalive: 1024,
        listen: " http2",
        server: "",
        pass: "grpc_pass grpc://upstream",
    },
    haproxy: " proto h2",
};

impl Version {
    /// Where requests go: to the server itself, or to the proxy beside it.
    pub(super) fn target(&self, peer: Peer) -> SocketAddr {
        let port = match peer {
            Peer::Relay => self.others,
            Peer::Nginx => self.others + 1,
            Peer::Haproxy => self.others + 2,
            Peer::Hyper => self.others + 3,
            _ => self.server,
        };
        SocketAddr::new(SERVER.into(), port)
    }

    /// Starts the server.
    ///
    /// # Errors
    /// It does not come up.
    pub(super) fn start_server(&self, laboratory: &Laboratory) -> io::Result<Process> {
        start_server(laboratory, self.part, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.server))
    }

    /// How the proxies reach the server.
    fn behind(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.server)
    }

    /// How a peer is started that allows these paths; `None` where nobody carries the requests.
    ///
    /// # Errors
    /// Its program is missing, or its settings cannot be written.
    pub(super) fn command(
        &self,
        peer: Peer,
        laboratory: &Laboratory,
        rules: &[String],
        portcullis: &Path,
        upstream: &Process,
    ) -> io::Result<Option<Command>> {
        let (target, behind, directory) = (self.target(peer), self.behind(), laboratory.directory());
        let command = match peer {
            Peer::Direct | Peer::Dnsdist | Peer::Kroxylicious => return Ok(None),
            Peer::Relay => {
                let mut command = laboratory.command(Place::Proxy, own_program());
                command.args(["relay", &target.to_string(), &behind.to_string()]);
                command
            }
            Peer::Hyper => {
                let file = directory.join("hyper.patterns");
                fs::write(&file, patterns(rules).join("\n"))?;
                let mut command = laboratory.command(Place::Proxy, own_program());
                command.args(["terminator", &target.to_string(), &behind.to_string()]).arg(file);
                command
            }
            Peer::Nginx => {
                let file = directory.join("nginx.conf");
                fs::write(&file, self.nginx(directory, target, rules, most_connections()?))?;
                let mut command = laboratory.command(Place::Proxy, find("nginx")?);
                command.arg("-c").arg(file).arg("-e").arg("stderr");
                command
            }
            Peer::Haproxy => {
                let paths = directory.join("haproxy.paths");
                fs::write(&paths, rules.join("\n") + "\n")?;
                let file = directory.join("haproxy.cfg");
                fs::write(&file, self.haproxy(&paths, target, most_connections()?))?;
                let mut command = laboratory.command(Place::Proxy, find("haproxy")?);
                command.args(["-db", "-f"]).arg(file);
                command
            }
            Peer::Portcullis | Peer::Sockets | Peer::Unsteered | Peer::UnsteeredSockets => {
                let patterns = if peer.steers_nothing() { Vec::new() } else { patterns(rules) };
                node(peer, laboratory, portcullis, &self.policy(&patterns, upstream))?
            }
        };
        Ok(Some(command))
    }

    fn nginx(&self, directory: &Path, target: SocketAddr, rules: &[String], connections: u64) -> String {
        let (method, behind, directory) = (self.method, self.behind(), directory.display());
        let Nginx { http, keepalive, listen, server, pass } = self.nginx;
        let mut locations = String::new();
        for rule in rules {
            let _ = writeln!(
                locations,
                "    location = {rule} {{ if ($request_method != {method}) {{ return 403; }} {pass}; }}"
            );
        }
        format!(
            "daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr error;
events {{ worker_connections {}; multi_accept on; }}
http {{
  access_log off; tcp_nodelay on; keepalive_timeout 600s; keepalive_requests 1000000000; server_tokens off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi; {http}
  upstream upstream {{ server {behind}; keepalive {keepalive}; keepalive_requests 1000000000; }}
  server {{
    listen {target}{listen} backlog=4096;
    {server}
{locations}    location / {{ return 403; }}
  }}
}}
",
            2 * connections
        )
    }

    fn haproxy(&self, paths: &Path, target: SocketAddr, connections: u64) -> String {
        let (method, version, behind, paths) = (self.method, self.haproxy, self.behind(), paths.display());
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
  bind {target} backlog 4096{version}
  acl meant method {method}
  acl known path -f {paths}
  http-request deny deny_status 403 unless meant known
  default_backend back
backend back
  server upstream {behind}{version}
"
        )
    }

    /// The server as an endpoint, and one policy: the method, and patterns of paths; the port alone without any.
    fn policy(&self, patterns: &[String], upstream: &Process) -> String {
        let method = self.method;
        let mut text = server_policy(("cilium.io/v2", "CiliumNetworkPolicy"), self.server, upstream);
        if !patterns.is_empty() {
            text.push_str("          rules:\n            http:\n");
        }
        for pattern in patterns {
            let _ = writeln!(text, "              - {{method: {method}, path: '{pattern}'}}");
        }
        text
    }
}

/// The paths as regular expressions: a service's name has a dot.
fn patterns(rules: &[String]) -> Vec<String> {
    rules.iter().map(|rule| rule.replace('.', r"\.")).collect()
}
