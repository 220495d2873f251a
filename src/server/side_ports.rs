//! The ports beside gRPC: the admin pages over HTTP/1.1, and health for probes.
//! Both are open to everyone who can reach them. Connections are bounded in number,
//! in idle time and in lifetime; the oldest is closed first, so that a probe gets
//! through whatever else is connected.

use std::{pin::pin, time::Duration};

use axum::Router;
use futures_util::StreamExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};
use tonic::transport::server::TcpIncoming;

use super::{
    accepting::accept,
    bounded_tasks::BoundedTasks,
    handshake::{Terms, connections},
};
use crate::metrics::Metrics;

/// Limit on connections per port.
const MOST: usize = 256;
/// Time limit for a request's head, and for an idle connection.
const SILENCE: Duration = Duration::from_secs(10);
/// Time limit for the answer to a ping.
const PONG: Duration = Duration::from_secs(5);
/// Lifetime of a connection, after which it is closed between two requests.
const LIFE: Duration = Duration::from_secs(300);
/// Time a request in progress has after that.
const GRACE: Duration = Duration::from_secs(10);
/// Limit on concurrent calls of a probe's connection.
const MOST_STREAMS: u32 = 8;

/// Serves the admin pages for as long as it is polled.
pub(super) async fn serve_pages(mut incoming: TcpIncoming, pages: Router) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(SILENCE);
    let mut tasks = BoundedTasks::new(MOST);
    loop {
        tokio::select! {
            socket = accept(&mut incoming) => {
                tasks.begin(live(builder.clone(), socket, pages.clone()));
            }
            Some(_ended) = tasks.ended() => {}
        }
    }
}

/// Serves health in plain text for as long as it is polled.
pub(super) async fn serve_probes(incoming: TcpIncoming, health: Router, metrics: Metrics) {
    let mut builder = Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENCE)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(MOST_STREAMS);
    let terms = Terms { tls: None, age: None, lifecycle: None, metrics };
    let mut connections = pin!(connections(incoming, terms));
    let mut tasks = BoundedTasks::new(MOST);
    loop {
        tokio::select! {
            Some(Ok(connection)) = connections.next() => {
                tasks.begin(live(builder.clone(), connection, health.clone()));
            }
            Some(_ended) = tasks.ended() => {}
        }
    }
}

/// Serves one connection to its end; its errors are its client's concern.
async fn live<C>(builder: Builder<TokioExecutor>, connection: C, answers: Router)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answers = TowerToHyperService::new(answers);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(connection), answers));
    tokio::select! {
        _ended = &mut serving => return,
        () = sleep(LIFE) => serving.as_mut().graceful_shutdown(),
    }
    let _ = timeout(GRACE, serving).await;
}
