//! HTTP/2 conformance: each case of h2spec against a server directly, and against the same server through the relay.
//! There are two servers: one passes nearly every case by itself, the other relies on the relay for some.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use portcullis_integration::{Need, Process, require};
use serde_json::json;

use crate::{
    clients::any_request,
    scene::{FAMILIES, Scene, able},
};

/// A server, and its port.
#[derive(Clone, Copy, Debug)]
enum Server {
    /// nghttp2's.
    Nghttpd,
    /// Go's.
    Go,
}

impl Server {
    fn port(self) -> u16 {
        match self {
            Self::Nghttpd => 8080,
            Self::Go => 8081,
        }
    }
}

const SERVERS: [Server; 2] = [Server::Nghttpd, Server::Go];

/// Cases that the relay may fail although the server passes them, each with the reason why that conforms.
const BY_DESIGN: &[(&str, &str)] = &[(
    "http2/3.5 Sends invalid connection preface",
    "who does not begin with the preface does not speak HTTP/2, and no GOAWAY is due (RFC 9113 §3.4): it is told so in \
     HTTP/1, by 400 (RFC 9112 §3), and the connection is closed. h2spec takes the 400 for a broken frame",
)];

/// Cases by their section and what they do; for one that is failed, what came instead.
type Results = BTreeMap<String, Option<String>>;

/// A program in the cache of the set-up, which pins what it is built from.
fn program(name: &str) -> String {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    format!("{cache}/portcullis/{name}/{name}")
}

/// Starts a server on both addresses of the application: nghttp2's once for each, and with one small file.
fn serve(scene: &Scene, server: Server) -> Vec<Process> {
    let (root, port, go) = (scene.app.directory().join("root"), server.port().to_string(), program("go-grpc"));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("index.html"), "conforming\n").unwrap();
    let root = root.display().to_string();
    let start = |v6| {
        let address = scene.app.address(v6, server.port());
        let (ip, both) = (address.ip().to_string(), address.to_string());
        let words = match server {
            Server::Nghttpd => vec!["/usr/sbin/nghttpd", "--no-tls", "-a", &ip, "-d", &root, &port],
            Server::Go => vec![&*go, "http", &both],
        };
        let mut process = scene.app.spawn(&format!("{server:?}-{v6}"), &words).unwrap();
        scene.app.wait_for_port(address, &mut process).unwrap();
        process
    };
    FAMILIES.map(start).into()
}

/// Runs every case, also those that the specification only recommends.
fn run(scene: &Scene, server: Server, v6: bool) -> Results {
    let report = scene.client.directory().join("h2spec.xml").display().to_string();
    let ip = scene.app.address(v6, 0).ip();
    let (host, port) = (if v6 { format!("[{ip}]") } else { ip.to_string() }, server.port().to_string());
    let h2spec = program("h2spec");
    let words = [&*h2spec, "-h", &host, "-p", &port, "--timeout", "1", "--strict", "--junit-report", &report];
    // Its exit code tells whether a case failed.
    let told = scene.client.run(&words).unwrap();
    let results = cases(&fs::read_to_string(&report).unwrap_or_default());
    assert!(results.len() > 140, "h2spec ran {} cases only: {told:?}", results.len());
    fs::remove_file(&report).unwrap();
    results
}

/// Reads a report in JUnit's format as h2spec writes it: an element for each case, empty where it passed.
fn cases(report: &str) -> Results {
    let attribute = |text: &str, name: &str| {
        let value = text.split_once(&format!("{name}=\"")).unwrap().1;
        value.split_once('"').unwrap().0.to_owned()
    };
    report
        .split("<testcase ")
        .skip(1)
        .map(|text| {
            let (case, _) = text.split_once("</testcase>").unwrap();
            let (head, body) = case.split_once('>').unwrap();
            let name = format!("{} {}", attribute(head, "package"), attribute(head, "classname"));
            (name, (!body.trim().is_empty()).then(|| body.trim().to_owned()))
        })
        .collect()
}

/// What the relay makes worse, told for whoever has to look into it. What it makes better is printed.
fn worse(direct: &Results, through: &Results, place: &str) -> String {
    assert!(direct.keys().eq(through.keys()), "other cases were run");
    let mut worse = String::new();
    for (name, before, after) in direct.iter().map(|(name, before)| (name, before, &through[name])) {
        match (before, after) {
            (Some(_), None) => {
                let _ = writeln!(std::io::stderr(), "h2spec, {place}, better through the relay: {name}");
            }
            (None, Some(got)) if !BY_DESIGN.iter().any(|(known, _)| known == name) => {
                let _ = writeln!(worse, "{place}: {name}\n  got {got}");
            }
            _ => {}
        }
    }
    worse
}

/// What h2spec does not tell of the case that differs by design: the connection ends, in order.
fn another_preface_is_told_in_http1(scene: &Scene, server: Server, v6: bool) {
    let address = scene.app.address(v6, server.port());
    let answer = scene.client.inside(|| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"INVALID CONNECTION PREFACE\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn no_case_of_h2spec_gets_worse_through_the_relay() {
    let needs = [program("h2spec"), program("go-grpc")];
    if !able() || !require(&[Need::Program("nghttpd"), Need::Path(&needs[0]), Need::Path(&needs[1])]) {
        return;
    }
    let scene = Scene::new();
    let _servers = SERVERS.map(|server| serve(&scene, server));
    let direct = SERVERS.map(|server| run(&scene, server, false));
    let connections = || scene.node.metric("portcullis_connections_total", &[]).unwrap();
    assert!(connections() == 0.0, "nothing is steered yet");
    scene.apply(&SERVERS.map(|server| {
        let mut policy = any_request(server.port());
        policy["metadata"]["name"] = json!(format!("any-request-{}", server.port()));
        policy
    }));
    let mut all = String::new();
    for (server, direct) in SERVERS.into_iter().zip(&direct) {
        for v6 in FAMILIES {
            let before = connections();
            let through = run(&scene, server, v6);
            assert!(connections() - before >= 140.0, "each case has a connection, and the relay met it");
            all += &worse(direct, &through, &format!("{server:?} over {}", if v6 { "IPv6" } else { "IPv4" }));
            another_preface_is_told_in_http1(&scene, server, v6);
        }
    }
    assert!(all.is_empty(), "these cases get worse through the relay:\n{all}");
    for (name, reason) in BY_DESIGN {
        assert!(direct[0].contains_key(*name), "{name} is no case ({reason})");
    }
}

#[test]
fn reports_are_read_case_by_case() {
    let good = r#"<testcase package="http2/4.1" classname="Sends a frame" time="0.1"></testcase>"#;
    let bad =
        "<testcase package=\"hpack/2\" classname=\"Sends x\" time=\"1\">\n<error>GOAWAY\nTimeout</error>\n</testcase>";
    let wanted = [("hpack/2 Sends x", Some("<error>GOAWAY\nTimeout</error>")), ("http2/4.1 Sends a frame", None)];
    let read = cases(&format!("<testsuites>\n<testsuite>{good}\n{bad}</testsuite></testsuites>"));
    assert!(read.iter().map(|(name, got)| (&**name, got.as_deref())).eq(wanted), "{read:?}");
}
