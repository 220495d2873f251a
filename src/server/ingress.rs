//! The way of a call through the gRPC port: observed, bounded, authenticated,
//! answered by its service, and named if it is refused.
//!
//! One service instead of a stack of layers: a layer would box the call's future and
//! its body once more, which costs more than the layer's work.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use tonic::{body::Body, server::NamedService, service::Routes};
use tower::Service;

use super::{
    authentication::Authentication,
    receiving::{LimitedBody, Receiving},
};
use crate::{
    grpc::{self, name_refusal},
    proto::worker_service_server::WorkerServiceServer,
    telemetry::{Observer, TrackedBody},
};

type Worker = WorkerServiceServer<grpc::Service>;

/// The service of the gRPC port. Clones share it.
#[derive(Clone)]
pub(super) struct Ingress(pub(super) Arc<Stages>);

/// The stages that a call passes.
pub(super) struct Stages {
    pub(super) observer: Observer,
    pub(super) receiving: Receiving,
    pub(super) authentication: Authentication,
    pub(super) max_message_bytes: usize,
    pub(super) worker: Worker,
    /// Health and reflection, which are open to everyone.
    pub(super) open: Routes,
}

impl Service<Request<Body>> for Ingress {
    type Response = Response<TrackedBody<Body>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let stages = self.0.clone();
        Box::pin(async move { Ok(stages.observe(request).await) })
    }
}

impl Stages {
    /// Refuses requests that are not gRPC, as its protocol prescribes: they do not
    /// count as calls. Runs the others inside their span.
    async fn observe(&self, request: Request<Body>) -> Response<TrackedBody<Body>> {
        if !is_grpc(&request) {
            let mut refusal = Response::new(TrackedBody::untracked(Body::empty()));
            *refusal.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return refusal;
        }
        let Some(call) = self.observer.begin(&request) else {
            return self.receive(request).await.map(TrackedBody::untracked);
        };
        let response = call.scope(self.receive(request)).await;
        call.answer(response)
    }

    /// Bounds the request, and the response if it may last.
    async fn receive(&self, request: Request<Body>) -> Response<Body> {
        let (request, watch) = match self.receiving.begin(request) {
            Ok(begun) => begun,
            Err(refusal) => return refusal.into_http(),
        };
        let response = name_refusal(self.answer(request).await, self.max_message_bytes);
        match watch {
            Some(watch) => watch.lend(response, &self.receiving.services.lifecycle),
            None => response,
        }
    }

    /// Calls the service. Calls of the worker are authenticated before their message
    /// is read.
    async fn answer(&self, mut request: Request<LimitedBody>) -> Response<Body> {
        if !is_of_worker(request.uri().path()) {
            let Ok(response) = self.open.clone().call(request.map(Body::new)).await;
            return response;
        }
        if let Err(refusal) = self.authentication.authenticate(&mut request) {
            return refusal.into_http();
        }
        let Ok(response) = self.worker.clone().call(request).await;
        response
    }
}

fn is_of_worker(path: &str) -> bool {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(Worker::NAME));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let media_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let (named, rest) = media_type.split_at(media_type.len().min(GRPC.len()));
    named.eq_ignore_ascii_case(GRPC) && matches!(rest, [] | [b'+' | b';' | b' ', ..])
}

const GRPC: &[u8] = b"application/grpc";
