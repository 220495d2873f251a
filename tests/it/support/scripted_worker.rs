//! A stand-in for a worker, which answers as the test wants and remembers what it was
//! asked. The command line and the clients are tested against it where a real worker
//! could not be made to give the answer in question.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use sparkler::proto::{
    AttachExecutionRequest, CheckNodeRequest, CheckNodeResponse, ExecuteNodeRequest,
    ExecuteNodeResponse, ListModelsRequest, ListModelsResponse, ListNodeTypesRequest,
    ListNodeTypesResponse, Model,
    execute_node_response::Event,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Identity, Server, ServerTlsConfig},
};

use super::spawn;

/// The worker's answers.
#[derive(Clone, Default)]
pub(crate) struct Script {
    first_refused: Option<Status>,
    events: Vec<Event>,
    end: End,
    findings: CheckNodeResponse,
    node_types: ListNodeTypesResponse,
    models: Vec<Model>,
}

/// How a stream ends.
#[derive(Clone, Default)]
enum End {
    #[default]
    Well,
    Failed(Status),
    Never,
}

impl Script {
    pub(crate) fn events(events: impl IntoIterator<Item = Event>) -> Script {
        Script { events: events.into_iter().collect(), ..Script::default() }
    }

    /// Refuses the first execution before it has a stream.
    pub(crate) fn but_first_refuses(mut self, status: Status) -> Script {
        self.first_refused = Some(status);
        self
    }

    pub(crate) fn then_fails(mut self, status: Status) -> Script {
        self.end = End::Failed(status);
        self
    }

    pub(crate) fn then_hangs(mut self) -> Script {
        self.end = End::Never;
        self
    }

    pub(crate) fn findings(findings: CheckNodeResponse) -> Script {
        Script { findings, ..Script::default() }
    }

    pub(crate) fn node_types(node_types: ListNodeTypesResponse) -> Script {
        Script { node_types, ..Script::default() }
    }

    /// Lists these models, one to a page.
    pub(crate) fn models(models: Vec<Model>) -> Script {
        Script { models, ..Script::default() }
    }
}

/// One execution that the worker was asked for.
#[derive(Clone)]
pub(crate) struct Execution {
    metadata: MetadataMap,
    pub(crate) request: ExecuteNodeRequest,
}

impl Execution {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.to_str().ok()
    }
}

/// The calls that the worker received.
#[derive(Default)]
struct Calls {
    /// Of the last call.
    metadata: Option<MetadataMap>,
    executions: Vec<Execution>,
    checked: Option<CheckNodeRequest>,
}

/// The worker, for as long as the value lives.
pub(crate) struct ScriptedWorker {
    url: String,
    calls: Arc<Mutex<Calls>>,
    abandoned: watch::Receiver<bool>,
    server: JoinHandle<()>,
}

impl ScriptedWorker {
    pub(crate) async fn start(script: Script) -> ScriptedWorker {
        ScriptedWorker::listen(script, "http", Server::builder()).await
    }

    /// Over TLS, as `localhost`.
    pub(crate) async fn start_tls(script: Script, identity: Identity) -> ScriptedWorker {
        let tls = ServerTlsConfig::new().identity(identity);
        let server = Server::builder().tls_config(tls).expect("a good identity");
        ScriptedWorker::listen(script, "https", server).await
    }

    async fn listen(script: Script, scheme: &str, mut server: Server) -> ScriptedWorker {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let calls = Arc::<Mutex<Calls>>::default();
        let (abandon, abandoned) = watch::channel(false);
        let service = Service { script, calls: Arc::clone(&calls), abandon };
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<WorkerServiceServer<Service>>().await;
        let serving = server
            .add_service(health)
            .add_service(WorkerServiceServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = spawn(async move { serving.await.expect("it serves") });
        ScriptedWorker { url: format!("{scheme}://localhost:{port}"), calls, abandoned, server }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Every execution that was asked for.
    pub(crate) fn executions(&self) -> Vec<Execution> {
        self.calls.lock().expect("no panic").executions.clone()
    }

    /// The last execution that was asked for.
    pub(crate) fn executed(&self) -> ExecuteNodeRequest {
        self.executions().pop().expect("an execution was asked for").request
    }

    /// The last check that was asked for.
    pub(crate) fn checked(&self) -> CheckNodeRequest {
        let calls = self.calls.lock().expect("no panic");
        calls.checked.clone().expect("a check was asked for")
    }

    /// A header of the last call.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let calls = self.calls.lock().expect("no panic");
        let value = calls.metadata.as_ref().expect("a call came").get(name)?;
        Some(value.to_str().expect("text").to_owned())
    }

    /// Done when a caller has left a stream that had not ended.
    pub(crate) async fn abandoned(&mut self) {
        self.abandoned.wait_for(|&abandoned| abandoned).await.expect("the worker lives");
    }
}

impl Drop for ScriptedWorker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Service {
    script: Script,
    calls: Arc<Mutex<Calls>>,
    abandon: watch::Sender<bool>,
}

/// The script's events, then its end.
struct Events {
    events: std::vec::IntoIter<Event>,
    sequence: u64,
    end: End,
    abandon: watch::Sender<bool>,
}

impl Stream for Events {
    type Item = Result<ExecuteNodeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.events.next() {
            let sequence = self.sequence;
            self.sequence += 1;
            return Poll::Ready(Some(Ok(ExecuteNodeResponse { sequence, event: Some(event) })));
        }
        match std::mem::take(&mut self.end) {
            End::Well => Poll::Ready(None),
            End::Failed(status) => Poll::Ready(Some(Err(status))),
            End::Never => {
                self.end = End::Never;
                Poll::Pending
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if matches!(self.end, End::Never) {
            self.abandon.send_replace(true);
        }
    }
}

impl Service {
    fn remember<T>(&self, metadata: &MetadataMap, what: impl FnOnce(&mut Calls) -> T) -> T {
        let mut calls = self.calls.lock().expect("no panic");
        calls.metadata = Some(metadata.clone());
        what(&mut calls)
    }
}

#[tonic::async_trait]
impl WorkerService for Service {
    type ExecuteNodeStream = Events;
    type AttachExecutionStream = Events;

    async fn execute_node(
        &self,
        request: Request<ExecuteNodeRequest>,
    ) -> Result<Response<Events>, Status> {
        let metadata = request.metadata().clone();
        let number = self.remember(&metadata, |calls| {
            let execution = Execution { metadata: metadata.clone(), request: request.into_inner() };
            calls.executions.push(execution);
            calls.executions.len()
        });
        if let Some(refusal) = self.script.first_refused.clone().filter(|_| number == 1) {
            return Err(refusal);
        }
        Ok(Response::new(Events {
            events: self.script.events.clone().into_iter(),
            sequence: 0,
            end: self.script.end.clone(),
            abandon: self.abandon.clone(),
        }))
    }

    async fn attach_execution(
        &self,
        _: Request<AttachExecutionRequest>,
    ) -> Result<Response<Events>, Status> {
        Err(Status::unimplemented("nobody attaches here"))
    }

    async fn list_node_types(
        &self,
        request: Request<ListNodeTypesRequest>,
    ) -> Result<Response<ListNodeTypesResponse>, Status> {
        self.remember(request.metadata(), |_| ());
        Ok(Response::new(self.script.node_types.clone()))
    }

    async fn check_node(
        &self,
        request: Request<CheckNodeRequest>,
    ) -> Result<Response<CheckNodeResponse>, Status> {
        self.remember(&request.metadata().clone(), |calls| {
            calls.checked = Some(request.into_inner());
        });
        Ok(Response::new(self.script.findings.clone()))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        self.remember(request.metadata(), |_| ());
        let page: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let next = (page + 1 < self.script.models.len()).then(|| (page + 1).to_string());
        Ok(Response::new(ListModelsResponse {
            models: self.script.models.get(page).cloned().into_iter().collect(),
            next_page_token: next.unwrap_or_default(),
            age: None,
        }))
    }
}
