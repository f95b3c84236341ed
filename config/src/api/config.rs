//! The gRPC service `ConfigService`.

use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::stopped;
use crate::{
    proto::{
        ApplyRequest, ApplyResponse, DeleteRequest, DeleteResponse, ListRequest, ListResponse, ResourceType,
        StatusRequest, StatusResponse, StreamResourcesRequest, StreamResourcesResponse,
        config_service_server::ConfigService,
    },
    store::{Applied, Store, StoreError},
};

/// Answers of one stream that wait to be read. Until there is room, no further request is read.
const MOST_ANSWERS: usize = 4;

pub(super) struct Config {
    store: Store,
    stop: watch::Receiver<bool>,
}

impl Config {
    pub(super) fn new(store: Store, stop: watch::Receiver<bool>) -> Self {
        Self { store, stop }
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Invalid(message) => Self::invalid_argument(message),
            StoreError::Stopped => Self::unavailable("the node is stopping"),
        }
    }
}

type Responses = Pin<Box<dyn Stream<Item = Result<StreamResourcesResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ConfigService for Config {
    type StreamResourcesStream = Responses;

    async fn stream_resources(
        &self,
        request: Request<Streaming<StreamResourcesRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let (answers, receiver) = mpsc::channel(MOST_ANSWERS);
        let (store, stop) = (self.store.clone(), self.stop.clone());
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = pump(request.into_inner(), &store, &answers) => ended,
                () = stopped(stop) => Err(Status::unavailable("the node is stopping")),
            };
            if let Err(status) = ended {
                // The reader may have gone.
                let _ = answers.try_send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let ApplyRequest { resources, dry_run } = request.into_inner();
        let Applied { results, revision } = self.store.apply(resources, dry_run).await?;
        Ok(Response::new(ApplyResponse { results, revision }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        let Applied { results, revision } = self.store.delete(request.into_inner().keys).await?;
        Ok(Response::new(DeleteResponse { results, revision }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let number = request.into_inner().r#type;
        let unknown = || Status::invalid_argument(format!("type: {number} is no type of resource"));
        let kind = ResourceType::try_from(number).map_err(|_| unknown())?;
        Ok(Response::new(self.store.listing(kind)))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.store.status()))
    }
}

/// Answers one request after the other, until the sender ends or says something that makes no sense.
async fn pump(
    mut requests: Streaming<StreamResourcesRequest>,
    store: &Store,
    answers: &mpsc::Sender<Result<StreamResourcesResponse, Status>>,
) -> Result<(), Status> {
    while let Some(request) = requests.message().await? {
        let (nonce, version) = (request.nonce.clone(), request.version.clone());
        let Applied { results, revision } = store.push(request).await?;
        let response = StreamResourcesResponse { nonce, version, results, revision };
        if answers.send(Ok(response)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
