//! The gRPC API on a Unix socket.

mod clients;
mod config;
mod dispatch;
mod names;
mod stream;
mod verdicts;

use std::{sync::Arc, time::Duration};

use config::Config;
use dispatch::Dispatch;
use names::NameStream;
use tokio::{net::UnixListener, sync::watch};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{server::NamedService, transport::Server};
use tonic_health::ServingStatus;
use verdicts::VerdictApi;

use crate::{
    node::NodeStatus,
    proto::{
        DESCRIPTORS, config_service_server::ConfigServiceServer, name_service_server::NameServiceServer,
        verdict_service_server::VerdictServiceServer,
    },
    store::Store,
};

/// Calls of one connection at the same time.
const MOST_CALLS: u32 = 64;
/// How long a client may be silent before it is asked whether it is there, and how long it may take to say so.
const SILENCE: Duration = Duration::from_secs(30);
/// How long calls may continue after the signal to stop. Streams end at once.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Why the API ended or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors that this was built with cannot be read.
    #[error("reflection cannot be offered: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The socket failed.
    #[error("the API socket failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// What clients of the API may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Largest message of a client, in bytes: a full push of a few ten thousand resources.
    pub message: usize,
    /// Clients at the same time; further ones are hung up on.
    pub connections: u16,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self { message: 64 << 20, connections: 64 }
    }
}

/// Serves the API until `stop` is true or its sender is gone: resources, names, live verdicts, `grpc.health.v1` for each service, and
/// reflection (v1 and v1alpha).
///
/// # Errors
/// The socket fails.
pub async fn serve(
    listener: UnixListener,
    store: Store,
    node: Arc<dyn NodeStatus>,
    limits: ApiLimits,
    stop: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let config = ConfigServiceServer::new(Config::new(store, stop.clone()))
        .max_decoding_message_size(limits.message)
        .max_encoding_message_size(usize::MAX);
    let names = NameServiceServer::new(NameStream::new(Arc::clone(&node), stop.clone()));
    let verdicts = VerdictServiceServer::new(VerdictApi::new(node, stop.clone()));
    let (reporter, health) = tonic_health::server::health_reporter();
    let services = [name(&config), name(&names), name(&verdicts), ""];
    for service in services {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let services_by_name = Dispatch::default()
        .add(config)
        .add(names)
        .add(verdicts)
        .add(health)
        .add(reflection().build_v1()?)
        .add(reflection().build_v1alpha()?);
    let until = stopped(stop.clone());
    let signal = async move {
        until.await;
        for service in services {
            reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
    };
    let server = Server::builder()
        .max_concurrent_streams(MOST_CALLS)
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(SILENCE));
    let incoming = clients::bounded(UnixListenerStream::new(listener), limits.connections);
    let serving = server.serve_with_incoming_shutdown(services_by_name, incoming, signal);
    let late = async move {
        stopped(stop).await;
        tokio::time::sleep(LAST_CALLS).await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = late => Ok(()),
    }
}

fn name<S: NamedService>(_: &S) -> &'static str {
    S::NAME
}

/// Waits for the signal to stop.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the code that runs this.
    let _ = stop.wait_for(|stop| *stop).await;
}
