//! A connection that has greeted: over TLS or in plain text, with who is at its
//! other end, and the first bytes of HTTP/2 already seen.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::tls::{Tls, names};

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection with its caller.
pub(super) struct Connection {
    socket: Socket,
    /// How much of the preface, which was read in advance, is still to be read.
    unread: usize,
    peer: Peer,
}

enum Socket {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// What is known of a connection, for every call on it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The names in the caller's certificate, where one was asked for.
    pub(super) certificate: Option<Arc<[String]>>,
    /// When it was handed over to be served.
    pub(super) since: Instant,
    /// Where the caller is.
    pub(super) address: Option<SocketAddr>,
}

impl Connection {
    /// Shakes hands and reads the preface. Whoever says anything else is no
    /// caller of gRPC.
    pub(super) async fn greet(socket: TcpStream, tls: Option<&Tls>) -> io::Result<Connection> {
        let address = socket.peer_addr().ok();
        let (mut socket, certificate) = match tls {
            None => (Socket::Plain(socket), None),
            Some(tls) => {
                let secure = TlsAcceptor::from(tls.current()).accept(socket).await?;
                let certificates = secure.get_ref().1.peer_certificates();
                let names = certificates.and_then(<[_]>::first).map(|first| names(first).into());
                (Socket::Secure(Box::new(secure)), names)
            }
        };
        let mut preface = [0; PREFACE.len()];
        socket.read_exact(&mut preface).await?;
        if preface != *PREFACE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not HTTP/2"));
        }
        let peer = Peer { certificate, since: Instant::now(), address };
        Ok(Connection { socket, unread: PREFACE.len(), peer })
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer { since: Instant::now(), ..self.peer.clone() }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread == 0 {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let rest = &PREFACE[PREFACE.len() - self.unread..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        self.unread -= taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// The same of either kind.
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
