//! Many short connections with one request each: none is lost, whichever side closes first.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use portcullis_integration::{Site, documents::policy};
use serde_json::json;

use crate::scene::{SHOP, Scene, able};

/// Connections of each run. A client has some 14,000 before it has to search for a port (docs/performance.md).
const COUNT: usize = 3_000;
/// Clients at the same time.
const CLIENTS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Answers each connection; closes it at once, or when the client has.
fn serve(listener: &TcpListener, waits: bool) -> io::Result<()> {
    for client in listener.incoming() {
        let mut client = client?;
        thread::spawn(move || {
            let mut head = Vec::new();
            let mut buffer = [0; 1024];
            while !head.ends_with(b"\r\n\r\n") {
                match client.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => head.extend_from_slice(&buffer[..bytes]),
                }
            }
            let _ = client.write_all(ANSWER);
            if waits {
                let _ = client.read_to_end(&mut head);
            }
        });
    }
    Ok(())
}

/// One request: its whole answer, and who closes first.
fn ask(to: SocketAddr, closes: bool) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /ok HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")?;
    let mut answer = vec![0; ANSWER.len()];
    stream.read_exact(&mut answer)?;
    if closes {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    if answer == ANSWER && rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// How many of them failed, with the first failures.
fn run(from: &Site, to: SocketAddr, closes: bool) -> Vec<String> {
    let one = || {
        let asked = (0..COUNT / CLIENTS).map(|_| ask(to, closes));
        asked.filter_map(Result::err).map(|error| error.to_string()).collect::<Vec<_>>()
    };
    from.inside(|| {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        })
    })
}

#[test]
fn connections_that_come_and_go_are_all_answered_whoever_closes_first() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let ports = [(8088_u16, false), (8089, true), (8188, false), (8189, true)];
    for (port, waits) in ports {
        let listener = scene.app.inside(|| TcpListener::bind(scene.app.address(false, port))).unwrap();
        thread::spawn(move || serve(&listener, waits));
    }
    // Two ports are judged, two pass without meeting the node.
    let judged = json!([{ "path": "/ok" }]);
    let port = |number: &str| json!({ "port": number, "protocol": "TCP" });
    let spec = json!({
        "endpointSelector": { "matchLabels": { "app": "app" } },
        "ingress": [
            { "toPorts": [{ "ports": [port("8088"), port("8089")], "rules": { "http": judged } }] },
            { "toPorts": [{ "ports": [port("8188"), port("8189")] }] },
        ],
    });
    scene.apply(&[policy(SHOP, "churn", &spec)]);
    for (port, client_closes) in ports {
        let began = Instant::now();
        let lost = run(&scene.other, scene.app.address(false, port), client_closes);
        eprintln!("port {port}: {COUNT} connections in {:?}", began.elapsed());
        assert!(lost.is_empty(), "port {port}: {} of {COUNT} were lost: {:?}", lost.len(), &lost[..lost.len().min(3)]);
    }
    assert!(scene.node.metric("portcullis_verdicts_total", &["verdict=\"allow\""]).unwrap() >= 2.0 * COUNT as f64);
    for (limit, name) in
        [("portcullis_upstream_port_retries_total", ""), ("portcullis_limits_hit_total", "upstream_ports")]
    {
        assert_eq!(scene.node.metric(limit, &[name]).unwrap(), 0.0, "{limit} {name}");
    }
}
