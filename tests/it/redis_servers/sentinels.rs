//! A primary, its replica, and three Sentinels that watch over them.

use std::time::Duration;

use futures_util::future::join_all;
use sparkler::internals::RedisConfig;

use crate::support::redis_server::{RedisServer, Setup, reached_at};

/// What the Sentinels call the primary.
pub(crate) const NAME: &str = "mymaster";

pub(crate) struct Sentinels {
    /// The primary at first, and its replica.
    pub(crate) servers: [RedisServer; 2],
    sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// Short, so that a test need not wait long for another primary.
    const DOWN_AFTER: Duration = Duration::from_secs(1);

    /// They know each other, and all there is to know.
    pub(crate) async fn start() -> Sentinels {
        let primary = RedisServer::start().await;
        let port = primary.address.port().to_string();
        let replica = Setup::default().with(&["--replicaof", "127.0.0.1", &port]).start().await;
        replica.answers(&["INFO", "replication"], |text| text.contains("link_status:up")).await;
        let sentinel = || Setup { sentinel: Some(knowledge(&port)), ..Setup::default() }.start();
        let sentinels = join_all((0..3).map(|_| sentinel())).await;
        for sentinel in &sentinels {
            let knows = |text: &str| {
                text.contains("num-slaves\n1\n") && text.contains("num-other-sentinels\n2\n")
            };
            sentinel.answers(&["SENTINEL", "MASTER", NAME], knows).await;
        }
        Sentinels { servers: [primary, replica], sentinels }
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|one| one.address.to_string()).collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    pub(crate) fn config(&self) -> RedisConfig {
        reached_at(&self.url())
    }

    /// Waits until all agree that the replica is the primary.
    pub(crate) async fn failed_over(&self) {
        let port = format!("\n{}\n", self.servers[1].address.port());
        for sentinel in &self.sentinels {
            let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
            sentinel.answers(&question, |text| text.contains(&port)).await;
        }
    }
}

fn knowledge(port: &str) -> String {
    format!(
        "sentinel monitor {NAME} 127.0.0.1 {port} 2\n\
         sentinel down-after-milliseconds {NAME} {}\n\
         sentinel failover-timeout {NAME} 5000\n",
        Sentinels::DOWN_AFTER.as_millis()
    )
}
