//! Takes sockets in, and hands over those that have greeted as a caller of gRPC
//! does: the TLS handshake and the preface of HTTP/2, within a time limit.
//!
//! The gRPC stack would wait for both for ever, and could not stop while it
//! does. Here a socket that says nothing costs little, for a short while, and
//! nobody else their turn. Those that have greeted are counted too: they take a
//! part of the file descriptors, and leave the rest to the provider, to files and
//! to the other ports.

use std::{io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tonic::transport::server::TcpIncoming;

use super::{
    accepting::{accept, report_full},
    connection::{Connection, Refused},
    crowd::Crowd,
};
use crate::{
    descriptors,
    metrics::{Handshake, Metrics},
    tls::Tls,
};

/// How long a greeting may take; a few round trips, for whoever is a caller.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Greetings at a time, where there are descriptors for so many.
const MAX_HANDSHAKES: usize = 1024;

/// What a port asks of its connections.
pub(super) struct Terms {
    pub(super) tls: Option<Tls>,
    /// From the hand-over until the connection is cut; `None` is never.
    pub(super) lifetime: Option<Duration>,
    pub(super) metrics: Metrics,
}

/// The sockets of a port, and those that are greeting. What greets ends with it.
struct Handshaker {
    incoming: TcpIncoming,
    terms: Terms,
    handshake: Crowd<Result<Connection, Refused>>,
    /// A permit for each connection that may be open.
    room: Arc<Semaphore>,
    most: usize,
}

/// The connections of a port that have greeted, for ever.
pub(super) fn connections(
    incoming: TcpIncoming,
    terms: Terms,
) -> impl Stream<Item = io::Result<Connection>> {
    let descriptors = usize::try_from(descriptors::limit()).unwrap_or(usize::MAX);
    let most = (descriptors / 8).saturating_mul(5).clamp(1, Semaphore::MAX_PERMITS);
    let handshaker = Handshaker {
        incoming,
        terms,
        handshake: Crowd::new(MAX_HANDSHAKES.min(descriptors / 8).max(1)),
        room: Arc::new(Semaphore::new(most)),
        most,
    };
    stream::unfold(handshaker, |mut handshaker| async move {
        let connection = handshaker.next().await;
        Some((Ok(connection), handshaker))
    })
}

impl Handshaker {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(handshaken) = self.handshake.ended() => {
                    let handshaken = handshaken.unwrap_or(Err(Refused(Handshake::GaveWay)));
                    match handshaken.and_then(|connection| self.hand_over(connection)) {
                        Ok(connection) => return connection,
                        Err(Refused(cause)) => self.terms.metrics.handshake_failed(cause),
                    }
                }
                socket = accept(&mut self.incoming) => self.begin(socket),
            }
        }
    }

    fn begin(&mut self, socket: TcpStream) {
        let tls = self.terms.tls.clone();
        self.handshake.begin(async move {
            let handshake = Connection::handshake(socket, tls.as_ref());
            let handshaken = timeout(HANDSHAKE_TIMEOUT, handshake).await;
            handshaken.unwrap_or(Err(Refused(Handshake::Timeout)))
        });
    }

    fn hand_over(&self, connection: Connection) -> Result<Connection, Refused> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| {
            report_full(self.most);
            Refused(Handshake::NoRoom)
        })?;
        Ok(connection.handed_over(self.terms.lifetime, permit))
    }
}
