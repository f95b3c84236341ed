//! The admin endpoints over a real socket.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{net::SocketAddr, sync::Arc};

use portcullis_proxy::{
    admin::{
        self, Admin, Dump,
        health::{Health, Stage},
        metrics::Metrics,
    },
    run::logging::Levels,
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

struct Fixed;

impl Dump for Fixed {
    fn dump(&self) -> serde_json::Value {
        serde_json::json!({"revision": 7})
    }
}

struct Node {
    address: SocketAddr,
    health: Arc<Health>,
    metrics: Metrics,
    levels: Levels,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    /// The levels reach the log through it.
    _layer: Box<dyn std::any::Any>,
}

async fn node() -> Node {
    let (layer, levels) = Levels::new("info").unwrap();
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let health = Arc::new(Health::default());
    let admin = Admin { registry, health: Arc::clone(&health), dump: Arc::new(Fixed), levels: levels.clone() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(admin::serve(listener, Arc::new(admin), stopped));
    Node { address, health, metrics, levels, stop, served, _layer: Box::new(layer) }
}

/// One request on a connection of its own; the answer's head and body.
async fn ask(node: &Node, method: &str, target: &str) -> (u16, String, String) {
    ask_as(node, method, target, "localhost").await
}

async fn ask_as(node: &Node, method: &str, target: &str, host: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
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
    for (stage, status, word) in
        [(Stage::Starting, 503, "starting\n"), (Stage::Serving, 200, "ready\n"), (Stage::Stopping, 503, "stopping\n")]
    {
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
    let (status, head, body) = ask(&node, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    for line in [
        "portcullis_config_revision 42",
        "portcullis_endpoints_faulty 1",
        "portcullis_config_rejected_total{type=\"policy\"} 0",
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
async fn the_dump_is_json() {
    let node = node().await;
    let (status, head, body) = ask(&node, "GET", "/config_dump").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap(), serde_json::json!({"revision": 7}));
}

#[tokio::test]
async fn the_level_is_set_by_post_only_and_a_wrong_one_changes_nothing() {
    let node = node().await;
    assert_eq!(ask(&node, "GET", "/logging?level=debug").await.2, "info\n", "a GET changes nothing");
    let (status, _, body) = ask(&node, "POST", "/logging?level=info%2Cportcullis_config%3Ddebug").await;
    assert_eq!((status, body.as_str()), (200, "info,portcullis_config=debug\n"));
    for wrong in ["/logging", "/logging?level=", "/logging?level=loud", "/logging?level=%"] {
        assert_eq!(ask(&node, "POST", wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(node.levels.current(), "info,portcullis_config=debug");
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
    assert_eq!(ask(&node, "DELETE", "/logging").await.0, 405);
    let (status, _, body) = ask(&node, "HEAD", "/ready").await;
    assert_eq!((status, body.as_str()), (503, ""));
}

#[tokio::test]
async fn a_page_of_another_site_reads_nothing() {
    let node = node().await;
    for target in ["/config_dump", "/metrics"] {
        assert_eq!(ask_as(&node, "GET", target, "attacker.example").await.0, 421, "{target}");
    }
}

#[tokio::test]
async fn it_ends_when_told_to() {
    let node = node().await;
    node.stop.send(true).unwrap();
    node.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(node.address).await.is_err());
}
