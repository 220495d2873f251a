//! The RPCs: convert → execute → convert back. No policy here.

mod lease;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, Stream, stream};
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use self::lease::Lease;
use crate::{
    error::Error,
    execution::{Executor, Session, order::Caller, outcome::Failed},
    proto::{
        Arrival, AttachExecutionRequest, CheckNodeRequest, CheckNodeResponse, Door,
        ExecuteNodeRequest, ExecuteNodeResponse, ListNodeTypesRequest, ListNodeTypesResponse,
        NodeType, status, worker_service_server::WorkerService,
    },
    report,
};

/// The worker's service.
#[derive(Debug, Clone)]
pub struct Service {
    executor: Arc<Executor>,
}

type Events = Pin<Box<dyn Stream<Item = Result<ExecuteNodeResponse, Status>> + Send>>;

impl Service {
    /// The service of an executor.
    pub fn new(executor: Arc<Executor>) -> Service {
        Service { executor }
    }

    /// The head of the response goes out with the first event: a call that
    /// fails before it ends without one, and gRPC clients may then retry it by
    /// themselves. What follows cannot be kept beyond the call's deadline.
    async fn answer(&self, mut session: Box<Session>) -> Result<Response<Events>, Status> {
        let first = told(&mut session).await.transpose()?;
        let (deadline, error) = session.deadline();
        let is_at_hand = session.is_at_hand();
        let events = events(Telling { first, session });
        if is_at_hand {
            return Ok(Response::new(events));
        }
        let lease = Lease::new(events, deadline, || refuse(error), &self.executor.lifecycle);
        Ok(Response::new(Box::pin(lease)))
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
        let arrival = arrival(&request);
        let begin = || {
            let permit = self.executor.admit()?;
            let order = Door::default().order(request.into_inner(), arrival)?;
            self.executor.execute(permit, order)
        };
        self.answer(guarded(begin).map_err(refuse)?).await
    }

    async fn attach_execution(
        &self,
        request: Request<AttachExecutionRequest>,
    ) -> Result<Response<Events>, Status> {
        let arrival = arrival(&request);
        let begin = || {
            let permit = self.executor.admit()?;
            let attachment = Door::default().attachment(request.into_inner(), arrival)?;
            self.executor.attach(permit, attachment)
        };
        self.answer(guarded(begin).map_err(refuse)?).await
    }

    async fn list_node_types(
        &self,
        _request: Request<ListNodeTypesRequest>,
    ) -> Result<Response<ListNodeTypesResponse>, Status> {
        let node_types = self.executor.registry.forms().map(NodeType::from).collect();
        Ok(Response::new(ListNodeTypesResponse { node_types }))
    }

    async fn check_node(
        &self,
        request: Request<CheckNodeRequest>,
    ) -> Result<Response<CheckNodeResponse>, Status> {
        let arrival = arrival(&request);
        let _permit = self.executor.admit().map_err(refuse)?;
        let check = guarded(|| Door::default().check(request.into_inner(), arrival));
        let checking = self.executor.check(check.map_err(refuse)?);
        let checked = AssertUnwindSafe(checking).catch_unwind().await;
        let findings = checked.unwrap_or(Err(PANICKED)).map_err(refuse)?;
        Ok(Response::new(findings.into()))
    }
}

/// What a caller is told of a panic; its words stay inside.
const PANICKED: Error = Error::Internal("it panicked; its log has the place");

/// Does what comes before an execution. A panic there would end the call in a
/// reset stream that says nothing. Nothing is left half done by one: places and
/// listeners are given back by their drops, and no lock minds being poisoned.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(PANICKED))
}

/// A call under way.
struct Telling {
    /// Told when the head goes out.
    first: Option<ExecuteNodeResponse>,
    session: Box<Session>,
}

fn events(telling: Telling) -> Events {
    Box::pin(stream::unfold(telling, |mut telling| async move {
        let item = match telling.first.take() {
            Some(first) => Ok(first),
            None => told(&mut telling.session).await?,
        };
        Some((item, telling))
    }))
}

/// The next event of a session. Dropped with the call, the session leaves its
/// flight; the event under way is then lost together with the caller who would
/// have had it. A panic ends this call with a status, and nothing else.
async fn told(session: &mut Session) -> Option<Result<ExecuteNodeResponse, Status>> {
    match AssertUnwindSafe(session.next()).catch_unwind().await {
        Ok(item) => Some(item?.map(ExecuteNodeResponse::from).map_err(|failed| fail(*failed))),
        Err(_panic) => {
            session.end();
            Some(Err(refuse(PANICKED)))
        }
    }
}

fn arrival<T>(request: &Request<T>) -> Arrival {
    Arrival {
        caller: Caller::default(),
        deadline: grpc_timeout(request.metadata()),
        arrived: Instant::now(),
    }
}

fn refuse(error: Error) -> Status {
    report::refused(&error);
    status(&error)
}

fn fail(failed: Failed) -> Status {
    report::failed(&failed);
    Status::from(failed)
}

/// The call's own deadline: at most eight digits and a unit, by the gRPC
/// protocol. Anything else counts as none, as tonic has it.
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
