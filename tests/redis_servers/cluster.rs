//! A Cluster: three primaries that share the keys among them, each with a replica.

use futures_util::future::join_all;
use sparkler::redis::RedisConfig;

use super::redis_server::{RedisServer, Setup, reached_at};

pub struct Cluster {
    pub servers: Vec<RedisServer>,
    scheme: &'static str,
}

impl Cluster {
    /// It is whole, and every replica up to date.
    pub async fn start(setup: Setup) -> Cluster {
        let scheme = if setup.tls { "rediss" } else { "redis" };
        let setup = Setup { cluster: true, ..setup }.with(&["--cluster-node-timeout", "1500"]);
        let servers = join_all((0..6).map(|_| setup.clone().start())).await;
        let addresses = servers.iter().map(|server| server.address.to_string());
        let created = servers[0]
            .client()
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli is installed");
        assert!(created.status.success(), "{created:?}");
        let cluster = Cluster { servers, scheme };
        cluster.whole().await;
        cluster
    }

    /// Waits until all who are there agree that it is whole, and no replica is
    /// behind.
    async fn whole(&self) {
        for server in &self.servers {
            let agrees = |text: &str| text.contains("cluster_state:ok");
            server.answers(&["CLUSTER", "INFO"], agrees).await;
            let knows = |text: &str| text.lines().filter(|line| line.contains("connected")).count();
            server.answers(&["CLUSTER", "NODES"], |text| knows(text) == self.servers.len()).await;
            let follows = |text: &str| text.contains("role:master") || text.contains("status:up");
            server.answers(&["INFO", "replication"], follows).await;
        }
    }

    /// Two of them are named; the others are learnt of.
    pub fn url(&self) -> String {
        let [first, .., last] = &self.servers[..] else { unreachable!("there are six") };
        format!("{}+cluster://{},{}", self.scheme, first.address, last.address)
    }

    pub fn config(&self) -> RedisConfig {
        reached_at(&self.url())
    }
}
