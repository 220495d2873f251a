//! The notice that a connection is about to be closed gracefully.
//!
//! The gRPC stack closes one with a GOAWAY and a PING: it ignores the calls that
//! arrive after the PONG, but it takes a WINDOW_UPDATE of such a call for a protocol
//! error, and ends every call of the connection. gRPC's C core sends just that if it
//! begins a call as the GOAWAY arrives: its PONG overtakes the call. So a GOAWAY of
//! our own goes first. By the time of the second one the client begins no more calls
//! here, and those that were on their way are served.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::AsyncWrite;

/// Time from the notice until the connection is closed: a round trip, and a client
/// that was busy.
pub(super) const NOTICE: Duration = Duration::from_millis(500);

/// A GOAWAY without an error, for calls after the last possible one.
const GOAWAY: &[u8; 17] = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0";

/// The notice of one connection.
pub(super) enum Notice {
    /// Becomes due when the future resolves.
    Scheduled(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The bytes that are still to be written.
    Due(&'static [u8]),
    /// Written, or never to be.
    Over,
}

impl Notice {
    pub(super) fn once(due: impl Future<Output = ()> + Send + 'static) -> Notice {
        Notice::Scheduled(Box::pin(due))
    }

    /// Looks whether the notice is due; if not, the task is woken when it is.
    pub(super) fn poll_due(&mut self, context: &mut Context<'_>) {
        if let Notice::Scheduled(due) = self
            && due.as_mut().poll(context).is_ready()
        {
            *self = Notice::Due(GOAWAY);
        }
    }

    /// Writes the notice if it is due. Called only between two frames.
    pub(super) fn poll_write(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Notice::Due(rest) = self {
            match ready!(Pin::new(&mut *socket).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written if written == rest.len() => *self = Notice::Over,
                written => *rest = &rest[written..],
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is left of a notice that has been written in part: no frame may
    /// come in between.
    pub(super) fn poll_complete(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Notice::Due(rest) if rest.len() < GOAWAY.len() => self.poll_write(socket, context),
            _ => Poll::Ready(Ok(())),
        }
    }
}
