//! Accepts sockets, and hands over those that complete their handshakes, TLS and
//! the HTTP/2 preface, within a time limit.
//!
//! The gRPC stack would wait for both forever, and could not stop meanwhile. Here a
//! silent socket costs little, for a short time, and delays no other. Established
//! connections are bounded too: they take a share of the file descriptors and leave
//! the rest to the provider, to files and to the other ports.

use std::{io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tonic::transport::server::TcpIncoming;

use super::{
    FAREWELL,
    accepting::{accept, report_full},
    bounded_tasks::BoundedTasks,
    connection::{PeerConnection, Refused},
    notice::Notice,
};
use crate::{
    config::ConnectionAge,
    descriptors,
    lifecycle::{Lifecycle, Stage},
    metrics::{Handshake, Metrics},
    tls::Tls,
};

/// Time limit of a handshake; a genuine caller needs a few round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Limit on concurrent handshakes, if the descriptors allow as many.
const MAX_HANDSHAKES: usize = 1024;

/// The terms of a port's connections.
pub(super) struct Terms {
    pub(super) tls: Option<Tls>,
    pub(super) age: Option<ConnectionAge>,
    /// The lifecycle that closes them as it drains, if one does.
    pub(super) lifecycle: Option<Lifecycle>,
    pub(super) metrics: Metrics,
}

impl Terms {
    /// Returns the time from the hand-over until a connection is cut. Calls end at
    /// the end of the grace period; then the socket is cut.
    fn lifetime(&self) -> Option<Duration> {
        let ConnectionAge { limit, grace } = self.age?;
        limit.checked_add(grace)?.checked_add(FAREWELL)
    }

    /// Returns the notice for a connection that is handed over now.
    fn notice(&self) -> Notice {
        let (age, Some(lifecycle)) = (self.age, self.lifecycle.clone()) else {
            return Notice::Over;
        };
        Notice::once(async move {
            let draining = lifecycle.reached(Stage::Draining);
            match age {
                Some(age) => drop(timeout(age.limit, draining).await),
                None => draining.await,
            }
        })
    }
}

/// The listener of a port, and the handshakes in progress. They end when it is
/// dropped.
struct Handshaker {
    incoming: TcpIncoming,
    terms: Terms,
    handshake: BoundedTasks<Result<PeerConnection, Refused>>,
    /// A permit for each connection that may be open.
    room: Arc<Semaphore>,
    most: usize,
}

/// Returns the established connections of a port as an endless stream.
pub(super) fn connections(
    incoming: TcpIncoming,
    terms: Terms,
) -> impl Stream<Item = io::Result<PeerConnection>> {
    let descriptors = usize::try_from(descriptors::limit()).unwrap_or(usize::MAX);
    let most = (descriptors / 8).saturating_mul(5).clamp(1, Semaphore::MAX_PERMITS);
    let handshaker = Handshaker {
        incoming,
        terms,
        handshake: BoundedTasks::new(MAX_HANDSHAKES.min(descriptors / 8).max(1)),
        room: Arc::new(Semaphore::new(most)),
        most,
    };
    stream::unfold(handshaker, |mut handshaker| async move {
        let connection = handshaker.next().await;
        Some((Ok(connection), handshaker))
    })
}

impl Handshaker {
    async fn next(&mut self) -> PeerConnection {
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
            let handshake = PeerConnection::handshake(socket, tls.as_ref());
            let handshaken = timeout(HANDSHAKE_TIMEOUT, handshake).await;
            handshaken.unwrap_or(Err(Refused(Handshake::Timeout)))
        });
    }

    fn hand_over(&self, connection: PeerConnection) -> Result<PeerConnection, Refused> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| {
            report_full(self.most);
            Refused(Handshake::NoRoom)
        })?;
        Ok(connection.handed_over(self.terms.lifetime(), self.terms.notice(), permit))
    }
}
