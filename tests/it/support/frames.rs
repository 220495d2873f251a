//! HTTP/2 as it goes over the wire, for what no client library would do.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;

/// A connection that has greeted.
pub(crate) struct Frames(TcpStream);

impl Frames {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Frames {
        let mut socket = TcpStream::connect(address).await.expect("it listens");
        let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        socket.write_all(greeting).await.expect("it reads");
        Frames(socket)
    }

    pub(crate) async fn send(&mut self, frames: &[u8]) {
        self.0.write_all(frames).await.expect("it reads");
    }

    /// The next frame: its kind, and what is in it. `None` once it is closed.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        timeout(PATIENCE, self.0.read_exact(&mut head)).await.expect("in time").ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        timeout(PATIENCE, self.0.read_exact(&mut payload)).await.expect("in time").ok()?;
        Some((head[3], payload))
    }

    /// The next frame of this kind.
    pub(crate) async fn until(&mut self, kind: u8) -> Option<Vec<u8>> {
        while let Some((found, payload)) = self.next().await {
            if found == kind {
                return Some(payload);
            }
            assert!(found != GOAWAY, "sent away: {}", String::from_utf8_lossy(&payload));
        }
        None
    }
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a call of this path, each field shorter than 127 bytes.
pub(crate) fn head(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("short"));
            block.extend(text.as_bytes());
        }
    }
    block
}
