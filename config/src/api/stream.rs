//! Server streams that continue until the client or the node ends them.

use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::Status;

use super::stopped;

/// What a reader is told.
pub(super) type StreamNotice<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Hands on what the node tells. One message waits here; the node's own bounded queue holds the rest and counts what it
/// loses.
pub(super) fn tell<T: Send + 'static>(
    mut told: Pin<Box<dyn Stream<Item = T> + Send>>,
    stop: watch::Receiver<bool>,
) -> StreamNotice<T> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let shown = async {
            while let Some(message) = told.next().await {
                if sender.send(Ok(message)).await.is_err() {
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
    Box::pin(ReceiverStream::new(receiver))
}
