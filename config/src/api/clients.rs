//! Limits the number of API clients at the same time.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::{Connected, UdsConnectInfo};

/// The connection of a client that has its place among all.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    _place: OwnedSemaphorePermit,
}

/// At most so many clients at a time. Who comes when all places are taken is hung up on: to wait would look like a node that
/// hangs.
pub(super) fn bounded(
    incoming: impl Stream<Item = io::Result<UnixStream>>,
    most: u16,
) -> impl Stream<Item = io::Result<Client>> {
    let places = Arc::new(Semaphore::new(most.into()));
    incoming.filter_map(move |accepted| match (accepted, Arc::clone(&places).try_acquire_owned()) {
        (Ok(stream), Ok(place)) => Some(Ok(Client { stream, _place: place })),
        (Ok(_), Err(_)) => {
            tracing::warn!(most, "API: a client was hung up on: api.connections are open");
            None
        }
        (Err(error), _) => Some(Err(error)),
    })
}

impl Connected for Client {
    type ConnectInfo = UdsConnectInfo;

    fn connect_info(&self) -> UdsConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
