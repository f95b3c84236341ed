//! The admin endpoints over a real socket.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use portcullis_config::settings::AdminAddress;
use portcullis_proxy::{
    admin::{
        self, AdminLimits, AdminState, Dump,
        health::{Health, NodeStage},
        listener::Listener,
        metrics::ConfigMetrics,
    },
    run::logging::Levels,
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::watch,
    time::{Instant, timeout},
};

struct Fixed;

impl Dump for Fixed {
    fn dump(&self) -> serde_json::Value {
        serde_json::json!({"revision": 7})
    }
}

struct Node {
    address: SocketAddr,
    directory: tempfile::TempDir,
    health: Arc<Health>,
    metrics: ConfigMetrics,
    levels: Levels,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    /// The levels reach the log through it.
    _layer: Box<dyn std::any::Any>,
}

const LIMITS: AdminLimits = AdminLimits { connections: 4, timeout: Duration::from_secs(2), everything_by_tcp: false };

async fn node() -> Node {
    node_with(LIMITS).await
}

/// One that serves by TCP and by a Unix socket.
async fn node_with(limits: AdminLimits) -> Node {
    let (layer, levels) = Levels::new("info").unwrap();
    let metrics = ConfigMetrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let health = Arc::new(Health::default());
    let admin = Arc::new(AdminState::new(registry, Arc::clone(&health), Arc::new(Fixed), levels.clone(), limits));
    let directory = tempfile::tempdir().unwrap();
    let loopback = AdminAddress::Tcp("127.0.0.1:0".parse().unwrap());
    let Listener::Tcp(tcp) = Listener::bind(&loopback, 0o600, None).await.unwrap() else { panic!() };
    let address = tcp.local_addr().unwrap();
    let path = AdminAddress::Unix(directory.path().join("admin.sock"));
    let unix = Listener::bind(&path, 0o640, None).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    drop(tokio::spawn(admin::serve(unix, Arc::clone(&admin), stopped.clone())));
    let served = tokio::spawn(admin::serve(Listener::Tcp(tcp), admin, stopped));
    Node { address, directory, health, metrics, levels, stop, served, _layer: Box::new(layer) }
}

impl Node {
    fn socket(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }
}

/// One request on a connection of its own; the answer's head and body.
async fn ask(node: &Node, method: &str, target: &str) -> (u16, String, String) {
    ask_as(node, method, target, "Host: localhost").await
}

async fn ask_as(node: &Node, method: &str, target: &str, headers: &str) -> (u16, String, String) {
    ask_on(TcpStream::connect(node.address).await.unwrap(), method, target, headers).await
}

/// The same by the Unix socket.
async fn ask_inside(node: &Node, method: &str, target: &str) -> (u16, String, String) {
    ask_on(UnixStream::connect(node.socket()).await.unwrap(), method, target, "Host: localhost").await
}

async fn ask_on(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    target: &str,
    headers: &str,
) -> (u16, String, String) {
    let request = format!("{method} {target} HTTP/1.1\r\n{headers}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn ready_follows_the_nodes_life_and_live_does_not() {
    let node = node().await;
    for (stage, status, word) in [
        (NodeStage::Starting, 503, "starting\n"),
        (NodeStage::Serving, 200, "ready\n"),
        (NodeStage::Stopping, 503, "stopping\n"),
    ] {
        node.health.enter(stage);
        for target in ["/ready", "/healthz/ready"] {
            let (got, _, body) = ask(&node, "GET", target).await;
            assert_eq!((got, body.as_str()), (status, word), "{target} while {stage:?}");
        }
        assert_eq!(ask(&node, "GET", "/live").await.0, 200, "while {stage:?}");
    }
}

#[tokio::test]
async fn metrics_are_openmetrics_text_with_build_configuration_and_process() {
    let node = node().await;
    node.metrics.in_force(42, 1);
    let wanted = "Host: localhost\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
    let (status, head, body) = ask_as(&node, "GET", "/metrics", wanted).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    for line in [
        "portcullis_config_revision 42",
        "portcullis_endpoints_faulty 1",
        "portcullis_config_rejected_total{type=\"policy\",reason=\"invalid\"} 0",
        "portcullis_config_rejected_total{type=\"policy\",reason=\"memory\"} 0",
        "# TYPE process_cpu_seconds counter",
        "# TYPE portcullis_build info",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} is missing:\n{body}");
    }
    let build = body.lines().find(|line| line.starts_with("portcullis_build_info{")).unwrap();
    assert!(build.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))) && build.ends_with("} 1"), "{build}");
    let success = body.lines().find_map(|line| line.strip_prefix("portcullis_config_last_success_timestamp_seconds "));
    assert!(success.unwrap().parse::<f64>().unwrap() > 1e9);
}

#[tokio::test]
async fn who_does_not_ask_for_openmetrics_gets_the_text_that_everybody_reads() {
    let node = node().await;
    for accept in ["", "\r\nAccept: text/plain;version=0.0.4", "\r\nAccept: */*"] {
        let (status, head, body) = ask_as(&node, "GET", "/metrics", &format!("Host: localhost{accept}")).await;
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        for line in body.lines().filter_map(|line| line.strip_prefix("# ")) {
            let kind = line.strip_prefix("TYPE ").and_then(|rest| rest.split_once(' '));
            let is_known = kind.is_none_or(|(name, kind)| match kind {
                "counter" => name.ends_with("_total"),
                "gauge" | "histogram" | "untyped" => true,
                _ => false,
            });
            assert!(is_known && (kind.is_some() || line.starts_with("HELP ")), "{line}");
        }
        for line in ["# TYPE portcullis_build_info gauge", "# TYPE process_cpu_seconds_total counter"] {
            assert!(body.lines().any(|found| found == line), "{line} is missing:\n{body}");
        }
    }
}

#[tokio::test]
async fn the_dump_is_json() {
    let node = node().await;
    let (status, head, body) = ask_inside(&node, "GET", "/config_dump").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap(), serde_json::json!({"revision": 7}));
}

#[tokio::test]
async fn the_level_is_set_by_post_only_and_a_wrong_one_changes_nothing() {
    let node = node().await;
    assert_eq!(ask_inside(&node, "GET", "/logging?level=debug").await.2, "info\n", "a GET changes nothing");
    let (status, _, body) = ask_inside(&node, "POST", "/logging?level=info%2Cportcullis_config%3Ddebug").await;
    assert_eq!((status, body.as_str()), (200, "info,portcullis_config=debug\n"));
    for wrong in ["/logging", "/logging?level=", "/logging?level=loud", "/logging?level=%"] {
        assert_eq!(ask_inside(&node, "POST", wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(node.levels.current(), "info,portcullis_config=debug");
}

#[tokio::test]
async fn by_tcp_nobody_reads_the_dump_or_changes_anything_unless_a_setting_says_so() {
    let node = node().await;
    for (method, target) in
        [("GET", "/config_dump"), ("GET", "/logging"), ("POST", "/logging?level=trace"), ("DELETE", "/logging")]
    {
        let (status, _, body) = ask(&node, method, target).await;
        assert_eq!(status, 403, "{method} {target}: {body}");
    }
    assert_eq!(node.levels.current(), "info");
    let open = node_with(AdminLimits { everything_by_tcp: true, ..LIMITS }).await;
    assert_eq!(ask(&open, "GET", "/config_dump").await.0, 200);
    let page = "Host: localhost\r\nOrigin: http://evil.example";
    assert_eq!(ask_as(&open, "POST", "/logging?level=trace", page).await.0, 403);
    assert_eq!(open.levels.current(), "info");
    assert_eq!(ask(&open, "POST", "/logging?level=debug").await.0, 200);
}

#[tokio::test]
async fn clients_that_do_not_read_or_do_not_ask_keep_nobody_out() {
    let node = node().await;
    node.health.enter(NodeStage::Serving);
    let mut held = Vec::new();
    for number in 0..64 {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        }
        held.push(stream);
    }
    for target in ["/live", "/ready"] {
        let asked = timeout(Duration::from_secs(1), ask(&node, "GET", target)).await;
        assert_eq!(asked.expect("kept waiting").0, 200, "{target}");
    }
}

#[tokio::test]
async fn a_client_that_takes_its_time_is_hung_up_on() {
    let node = node().await;
    let begun = Instant::now();
    let mut slow = TcpStream::connect(node.address).await.unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    drop(timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await.expect("it is held open"));
    assert!(begun.elapsed() >= Duration::from_secs(1), "it had no time");
    let answered = ask(&node, "GET", "/live").await;
    assert!(!answered.1.contains("keep-alive"), "{}", answered.1);
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_says_what_is() {
    let node = node().await;
    let (status, _, body) = ask(&node, "GET", "/nowhere").await;
    assert_eq!(status, 404);
    assert!(body.contains("/metrics") && body.contains("/config_dump"), "{body}");
    let (status, head, _) = ask(&node, "POST", "/metrics").await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head"), "{head}");
    assert_eq!(ask_inside(&node, "DELETE", "/logging").await.0, 405);
    let (status, _, body) = ask(&node, "HEAD", "/ready").await;
    assert_eq!((status, body.as_str()), (503, ""));
}

#[tokio::test]
async fn a_page_of_another_site_reads_nothing() {
    let node = node().await;
    for target in ["/config_dump", "/metrics"] {
        assert_eq!(ask_as(&node, "GET", target, "Host: attacker.example").await.0, 421, "{target}");
    }
}

#[tokio::test]
async fn it_ends_when_told_to() {
    let node = node().await;
    let socket = node.socket();
    node.stop.send(true).unwrap();
    node.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(node.address).await.is_err());
    for _ in 0..100 {
        if !socket.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the socket is left");
}
