//! The response stream of a call, from the queue to its last event.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_util::{FutureExt, stream};
use tonic::Status;

use super::{Events, fail, refuse};
use crate::{
    admission::Permit,
    error::Error,
    execution::{CallRecord, QueueEvent, Queued, Session},
    metrics::Metrics,
    proto::ExecuteNodeResponse,
};

/// Starts the session once there is a slot; does not panic.
pub(super) type Begin = Box<dyn FnOnce(Permit, CallRecord) -> Result<Box<Session>, Error> + Send>;

/// A response stream in progress.
pub(super) struct ResponseStream {
    /// Sent together with the head.
    first: Option<ExecuteNodeResponse>,
    stage: StreamStage,
}

enum StreamStage {
    Queued(Box<QueuedCall>),
    UnderWay(Box<Session>),
    Over,
}

/// A queued call, and how it continues once admitted.
struct QueuedCall {
    queued: Queued,
    record: CallRecord,
    begin: Begin,
}

impl ResponseStream {
    /// Returns the stream of an admitted call, and its first event.
    pub(super) fn under_way(
        session: Box<Session>,
        first: Option<ExecuteNodeResponse>,
    ) -> ResponseStream {
        ResponseStream { first, stage: StreamStage::UnderWay(session) }
    }

    /// Returns the stream of a call that is still queued; `first` reports that.
    pub(super) fn queued(
        queued: Queued,
        record: CallRecord,
        begin: Begin,
        first: ExecuteNodeResponse,
    ) -> ResponseStream {
        let queued = Box::new(QueuedCall { queued, record, begin });
        ResponseStream { first: Some(first), stage: StreamStage::Queued(queued) }
    }

    /// Returns all events as a stream.
    pub(super) fn into_events(self) -> Events {
        Box::pin(stream::unfold(self, |mut stream| async move {
            let item = match stream.first.take() {
                Some(first) => Ok(first),
                None => stream.next().await?,
            };
            Some((item, stream))
        }))
    }

    async fn next(&mut self) -> Option<Result<ExecuteNodeResponse, Status>> {
        loop {
            match &mut self.stage {
                StreamStage::UnderWay(session) => return respond(session).await,
                StreamStage::Over => return None,
                StreamStage::Queued(queued) => match queued.queued.next().await {
                    Ok(QueueEvent::Progress(progress)) => return Some(Ok(progress.into())),
                    Ok(QueueEvent::Admitted(permit)) => {
                        if let Err(error) = self.go_on(Ok(permit)) {
                            return Some(Err(refuse(error)));
                        }
                    }
                    Err(error) => return Some(Err(refuse(self.go_on(Err(error)).err()?))),
                },
            }
        }
    }

    /// Leaves the queue, with a slot or with an error.
    fn go_on(&mut self, admitted: Result<Permit, Error>) -> Result<(), Error> {
        if let StreamStage::Queued(queued) = mem::replace(&mut self.stage, StreamStage::Over) {
            let QueuedCall { record, begin, .. } = *queued;
            let (permit, record) = record.after(admitted)?;
            self.stage = StreamStage::UnderWay(begin(permit, record)?);
        }
        Ok(())
    }
}

/// Returns the next event of a session. If dropped with the call, the session
/// leaves its flight, and the event in progress is lost together with the caller
/// that would have received it. A panic ends this call alone, with a status.
pub(super) async fn respond(session: &mut Session) -> Option<Result<ExecuteNodeResponse, Status>> {
    match AssertUnwindSafe(session.next()).catch_unwind().await {
        Ok(item) => Some(item?.map(ExecuteNodeResponse::from).map_err(|failed| fail(*failed))),
        Err(_panic) => {
            session.end(&Error::PANICKED);
            Some(Err(refuse(Error::PANICKED)))
        }
    }
}

/// Runs the steps before an execution, and turns a panic into an error: it would
/// otherwise reset the stream without a status. Nothing is left half done: slots
/// and subscribers are released by their drops, and locks ignore poisoning.
pub(super) fn guarded<T>(
    metrics: &Metrics,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_panic| {
        metrics.panicked();
        Err(Error::PANICKED)
    })
}
