//! The peers and the set-up that the gRPC tests share: two clients, an application, and a node.

use std::{net::SocketAddr, path::PathBuf};

use portcullis_integration::{
    Lab, Need, Pod, Process,
    documents::{endpoint, policy, service},
    node::Node,
    require,
    services::Service,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP};

/// A library of gRPC, with a server and a client of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// grpcio, in Python.
    Python,
    /// Go's grpc.
    Go,
    /// tonic, in Rust.
    Tonic,
}

pub(super) const LIBRARIES: [Library; 3] = [Library::Python, Library::Go, Library::Tonic];
/// Port of the Go server where connections are told to go away when they are two seconds old.
pub(super) const AGED: u16 = 50052;
/// Port of Go's HTTP server.
pub(super) const WEB: u16 = 8080;
/// Port of nghttp2's server.
pub(super) const FILES: u16 = 8081;

/// Something of the set-up, by its name in the cache.
fn cached(name: &str) -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    PathBuf::from(cache).join("portcullis").join(name)
}

fn python() -> String {
    cached("venv/bin/python3").display().to_string()
}

pub(super) fn go() -> String {
    cached("go-grpc/go-grpc").display().to_string()
}

/// Whether this machine can do it.
pub(super) fn able() -> bool {
    let (python, go) = (python(), go());
    let others = [Need::Root, Need::Bpf, Need::Ipv6, Need::Portcullis, Need::Path(&python), Need::Path(&go)];
    let programs = ["ip", "nft", "curl", "nghttp", "h2load", "nghttpd"].map(Need::Program);
    require(&[&others[..], &programs[..]].concat())
}

impl Library {
    /// Where its server listens.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Python => 50051,
            Self::Go => 50061,
            Self::Tonic => 50071,
        }
    }

    fn words(self) -> Vec<String> {
        match self {
            Self::Python => {
                let program = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/grpc_peer.py");
                vec![python(), program.to_owned()]
            }
            Self::Go => vec![go()],
            Self::Tonic => vec![env!("CARGO_BIN_EXE_tonic_peer").to_owned()],
        }
    }
}

/// Fields drop in this order: the laboratory last.
pub(super) struct Stage {
    pub(super) node: Node,
    /// Labelled `app=client`.
    pub(super) client: Pod,
    /// Labelled `app=other`.
    pub(super) other: Pod,
    /// Labelled `app=app`.
    pub(super) app: Pod,
    lab: Lab,
}

impl Stage {
    pub(super) fn new(settings: &Value) -> Self {
        let mut lab = Lab::new().unwrap();
        let [client, other, app] = ["client", "other", "app"].map(|name| lab.pod(name).unwrap());
        let node = Node::start(&lab, settings).unwrap();
        node.apply(&[&client, &other, &app].map(|pod| endpoint(SHOP, pod, &[("app", &pod.name)]))).unwrap();
        Self { node, client, other, app, lab }
    }

    /// Starts a server of a library on both addresses of the application.
    pub(super) fn serve(&self, library: Library) -> Process {
        let mut words = library.words();
        words.push("server".to_owned());
        let mut ports = vec![library.port()];
        ports.extend((library == Library::Go).then_some(AGED));
        self.start(&format!("{library:?}"), words, &ports)
    }

    /// Starts Go's HTTP server on both addresses of the application.
    pub(super) fn serve_web(&self) -> Process {
        self.start("web", vec![go(), "http".to_owned()], &[WEB])
    }

    /// Starts a program that takes its addresses as arguments and says that it serves.
    fn start(&self, name: &str, mut words: Vec<String>, ports: &[u16]) -> Process {
        let addresses: Vec<SocketAddr> =
            ports.iter().flat_map(|port| FAMILIES.map(|v6| self.app.address(v6, *port))).collect();
        words.extend(addresses.iter().map(ToString::to_string));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut server = self.app.spawn(name, &words).unwrap();
        for address in addresses {
            server.wait_for_line(&format!("{address}")).unwrap();
        }
        server
    }

    /// The words that start the client of a library.
    pub(super) fn client_words(library: Library, to: impl ToString, story: &[&str]) -> Vec<String> {
        let mut words = library.words();
        words.extend(["client".to_owned(), to.to_string()]);
        words.extend(story.iter().map(|word| (*word).to_owned()));
        words
    }

    /// Has the client of a library tell a story; gives what each call came to.
    pub(super) fn tell(&self, library: Library, to: impl ToString, story: &[&str]) -> Value {
        let words = Self::client_words(library, to, story);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = self.client.run(&words).unwrap().ok().unwrap();
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }

    /// Makes a service of the application's, known to the node and by its name to pods.
    pub(super) fn service(&mut self, name: &str, library: Library) -> Service {
        let made = self.lab.service(name, library.port(), &[&self.app]).unwrap();
        self.apply(&[service(SHOP, &made, &[&self.app])]);
        made
    }

    pub(super) fn apply(&self, documents: &[Value]) {
        self.node.apply(documents).unwrap();
    }

    /// How much more memory the node holds at some time of `work` than before, in KiB.
    pub(super) fn grows_by(&self, work: impl FnOnce()) -> u64 {
        let process = format!("/proc/{}", self.node.process.pid());
        let read = |name: &str| -> u64 {
            let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        // Lets the peak begin with what is held now.
        std::fs::write(format!("{process}/clear_refs"), "5").unwrap();
        let before = read("VmRSS:");
        work();
        read("VmHWM:").saturating_sub(before)
    }

    /// How many verdicts on HTTP were counted.
    pub(super) fn verdicts(&self, verdict: &str) -> f64 {
        let verdict = format!("verdict=\"{verdict}\"");
        self.node.metric("portcullis_verdicts_total", &["protocol=\"http\"", &verdict]).unwrap()
    }
}

fn ports(rules: &Value) -> Value {
    let [python, go, tonic] = LIBRARIES.map(Library::port);
    let ports =
        [python, go, tonic, AGED, WEB, FILES].map(|port| json!({ "port": port.to_string(), "protocol": "TCP" }));
    json!([{ "ports": ports, "rules": { "http": rules } }])
}

/// Lets the client make these requests at the application, and nobody else any. Denied ones are answered, or reset.
pub(super) fn ingress(rules: &Value, deny_with: &str) -> Value {
    annotated(
        "app-calls",
        deny_with,
        &json!({
            "endpointSelector": { "matchLabels": { "app": "app" } },
            "ingress": [{ "fromEndpoints": [{ "matchLabels": { "app": "client" } }], "toPorts": ports(rules) }],
        }),
    )
}

/// Lets the client make these requests at the application, and connect to nothing else.
pub(super) fn egress(rules: &Value, deny_with: &str) -> Value {
    annotated(
        "client-calls",
        deny_with,
        &json!({
            "endpointSelector": { "matchLabels": { "app": "client" } },
            "egress": [{ "toEndpoints": [{ "matchLabels": { "app": "app" } }], "toPorts": ports(rules) }],
        }),
    )
}

fn annotated(name: &str, deny_with: &str, spec: &Value) -> Value {
    let mut document = policy(SHOP, name, spec);
    document["metadata"]["annotations"] = json!({ "portcullis.io/deny-with": deny_with });
    document
}

/// Every method of one service.
pub(super) fn echo() -> Value {
    json!([{ "grpc": { "service": "lab.Echo" } }])
}

/// The same as Cilium takes it.
pub(super) fn echo_by_path() -> Value {
    json!([{ "method": "POST", "path": "/lab\\.Echo/.*" }])
}

/// The lines of a server that contain a text.
pub(super) fn lines(server: &Process, text: &str) -> usize {
    server.log().lines().filter(|line| line.contains(text)).count()
}

/// The addresses, with their ports, that a server's calls of some method came from.
pub(super) fn origins(server: &Process, method: &str) -> Vec<String> {
    let log = server.log();
    let calls = log.lines().filter(|line| line.starts_with("call ") && line.contains(method));
    let mut origins: Vec<String> = calls.filter_map(|line| line.split(" from ").nth(1)).map(origin).collect();
    origins.sort();
    origins.dedup();
    origins
}

/// grpcio writes `ipv4:10.0.0.1:80` and `ipv6:%5Bfd00::1%5D:80`.
fn origin(written: &str) -> String {
    let plain = written.trim_start_matches("ipv4:").trim_start_matches("ipv6:");
    plain.replace("%5B", "[").replace("%5D", "]")
}
