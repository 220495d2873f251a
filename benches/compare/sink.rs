//! A collector that takes every span and keeps none, as fast as it can: what
//! telling it costs the worker is all that is measured. Its log has how many it
//! was told.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

/// What the parent tells the collector.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
}

/// Serves until killed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(Sink::default()))
            .serve(options.address)
            .await?;
        Ok(())
    })
}

#[derive(Default)]
struct Sink {
    spans: AtomicUsize,
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.get_ref().resource_spans.iter().flat_map(|of| &of.scope_spans);
        let count: usize = scopes.map(|of| of.spans.len()).sum();
        let all = self.spans.fetch_add(count, Ordering::Relaxed) + count;
        eprintln!("{all} spans");
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
