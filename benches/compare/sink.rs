//! A collector that takes every delivery and reads none, as fast as it can: only
//! what exporting costs the worker is measured, and a real collector is on another
//! machine. Its log has how much it received.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// The options that the parent passes to the collector.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
}

/// A message of gRPC that says nothing: an export that went well.
const TAKEN: &[u8] = &[0; 5];

/// Serves until killed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.address).await?;
        let reported = Arc::new(AtomicUsize::new(0));
        // The worker has one connection; before it, somebody looks whether this
        // listens.
        loop {
            let (socket, _) = listener.accept().await?;
            let reported = reported.clone();
            let answer = service_fn(move |request| take(request, reported.clone()));
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(1 << 20)
                .serve_connection(TokioIo::new(socket), answer);
            let _ = connection.await;
        }
    })
}

type Answer = StreamBody<futures_util::stream::Iter<std::array::IntoIter<Part, 2>>>;
type Part = Result<Frame<Bytes>, Infallible>;

async fn take(
    request: Request<Incoming>,
    reported: Arc<AtomicUsize>,
) -> Result<Response<Answer>, hyper::Error> {
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    let all = reported.fetch_add(bytes, Ordering::Relaxed) + bytes;
    eprintln!("{all} bytes");
    let mut end = HeaderMap::new();
    end.insert("grpc-status", HeaderValue::from_static("0"));
    let parts = [Ok(Frame::data(Bytes::from_static(TAKEN))), Ok(Frame::trailers(end))];
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(parts)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}
