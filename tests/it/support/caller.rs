//! Somebody who calls the worker.

use std::{net::SocketAddr, time::Duration};

use sparkler::proto::{
    AttachExecutionRequest, CheckNodeRequest, CheckNodeResponse, Completed, Credential, Delta,
    ExecuteNodeResponse, ListModelsRequest, ListModelsResponse, ListNodeTypesRequest, NodeType,
    Restarted, Started, credential, execute_node_response::Event,
    worker_service_client::WorkerServiceClient,
};
use tokio::time::timeout;
use tonic::{
    Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::{Ask, Failure, PATIENCE};

/// Somebody who calls the worker, over one connection.
#[derive(Clone)]
pub(crate) struct Caller {
    client: WorkerServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Caller {
    pub(crate) async fn connect(worker: SocketAddr) -> Caller {
        let endpoint = Endpoint::from_shared(format!("http://{worker}")).expect("a URL");
        Caller::over(endpoint.connect().await.expect("the worker listens"))
    }

    /// Over a connection of one's own.
    pub(crate) fn over(channel: Channel) -> Caller {
        let client = WorkerServiceClient::new(channel).max_decoding_message_size(64 << 20);
        Caller { client, authorization: None }
    }

    /// The same caller with an `authorization` header.
    pub(crate) fn authorized(&self, header: &str) -> Caller {
        let authorization = Some(header.parse().expect("a header value"));
        Caller { authorization, ..self.clone() }
    }

    /// The generated client, for what is not said here.
    pub(crate) fn client(&self) -> WorkerServiceClient<Channel> {
        self.client.clone()
    }

    /// Calls ExecuteNode; a refusal before the first event is a failure.
    pub(crate) async fn execute(&self, ask: Ask) -> Result<Call, Failure> {
        self.execute_within(ask, None).await
    }

    /// The same with a deadline of the call itself.
    pub(crate) async fn execute_within(
        &self,
        ask: Ask,
        deadline: Option<Duration>,
    ) -> Result<Call, Failure> {
        let mut request = self.request(ask.request());
        if let Some(deadline) = deadline {
            // The header alone: the client must not end the call before the
            // worker does.
            let value = format!("{}m", deadline.as_millis()).parse().expect("a header value");
            request.metadata_mut().insert("grpc-timeout", value);
        }
        let response = self.client.clone().execute_node(request).await?;
        Ok(Call { stream: response.into_inner(), started: None, last_sequence: 0 })
    }

    /// Calls AttachExecution.
    pub(crate) async fn attach(&self, request: AttachExecutionRequest) -> Result<Call, Failure> {
        let response = self.client.clone().attach_execution(self.request(request)).await?;
        Ok(Call { stream: response.into_inner(), started: None, last_sequence: 0 })
    }

    /// Executes and listens to the end.
    pub(crate) async fn recv(&self, ask: Ask) -> Received {
        match self.execute(ask).await {
            Ok(call) => call.finish().await,
            Err(failure) => Received { end: Err(failure), ..Received::default() },
        }
    }

    /// Executes, and expects an answer.
    pub(crate) async fn answer(&self, ask: Ask) -> Completed {
        self.recv(ask).await.completed()
    }

    /// Executes, and expects a failure.
    pub(crate) async fn failure(&self, ask: Ask) -> Failure {
        match self.recv(ask).await.end {
            Ok(completed) => panic!("it was answered: {:?}", completed.choices),
            Err(failure) => failure,
        }
    }

    pub(crate) async fn node_types(&self) -> Vec<NodeType> {
        self.list().await.expect("a list")
    }

    /// Calls ListNodeTypes, which may be refused.
    pub(crate) async fn list(&self) -> Result<Vec<NodeType>, Failure> {
        let request = self.request(ListNodeTypesRequest {});
        Ok(self.client.clone().list_node_types(request).await?.into_inner().node_types)
    }

    pub(crate) async fn check(
        &self,
        request: CheckNodeRequest,
    ) -> Result<CheckNodeResponse, Failure> {
        Ok(self.client.clone().check_node(self.request(request)).await?.into_inner())
    }

    /// Calls ListModels with a key, for a page of the default size.
    pub(crate) async fn models(&self, key: &str) -> Result<ListModelsResponse, Failure> {
        let source = credential::Source::ApiKey(key.to_owned());
        let credential = Some(Credential { source: Some(source) });
        self.list_models(ListModelsRequest { credential, ..Default::default() }).await
    }

    pub(crate) async fn list_models(
        &self,
        request: ListModelsRequest,
    ) -> Result<ListModelsResponse, Failure> {
        Ok(self.client.clone().list_models(self.request(request)).await?.into_inner())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }
}

/// A call under way. Dropping it cancels the call.
pub(crate) struct Call {
    stream: Streaming<ExecuteNodeResponse>,
    started: Option<Started>,
    last_sequence: u64,
}

/// Everything a caller received.
pub(crate) struct Received {
    /// The text of choice 0, as its deltas brought it.
    pub(crate) text: String,
    /// The reasoning of choice 0, likewise.
    pub(crate) reasoning: String,
    pub(crate) deltas: Vec<Delta>,
    pub(crate) restarts: Vec<Restarted>,
    pub(crate) progress: usize,
    pub(crate) started: Option<Started>,
    pub(crate) end: Result<Completed, Failure>,
}

impl Default for Received {
    fn default() -> Received {
        Received {
            text: String::new(),
            reasoning: String::new(),
            deltas: Vec::new(),
            restarts: Vec::new(),
            progress: 0,
            started: None,
            end: Ok(Completed::default()),
        }
    }
}

impl Received {
    /// The answer, where there was one.
    pub(crate) fn completed(self) -> Completed {
        self.end.unwrap_or_else(|failure| panic!("it failed: {failure:?}"))
    }
}

impl Call {
    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Event, Failure>> {
        let message = timeout(PATIENCE, self.stream.message())
            .await
            .expect("the worker says something in time");
        match message {
            Ok(None) => None,
            Ok(Some(response)) => {
                let event = response.event.expect("every response has an event");
                self.check_order(response.sequence, &event);
                Some(Ok(event))
            }
            Err(status) => Some(Err(Failure::from(status))),
        }
    }

    /// `started`, which must come first.
    pub(crate) async fn started(&mut self) -> Started {
        if let Some(started) = &self.started {
            return started.clone();
        }
        match self.next().await {
            Some(Ok(Event::Started(started))) => started,
            other => panic!("not started: {:?}", other.map(Result::err)),
        }
    }

    /// The last sequence number received.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Listens until there is some text, and gives it.
    pub(crate) async fn first_text(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Ok(Event::Delta(delta))) if !delta.text.is_empty() => return delta.text,
                Some(Ok(Event::Completed(_))) | None => panic!("the call ended without text"),
                Some(Err(failure)) => panic!("it failed: {failure:?}"),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Listens to the end.
    pub(crate) async fn finish(mut self) -> Received {
        let mut received = Received { started: self.started.clone(), ..Received::default() };
        let mut ended = false;
        while let Some(event) = self.next().await {
            assert!(!ended, "nothing follows the end");
            match event {
                Ok(Event::Started(started)) => received.started = Some(started),
                Ok(Event::Delta(delta)) => received.delta(delta),
                Ok(Event::Restarted(restarted)) => received.restarted(restarted),
                Ok(Event::Progress(_)) => received.progress += 1,
                Ok(Event::Completed(completed)) => {
                    received.end = Ok(*completed);
                    ended = true;
                }
                Err(failure) => {
                    received.end = Err(failure);
                    return received;
                }
            }
        }
        assert!(ended, "a stream ends in completed or in a failure");
        received
    }

    /// Sequence numbers never go back, and deltas go on.
    fn check_order(&mut self, sequence: u64, event: &Event) {
        match event {
            Event::Started(started) => self.started = Some(started.clone()),
            Event::Delta(_) | Event::Restarted(_) => {
                assert!(sequence > self.last_sequence, "{sequence} after {}", self.last_sequence);
            }
            Event::Progress(_) | Event::Completed(_) => assert!(sequence >= self.last_sequence),
        }
        self.last_sequence = sequence;
    }
}

impl Received {
    fn delta(&mut self, delta: Delta) {
        if delta.choice == 0 {
            self.text.push_str(&delta.text);
            self.reasoning.push_str(&delta.reasoning);
        }
        self.deltas.push(delta);
    }

    fn restarted(&mut self, restarted: Restarted) {
        self.text.clear();
        self.reasoning.clear();
        self.deltas.clear();
        self.restarts.push(restarted);
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        Failure::decode(&status)
    }
}
