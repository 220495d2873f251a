//! Streams that last without an execution: reflection, and watches of health.
//! They are open to all, so each has little: few are open on one connection and
//! in all, each is charged, and each has an end.
//!
//! Called by `receiving`. The response is on [`Loan`]: a reader that stands still
//! holds it no longer than one that reads.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    response::Response,
};
use bytes::Bytes;
use http_body::Frame;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};

use super::connection::Peer;
use crate::{
    admission::{RequestBodyCharge, saturated_for_a_moment},
    config::ConnectionAge,
    error::{Error, Limit},
    execution::Executor,
    grpc::{Loan, status},
    lifecycle::Lifecycle,
};

/// Watches of health, of all connections: one for each client that has its
/// balancer look.
const MOST_WATCHES: usize = 1024;
/// Streams of reflection, of all connections: people who look around.
const MOST_REFLECTIONS: usize = 32;
/// Answers of reflection are the whole description; a few are under way.
const DESCRIPTION_BYTES: usize = 128 << 10;
/// The end of a watch where connections have none.
const LONGEST_WATCH: Duration = Duration::from_secs(3600);
/// A caller that reads has its end by then.
const GRACE: Duration = Duration::from_secs(1);

const REFLECTION: &str = "/grpc.reflection.";
const HEALTH: &str = "/grpc.health.v1.Health/Watch";

/// The room that there is for such streams. Clones are one.
#[derive(Debug, Clone)]
pub(super) struct Watches {
    health: Arc<Semaphore>,
    reflection: Arc<Semaphore>,
    age: Option<ConnectionAge>,
}

/// What one stream takes until its end.
pub(super) struct Watch {
    until: Instant,
    at_its_end: Error,
    taken: Taken,
}

type Taken = (RequestBodyCharge, OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Watches {
    pub(super) fn new(age: Option<ConnectionAge>) -> Watches {
        Watches {
            health: Arc::new(Semaphore::new(MOST_WATCHES)),
            reflection: Arc::new(Semaphore::new(MOST_REFLECTIONS)),
            age,
        }
    }

    /// Returns what a call takes if it is such a stream, or why there is no room
    /// for it. Reflection has the time of a request, since a tool asks at once; a
    /// watch ends when its connection is to be replaced.
    pub(super) fn begin(
        &self,
        request: &Request,
        executor: &Executor,
        request_limit: Duration,
    ) -> Result<Option<Watch>, Error> {
        let path = request.uri().path();
        let is_reflection = path.starts_with(REFLECTION);
        if !is_reflection && path != HEALTH {
            return Ok(None);
        }
        let peer = request.extensions().get::<Peer>();
        let room = if is_reflection { &self.reflection } else { &self.health };
        let taken = (
            executor.admission.request_body()?,
            permit(room)?,
            peer.map(|peer| permit(&peer.watches)).transpose()?,
        );
        let mut watch = self.of_health(peer, taken);
        if is_reflection {
            watch.taken.0.more(DESCRIPTION_BYTES)?;
            watch.until = Instant::now() + request_limit;
            watch.at_its_end = Error::RequestOverdue { limit: request_limit };
        }
        Ok(Some(watch))
    }

    fn of_health(&self, peer: Option<&Peer>, taken: Taken) -> Watch {
        let aged = self.age.zip(peer).and_then(|(age, peer)| peer.since.checked_add(age.limit));
        Watch {
            until: aged.unwrap_or_else(|| Instant::now() + LONGEST_WATCH),
            at_its_end: Error::ConnectionMaxAge { retry_after: Duration::ZERO },
            taken,
        }
    }
}

fn permit(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    room.clone().try_acquire_owned().map_err(|_| saturated_for_a_moment(Limit::Watches))
}

impl Watch {
    /// Lends the response to its caller.
    pub(super) fn lend(self, response: Response, lifecycle: &Lifecycle) -> Response {
        let Watch { until, at_its_end, taken } = self;
        response.map(|body| {
            Body::new(Lent {
                body: Loan::new((body, taken), until + GRACE, lifecycle),
                until: Box::pin(sleep_until(until)),
                at_its_end: Some(at_its_end),
            })
        })
    }
}

/// A response that ends in time. What it takes goes with it, or before.
struct Lent {
    body: Loan<(Body, Taken)>,
    until: Pin<Box<Sleep>>,
    at_its_end: Option<Error>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let lent = self.get_mut();
        if let Some((body, _)) = lent.body.lock().as_mut()
            && let Poll::Ready(frame) = Pin::new(body).poll_frame(context)
        {
            return Poll::Ready(frame);
        }
        ready!(lent.until.as_mut().poll(context));
        lent.body.lock().take();
        Poll::Ready(lent.at_its_end.take().map(|error| {
            let mut trailers = http::HeaderMap::new();
            status(&error).add_header(&mut trailers).map_err(axum::Error::new)?;
            Ok(Frame::trailers(trailers))
        }))
    }
}
