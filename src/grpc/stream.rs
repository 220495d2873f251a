//! A call as its caller hears it: from its place in line to its last event.

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

/// What is done once there is a place; it does not panic.
pub(super) type Begin = Box<dyn FnOnce(Permit, CallRecord) -> Result<Box<Session>, Error> + Send>;

/// A call under way.
pub(super) struct ResponseStream {
    /// Told when the head goes out.
    first: Option<ExecuteNodeResponse>,
    stage: Stage,
}

enum Stage {
    Queued(Box<QueuedCall>),
    UnderWay(Box<Session>),
    Over,
}

/// A call in line, and how it goes on from there.
struct QueuedCall {
    queued: Queued,
    record: CallRecord,
    begin: Begin,
}

impl ResponseStream {
    /// A call with a place, and what it is told first.
    pub(super) fn under_way(
        session: Box<Session>,
        first: Option<ExecuteNodeResponse>,
    ) -> ResponseStream {
        ResponseStream { first, stage: Stage::UnderWay(session) }
    }

    /// A call that waits on, and is told so first.
    pub(super) fn queued(
        queued: Queued,
        record: CallRecord,
        begin: Begin,
        first: ExecuteNodeResponse,
    ) -> ResponseStream {
        let queued = Box::new(QueuedCall { queued, record, begin });
        ResponseStream { first: Some(first), stage: Stage::Queued(queued) }
    }

    /// All that it is told, as a stream.
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
                Stage::UnderWay(session) => return respond(session).await,
                Stage::Over => return None,
                Stage::Queued(queued) => match queued.queued.next().await {
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

    /// Leaves the line, for a place or without one.
    fn go_on(&mut self, admitted: Result<Permit, Error>) -> Result<(), Error> {
        if let Stage::Queued(queued) = mem::replace(&mut self.stage, Stage::Over) {
            let QueuedCall { record, begin, .. } = *queued;
            let (permit, record) = record.after(admitted)?;
            self.stage = Stage::UnderWay(begin(permit, record)?);
        }
        Ok(())
    }
}

/// The next event of a session. Dropped with the call, the session leaves its
/// flight; the event under way is then lost together with the caller who would
/// have had it. A panic ends this call with a status, and nothing else.
pub(super) async fn respond(session: &mut Session) -> Option<Result<ExecuteNodeResponse, Status>> {
    match AssertUnwindSafe(session.next()).catch_unwind().await {
        Ok(item) => Some(item?.map(ExecuteNodeResponse::from).map_err(|failed| fail(*failed))),
        Err(_panic) => {
            session.end(&Error::PANICKED);
            Some(Err(refuse(Error::PANICKED)))
        }
    }
}

/// Does what comes before an execution. A panic there would end the call in a
/// reset stream that says nothing. Nothing is left half done by one: places and
/// listeners are given back by their drops, and no lock minds being poisoned.
pub(super) fn guarded<T>(
    metrics: &Metrics,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_panic| {
        metrics.panicked();
        Err(Error::PANICKED)
    })
}
