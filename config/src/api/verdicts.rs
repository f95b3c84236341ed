//! The gRPC service `VerdictService`.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::stream::{StreamNotice, tell};
use crate::{
    node::NodeStatus,
    proto::{Verdict, WatchRequest, verdict_service_server::VerdictService},
};

pub(super) struct VerdictApi {
    node: Arc<dyn NodeStatus>,
    stop: watch::Receiver<bool>,
}

impl VerdictApi {
    pub(super) fn new(node: Arc<dyn NodeStatus>, stop: watch::Receiver<bool>) -> Self {
        Self { node, stop }
    }
}

#[tonic::async_trait]
impl VerdictService for VerdictApi {
    type WatchStream = StreamNotice<Verdict>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tell(self.node.watch(request.into_inner()), self.stop.clone())))
    }
}
