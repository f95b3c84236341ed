//! Finds the service of a call by its path, `/package.Service/Method`.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::NamedService,
};
use tower::{ServiceExt as _, util::BoxCloneSyncService};

type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// Several services on one socket. Other names are answered with UNIMPLEMENTED.
#[derive(Clone, Debug, Default)]
pub(super) struct Dispatch {
    services: Vec<(&'static str, BoxCloneSyncService<Request, Response, Infallible>)>,
}

impl Dispatch {
    /// Adds a service.
    pub(super) fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        self.services.push((S::NAME, BoxCloneSyncService::new(service)));
        self
    }
}

impl Service<Request> for Dispatch {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Each service is asked when it is called.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let name = request.uri().path().split('/').nth(1).unwrap_or_default();
        let found = self.services.iter().find(|(service, _)| *service == name);
        match found.map(|(_, service)| service.clone()) {
            Some(service) => Box::pin(service.oneshot(request)),
            None => {
                let status = Status::unimplemented(format!("there is no service {name:?} here"));
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}
