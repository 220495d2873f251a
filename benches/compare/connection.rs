//! The load's connections: one for each caller over HTTP/1.1, shared ones over
//! HTTP/2.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::spawn_local};

use crate::plan::{Face, Plan};

type Body = Full<Bytes>;

/// A way to the process under test. A clone is another caller's: over HTTP/1.1
/// a connection of its own, over HTTP/2 the same one.
#[derive(Debug)]
pub(crate) enum Connection {
    Http1 { address: SocketAddr, sender: Option<http1::SendRequest<Body>> },
    Http2(http2::SendRequest<Body>),
}

impl Clone for Connection {
    fn clone(&self) -> Self {
        match self {
            Self::Http1 { address, .. } => Self::Http1 { address: *address, sender: None },
            Self::Http2(sender) => Self::Http2(sender.clone()),
        }
    }
}

impl Connection {
    /// What the callers of `plan` take turns to clone.
    pub(crate) async fn open(plan: &Plan) -> anyhow::Result<Vec<Self>> {
        if plan.face != Face::Grpc {
            return Ok(vec![Self::Http1 { address: plan.address, sender: None }]);
        }
        let mut connections = Vec::new();
        for _ in 0..plan.connections {
            let (sender, driver) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(16 << 20)
                .handshake(connect(plan.address).await?)
                .await?;
            // Ends with its senders; what it fails of, its calls fail of.
            spawn_local(driver);
            connections.push(Self::Http2(sender));
        }
        Ok(connections)
    }

    /// Waits until a request can be sent at once.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Http2(sender) => sender.ready().await?,
            Self::Http1 { address, sender } => {
                if let Some(open) = sender
                    && open.ready().await.is_err()
                {
                    *sender = None;
                }
                if sender.is_none() {
                    let (open, driver) = http1::handshake(connect(*address).await?).await?;
                    spawn_local(driver);
                    *sender = Some(open);
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn send(
        &mut self,
        request: http::Request<Body>,
    ) -> anyhow::Result<http::Response<Incoming>> {
        match self {
            Self::Http2(sender) => Ok(sender.send_request(request).await?),
            Self::Http1 { sender: Some(sender), .. } => Ok(sender.send_request(request).await?),
            Self::Http1 { sender: None, .. } => anyhow::bail!("not connected"),
        }
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}
