//! The admin endpoints: metrics, health, the dump of what is in force, the log level. HTTP, over TCP on loopback and
//! over a Unix socket.

mod exposition;
mod guard;
pub mod health;
pub mod listener;
pub mod metrics;
pub mod process;

use std::{collections::VecDeque, convert::Infallible, io, pin::Pin, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_config::settings;
use prometheus_client::registry::Registry;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    admin::{
        exposition::{OPENMETRICS, TEXT, as_text, takes_openmetrics},
        health::Health,
        listener::{AdminPeer, AdminStream, Listener},
    },
    run::logging::Levels,
};

/// Dumps that are on their way at once: each is as large as what is in force.
const DUMPS: usize = 2;

/// What `/config_dump` tells; asked anew for each request.
pub trait Dump: Send + Sync {
    /// Everything in force. Documents are left out: a policy may hold a secret header value.
    fn dump(&self) -> serde_json::Value;
}

/// What clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminLimits {
    /// Clients at the same time, of each address. When one more comes, the oldest is hung up on.
    pub connections: usize,
    /// From the moment that a client connects to the last byte of its answer.
    pub timeout: Duration,
    /// The dump and changes are to be had by TCP too.
    pub everything_by_tcp: bool,
}

impl From<&settings::AdminSettings> for AdminLimits {
    fn from(admin: &settings::AdminSettings) -> Self {
        let settings::AdminSettings { connections, timeout, everything_by_tcp, .. } = *admin;
        Self { connections: connections.get().into(), timeout, everything_by_tcp }
    }
}

/// What the endpoints show.
pub struct AdminState {
    registry: Registry,
    health: Arc<Health>,
    dump: Arc<dyn Dump>,
    levels: Levels,
    limits: AdminLimits,
    dumps: Arc<Semaphore>,
}

/// Serves until `stop` turns true.
///
/// # Errors
/// Never, as it is.
pub async fn serve(listener: Listener, admin: Arc<AdminState>, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let mut clients: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let (stream, way) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = told_to(&mut stop) => return Ok(()),
        };
        clients.retain(|client| !client.is_finished());
        // Who holds a place without end must not keep a probe out.
        if clients.len() >= admin.limits.connections
            && let Some(oldest) = clients.pop_front()
        {
            oldest.abort();
        }
        let (timeout, admin) = (admin.limits.timeout, Arc::clone(&admin));
        clients.push_back(tokio::spawn(async move {
            if tokio::time::timeout(timeout, connection(stream, way, admin)).await.is_err() {
                tracing::debug!("admin: a client took too long");
            }
        }));
    }
}

/// Until the value turns true, or nobody can turn it any more.
pub async fn told_to(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// One request: a client that comes again connects again, so that time counts for each.
async fn connection(stream: Pin<Box<dyn AdminStream>>, way: AdminPeer, admin: Arc<AdminState>) {
    let timeout = admin.limits.timeout;
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = admin.answer(&request, way);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "admin: connection ended");
    }
}

/// A body that keeps its turn until it has gone, or its client has.
struct Held {
    body: String,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.body.as_bytes()
    }
}

type AdminResponse = Response<Full<Bytes>>;

impl AdminState {
    /// What is shown: metrics, how the node is, what is in force, and the log's level.
    #[must_use]
    pub fn new(
        registry: Registry,
        health: Arc<Health>,
        dump: Arc<dyn Dump>,
        levels: Levels,
        limits: AdminLimits,
    ) -> Self {
        Self { registry, health, dump, levels, limits, dumps: Arc::new(Semaphore::new(DUMPS)) }
    }

    fn answer<B>(&self, request: &Request<B>, way: AdminPeer) -> AdminResponse {
        if let Err((status, why)) = guard::check(request, way, self.limits.everything_by_tcp) {
            return text(status, why);
        }
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match (request.uri().path(), reading) {
            ("/logging", _) if *request.method() == Method::POST => self.set_level(request.uri().query().unwrap_or("")),
            ("/logging", true) => text(StatusCode::OK, &(self.levels.current() + "\n")),
            ("/", true) => text(StatusCode::OK, INDEX),
            ("/metrics", true) => self.metrics(request.headers()),
            ("/ready" | "/healthz/ready", true) => verdict(self.health.ready()),
            ("/live", true) => verdict(self.health.live()),
            ("/config_dump", true) => self.dump(),
            ("/" | "/metrics" | "/ready" | "/healthz/ready" | "/live" | "/config_dump", false) => {
                not_allowed("GET, HEAD")
            }
            ("/logging", false) => not_allowed("GET, HEAD, POST"),
            _ => text(StatusCode::NOT_FOUND, INDEX),
        }
    }

    fn dump(&self) -> AdminResponse {
        match Arc::clone(&self.dumps).try_acquire_owned() {
            Ok(turn) => {
                let body = format!("{:#}\n", self.dump.dump());
                answer(StatusCode::OK, "application/json", Bytes::from_owner(Held { body, _turn: turn }))
            }
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "others are asking for the dump; try again\n"),
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> AdminResponse {
        let mut body = String::new();
        match prometheus_client::encoding::text::encode(&mut body, &self.registry) {
            Ok(()) if takes_openmetrics(headers) => answer(StatusCode::OK, OPENMETRICS, body),
            Ok(()) => answer(StatusCode::OK, TEXT, as_text(&body)),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }

    fn set_level(&self, query: &str) -> AdminResponse {
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
/metrics          metrics: OpenMetrics for who asks for it, else Prometheus' text
/ready            200 when policy is in force and flows are served; also /healthz/ready
/live             200 while the process can do its work
/config_dump      what is in force, as JSON; by the Unix socket
/logging          the log's level; POST /logging?level=debug sets it; by the Unix socket
";

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

fn verdict(state: Result<&'static str, String>) -> AdminResponse {
    match state {
        Ok(word) => text(StatusCode::OK, &format!("{word}\n")),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
    }
}

fn not_allowed(methods: &'static str) -> AdminResponse {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, &format!("allowed here: {methods}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn text(status: StatusCode, body: &str) -> AdminResponse {
    answer(status, "text/plain; charset=utf-8", body.to_owned())
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> AdminResponse {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn escapes_are_decoded_or_refused() {
        assert_eq!(decode("info%2Cportcullis%3ddebug").as_deref(), Some("info,portcullis=debug"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
