//! The RPCs: admit → convert → execute → convert back. No policy here.

mod codec;
mod describe;
pub(crate) mod expansion;
mod items;
mod models;
mod refusal;
mod request;
mod response;
mod status;
mod stream;
mod stream_lease;

use std::{panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::{FutureExt, Stream};
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};

pub use self::status::status;
pub(crate) use self::stream_lease::Loan;
pub(crate) use self::{
    codec::Codec,
    refusal::name_refusal,
    request::{Arrival, RequestDecoder},
};
use self::{
    items::Items,
    stream::{Begin, ResponseStream, guarded, respond},
    stream_lease::StreamLease,
};
use crate::{
    admission::{Entry, Permit},
    callers::Caller,
    error::Error,
    execution::{
        CallRecord, Executor, QueueEvent, Queued, Session, request::Limits, response::Failed,
    },
    proto::{
        AttachExecutionRequest, CheckNodeRequest, CheckNodeResponse, ExecuteNodeRequest,
        ExecuteNodeResponse, ExecutionContext, ListModelsRequest, ListModelsResponse,
        ListNodeTypesRequest, ListNodeTypesResponse, NodeType,
        worker_service_server::WorkerService,
    },
};

/// The time at which a call's connection is cut; a request extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutAt(pub Instant);

/// The worker's gRPC service.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    executor: Executor,
}

type Events = Pin<Box<dyn Stream<Item = Result<ExecuteNodeResponse, Status>> + Send>>;

/// Starts the session of an admitted call.
type StartSession<M> =
    fn(&Executor, Permit, M, RequestDecoder, Arrival, CallRecord) -> Result<Box<Session>, Error>;

impl Service {
    /// Returns the service of an executor.
    pub(crate) fn new(executor: Executor) -> Service {
        Service { executor }
    }

    /// Admits or queues a call, then executes it.
    async fn take<M>(
        &self,
        request: Request<M>,
        begin: StartSession<M>,
    ) -> Result<Response<Events>, Status>
    where
        M: Called + Items + Message + 'static,
    {
        let mut arrival = arrival(&request).map_err(refuse)?;
        let cut_at = request.extensions().get::<CutAt>().copied();
        let mut message = request.into_inner();
        let (decoder, context) = RequestDecoder::open(message.take_context());
        let record = self.executor.record(message.node_type(), context.clone(), arrival.arrived);
        let begin = move |executor: &Executor, permit, message, arrival, record| {
            let mut session = begin(executor, permit, message, decoder, arrival, record)?;
            if let Some(CutAt(at)) = cut_at {
                session.end_before(at);
            }
            Ok(session)
        };
        let (tenant, bytes) = (context.tenant.as_str(), arrival.decoded_bytes());
        let entry = self.executor.admit(&arrival.caller, tenant, bytes);
        let (entry, mut record) = record.after(entry).map_err(refuse)?;
        if M::PAYS {
            let affordable = self.executor.afford(&arrival.caller, tenant).await;
            ((), record) = record.after(affordable).map_err(refuse)?;
        }
        if let Some(text) = message.take_schema() {
            let compiled = self.executor.compile(&arrival.caller, tenant, text).await;
            let (compiled, after) = record.after(compiled).map_err(refuse)?;
            (arrival.schema, record) = (Some(compiled), after);
        }
        match entry {
            Entry::Admitted(permit) => {
                let session = guarded(&self.executor.services.metrics, || {
                    begin(&self.executor, permit, message, arrival, record)
                });
                self.answer(session.map_err(refuse)?).await
            }
            Entry::Queued(waiting) => {
                let limits = message.limits(arrival.queued());
                let queued = self.executor.enqueue(waiting, arrival.arrived, &limits);
                let executor = self.executor.clone();
                let begin = move |permit, record| {
                    let begin = || begin(&executor, permit, message, arrival, record);
                    guarded(&executor.services.metrics, begin)
                };
                Box::pin(self.answer_in_turn(queued, record, Box::new(begin))).await
            }
        }
    }

    /// Sends the response head with the first event: a call that fails before then
    /// ends without a head, so gRPC clients may retry it transparently. The rest of
    /// the stream is lent until the call's deadline.
    async fn answer(&self, mut session: Box<Session>) -> Result<Response<Events>, Status> {
        let first = respond(&mut session).await.transpose()?;
        let (deadline, error) = session.deadline();
        let is_at_hand = session.is_at_hand();
        let events = ResponseStream::under_way(session, first).into_events();
        if is_at_hand {
            return Ok(Response::new(events));
        }
        Ok(self.lend(events, deadline, error))
    }

    /// Answers a queued call. Nothing is sent until the progress interval has
    /// passed.
    async fn answer_in_turn(
        &self,
        mut queued: Queued,
        record: CallRecord,
        begin: Begin,
    ) -> Result<Response<Events>, Status> {
        let (first, record) = record.after(queued.next().await).map_err(refuse)?;
        match first {
            QueueEvent::Admitted(permit) => {
                drop(queued);
                self.answer(begin(permit, record).map_err(refuse)?).await
            }
            QueueEvent::Progress(progress) => {
                let (deadline, error) = queued.deadline();
                let events =
                    ResponseStream::queued(queued, record, begin, progress.into()).into_events();
                Ok(self.lend(events, deadline, error))
            }
        }
    }

    /// Returns a slot for a call that is not an execution, after its turn in the queue.
    async fn slot(&self, arrival: &Arrival, tenant: &str) -> Result<Permit, Error> {
        match self.executor.admit(&arrival.caller, tenant, arrival.decoded_bytes())? {
            Entry::Admitted(permit) => Ok(permit),
            Entry::Queued(waiting) => {
                let limits = RequestDecoder::limits_of(None, arrival.queued());
                self.executor.enqueue(waiting, arrival.arrived, &limits).admitted().await
            }
        }
    }

    /// Awaits a call that is not an execution; a panic is its failure.
    async fn caught<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_panic| {
            self.executor.services.metrics.panicked();
            Err(Error::PANICKED)
        })
    }

    fn lend(&self, events: Events, deadline: Instant, error: Error) -> Response<Events> {
        let lease =
            StreamLease::new(events, deadline, || refuse(error), &self.executor.services.lifecycle);
        Response::new(Box::pin(lease))
    }
}

/// A message whose context, schema and limits are read before it has a slot.
trait Called {
    /// Set if the call may send a request to the provider, and so counts against a
    /// quota.
    const PAYS: bool;

    /// Returns the type of the node to execute, if the call executes one.
    fn node_type(&self) -> Option<&str>;
    /// Takes the call's position in its flow out of the message.
    fn take_context(&mut self) -> Option<ExecutionContext>;
    /// Takes the schema that the answer must meet out of the message.
    fn take_schema(&mut self) -> Option<String>;
    /// Returns the limits of the call.
    fn limits(&self, deadline: Option<Duration>) -> Limits;
}

macro_rules! called {
    ($($message:ty, $pays:literal, $node_type:expr, $schema:expr;)*) => {
        $(impl Called for $message {
            const PAYS: bool = $pays;

            fn node_type(&self) -> Option<&str> {
                let node_type: fn(&$message) -> Option<&str> = $node_type;
                node_type(self)
            }

            fn take_context(&mut self) -> Option<ExecutionContext> {
                self.context.take()
            }

            fn take_schema(&mut self) -> Option<String> {
                let take_schema: fn(&mut $message) -> Option<String> = $schema;
                take_schema(self).filter(|schema| !schema.is_empty())
            }

            fn limits(&self, deadline: Option<Duration>) -> Limits {
                RequestDecoder::limits_of(self.limits, deadline)
            }
        })*
    };
}

called! {
    ExecuteNodeRequest, true, |message| Some(&message.node_type), |message| {
        message.output.as_mut().map(|output| std::mem::take(&mut output.json_schema))
    };
    AttachExecutionRequest, false, |_| None, |_| None;
}

#[tonic::async_trait]
impl WorkerService for Service {
    type ExecuteNodeStream = Events;
    type AttachExecutionStream = Events;

    async fn execute_node(
        &self,
        request: Request<ExecuteNodeRequest>,
    ) -> Result<Response<Events>, Status> {
        self.take(request, |executor, permit, message, decoder, arrival, record| {
            let execute_request = decoder.execute_request(message, record.context(), arrival);
            let (execute_request, record) = record.after(execute_request)?;
            executor.execute(permit, execute_request, record)
        })
        .await
    }

    async fn attach_execution(
        &self,
        request: Request<AttachExecutionRequest>,
    ) -> Result<Response<Events>, Status> {
        self.take(request, |executor, permit, message, decoder, arrival, record| {
            let attach_request = decoder.attach_request(message, record.context(), arrival);
            let (attach_request, record) = record.after(attach_request)?;
            executor.attach(permit, attach_request, record)
        })
        .await
    }

    async fn list_node_types(
        &self,
        request: Request<ListNodeTypesRequest>,
    ) -> Result<Response<ListNodeTypesResponse>, Status> {
        arrival(&request).map_err(refuse)?;
        let node_types = self.executor.services.registry.forms().map(NodeType::from).collect();
        Ok(Response::new(ListNodeTypesResponse { node_types }))
    }

    async fn check_node(
        &self,
        request: Request<CheckNodeRequest>,
    ) -> Result<Response<CheckNodeResponse>, Status> {
        let arrival = arrival(&request).map_err(refuse)?;
        let mut message = request.into_inner();
        let (decoder, context) = RequestDecoder::open(message.context.take());
        let _permit = self.slot(&arrival, &context.tenant).await.map_err(refuse)?;
        let check = guarded(&self.executor.services.metrics, || decoder.check(message, arrival));
        let findings = self.caught(self.executor.check(check.map_err(refuse)?)).await;
        Ok(Response::new(findings.map_err(refuse)?.into()))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let arrival = arrival(&request).map_err(refuse)?;
        let mut message = request.into_inner();
        let (decoder, context) = RequestDecoder::open(message.context.take());
        let _permit = self.slot(&arrival, &context.tenant).await.map_err(refuse)?;
        let asked =
            guarded(&self.executor.services.metrics, || decoder.list_models(message, arrival));
        let page = self.caught(self.executor.list_models(asked.map_err(refuse)?)).await;
        let page = page.map_err(refuse)?;
        Ok(Response::new(models::response(page, &self.executor.services.prices.current())))
    }
}

/// Describes a request's arrival. The caller was authenticated before the message
/// was read; a request that bypassed that is refused.
fn arrival<T: Message + Items>(request: &Request<T>) -> Result<Arrival, Error> {
    let caller = request.extensions().get::<Caller>().ok_or(Error::CallerUnauthenticated)?;
    Ok(Arrival {
        request_bytes: request.get_ref().encoded_len(),
        item_bytes: request.get_ref().item_bytes(),
        caller: caller.clone(),
        deadline: grpc_timeout(request.metadata()),
        arrived: Instant::now(),
        schema: None,
    })
}

/// Converts an error. An execution's failure is in its call record; that of any
/// other call is recorded once the call has ended.
fn refuse(error: Error) -> Status {
    status(&error)
}

fn fail(failed: Failed) -> Status {
    Status::from(failed)
}

/// Returns the call's own deadline: at most eight digits and a unit, by the gRPC
/// protocol. Anything else counts as none, as in tonic.
fn grpc_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_by_the_protocols_grammar() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("350m", Some(Duration::from_millis(350))),
            ("5u", Some(Duration::from_micros(5))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("123456789S", None),
            ("-1S", None),
            ("1s", None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().expect("a header value"));
            assert_eq!(grpc_timeout(&metadata), expected, "{text:?}");
        }
    }
}
