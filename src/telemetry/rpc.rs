//! The SERVER span of a call, by the conventions for RPC. It begins before anything
//! of the call is read and lasts until its stream has ended, with a status or
//! because the caller disconnected.
//!
//! Handlers run as [work of the span](super::current()).

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Extensions, HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{Kind, Recorder, Span, Telemetry, incoming, names::otel};

/// The known methods; callers could choose any other name.
const METHODS: [&str; 5] = [
    "sparkler.worker.v1.WorkerService/ExecuteNode",
    "sparkler.worker.v1.WorkerService/AttachExecution",
    "sparkler.worker.v1.WorkerService/ListNodeTypes",
    "sparkler.worker.v1.WorkerService/CheckNode",
    "sparkler.worker.v1.WorkerService/ListModels",
];
/// Services without spans, which would be noise.
const QUIET: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// Observes calls and their ends.
#[derive(Clone)]
pub(crate) struct Observer {
    telemetry: Telemetry,
    /// Returns the caller's address from what its connection left with the request.
    caller_of: fn(&Extensions) -> Option<SocketAddr>,
    recorded: Arc<dyn Fn(CallEnd) + Send + Sync>,
}

/// A call that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallEnd {
    /// The method's full name, or `_OTHER`.
    pub method: &'static str,
    /// The name of the gRPC status; CANCELLED if the caller disconnected.
    pub status: &'static str,
    /// The reason of a failure, where one was noted.
    pub reason: Option<&'static str>,
    /// True if the handler records the outcome itself.
    pub has_owner: bool,
    /// Time from arrival to the end of the stream.
    pub took: Duration,
}

impl Observer {
    /// Creates an observer that begins spans with `telemetry` and passes the end of
    /// every call to `recorded`, even if its span is not recorded.
    pub(crate) fn new(
        telemetry: Telemetry,
        caller_of: fn(&Extensions) -> Option<SocketAddr>,
        recorded: impl Fn(CallEnd) + Send + Sync + 'static,
    ) -> Observer {
        Observer { telemetry, caller_of, recorded: Arc::new(recorded) }
    }

    /// Begins the span of a call, unless it is of a service without spans.
    pub(crate) fn begin<B>(&self, request: &Request<B>) -> Option<Call> {
        let path = request.uri().path();
        if QUIET.iter().any(|quiet| path.starts_with(quiet)) {
            return None;
        }
        let method = method(path);
        let began = Instant::now();
        let span = begin(self, method, request);
        Some(Call { span, method, began, recorded: self.recorded.clone(), ended: false })
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Observer").finish_non_exhaustive()
    }
}

fn begin<B>(observer: &Observer, method: &'static str, request: &Request<B>) -> Span {
    let telemetry = &observer.telemetry;
    let parent = incoming::parent(request.headers());
    let span = telemetry.begin(Kind::Server, method, parent);
    span.record(|recorder| {
        recorder.set(otel::RPC_SYSTEM, "grpc");
        recorder.set(otel::RPC_METHOD, method);
        if method == otel::OTHER {
            let asked = request.uri().path().trim_start_matches('/');
            recorder.set(otel::RPC_METHOD_ORIGINAL, asked.to_owned());
        }
        address(request, recorder);
        peer((observer.caller_of)(request.extensions()), recorder);
        incoming::baggage(request.headers(), &telemetry.0.baggage, recorder);
    });
    span
}

/// Returns the method's full name, or `_OTHER` for an unknown method.
fn method(path: &str) -> &'static str {
    let asked = path.strip_prefix('/').unwrap_or(path);
    METHODS.into_iter().find(|known| *known == asked).unwrap_or(otel::OTHER)
}

/// Records the address by which the caller reached the worker.
fn address<B>(request: &Request<B>, recorder: &mut Recorder<'_>) {
    let authority = request.uri().authority();
    if let Some(authority) = authority {
        recorder.set(otel::SERVER_ADDRESS, authority.host().to_owned());
        recorder.set_some(otel::SERVER_PORT, authority.port_u16().map(i64::from));
    }
}

fn peer(caller: Option<SocketAddr>, recorder: &mut Recorder<'_>) {
    if let Some(caller) = caller {
        recorder.set(otel::NETWORK_PEER_ADDRESS, caller.ip().to_string());
        recorder.set(otel::NETWORK_PEER_PORT, i64::from(caller.port()));
    }
}

/// A call in progress. If dropped before it has ended, its caller has disconnected.
pub(crate) struct Call {
    span: Span,
    method: &'static str,
    began: Instant,
    recorded: Arc<dyn Fn(CallEnd) + Send + Sync>,
    ended: bool,
}

impl Call {
    /// Runs the handler inside the span.
    pub(crate) fn scope<F: Future>(&self, handler: F) -> impl Future<Output = F::Output> {
        self.span.clone().scope(handler)
    }

    /// Ends the call if the head carries a status; otherwise the trailers do.
    pub(crate) fn answer<B>(mut self, response: Response<B>) -> Response<TrackedBody<B>> {
        if response.headers().contains_key(STATUS_HEADER) {
            self.end(response.headers());
        }
        response.map(|body| TrackedBody { body, call: Some(self) })
    }

    fn end(&mut self, headers: &HeaderMap) {
        let code = headers.get(STATUS_HEADER).and_then(|code| code.to_str().ok()?.parse().ok());
        self.end_as(Status::of(code.unwrap_or(2)));
    }

    fn end_as(&mut self, status: Status) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let (reason, has_owner) = (self.span.noted_reason(), self.span.has_owner());
        let (method, took) = (self.method, self.began.elapsed());
        let ended = CallEnd { method, status: status.name, reason, has_owner, took };
        self.span.within(|| (self.recorded)(ended));
        self.span.record(|span| span.set(otel::RPC_STATUS, status.name));
        if status.name != "OK" {
            // Ignored if the handler has already noted a more specific reason.
            self.span.reason(status.name);
        }
        self.span.end_with(status.is_servers_error);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end_as(Status::of(1));
    }
}

const STATUS_HEADER: &str = "grpc-status";

/// A gRPC status as the conventions classify it.
#[derive(Debug, Clone, Copy)]
struct Status {
    name: &'static str,
    /// True if the status counts as a failure of the server.
    is_servers_error: bool,
}

impl Status {
    fn of(code: usize) -> Status {
        const NAMES: [(&str, bool); 17] = [
            ("OK", false),
            ("CANCELLED", false),
            ("UNKNOWN", true),
            ("INVALID_ARGUMENT", false),
            ("DEADLINE_EXCEEDED", true),
            ("NOT_FOUND", false),
            ("ALREADY_EXISTS", false),
            ("PERMISSION_DENIED", false),
            ("RESOURCE_EXHAUSTED", false),
            ("FAILED_PRECONDITION", false),
            ("ABORTED", false),
            ("OUT_OF_RANGE", false),
            ("UNIMPLEMENTED", true),
            ("INTERNAL", true),
            ("UNAVAILABLE", true),
            ("DATA_LOSS", true),
            ("UNAUTHENTICATED", false),
        ];
        let (name, is_servers_error) = NAMES.get(code).copied().unwrap_or(NAMES[2]);
        Status { name, is_servers_error }
    }
}

/// A body that reports its end to its call. Declared and so dropped before the
/// call, so that the handler's stream can still note a reason.
pub(crate) struct TrackedBody<B> {
    body: B,
    call: Option<Call>,
}

impl<B> TrackedBody<B> {
    /// Returns the body of a call without a span.
    pub(crate) fn untracked(body: B) -> TrackedBody<B> {
        TrackedBody { body, call: None }
    }
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let TrackedBody { body, call } = self.get_mut();
        let Some(call) = call else { return Pin::new(body).poll_frame(context) };
        let frame = ready!(call.span.within(|| Pin::new(body).poll_frame(context)));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            call.end(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_there_are_become_names() {
        for name in METHODS {
            assert_eq!(method(&format!("/{name}")), name);
        }
        for path in ["/", "", "/x.Y/Z", "/sparkler.worker.v1.WorkerService/Nothing"] {
            assert_eq!(method(path), otel::OTHER);
        }
    }
}
