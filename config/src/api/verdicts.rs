//! The gRPC service `VerdictService`.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::stream::{Told, tell};
use crate::{
    node::Node,
    proto::{Verdict, WatchRequest, verdict_service_server::VerdictService},
};

pub(super) struct Verdicts {
    node: Arc<dyn Node>,
    stop: watch::Receiver<bool>,
}

impl Verdicts {
    pub(super) fn new(node: Arc<dyn Node>, stop: watch::Receiver<bool>) -> Self {
        Self { node, stop }
    }
}

#[tonic::async_trait]
impl VerdictService for Verdicts {
    type WatchStream = Told<Verdict>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tell(self.node.watch(request.into_inner()), self.stop.clone())))
    }
}
