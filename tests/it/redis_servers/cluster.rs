//! A Cluster: three primaries that share the keys among them, each with a replica;
//! and a slot of it that moves.

use futures_util::future::join_all;
use sparkler::internals::RedisConfig;

use crate::support::redis_server::{RedisServer, Setup, reached_at};

pub(crate) struct Cluster {
    pub(crate) servers: Vec<RedisServer>,
    scheme: &'static str,
}

impl Cluster {
    /// It is whole, and every replica up to date.
    pub(crate) async fn start(setup: Setup) -> Cluster {
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
    pub(crate) fn url(&self) -> String {
        let [first, .., last] = &self.servers[..] else { unreachable!("there are six") };
        format!("{}+cluster://{},{}", self.scheme, first.address, last.address)
    }

    pub(crate) fn config(&self) -> RedisConfig {
        reached_at(&self.url())
    }

    /// The key of the only flight there is, and the primary that has it.
    pub(crate) fn flight(&self) -> (usize, String) {
        let found = |server: &RedisServer| {
            let is_primary = server.command(&["ROLE"]).starts_with("master");
            let keys = server.command(&["KEYS", "sparkler:1:*:flight"]);
            (is_primary && !keys.trim().is_empty()).then(|| keys.trim().to_owned())
        };
        let servers = self.servers.iter().enumerate();
        let mut found = servers.filter_map(|(at, server)| Some((at, found(server)?)));
        found.next().expect("there is a flight")
    }

    /// Begins to move the slot of a key from one primary to another.
    pub(crate) fn begin_to_move(&self, from: usize, key: &str) -> Moving<'_> {
        let from = &self.servers[from];
        let is_other = |server: &&RedisServer| {
            server.id() != from.id() && server.command(&["ROLE"]).starts_with("master")
        };
        let to = self.servers.iter().find(is_other).expect("another primary");
        let slot = from.command(&["CLUSTER", "KEYSLOT", key]).trim().to_owned();
        done(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &name(from)]);
        done(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &name(to)]);
        Moving { cluster: self, from, to, slot }
    }
}

/// A slot that moves.
pub(crate) struct Moving<'a> {
    cluster: &'a Cluster,
    from: &'a RedisServer,
    to: &'a RedisServer,
    slot: String,
}

impl Moving<'_> {
    /// Moves one key.
    pub(crate) fn take(&self, key: &str) {
        let port = self.to.address.port().to_string();
        done(self.from, &["MIGRATE", "127.0.0.1", &port, key, "0", "1000"]);
    }

    /// Moves what is left, and announces it to every node.
    pub(crate) fn finish(self) {
        loop {
            let left = self.from.command(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "100"]);
            if left.trim().is_empty() {
                break;
            }
            left.lines().for_each(|key| self.take(key));
        }
        for server in [self.to, self.from].into_iter().chain(&self.cluster.servers) {
            // Replicas learn it from their primaries.
            if server.command(&["ROLE"]).starts_with("master") {
                done(server, &["CLUSTER", "SETSLOT", &self.slot, "NODE", &name(self.to)]);
            }
        }
    }
}

fn name(server: &RedisServer) -> String {
    server.command(&["CLUSTER", "MYID"]).trim().to_owned()
}

fn done(server: &RedisServer, words: &[&str]) {
    let answer = server.command(words);
    assert!(["OK", "NOKEY"].contains(&answer.trim()), "{words:?}: {answer}");
}
