//! Conformance of HTTP/2: each case of h2spec against a server directly, and against the same server through the relay.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use portcullis_integration::{Need, Process, Site, require};

use crate::{
    clients::any_request,
    scene::{FAMILIES, Scene, able},
};

const PORT: u16 = 8080;

/// Cases that the relay may fail although the server passes them, each with the reason why that conforms.
const BY_DESIGN: &[(&str, &str)] = &[(
    "http2/3.5 Sends invalid connection preface",
    "who does not begin with the preface does not speak HTTP/2, and no GOAWAY is due (RFC 9113 §3.4): it is told so in \
     HTTP/1, by 400 (RFC 9112 §3), and the connection is closed. h2spec takes the 400 for a broken frame",
)];

/// Cases by their section and what they do; for one that is failed, what came instead.
type Results = BTreeMap<String, Option<String>>;

/// h2spec in the cache of the set-up, which pins what it is built from.
fn program() -> String {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    format!("{cache}/portcullis/h2spec/h2spec")
}

/// nghttp2's server, with one small file, on both addresses of the application.
fn serve(scene: &Scene) -> Vec<Process> {
    let root = scene.app.directory().join("root");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("index.html"), "conforming\n").unwrap();
    let (root, port) = (root.display().to_string(), PORT.to_string());
    let start = |v6| {
        let address = scene.app.address(v6, PORT);
        let words = ["/usr/sbin/nghttpd", "--no-tls", "-a", &address.ip().to_string(), "-d", &root, &port];
        let mut server = scene.app.spawn(&format!("nghttpd-{v6}"), &words).unwrap();
        scene.app.wait_for_port(address, &mut server).unwrap();
        server
    };
    FAMILIES.map(start).into()
}

/// Runs every case, also those that the specification only recommends.
fn run(client: &Site, scene: &Scene, v6: bool) -> Results {
    let report = client.directory().join("h2spec.xml").display().to_string();
    let ip = scene.app.address(v6, PORT).ip();
    let host = if v6 { format!("[{ip}]") } else { ip.to_string() };
    let port = PORT.to_string();
    let words = [&*program(), "-h", &host, "-p", &port, "--timeout", "1", "--strict", "--junit-report", &report];
    // Its exit code tells whether a case failed.
    let told = client.run(&words).unwrap();
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
fn worse(direct: &Results, through: &Results, family: &str) -> String {
    assert!(direct.keys().eq(through.keys()), "other cases were run");
    let mut worse = String::new();
    for (name, before, after) in direct.iter().map(|(name, before)| (name, before, &through[name])) {
        match (before, after) {
            (Some(_), None) => {
                let _ = writeln!(std::io::stderr(), "h2spec over {family}, better through the relay: {name}");
            }
            (None, Some(got)) if !BY_DESIGN.iter().any(|(known, _)| known == name) => {
                let _ = writeln!(worse, "{family}: {name}\n  got {got}");
            }
            _ => {}
        }
    }
    worse
}

/// What h2spec does not tell of the case that differs by design: the connection ends, in order.
fn another_preface_is_told_in_http1(scene: &Scene, v6: bool) {
    let address = scene.app.address(v6, PORT);
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
    if !able() || !require(&[Need::Program("nghttpd"), Need::Path(&program())]) {
        return;
    }
    let scene = Scene::new();
    let _servers = serve(&scene);
    let direct = FAMILIES.map(|v6| run(&scene.client, &scene, v6));
    let connections = || scene.node.metric("portcullis_connections_total", &[]).unwrap();
    assert!(connections() == 0.0, "nothing is steered yet");
    scene.apply(&[any_request(PORT)]);
    let mut all = String::new();
    for (v6, direct) in FAMILIES.into_iter().zip(&direct) {
        let before = connections();
        let through = run(&scene.client, &scene, v6);
        assert!(connections() - before >= 140.0, "each case has a connection, and the relay met it");
        all += &worse(direct, &through, if v6 { "IPv6" } else { "IPv4" });
    }
    FAMILIES.into_iter().for_each(|v6| another_preface_is_told_in_http1(&scene, v6));
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
