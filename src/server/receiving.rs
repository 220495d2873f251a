//! Receives requests: each has a time limit to arrive complete, and is charged for
//! the memory it takes meanwhile.
//!
//! The gRPC stack would wait forever for the rest of a message, and keep the part
//! that has arrived. A layer of `server`, outside every service.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::watching::Watches;
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

/// Forwards a call with a body that enforces the limits.
pub(super) async fn received(
    State(receiving): State<Receiving>,
    request: Request,
    next: Next,
) -> Response {
    let charged = !request.uri().path().starts_with(PROBES);
    let request_body = charged.then(|| receiving.services.admission.request_body()).transpose();
    let watch = receiving.watches.begin(&request, &receiving.services, receiving.limit);
    let (request_body, watch) = match (request_body, watch) {
        (Ok(request_body), Ok(watch)) => (request_body, watch),
        (Err(error), _) | (_, Err(error)) => return receiving.refuse(&error).into_http(),
    };
    let due = Instant::now() + receiving.limit;
    let services = receiving.services.clone();
    let body = |body| Body::new(Limited { body, request_body, due, overdue: None, receiving });
    let response = next.run(request.map(body)).await;
    match watch {
        Some(watch) => watch.lend(response, &services.lifecycle),
        None => response,
    }
}

impl Receiving {
    fn refuse(&self, error: &Error) -> Status {
        count_refusal(&self.services.metrics, error);
        status(error)
    }
}

/// The body of an incoming request. Its charge is released with it, once the
/// message has been read.
struct Limited {
    body: Body,
    request_body: Option<RequestBodyCharge>,
    due: Instant,
    /// Set once the request is found incomplete: most arrive with their head.
    overdue: Option<Pin<Box<Sleep>>>,
    receiving: Receiving,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let limited = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut limited.body).poll_frame(context) else {
            let due = limited.due;
            let overdue = limited.overdue.get_or_insert_with(|| Box::pin(sleep_until(due)));
            ready!(overdue.as_mut().poll(context));
            let error = Error::RequestOverdue { limit: limited.receiving.limit };
            return Poll::Ready(Some(Err(limited.end(&error))));
        };
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let bytes = bytes.map_or(0, Bytes::len);
        let charged =
            limited.request_body.as_mut().map_or(Ok(()), |request_body| request_body.more(bytes));
        Poll::Ready(match charged {
            Ok(()) => frame,
            Err(error) => Some(Err(limited.end(&error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Limited {
    /// Ends the body with a status, which passes through the gRPC stack unchanged.
    fn end(&self, error: &Error) -> axum::Error {
        axum::Error::new(self.receiving.refuse(error))
    }
}
