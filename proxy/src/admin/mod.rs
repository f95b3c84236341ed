//! The admin endpoints: metrics, health, what is in force, the log's level. HTTP, on loopback by default.

pub mod health;
pub mod metrics;
pub mod process;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use crate::{admin::health::Health, run::logging::Levels};

/// Connections served at once. A scrape and a probe need one each; more is somebody holding them open.
const CONNECTIONS: usize = 64;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// OpenMetrics text (OpenMetrics 1.0, "Content-Type").
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What `/config_dump` tells; asked anew for each request.
pub trait Dump: Send + Sync {
    /// Everything in force. Documents are left out: a policy may hold a secret header value, and this socket asks
    /// nobody who they are.
    fn dump(&self) -> serde_json::Value;
}

/// What the endpoints show.
pub struct Admin {
    /// All metrics.
    pub registry: Registry,
    /// How the node is.
    pub health: Arc<Health>,
    /// What is in force.
    pub dump: Arc<dyn Dump>,
    /// The log's level.
    pub levels: Levels,
}

/// Serves until `stop` turns true.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let local = listener.local_addr()?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return Ok(()) };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = told_to(&mut stop) => return Ok(()),
        };
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            connection(stream, local, admin).await;
            drop(slot);
        });
    }
}

/// Until the value turns true, or nobody can turn it any more.
pub async fn told_to(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

async fn connection(stream: TcpStream, local: SocketAddr, admin: Arc<Admin>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = admin.answer(&request, local);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "admin: connection ended");
    }
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    fn answer<B>(&self, request: &Request<B>, local: SocketAddr) -> Answer {
        if local.ip().is_loopback() && !names_loopback(request) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "this is a loopback endpoint; ask for it by 127.0.0.1 or localhost\n",
            );
        }
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match (request.uri().path(), reading) {
            ("/logging", _) if *request.method() == Method::POST => self.set_level(request.uri().query().unwrap_or("")),
            ("/logging", true) => text(StatusCode::OK, &(self.levels.current() + "\n")),
            ("/", true) => text(StatusCode::OK, INDEX),
            ("/metrics", true) => self.metrics(),
            ("/ready" | "/healthz/ready", true) => verdict(self.health.ready()),
            ("/live", true) => verdict(self.health.live()),
            ("/config_dump", true) => json(&self.dump.dump()),
            ("/" | "/metrics" | "/ready" | "/healthz/ready" | "/live" | "/config_dump", false) => {
                not_allowed("GET, HEAD")
            }
            ("/logging", false) => not_allowed("GET, HEAD, POST"),
            _ => text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    fn metrics(&self) -> Answer {
        let mut body = String::new();
        match prometheus_client::encoding::text::encode(&mut body, &self.registry) {
            Ok(()) => answer(StatusCode::OK, OPENMETRICS, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }

    fn set_level(&self, query: &str) -> Answer {
        let level = query.split('&').find_map(|pair| pair.strip_prefix("level="));
        let Some(level) = level.and_then(decode) else {
            return text(
                StatusCode::BAD_REQUEST,
                "say /logging?level=LEVEL: error, warn, info, debug, trace, or directives\n",
            );
        };
        match self.levels.set(&level) {
            Ok(()) => text(StatusCode::OK, &(level + "\n")),
            Err(error) => text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        }
    }
}

const INDEX: &str = "\
/metrics          OpenMetrics text
/ready            200 when policy is in force and flows are served; also /healthz/ready
/live             200 while the process can do its work
/config_dump      what is in force, as JSON
/logging          the log's level; POST /logging?level=debug sets it
";

/// Whether the request names this machine. A name of somebody else's that resolves to 127.0.0.1 would let a web page
/// read what is here (DNS rebinding).
fn names_loopback<B>(request: &Request<B>) -> bool {
    let Some(host) = request.headers().get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Decodes `%XX` (RFC 3986 §2.1); `None` where it is broken.
fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn verdict(state: Result<&'static str, String>) -> Answer {
    match state {
        Ok(word) => text(StatusCode::OK, &format!("{word}\n")),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
    }
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, &format!("allowed here: {methods}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn json(value: &serde_json::Value) -> Answer {
    answer(StatusCode::OK, "application/json", format!("{value:#}\n"))
}

fn text(status: StatusCode, body: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", body.to_owned())
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::{decode, names_loopback};

    #[test]
    fn a_page_of_another_site_is_not_answered() {
        for (host, ours) in [
            ("127.0.0.1:9902", true),
            ("localhost:9902", true),
            ("[::1]:9902", true),
            ("127.0.0.1", true),
            ("attacker.example:9902", false),
            ("127.0.0.1.attacker.example", false),
            ("[fd00::1]:9902", false),
            ("", false),
        ] {
            let request = Request::builder().header("host", host).body(()).unwrap();
            assert_eq!(names_loopback(&request), ours, "{host}");
        }
    }

    #[test]
    fn escapes_are_decoded_or_refused() {
        assert_eq!(decode("info%2Cportcullis%3ddebug").as_deref(), Some("info,portcullis=debug"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
