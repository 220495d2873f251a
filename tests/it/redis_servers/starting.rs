//! A worker starts: it waits a moment for its Redis, and no longer.

use std::time::Duration;

use fireworks_simulator::Options;
use sparkler::proto::CacheStatus;
use tokio::time::Instant;

use super::workers::{Workers, lines_with};
use crate::{
    fleet::members::{Fleet, status, until_shared},
    support::{Caller, ask, redis_server::RedisServer},
};

const REACHED: &str = "connected to Redis";
const NOT_REACHED: &str = "Redis is not reached yet";

/// The provider alone; the workers are processes of their own.
async fn provider(redis: RedisServer) -> Fleet {
    let reached = redis.config();
    Fleet::over(redis, &reached, 0, Options::instant(), |_| {}).await
}

#[tokio::test]
async fn the_first_call_after_a_start_is_shared() {
    let fleet = provider(RedisServer::start().await).await;
    let workers = Workers::of(&fleet.base_url, &fleet.redis.url());
    for number in 0..3 {
        let asked = || ask(&format!("First {number}")).cached();
        let first = workers.start(&[]).await;
        Caller::connect(first.address).await.answer(asked()).await;
        let second = workers.start(&[]).await;
        let again = Caller::connect(second.address).await.answer(asked()).await;
        assert_eq!(status(&again), CacheStatus::Hit);
        let log = second.stop().await;
        assert_eq!(lines_with(&log, REACHED).len(), 1, "{log:?}");
        assert_eq!(lines_with(&log, NOT_REACHED).len(), 0, "{log:?}");
    }
}

#[tokio::test]
async fn a_redis_that_is_away_or_frozen_stops_no_start() {
    let mut fleet = provider(RedisServer::start().await).await;
    let workers = Workers::of(&fleet.base_url, &fleet.redis.url());
    fleet.redis.signal("-STOP");
    let began = Instant::now();
    let frozen = workers.start(&[]).await;
    assert!(began.elapsed() > Duration::from_secs(1), "it was waited for");
    fleet.redis.stop();
    let away = workers.start(&[]).await;
    let callers = [Caller::connect(frozen.address).await, Caller::connect(away.address).await];
    for caller in &callers {
        let alone = caller.answer(ask("Alone").cached()).await;
        assert_eq!(status(&alone), CacheStatus::LookupFailed);
    }
    fleet.redis.start_again().await;
    until_shared(&callers[0], &callers[1], 1).await;
    for worker in [frozen, away] {
        let log = worker.stop().await;
        assert_eq!(lines_with(&log, NOT_REACHED).len(), 1, "{log:?}");
        assert_eq!(lines_with(&log, REACHED).len(), 0, "{log:?}");
        assert_eq!(lines_with(&log, "Redis can be used again").len(), 1, "{log:?}");
    }
}
