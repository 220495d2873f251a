//! A Redis of the test's own.

#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sparkler::redis::{Credential, RedisConfig};
use tokio::net::TcpStream;

/// A `redis-server` on loopback, which ends with the value.
pub struct RedisServer {
    child: Child,
    pub address: SocketAddr,
}

impl RedisServer {
    pub async fn start() -> RedisServer {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        // Given back before the server wants it.
        drop(free);
        RedisServer::start_at(address).await
    }

    /// On this port, which must be free by now.
    pub async fn start_at(address: SocketAddr) -> RedisServer {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &address.port().to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: run tests/setup");
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        RedisServer { child, address }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, at once.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Runs a command on it; what it answers.
    pub fn command(&self, words: &[&str]) -> String {
        let port = self.address.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(words).output();
        String::from_utf8(output.expect("redis-cli is installed").stdout).expect("text")
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How a worker reaches it. Patient: the machine may be busy.
    pub fn config(&self) -> RedisConfig {
        RedisConfig {
            address: self.url().parse().expect("an address"),
            credential: Credential::None,
            authorities: None,
            timeout: Duration::from_secs(5),
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
