//! An established connection: over TLS or plain text, with the identity of its
//! peer, and its HTTP/2 preface already read.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use super::notice::Notice;
use crate::{
    metrics::Handshake,
    tls::{Tls, names},
};

/// The bytes every HTTP/2 connection begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection and its peer.
pub(super) struct PeerConnection {
    socket: Socket,
    /// Bytes of the preface, read in advance, that are still to be replayed.
    unread: usize,
    peer: Peer,
    /// The time at which it is cut, whatever its calls do: a client that obeys the
    /// GOAWAY of its maximum age has left by then. Polled only if the socket is not
    /// ready.
    cut: Option<Pin<Box<Sleep>>>,
    /// Sent ahead of the GOAWAY of its maximum age, or of a draining worker.
    notice: Notice,
    /// Its permit among the port's connections.
    _room: Option<OwnedSemaphorePermit>,
}

/// The reason a socket did not become a connection.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Handshake);

enum Socket {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// The facts about a connection, for every call on it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The names in the peer's certificate, if one was requested.
    pub(super) certificate: Option<Arc<[String]>>,
    /// The time it was handed over to be served.
    pub(super) since: Instant,
    /// The peer's address.
    pub(super) address: Option<SocketAddr>,
    /// A permit for each stream it may have open without calling the worker:
    /// reflection and health watches.
    pub(super) watches: Arc<Semaphore>,
}

/// Limit on such streams of one connection. A client has one watch; a reflection
/// tool has one stream, or one per protocol version.
const MOST_WATCHES: usize = 4;

impl PeerConnection {
    /// Performs the handshake and reads the preface. A peer that sends anything
    /// else does not speak gRPC.
    pub(super) async fn handshake(
        socket: TcpStream,
        tls: Option<&Tls>,
    ) -> Result<PeerConnection, Refused> {
        let address = socket.peer_addr().ok();
        let (mut socket, certificate) = match tls {
            None => (Socket::Plain(socket), None),
            Some(tls) => {
                let secure = TlsAcceptor::from(tls.current()).accept(socket).await;
                let secure = secure.map_err(|problem| Refused(cause(&problem)))?;
                let certificates = secure.get_ref().1.peer_certificates();
                let names = certificates.and_then(<[_]>::first).map(|first| names(first).into());
                (Socket::Secure(Box::new(secure)), names)
            }
        };
        let mut preface = [0; PREFACE.len()];
        socket.read_exact(&mut preface).await.map_err(|problem| Refused(cause(&problem)))?;
        if preface != *PREFACE {
            return Err(Refused(Handshake::NotHttp2));
        }
        let watches = Arc::new(Semaphore::new(MOST_WATCHES));
        let peer = Peer { certificate, since: Instant::now(), address, watches };
        Ok(PeerConnection {
            socket,
            unread: PREFACE.len(),
            peer,
            cut: None,
            notice: Notice::Over,
            _room: None,
        })
    }

    /// Starts its lifetime: it is cut after `lifetime`, gets the `notice`, and holds
    /// `room` until it ends.
    pub(super) fn handed_over(
        mut self,
        lifetime: Option<Duration>,
        notice: Notice,
        room: OwnedSemaphorePermit,
    ) -> PeerConnection {
        self.peer.since = Instant::now();
        let at = lifetime.and_then(|lifetime| self.peer.since.checked_add(lifetime));
        self.cut = at.map(|at| Box::pin(sleep_until(at)));
        self.notice = notice;
        self._room = Some(room);
        self
    }

    /// Fails once the connection is due to be cut. If the socket is ready, the
    /// timer is only inspected; otherwise the timer wakes the task.
    fn unless_cut<T>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(cut) = &mut self.cut else { return progress };
        let is_cut = match progress {
            Poll::Pending => cut.as_mut().poll(context).is_ready(),
            Poll::Ready(_) => cut.is_elapsed(),
        };
        if is_cut { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { progress }
    }
}

/// Classifies a failed handshake.
fn cause(problem: &io::Error) -> Handshake {
    use rustls::Error;
    match problem.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::NoCertificatesPresented) => Handshake::NoCertificate,
        Some(Error::InvalidCertificate(_)) => Handshake::BadCertificate,
        Some(Error::AlertReceived(_)) => Handshake::RefusedByPeer,
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Handshake::Incompatible,
        Some(_) => Handshake::NotTls,
        None => Handshake::Closed,
    }
}

impl Connected for PeerConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread == 0 {
            let read = Pin::new(&mut self.socket).poll_read(context, buffer);
            if read.is_pending() {
                // The gRPC stack flushes after it has found nothing to read.
                self.notice.poll_due(context);
            }
            return self.unless_cut(context, read);
        }
        let rest = &PREFACE[PREFACE.len() - self.unread..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        self.unread -= taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PeerConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let PeerConnection { socket, notice, .. } = &mut *self;
        ready!(notice.poll_complete(socket, context))?;
        let written = Pin::new(socket).poll_write(context, bytes);
        self.unless_cut(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The gRPC stack flushes between two frames.
        let PeerConnection { socket, notice, .. } = &mut *self;
        ready!(notice.poll_write(socket, context))?;
        let flushed = Pin::new(socket).poll_flush(context);
        self.unless_cut(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let PeerConnection { socket, notice, .. } = &mut *self;
        ready!(notice.poll_complete(socket, context))?;
        let written = Pin::new(socket).poll_write_vectored(context, slices);
        self.unless_cut(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// Delegates to the socket of either kind.
macro_rules! either {
    ($self:ident.$method:ident($($argument:ident),*)) => {
        match $self.get_mut() {
            Socket::Plain(socket) => Pin::new(socket).$method($($argument),*),
            Socket::Secure(socket) => Pin::new(socket.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Plain(socket) => socket.is_write_vectored(),
            Socket::Secure(socket) => socket.is_write_vectored(),
        }
    }
}
