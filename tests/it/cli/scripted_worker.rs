//! A worker that says what the test wants and remembers what it was asked. The
//! command line is tested against it where a real worker could not be made to
//! say the thing in question.

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

/// What the worker says.
#[derive(Clone, Default)]
pub(crate) struct Script {
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

/// What the worker was asked.
#[derive(Default)]
struct Memory {
    metadata: Option<MetadataMap>,
    executed: Option<ExecuteNodeRequest>,
    checked: Option<CheckNodeRequest>,
}

/// The worker, for as long as the value lives.
pub(crate) struct ScriptedWorker {
    url: String,
    memory: Arc<Mutex<Memory>>,
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
        let memory = Arc::<Mutex<Memory>>::default();
        let (abandon, abandoned) = watch::channel(false);
        let service =
            WorkerServiceServer::new(Service { script, memory: Arc::clone(&memory), abandon });
        let serving =
            server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        #[expect(clippy::disallowed_methods, reason = "aborted with the value")]
        let server = tokio::spawn(async move { serving.await.expect("it serves") });
        ScriptedWorker { url: format!("{scheme}://localhost:{port}"), memory, abandoned, server }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The last execution that was asked for.
    pub(crate) fn executed(&self) -> ExecuteNodeRequest {
        let memory = self.memory.lock().expect("no panic");
        memory.executed.clone().expect("an execution was asked for")
    }

    /// The last check that was asked for.
    pub(crate) fn checked(&self) -> CheckNodeRequest {
        let memory = self.memory.lock().expect("no panic");
        memory.checked.clone().expect("a check was asked for")
    }

    /// A header of the last call.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let memory = self.memory.lock().expect("no panic");
        let value = memory.metadata.as_ref().expect("a call came").get(name)?;
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
    memory: Arc<Mutex<Memory>>,
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
    fn remember(&self, metadata: &MetadataMap, what: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory.lock().expect("no panic");
        memory.metadata = Some(metadata.clone());
        what(&mut memory);
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
        self.remember(&request.metadata().clone(), |memory| {
            memory.executed = Some(request.into_inner());
        });
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
        Err(Status::unimplemented("no command attaches"))
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
        self.remember(&request.metadata().clone(), |memory| {
            memory.checked = Some(request.into_inner());
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
