//! File descriptors: where they run out, the worker says so of itself, and lives.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use fireworks_simulator::{Options, Pace, Simulator};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::support::{Caller, Failure, PATIENCE, ask, frames::Frames, spawn};

/// A worker that may have so many descriptors.
async fn limited(
    base_url: &str,
    soft: u32,
    hard: u32,
) -> (tokio::process::Child, SocketAddr, Lines) {
    let program = env!("CARGO_BIN_EXE_sparkler");
    let serve = format!(
        "ulimit -Sn {soft} && ulimit -Hn {hard} && exec {program} serve --listen 127.0.0.1:0 \
         --admin-listen 127.0.0.1:0 --log-format json --worker-threads 1 \
         --fireworks-base-url {base_url}"
    );
    let mut child = Command::new("bash")
        .args(["-c", &serve])
        .env_clear()
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = Lines(BufReader::new(child.stderr.take().expect("a pipe")).lines());
    let raised = lines.until("limit of file descriptors").await;
    assert_eq!(
        (raised["before"].as_u64(), raised["limit"].as_u64()),
        (Some(soft.into()), Some(hard.into()))
    );
    let listening = lines.until("listening").await;
    let address = listening["listen"].as_str().and_then(|text| text.parse().ok());
    (child, address.expect("an address"), lines)
}

struct Lines(tokio::io::Lines<BufReader<tokio::process::ChildStderr>>);

impl Lines {
    /// The next line whose message begins so.
    async fn until(&mut self, beginning: &str) -> serde_json::Value {
        let find = async {
            while let Some(line) = self.0.next_line().await.expect("readable") {
                let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                if line["message"].as_str().is_some_and(|text| text.starts_with(beginning)) {
                    return line;
                }
            }
            panic!("it ended without a line {beginning:?}");
        };
        timeout(PATIENCE, find).await.unwrap_or_else(|_| panic!("no line {beginning:?}"))
    }
}

/// Answers that take a while, so that calls are under way at the same time.
fn unhurried() -> Options {
    let first_token = Duration::from_millis(500);
    Options { pace: Pace { first_token, tokens_per_second: 1000.0 }, ..Options::instant() }
}

#[tokio::test]
async fn where_descriptors_run_out_the_worker_says_so_and_lives() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let simulator = Simulator::bind(loopback, unhurried()).await.expect("a free port");
    let base_url = simulator.base_url();
    let simulating = spawn(simulator.run(std::future::pending()));
    let (_worker, address, mut lines) = limited(&base_url, 20, 24).await;
    let caller = Caller::connect(address).await;
    caller.list().await.expect("its connection is there before the crowd");
    let mut crowd = Vec::new();
    for _ in 0..60 {
        crowd.push(Frames::connect(address).await);
    }
    let said = lines.until("file descriptors have run out: new connections").await;
    assert_eq!(said["limit"].as_u64(), Some(24));
    // Each needs a connection of its own to the provider.
    let calls = (0..30).map(|number| caller.recv(ask(&format!("{number}"))));
    let ends = join_all(calls).await.into_iter().filter_map(|received| received.end.err());
    let refusals: Vec<Failure> = ends.collect();
    assert!(!refusals.is_empty(), "there are descriptors for all");
    for refused in refusals {
        assert_eq!(refused.reason, "WORKER_SATURATED", "{refused:?}");
        assert_eq!(refused.domain, "sparkler");
        assert!(refused.message.contains("file descriptor") && refused.safe_to_retry());
    }
    drop(crowd);
    let answered = async {
        while caller.recv(ask("x")).await.end.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, answered).await.expect("it goes on once there are some");
    simulating.abort();
}
