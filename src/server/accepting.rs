//! Accepts sockets on a port for the lifetime of the worker. A lack of file
//! descriptors ends nothing: it is logged, rate limited, and the accept is retried.

use std::{future::pending, io, net::SocketAddr, time::Duration};

use anyhow::Context;
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tonic::transport::server::TcpIncoming;

use crate::{descriptors, telemetry::Limiter};

/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);

/// Rate limit per kind of failure.
static LINES: Limiter = Limiter::new(1, Duration::from_secs(30));

pub(super) fn listen(address: SocketAddr, purpose: &str) -> anyhow::Result<TcpIncoming> {
    let incoming = TcpIncoming::bind(address)
        .with_context(|| format!("cannot listen on {address} for {purpose}"))?;
    Ok(incoming.with_nodelay(Some(true)).with_keepalive(Some(Duration::from_secs(60))))
}

/// Returns the next socket. Cancel safe.
pub(super) async fn accept(incoming: &mut TcpIncoming) -> TcpStream {
    loop {
        match incoming.next().await {
            Some(Ok(socket)) => return socket,
            Some(Err(problem)) => {
                report(&problem);
                tokio::time::sleep(PAUSE).await;
            }
            // A listener never ends.
            None => pending().await,
        }
    }
}

/// Logs that connections are closed because there are too many already.
pub(super) fn report_full(most: usize) {
    if let Some(suppressed) = LINES.pass("full") {
        tracing::warn!(
            most,
            suppressed,
            "too many connections: new ones are closed until some end; raise the limit of file \
             descriptors (LimitNOFILE, ulimit -n), of which they may take five eighths"
        );
    }
}

fn report(problem: &io::Error) {
    if descriptors::ran_out(problem) {
        if let Some(suppressed) = LINES.pass("descriptors") {
            tracing::warn!(
                limit = descriptors::limit(),
                suppressed,
                "file descriptors have run out: new connections wait until some are closed; raise \
                 the limit (LimitNOFILE, ulimit -n)"
            );
        }
    } else if let Some(suppressed) = LINES.pass("other") {
        tracing::warn!(suppressed, "failed to accept a connection: {problem}");
    }
}
