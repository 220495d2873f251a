//! A neutral provider: OpenAI-compatible, over HTTP/1.1 and cleartext HTTP/2,
//! and much faster than anything that stands in front of it.
//!
//! A call costs a look for `"stream":true` and a few reference counts. It checks
//! nothing, answers any path and has no faults: that is the simulator's work,
//! not a measurement's.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, Events, ID, Rendered, Reply};

/// The options that the parent passes to the upstream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) answer: Answer,
}

/// Serves until killed.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let rendered = Arc::new(Rendered::new(options.answer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.address).await?;
        let connections = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            connections.spawn(serve(stream, Arc::clone(&rendered)));
        }
    })
}

async fn serve(stream: TcpStream, rendered: Arc<Rendered>) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    // No worker may be measured on how it spreads streams over connections.
    server.http2().max_concurrent_streams(100_000);
    let service = service_fn(|request| answer(request, Arc::clone(&rendered)));
    // A caller that leaves is no fault of the upstream.
    server.serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn answer(
    request: Request<Incoming>,
    rendered: Arc<Rendered>,
) -> Result<Response<Reply>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let (kind, reply) = if wants_stream(&body) {
        ("text/event-stream; charset=utf-8", Reply::Events(Events::new(rendered)))
    } else {
        ("application/json", Reply::Whole(Some(rendered.whole.clone())))
    };
    let mut response = Response::new(reply);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert("x-request-id", HeaderValue::from_static(ID));
    Ok(response)
}

fn wants_stream(body: &[u8]) -> bool {
    const FIELD: &[u8] = b"\"stream\"";
    memmem::find(body, FIELD).is_some_and(|start| {
        let value = body[start + FIELD.len()..].trim_ascii_start();
        value.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}
