//! A terminating proxy: hyper as server and as client, and Portcullis's rules between them. It does what a relay of
//! frames avoids: it parses each request and writes a new one. Each client connection has one connection to the
//! server.

use std::{borrow::Cow, fs, io, net::SocketAddr, path::Path, sync::Arc};

use http_body_util::{Either, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http2::SendRequest,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_rules::{
    policy::L7Rule,
    request::{self, FieldValue},
    ruleset::RuleSet,
    schema::{FieldIndex, Schema},
    settings::DenyWith,
    verdict::RuleInfo,
};
use tokio::net::{TcpListener, TcpStream};

use crate::requests::{SCHEMA, rule};

/// What the rules see of a request.
struct Asked<'a>(&'a Request<Incoming>);

impl request::Request for Asked<'_> {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _key: &str) -> FieldValue<'_> {
        let value = if field.0 == 0 { self.0.method().as_str() } else { self.0.uri().path() };
        FieldValue::Value(Cow::Borrowed(value.as_bytes()))
    }
}

/// POST to one of these paths.
fn rule_set(patterns: &str) -> RuleSet {
    let rules: Vec<L7Rule> = patterns.lines().map(|path| rule("POST", path)).collect();
    let info = Arc::new(RuleInfo { policy: "bench/paths".into(), rule: "ingress[0]".into() });
    RuleSet::new(&SCHEMA, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Reset)
}

/// Serves on `address` until killed, on one thread. `rules` names a file with a pattern of paths in each line; all else is
/// answered with 403.
///
/// # Errors
/// The file cannot be read, or the address cannot be used.
pub fn serve(address: SocketAddr, upstream: SocketAddr, rules: &Path) -> io::Result<()> {
    let rules = Arc::new(rule_set(&fs::read_to_string(rules)?));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (client, _) = listener.accept().await?;
            let rules = Arc::clone(&rules);
            // A connection that fails is the client's to notice.
            tokio::spawn(async move { connection(client, upstream, rules).await.ok() });
        }
    })
}

async fn connection(client: TcpStream, upstream: SocketAddr, rules: Arc<RuleSet>) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(server));
    let (sender, driver) = handshake.await.map_err(io::Error::other)?;
    tokio::spawn(driver);
    let service = service_fn(move |request| judge(request, Arc::clone(&rules), sender.clone()));
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.serve_connection(TokioIo::new(client), service).await.map_err(io::Error::other)
}

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

async fn judge(
    request: Request<Incoming>,
    rules: Arc<RuleSet>,
    mut upstream: SendRequest<Incoming>,
) -> hyper::Result<Answer> {
    if rules.check(&Asked(&request)).outcome.passes() {
        return Ok(upstream.send_request(request).await?.map(Either::Left));
    }
    let mut refusal = Response::new(Either::Right(Empty::new()));
    *refusal.status_mut() = StatusCode::FORBIDDEN;
    Ok(refusal)
}
