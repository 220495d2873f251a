//! A fleet of processes: a Redis, workers as they are shipped, and a simulated
//! provider in this process.

use std::{fs, net::SocketAddr, time::Duration};

use fireworks_simulator::{Options, Pace, Simulator};
use rustix::process::{Pid, Signal, kill_process};
use sparkler::proto::CacheStatus;
use tempfile::TempDir;

use super::support::{Caller, Program, ask, redis_server::RedisServer, spawn};

/// Workers that share a Redis, and somebody who calls each.
pub struct Workers {
    pub redis: RedisServer,
    pub callers: Vec<Caller>,
    programs: Vec<Program>,
    _secret: TempDir,
}

impl Workers {
    /// So many, which share already what they are asked, and wait for Redis also on
    /// a busy machine.
    pub async fn patient(count: usize, options: Options) -> Workers {
        Workers::of(count, options, &["--redis-timeout", "2s"]).await
    }

    /// The same as they are shipped.
    pub async fn shipped(count: usize, options: Options) -> Workers {
        Workers::of(count, options, &[]).await
    }

    async fn of(count: usize, options: Options, settings: &[&str]) -> Workers {
        let redis = RedisServer::start().await;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(loopback, options).await.expect("a free port");
        let base_url = simulator.base_url();
        drop(spawn(simulator.run(std::future::pending())));
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        fs::write(&secret, "a secret of the whole fleet").expect("written");
        let secret = secret.to_str().expect("a path");
        let mut workers =
            Workers { redis, callers: Vec::new(), programs: Vec::new(), _secret: folder };
        for _ in 0..count {
            let url = workers.redis.url();
            let fleet = ["--redis-url", &url, "--cache-secret-file", secret];
            let program = Program::serve(&base_url, &[&fleet, settings].concat()).await;
            let caller = Caller::connect(program.address).await;
            shares(&caller).await;
            workers.callers.push(caller);
            workers.programs.push(program);
        }
        workers
    }

    /// What a worker has used of the processors so far, in microseconds.
    pub fn cpu_time(&self, worker: usize) -> f64 {
        cpu_time(self.programs[worker].id())
    }

    /// Sends Redis a signal.
    pub fn signal_redis(&self, signal: Signal) {
        let id = i32::try_from(self.redis.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("it runs");
    }

    /// Waits until a worker asks Redis again.
    pub async fn shares(&self, worker: usize) {
        shares(&self.callers[worker]).await;
    }
}

async fn shares(caller: &Caller) {
    for number in 0..1000 {
        let asked = ask(&format!("Shared {number} {}?", fastrand::u64(..))).cached();
        let answer = caller.answer(asked).await;
        let status = answer.cache.expect("said").status();
        if status == CacheStatus::Miss {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the worker does not reach Redis");
}

/// Of all threads, in microseconds; they live as long as the process.
pub fn cpu_time(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let nanoseconds = |folder: fs::DirEntry| {
        let text = fs::read_to_string(folder.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(nanoseconds).sum::<f64>() / 1e3
}

/// So many tokens a second, each by itself.
pub fn paced(first_token: Duration, tokens: u32) -> Options {
    Options {
        pace: Pace { first_token, tokens_per_second: TOKENS_PER_SECOND },
        answer_tokens: tokens,
        delta_tokens: 1,
        ..Options::default()
    }
}

pub const TOKENS_PER_SECOND: f64 = 100.0;
