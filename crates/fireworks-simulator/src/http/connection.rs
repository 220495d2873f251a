//! Accepts connections and serves HTTP/1.1 or HTTP/2 (prior knowledge) on each.
//! A loop of its own, because a fault closes connections without an answer and
//! a shutdown must not wait for stalled calls.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    pin,
    task::JoinSet,
};
use tower::Service;

use crate::world::World;

/// Serves until `shutdown`; then, or when dropped, drops every connection.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    world: Arc<World>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let service = Answering(routes);
    // Owned by this future: dropping the set aborts its tasks.
    let mut connections = JoinSet::new();
    pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    #[expect(clippy::disallowed_methods, reason = "aborted with the set")]
                    connections.spawn(speak(stream, service.clone(), Arc::clone(&world)));
                }
                Err(problem) if is_of_one_connection(&problem) => {}
                Err(problem) => return Err(problem),
            },
        }
    }
}

/// Returns true if the error concerns one connection, not the listener.
fn is_of_one_connection(problem: &io::Error) -> bool {
    matches!(
        problem.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn speak(stream: TcpStream, service: Answering, world: Arc<World>) {
    let _open = world.ledger.connection();
    // Small events must leave at once. If the option cannot be set the peer is
    // gone, which the first read reveals.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(world.options.http2_streams);
    // Clients that leave and faults that cut end up here; both are recorded at
    // their source.
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
}

/// Marks a response that is not to be sent: the connection closes instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HangUp;

impl HangUp {
    pub(crate) fn response() -> Response<Body> {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(HangUp);
        response
    }
}

/// The router as a service that can fail.
#[derive(Clone)]
struct Answering(Router);

impl<Incoming> Service<Request<Incoming>> for Answering
where
    Router: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    <Router as Service<Request<Incoming>>>::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            match answer.await {
                Ok(response) if response.extensions().get::<HangUp>().is_some() => {
                    Err(io::Error::other("hung up by a fault"))
                }
                Ok(response) => Ok(response),
            }
        })
    }
}
