//! A fleet in this process: workers over real gRPC, one simulated provider, and a
//! real Redis of whatever form.

use std::{net::SocketAddr, time::Duration};

use fireworks_simulator::{Handle, Options, Pace, Simulator};
use sparkler::{
    config::{Config, FleetSettings},
    internals::{CacheSecret, RedisConfig},
    proto::{CacheStatus, Completed},
    server::{self, Server},
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::support::{Caller, PATIENCE, ask, redis_server::RedisServer, spawn};

/// Short, so that tests need not wait long for a lost worker; not so short that one
/// on a busy machine is taken for lost.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// What all workers seal with.
pub(crate) const SECRET: &[u8] = b"a secret of the whole fleet";

/// What its Redis is made of lives as long as the fleet.
pub(crate) struct Fleet<R = RedisServer> {
    pub(crate) redis: R,
    pub(crate) simulator: Handle,
    pub(crate) base_url: String,
    pub(crate) workers: Vec<Worker>,
    simulating: JoinHandle<std::io::Result<()>>,
}

pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Fleet {
    /// So many workers, whose Redis is there.
    pub(crate) async fn of(workers: usize, options: Options) -> Fleet {
        Fleet::with(workers, options, |_| {}).await
    }

    pub(crate) async fn with(
        workers: usize,
        options: Options,
        configure: impl Fn(&mut Config),
    ) -> Fleet {
        let redis = RedisServer::start().await;
        let reached = redis.config();
        Fleet::over(redis, &reached, workers, options, configure).await
    }

    /// Somebody who calls another worker, which has just come and remembers
    /// nothing.
    pub(crate) async fn newcomer(&mut self) -> Caller {
        let worker = self.worker(&self.redis.config(), |_| {}).await;
        self.workers.push(worker);
        self.caller(self.workers.len() - 1).await
    }
}

impl<R> Fleet<R> {
    /// So many workers that reach their Redis in this way, and have done so.
    pub(crate) async fn over(
        redis: R,
        reached: &RedisConfig,
        workers: usize,
        options: Options,
        configure: impl Fn(&mut Config),
    ) -> Fleet<R> {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(loopback, options).await.expect("a free port");
        let base_url = simulator.base_url();
        let handle = simulator.handle();
        let simulating = spawn(simulator.run(std::future::pending()));
        let mut fleet =
            Fleet { redis, simulator: handle, base_url, workers: Vec::new(), simulating };
        for _ in 0..workers {
            let worker = fleet.worker(reached, &configure).await;
            fleet.workers.push(worker);
        }
        fleet
    }

    async fn worker(&self, reached: &RedisConfig, configure: impl Fn(&mut Config)) -> Worker {
        let mut config = Config::local(self.base_url.parse().expect("a URL"));
        config.cache_secret = CacheSecret::new(SECRET);
        config.fleet =
            Some(FleetSettings { redis: reached.clone(), lease: LEASE, other_secrets: Vec::new() });
        configure(&mut config);
        let services = server::services(&config).expect("a worker");
        services.fleet.as_ref().expect("a fleet").reachable().await;
        let server = Server::bind_with(config, services).await.expect("a worker");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Worker { address, stop: Some(stop), running }
    }

    /// Somebody who calls a worker.
    pub(crate) async fn caller(&self, worker: usize) -> Caller {
        Caller::connect(self.workers[worker].address).await
    }

    pub(crate) fn upstream_calls(&self) -> u64 {
        self.simulator.report().calls
    }
}

impl Worker {
    /// Asks it to stop.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(&mut self) {
        let ended = timeout(PATIENCE, &mut self.running).await.expect("it stops");
        ended.expect("no panic").expect("it stops well");
    }
}

impl<R> Drop for Fleet<R> {
    fn drop(&mut self) {
        self.simulating.abort();
        for worker in &self.workers {
            worker.running.abort();
        }
    }
}

/// Answers come token by token, and take a moment.
pub(crate) fn unhurried() -> Options {
    Options {
        pace: Pace { first_token: Duration::from_millis(100), tokens_per_second: 100.0 },
        answer_tokens: 150,
        delta_tokens: 1,
        ..Options::default()
    }
}

pub(crate) fn status(completed: &Completed) -> CacheStatus {
    completed.cache.as_ref().expect("completed says what the cache did").status()
}

/// Waits until two workers share what they are asked, so many times in a row. How
/// long the longest execution took meanwhile.
pub(crate) async fn until_shared(first: &Caller, second: &Caller, times: usize) -> Duration {
    let began = Instant::now();
    let (mut in_a_row, mut longest) = (0, Duration::ZERO);
    loop {
        // Never asked before: what a worker has in memory it need not share.
        let number = fastrand::u64(..);
        let asked = || ask(&format!("Shared {number}?")).cached();
        let asking = Instant::now();
        first.answer(asked()).await;
        longest = longest.max(asking.elapsed());
        let is_hit = status(&second.answer(asked()).await) == CacheStatus::Hit;
        in_a_row = if is_hit { in_a_row + 1 } else { 0 };
        if in_a_row == times {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "they do not share again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    longest
}
