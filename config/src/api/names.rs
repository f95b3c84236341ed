//! The gRPC service `NameService`.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::stream::{StreamNotice, tell};
use crate::{
    node::NodeStatus,
    proto::{ListNamesRequest, ListNamesResponse, NamesUpdate, WatchNamesRequest, name_service_server::NameService},
};

pub(super) struct NameStream {
    node: Arc<dyn NodeStatus>,
    stop: watch::Receiver<bool>,
}

impl NameStream {
    pub(super) fn new(node: Arc<dyn NodeStatus>, stop: watch::Receiver<bool>) -> Self {
        Self { node, stop }
    }
}

#[tonic::async_trait]
impl NameService for NameStream {
    type WatchStream = StreamNotice<NamesUpdate>;

    async fn list(&self, request: Request<ListNamesRequest>) -> Result<Response<ListNamesResponse>, Status> {
        let (node, request) = (Arc::clone(&self.node), request.into_inner());
        // A full name cache takes its time: other calls go on beside it.
        let names = tokio::task::spawn_blocking(move || node.names(&request)).await;
        let names = names.map_err(|error| Status::internal(format!("the names could not be listed: {error}")))?;
        Ok(Response::new(ListNamesResponse { names }))
    }

    async fn watch(&self, request: Request<WatchNamesRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tell(self.node.follow_names(request.into_inner()), self.stop.clone())))
    }
}
