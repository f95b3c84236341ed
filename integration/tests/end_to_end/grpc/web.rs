//! HTTP/2 without gRPC: curl, nghttp2's programs and Java's client, with prior knowledge and by upgrade.

use portcullis_integration::{
    Need,
    curl::{RESET, curl},
    require,
};
use serde_json::{Value, json};

use super::peers::{FILES, Stage, WEB, able, ingress, lines};
use crate::scene::FAMILIES;

/// curl's exit code for a stream of HTTP/2 that was reset.
const STREAM_RESET: i32 = 92;

fn open() -> Value {
    json!([{ "method": "GET|POST|PUT", "path": "/open/.*" }])
}

/// A URL of one of the application's servers.
fn url(stage: &Stage, v6: bool, port: u16, path: &str) -> String {
    format!("http://{}{path}", stage.app.address(v6, port))
}

#[test]
fn curl_speaks_http2_at_once_and_by_upgrade() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let server = stage.serve_web();
    for (deny_with, exits, status) in [("reset", [STREAM_RESET, RESET], 0), ("respond", [0, 0], 403)] {
        stage.apply(&[ingress(&open(), deny_with)]);
        for v6 in FAMILIES {
            let (allowed, denied) = (url(&stage, v6, WEB, "/open/a"), url(&stage, v6, WEB, "/closed"));
            for (way, exit) in ["--http2-prior-knowledge", "--http2"].into_iter().zip(exits) {
                let answer = curl(&stage.client, &["-v", way], &allowed).unwrap();
                assert_eq!((answer.exit, answer.status), (0, 200), "{way} {answer:?}");
                assert!(answer.error.contains("< HTTP/2 200"), "{way} {answer:?}");
                let answer = curl(&stage.client, &[way], &denied).unwrap();
                assert_eq!((answer.exit, answer.status), (exit, status), "{way} {answer:?}");
            }
            // On one connection, which the first has made HTTP/2. (With prior knowledge, this curl fails at the second
            // request whoever it asks.)
            let told = curl(&stage.client, &["-v", "--http2", &allowed, &denied], &allowed).unwrap();
            assert_eq!((told.exit, told.status), (0, 200), "{told:?}");
            assert_eq!(told.body.matches("GET /open/a").count(), 2, "{told:?}");
            assert_eq!(told.error.matches("Connected to").count(), 1, "{told:?}");
        }
    }
    assert_eq!(lines(&server, "/closed"), 0, "{}", server.log());
}

#[test]
fn javas_client_upgrades_and_is_judged_on() {
    if !able() || !require(&[Need::Program("java")]) {
        return;
    }
    let stage = Stage::new(&json!({}));
    let server = stage.serve_web();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/JavaClient.java");
    for (deny_with, offer_denied, denied) in [
        ("reset", "error java.io.IOException", "error java.io.IOException"),
        ("respond", "403 HTTP_1_1 ", "403 HTTP_2 0"),
    ] {
        stage.apply(&[ingress(&open(), deny_with)]);
        let (first, second) = (url(&stage, true, WEB, "/open/a"), url(&stage, true, WEB, "/closed"));
        let words = ["java", program, &second, "1", &first, "2", &second, "2", &first, "1"];
        let told = stage.client.run(&words).unwrap().stdout;
        let lines: Vec<&str> = told.lines().collect();
        let allowed = "200 HTTP_2 23";
        let wanted = [offer_denied, allowed, allowed, denied, denied, allowed];
        assert!(lines.len() == 6 && lines.iter().zip(wanted).all(|(line, wanted)| line.starts_with(wanted)), "{told}");
    }
    assert_eq!(lines(&server, "/closed"), 0, "{}", server.log());
    // The first one of a client came as HTTP/1, with the offer.
    assert_eq!((lines(&server, "HTTP/1.1 GET"), lines(&server, "HTTP/2.0 GET")), (2, 4), "{}", server.log());
}

#[test]
fn programs_of_nghttp2_meet_each_other() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let files = stage.app.directory().join("files");
    std::fs::create_dir_all(files.join("open")).unwrap();
    for name in ["open/small", "open/large", "closed"] {
        let size = if name == "open/large" { 1 << 20 } else { 100 };
        std::fs::write(files.join(name), vec![b'x'; size]).unwrap();
    }
    let (root, port) = (files.display().to_string(), FILES.to_string());
    let words = ["nghttpd", "--no-tls", "--verbose", "--htdocs", &root, "--address", "::", &port];
    let mut server = stage.app.spawn("nghttpd", &words).unwrap();
    stage.app.wait_for_port(stage.app.address(true, FILES), &mut server).unwrap();
    stage.apply(&[ingress(&open(), "respond")]);
    // Streams with priorities, padding, and a header table of no size.
    for more in
        [&[][..], &["--no-dep"], &["--padding=200"], &["--header-table-size=0"], &["--max-concurrent-streams=1"]]
    {
        let urls = ["/open/small", "/closed", "/open/large"].map(|path| url(&stage, true, FILES, path));
        let mut words = vec!["nghttp", "--null-out", "--stat", "--timeout=20"];
        words.extend_from_slice(more);
        words.extend(urls.iter().map(String::as_str));
        let told = stage.client.run(&words).unwrap().ok().unwrap().stdout;
        let codes: Vec<_> = told.lines().filter_map(|line| line.split_whitespace().nth(4)).collect();
        for (code, times) in [("200", 2), ("403", 1)] {
            assert_eq!(codes.iter().filter(|found| **found == code).count(), times, "{more:?}: {told}");
        }
    }
    assert_eq!(lines(&server, ":path: /closed"), 0, "{}", server.log());
}

#[test]
fn no_request_of_a_load_fails() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let _server = stage.serve_web();
    stage.apply(&[ingress(&open(), "respond")]);
    let address = url(&stage, false, WEB, "/open/a");
    let words = ["h2load", "-n", "20000", "-c", "4", "-m", "32", &address];
    let told = stage.client.run(&words).unwrap().ok().unwrap().stdout;
    println!("{told}");
    let all = "requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout";
    assert!(told.contains(all), "{told}");
    assert!((stage.verdicts("allow") - 20_000.0).abs() < 0.1, "{}", stage.node.metrics().unwrap());
    let denied = url(&stage, false, WEB, "/closed");
    let told =
        stage.client.run(&["h2load", "-n", "5000", "-c", "4", "-m", "32", &denied]).unwrap().ok().unwrap().stdout;
    assert!(told.contains("status codes: 0 2xx, 0 3xx, 5000 4xx, 0 5xx"), "{told}");
}
