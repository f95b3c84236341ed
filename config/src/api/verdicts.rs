//! `VerdictService`.

use std::{pin::Pin, sync::Arc};

use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::stopped;
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

type Watched = Pin<Box<dyn Stream<Item = Result<Verdict, Status>> + Send>>;

#[tonic::async_trait]
impl VerdictService for Verdicts {
    type WatchStream = Watched;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Watched>, Status> {
        let mut verdicts = self.node.watch(request.into_inner());
        let stop = self.stop.clone();
        // One verdict waits here; the node's own bounded queue holds the rest and counts what it loses.
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let shown = async {
                while let Some(verdict) = verdicts.next().await {
                    if sender.send(Ok(verdict)).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = shown => {}
                () = sender.closed() => {}
                () = stopped(stop) => {
                    // The reader may have gone.
                    let _ = sender.try_send(Err(Status::unavailable("the node is stopping")));
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
