//! A proxy between a client and the worker, whose first connection breaks.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::{JoinHandle, JoinSet},
};

use crate::support::spawn;

/// A port that leads to the worker, for as long as the value lives.
pub(crate) struct Proxy {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    running: JoinHandle<()>,
}

impl Proxy {
    /// Loses its first connection once the worker has sent so many bytes over
    /// it; later ones stay.
    pub(crate) async fn cut_once_after(bytes: usize, worker: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let running = spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let first = count.fetch_add(1, Ordering::Relaxed) == 0;
                #[expect(clippy::disallowed_methods, reason = "aborted with the set")]
                open.spawn(carry(client, worker, if first { bytes } else { usize::MAX }));
            }
        });
        Proxy { addr, connections, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// One connection, until either side ends it or it has carried so much. Both
/// sides then see it closed.
async fn carry(client: TcpStream, worker: SocketAddr, bytes: usize) -> io::Result<()> {
    let (from_worker, mut to_worker) = TcpStream::connect(worker).await?.into_split();
    let (mut from_client, to_client) = client.into_split();
    tokio::select! {
        ended = copy(&mut from_client, &mut to_worker) => ended.map(|_| ()),
        ended = carry_at_most(bytes, from_worker, to_client) => ended,
    }
}

async fn carry_at_most(
    mut left: usize,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while left > 0 {
        let read = from.read(&mut buffer).await?.min(left);
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read]).await?;
        left -= read;
    }
    Ok(())
}
