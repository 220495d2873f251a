//! Receives requests: each has a time limit to arrive complete, and is charged for
//! the memory it takes meanwhile.
//!
//! The gRPC stack would wait forever for the rest of a message, and keep the part
//! that has arrived.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Status, body::Body};

use super::watching::{Watch, Watches};
use crate::{
    admission::RequestBodyCharge,
    error::Error,
    execution::{Services, count_refusal},
    grpc::status,
};

/// Calls that are answered however little memory is left.
const PROBES: &str = "/grpc.health.";

/// The terms on which requests are received.
#[derive(Debug, Clone)]
pub(super) struct Receiving {
    pub(super) services: Arc<Services>,
    /// Time limit for a complete request.
    pub(super) limit: Duration,
    /// The capacity for long-lived streams without an execution.
    pub(super) watches: Watches,
}

impl Receiving {
    /// Returns the request with a body that enforces the limits, and the resources
    /// of a long-lived stream, if the call is one.
    pub(super) fn begin(
        &self,
        request: Request<Body>,
    ) -> Result<(Request<LimitedBody>, Option<Watch>), Status> {
        let taken = self.take(&request);
        let (charge, watch) = taken.map_err(|error| refuse(&self.services, &error))?;
        let body = |body| LimitedBody {
            body,
            charge,
            limit: self.limit,
            due: Instant::now() + self.limit,
            overdue: None,
            services: self.services.clone(),
        };
        Ok((request.map(body), watch))
    }

    /// Takes the memory of a request's body, and the resources of a long-lived stream.
    fn take(
        &self,
        request: &Request<Body>,
    ) -> Result<(Option<RequestBodyCharge>, Option<Watch>), Error> {
        let charged = !request.uri().path().starts_with(PROBES);
        let charge = charged.then(|| self.services.admission.request_body()).transpose()?;
        Ok((charge, self.watches.begin(request, &self.services, self.limit)?))
    }
}

fn refuse(services: &Services, error: &Error) -> Status {
    count_refusal(&services.metrics, error);
    status(error)
}

/// The body of an incoming request. Its charge is released with it, once the
/// message has been read.
pub(super) struct LimitedBody {
    body: Body,
    charge: Option<RequestBodyCharge>,
    limit: Duration,
    due: Instant,
    /// Set once the request is found incomplete: most arrive with their head.
    overdue: Option<Pin<Box<Sleep>>>,
    services: Arc<Services>,
}

impl http_body::Body for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let limited = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut limited.body).poll_frame(context) else {
            let due = limited.due;
            let overdue = limited.overdue.get_or_insert_with(|| Box::pin(sleep_until(due)));
            ready!(overdue.as_mut().poll(context));
            let error = Error::RequestOverdue { limit: limited.limit };
            return Poll::Ready(Some(Err(refuse(&limited.services, &error))));
        };
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let bytes = bytes.map_or(0, Bytes::len);
        let charged = limited.charge.as_mut().map_or(Ok(()), |charge| charge.more(bytes));
        Poll::Ready(match charged {
            Ok(()) => frame,
            Err(error) => Some(Err(refuse(&limited.services, &error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
