//! The same among workers that share a Redis, and while it is away.

use serde_json::json;
use sparkler::{config::FleetSettings, internals::CacheSecret};

use super::Limited;
use crate::support::{PATIENCE, page, redis_server::RedisServer};

/// Two workers whose tenants may spend one token.
async fn two(redis: &RedisServer) -> [Limited; 2] {
    let worker = async || {
        let limited = Limited::with(json!({"default": {"tokens_per_day": 1}}), |config| {
            config.cache_secret = CacheSecret::new(b"a secret of the whole fleet");
            let lease = std::time::Duration::from_secs(5);
            let redis = redis.config();
            config.fleet = Some(FleetSettings { redis, lease, other_secrets: Vec::new() });
        })
        .await;
        reachable(&limited, 1).await;
        limited
    };
    [worker().await, worker().await]
}

/// Waits until a worker says of its Redis that it is there (1) or not (0).
async fn reachable(worker: &Limited, expected: u8) {
    let waiting = async {
        let line = format!("sparkler_redis_reachable {expected}\n");
        while !page(worker.world.admin, "/metrics").await.1.contains(&line) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it notices");
}

/// Waits until Redis has the report of a spend.
async fn received(redis: &RedisServer) {
    redis.answers(&["KEYS", "sparkler:1:*:spent"], |keys| keys.contains(":spent")).await;
}

#[tokio::test]
async fn spending_counts_on_every_worker_and_names_no_tenant() {
    let redis = RedisServer::start().await;
    let [one, other] = two(&redis).await;
    one.answer("First", "acme").await;
    received(&redis).await;
    assert_eq!(other.refusal("acme").await.reason, "QUOTA_EXHAUSTED");
    assert_eq!(one.refusal("acme").await.reason, "QUOTA_EXHAUSTED");
    other.answer("Another's", "globex").await;
    let kept = redis.command(&["KEYS", "*"]);
    assert!(!kept.contains("acme"), "{kept}");
    let key = kept.lines().find(|key| key.ends_with(":spent")).expect("the key");
    let lasts: i64 = redis.command(&["TTL", key]).trim().parse().expect("a number");
    assert!((1..=2 * 24 * 60 * 60).contains(&lasts), "{lasts}");
}

#[tokio::test]
async fn without_redis_each_uses_its_own_count_and_reports_it_later() {
    let mut redis = RedisServer::start().await;
    let [one, other] = two(&redis).await;
    redis.stop();
    one.answer("First", "acme").await;
    assert_eq!(one.refusal("acme").await.reason, "QUOTA_EXHAUSTED", "by its own count");
    other.answer("Unreported", "acme").await;
    for worker in [&one, &other] {
        reachable(worker, 0).await;
    }
    redis.start_again().await;
    for worker in [&one, &other] {
        reachable(worker, 1).await;
    }
    // Asked again a second after the last time, at the latest.
    let reporting = async {
        while !redis.command(&["KEYS", "*"]).contains(":spent") {
            assert_eq!(one.refusal("acme").await.reason, "QUOTA_EXHAUSTED");
        }
    };
    tokio::time::timeout(PATIENCE, reporting).await.expect("it reports");
}
