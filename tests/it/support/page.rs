//! The worker's admin pages, as a probe or a scraper gets them.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The status and the body of a page.
pub(crate) async fn page(admin: SocketAddr, path: &str) -> (u16, String) {
    let response = response(admin, path).await;
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// The whole response for a page, head and body.
pub(crate) async fn response(admin: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("it reads");
    let mut response = String::new();
    socket.read_to_string(&mut response).await.expect("it answers");
    response
}
