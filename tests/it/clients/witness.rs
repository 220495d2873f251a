//! A worker that refuses its first execution as a full one does, completes the
//! next, and remembers what each call brought. For what the real worker does
//! not report.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use sparkler::proto::{
    AttachExecutionRequest, CheckNodeRequest, CheckNodeResponse, Choice, Completed,
    ExecuteNodeRequest, ExecuteNodeResponse, ListModelsRequest, ListModelsResponse,
    ListNodeTypesRequest, ListNodeTypesResponse, Started,
    execute_node_response::Event,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::support::spawn;

/// What one execution brought.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    metadata: MetadataMap,
    pub(crate) idempotency_key: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.to_str().ok()
    }
}

/// The worker, for as long as the value lives.
pub(crate) struct Witness {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    running: JoinHandle<()>,
}

impl Witness {
    /// Over TLS, as `localhost`.
    pub(crate) async fn start() -> Witness {
        let identity = Identity::from_pem(
            include_str!("../cli/tls/worker.pem"),
            include_str!("../cli/tls/worker.key"),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<WorkerServiceServer<Service>>().await;
        let serving = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .expect("a good identity")
            .add_service(health)
            .add_service(WorkerServiceServer::new(Service { seen: Arc::clone(&seen) }))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let running = spawn(async move { serving.await.expect("it serves") });
        Witness { url: format!("https://localhost:{port}"), seen, running }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What each execution brought.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct Service {
    seen: Arc<Mutex<Vec<Seen>>>,
}

type Events = Pin<Box<dyn Stream<Item = Result<ExecuteNodeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerService for Service {
    type ExecuteNodeStream = Events;
    type AttachExecutionStream = Events;

    async fn execute_node(
        &self,
        request: Request<ExecuteNodeRequest>,
    ) -> Result<Response<Events>, Status> {
        let mut seen = self.seen.lock().expect("no panic");
        seen.push(Seen {
            metadata: request.metadata().clone(),
            idempotency_key: request.into_inner().idempotency_key,
        });
        if seen.len() == 1 {
            let mut full = Status::resource_exhausted("the worker is full");
            full.metadata_mut().insert("grpc-retry-pushback-ms", "20".parse().expect("a value"));
            return Err(full);
        }
        let choice = Choice { finish_reason: "stop".to_owned(), ..Choice::default() };
        let completed = Completed { choices: vec![choice], ..Completed::default() };
        let events = [Event::Started(Started::default()), Event::Completed(completed)]
            .map(|event| Ok(ExecuteNodeResponse { sequence: 0, event: Some(event) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
    }

    async fn attach_execution(
        &self,
        _: Request<AttachExecutionRequest>,
    ) -> Result<Response<Events>, Status> {
        Err(Status::unimplemented("nobody attaches here"))
    }

    async fn list_node_types(
        &self,
        _: Request<ListNodeTypesRequest>,
    ) -> Result<Response<ListNodeTypesResponse>, Status> {
        Ok(Response::new(ListNodeTypesResponse::default()))
    }

    async fn check_node(
        &self,
        _: Request<CheckNodeRequest>,
    ) -> Result<Response<CheckNodeResponse>, Status> {
        Ok(Response::new(CheckNodeResponse::default()))
    }

    async fn list_models(
        &self,
        _: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        Ok(Response::new(ListModelsResponse::default()))
    }
}
