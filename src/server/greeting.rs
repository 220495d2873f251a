//! Takes sockets in, and hands over those that have greeted as a caller of gRPC
//! does: the TLS handshake and the preface of HTTP/2, within a time limit.
//!
//! The gRPC stack would wait for both for ever, and could not stop while it
//! does. Here a socket that says nothing costs little, for a short while, and
//! nobody else their turn.

use std::{collections::VecDeque, io, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tonic::transport::server::TcpIncoming;

use super::connection::Connection;
use crate::tls::Tls;

/// How long a greeting may take; a few round trips, for whoever is a caller.
const GREETING_LIMIT: Duration = Duration::from_secs(10);

/// Greetings at a time. Beyond, the oldest gives way: a caller is through in
/// milliseconds, and who is not is the likelier to be none.
const MOST_GREETINGS: usize = 1024;

/// After the system could not give another socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sockets of a port, and those that are greeting. What greets ends with it.
struct Greeter {
    incoming: TcpIncoming,
    tls: Option<Tls>,
    greeting: JoinSet<Option<Connection>>,
    oldest_first: VecDeque<AbortHandle>,
}

/// The connections of a port that have greeted, for ever.
pub(super) fn connections(
    incoming: TcpIncoming,
    tls: Option<Tls>,
) -> impl Stream<Item = io::Result<Connection>> {
    let greeter =
        Greeter { incoming, tls, greeting: JoinSet::new(), oldest_first: VecDeque::new() };
    stream::unfold(greeter, |mut greeter| async move {
        let connection = greeter.next().await?;
        Some((Ok(connection), greeter))
    })
}

impl Greeter {
    async fn next(&mut self) -> Option<Connection> {
        loop {
            tokio::select! {
                Some(greeted) = self.greeting.join_next() => {
                    // Neither one that failed nor one that gave way is news.
                    if let Ok(Some(connection)) = greeted {
                        return Some(connection);
                    }
                }
                accepted = self.incoming.next() => match accepted? {
                    Ok(socket) => self.begin(socket),
                    Err(problem) => {
                        tracing::warn!("no socket can be taken: {problem}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn begin(&mut self, socket: tokio::net::TcpStream) {
        while self.oldest_first.front().is_some_and(AbortHandle::is_finished) {
            self.oldest_first.pop_front();
        }
        if self.greeting.len() >= MOST_GREETINGS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        let tls = self.tls.clone();
        let greeting = async move {
            let greeting = Connection::greet(socket, tls.as_ref());
            let greeted = timeout(GREETING_LIMIT, greeting).await;
            greeted.ok()?.inspect_err(|problem| tracing::debug!("no greeting: {problem}")).ok()
        };
        self.oldest_first.push_back(self.greeting.spawn(greeting));
    }
}
