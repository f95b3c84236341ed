//! The tonic server: answers every method of any service.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{BoxFuture, BoxStream, Service, http},
    server::{Grpc, StreamingService},
    transport::{Server, server::TcpIncoming},
};

use super::{Failure, LARGEST, Raw, say};

/// Messages of an answer that wait for the client.
const WAITING: usize = 4;

/// Serves at each address until one fails.
pub(super) async fn serve(addresses: &[&str]) -> Result<(), Failure> {
    let mut servers = JoinSet::new();
    for address in addresses {
        let incoming = TcpIncoming::bind(address.parse()?)?;
        servers.spawn(Server::builder().serve_with_incoming(Peer, incoming));
        say(&format!("serving {address}"));
    }
    while let Some(ended) = servers.join_next().await {
        ended??;
    }
    Ok(())
}

/// All services.
#[derive(Clone, Copy, Debug)]
struct Peer;

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = Call { method: request.uri().path().to_owned() };
        let mut grpc = Grpc::new(Raw).max_decoding_message_size(LARGEST);
        Box::pin(async move { Ok(grpc.streaming(call, request).await) })
    }
}

struct Call {
    method: String,
}

impl StreamingService<Bytes> for Call {
    type Response = Bytes;
    type ResponseStream = BoxStream<Bytes>;
    type Future = BoxFuture<Response<BoxStream<Bytes>>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let method = std::mem::take(&mut self.method);
        let from = request.remote_addr().map(|address| address.to_string()).unwrap_or_default();
        say(&format!("call {method} from {from}"));
        let (answers, waiting) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let done = work(&method, request.into_inner(), &answers).await;
            let code = match &done {
                Ok(()) => "OK",
                Err(_) if answers.is_closed() => "CANCELLED",
                Err(_) => "UNKNOWN",
            };
            say(&format!("end {method} {code}"));
            if let Err(status) = done {
                // Whoever has gone cannot be told.
                let _ = answers.send(Err(status)).await;
            }
        });
        let stream: BoxStream<Bytes> = Box::pin(ReceiverStream::new(waiting));
        Box::pin(async move { Ok(Response::new(stream)) })
    }
}

type Answers = mpsc::Sender<Result<Bytes, Status>>;

/// What a method does; `clients/go-grpc/server.go` has the list.
async fn work(method: &str, mut messages: Streaming<Bytes>, answers: &Answers) -> Result<(), Status> {
    let gone = |_| Status::cancelled("given up");
    match method.rsplit('/').next().unwrap_or_default() {
        "Say" | "Chat" => {
            while let Some(message) = messages.next().await {
                answers.send(Ok(message?)).await.map_err(gone)?;
            }
        }
        "Put" => {
            let mut count = 0;
            while let Some(message) = messages.next().await {
                count += message?.len();
            }
            answers.send(Ok(count.to_string().into())).await.map_err(gone)?;
        }
        "Get" => {
            let asked = messages.next().await.unwrap_or_else(|| Ok(Bytes::new()))?;
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let numbers: Vec<usize> = asked.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [count, size] = numbers[..] else { return Err(Status::invalid_argument(asked)) };
            let filled = Bytes::from(vec![b'x'; size]);
            for _ in 0..count {
                answers.send(Ok(filled.clone())).await.map_err(gone)?;
            }
        }
        "Wait" => {
            let message = messages.next().await.unwrap_or_else(|| Ok(Bytes::new()))?;
            answers.send(Ok(message)).await.map_err(gone)?;
            answers.closed().await;
            return Err(Status::cancelled("given up"));
        }
        _ => return Err(Status::unimplemented(method)),
    }
    Ok(())
}
