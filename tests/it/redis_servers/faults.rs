//! What a server can be besides gone: the wrong one, full, read-only, slow. Every
//! execution goes on, the log says once what is wrong, and once it is mended the
//! workers share again by themselves.

use std::time::Duration;

use fireworks_simulator::Options;
use sparkler::proto::CacheStatus;
use tokio::time::Instant;

use super::workers::{Workers, lines_with};
use crate::{
    fleet::members::{Fleet, status, until_shared},
    support::{
        Caller, Program, ask,
        redis_server::{RedisServer, Setup},
    },
};

/// A provider, and two workers as processes with these options for the server.
async fn two(redis: RedisServer, workers: &[&str]) -> (Fleet, Workers, [Program; 2]) {
    let reached = redis.config();
    let fleet = Fleet::over(redis, &reached, 0, Options::instant(), |_| {}).await;
    let parts = Workers::of(&fleet.base_url, &fleet.redis.url());
    parts.write("password", "a wrong password\n");
    let password = parts.path("password");
    let more: Vec<&str> =
        workers.iter().map(|&word| if word == "PASSWORD" { &password } else { word }).collect();
    let programs = [parts.start(&more).await, parts.start(&more).await];
    (fleet, parts, programs)
}

async fn callers(workers: &[Program; 2]) -> [Caller; 2] {
    let [first, second] = workers;
    [Caller::connect(first.address).await, Caller::connect(second.address).await]
}

/// Executions go on, each worker for itself.
async fn go_on_alone(callers: &[Caller]) {
    for (number, caller) in callers.iter().enumerate() {
        let alone = caller.answer(ask(&format!("Alone {number}")).cached()).await;
        assert_eq!(status(&alone), CacheStatus::LookupFailed);
    }
}

/// Each worker has said once that this was the matter, and what to do; and once
/// that it is over.
async fn reported_once(workers: [Program; 2], cause: &str, what_to_do: &str) {
    for worker in workers {
        let log = worker.stop().await;
        let reported = lines_with(&log, &format!("\"cause\":\"{cause}\""));
        assert_eq!(reported.len(), 1, "{log:#?}");
        assert!(reported[0].contains(what_to_do), "{reported:?}");
        assert_eq!(lines_with(&log, "Redis can be used again").len(), 1, "{log:#?}");
        assert!(lines_with(&log, "right password").is_empty(), "{log:#?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_and_reread_from_its_file() {
    let mut setup = Setup::default().with(&["--requirepass", "the right password"]);
    setup.client = ["-a", "the right password", "--no-auth-warning"].map(str::to_owned).to_vec();
    let (_fleet, files, workers) =
        two(setup.start().await, &["--redis-password-file", "PASSWORD"]).await;
    let callers = callers(&workers).await;
    go_on_alone(&callers).await;
    files.write("password", "the right password\n");
    until_shared(&callers[0], &callers[1], 1).await;
    reported_once(workers, "unauthorized", "--redis-password-file").await;
}

#[tokio::test]
async fn a_replica_is_no_shared_memory_until_it_is_promoted() {
    let primary = RedisServer::start().await;
    let port = primary.address.port().to_string();
    let replica = Setup::default().with(&["--replicaof", "127.0.0.1", &port]).start().await;
    replica.answers(&["INFO", "replication"], |text| text.contains("link_status:up")).await;
    let (fleet, _files, workers) = two(replica, &[]).await;
    let callers = callers(&workers).await;
    go_on_alone(&callers).await;
    fleet.redis.command(&["REPLICAOF", "NO", "ONE"]);
    until_shared(&callers[0], &callers[1], 1).await;
    reported_once(workers, "read_only", "name the primary").await;
}

#[tokio::test]
async fn with_a_full_memory_what_is_there_is_still_found() {
    let fleet = Fleet::of(2, Options::instant()).await;
    let callers = [fleet.caller(0).await, fleet.caller(1).await];
    callers[0].answer(ask("Kept").cached()).await;
    fleet.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    go_on_alone(&callers).await;
    let kept = callers[1].answer(ask("Kept").cached()).await;
    assert_eq!(status(&kept), CacheStatus::Hit);
    fleet.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    until_shared(&callers[0], &callers[1], 1).await;
}

/// Longer than a worker waits, by far.
const SLOW: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_server_that_is_slow_for_a_while_holds_nobody_up() {
    let fleet = Fleet::with(2, Options::instant(), |config| {
        config.fleet.as_mut().expect("a fleet").redis.timeout = Duration::from_millis(100);
    })
    .await;
    let callers = [fleet.caller(0).await, fleet.caller(1).await];
    let began = Instant::now();
    fleet.redis.command(&["CLIENT", "PAUSE", &SLOW.as_millis().to_string(), "ALL"]);
    let mut took = Vec::new();
    while began.elapsed() < SLOW / 4 {
        let asked = ask(&format!("Slow {}", took.len())).cached();
        let one = Instant::now();
        callers[took.len() % 2].answer(asked).await;
        took.push(one.elapsed());
    }
    eprintln!("{} executions while Redis was slow: {took:?}", took.len());
    assert!(began.elapsed() < SLOW, "none has waited for an answer of Redis: {took:?}");
    until_shared(&callers[0], &callers[1], 1).await;
}
