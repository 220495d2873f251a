//! `grpc.health.v1` by its protocol: the library's service, except that a watch of
//! an unknown service stays open, which the library would end.

use std::{future::ready, pin::Pin};

use futures_util::{Stream, StreamExt, stream};
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_health::{
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    server::{HealthReporter, HealthService},
};

/// Maximum size of a request: it holds one name.
const MAX_QUESTION_BYTES: usize = 1024;

/// Serves the worker's health. Open to everyone.
pub(super) struct Probes(HealthService);

/// Returns the health service backed by `reporter`.
pub(super) fn probes(reporter: &HealthReporter) -> HealthServer<Probes> {
    HealthServer::new(Probes(HealthService::from_health_reporter(reporter.clone())))
        .max_decoding_message_size(MAX_QUESTION_BYTES)
}

#[async_trait]
impl Health for Probes {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.check(request).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        match self.0.watch(request).await {
            Ok(known) => Ok(known.map(|statuses| -> Self::WatchStream { Box::pin(statuses) })),
            Err(status) if status.code() == Code::NotFound => Ok(Response::new(unknown())),
            Err(status) => Err(status),
        }
    }
}

/// Returns a watch of an unknown service: the protocol keeps the stream open in
/// case the service appears; here it never does.
fn unknown() -> <Probes as Health>::WatchStream {
    let status = HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() };
    Box::pin(stream::once(ready(Ok(status))).chain(stream::pending()))
}
