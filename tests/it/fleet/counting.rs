//! What Redis is asked for, and given to keep, counts in the cache's metrics.

use fireworks_simulator::Options;

use super::{
    losing::{program, shares},
    members::Fleet,
};
use crate::support::{Caller, Program, ask, page};

/// Asserts that a metric of the Redis tier has counted one of this result.
async fn has_counted(program: &Program, metric: &str, result: &str) {
    let (_, page) = page(program.admin, "/metrics").await;
    let result = format!(r#"result="{result}""#);
    let is_counted = |line: &str| {
        let is_of_redis = line.starts_with(metric) && line.contains(r#"tier="redis""#);
        is_of_redis && line.contains(&result) && line.ends_with(" 1")
    };
    assert!(page.lines().any(is_counted), "{metric} {result}: {page}");
}

#[tokio::test]
async fn look_ups_and_stores_in_redis_are_counted() {
    let fleet = Fleet::of(0, Options::instant()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let programs = [program(&fleet, &folder).await, program(&fleet, &folder).await];
    for program in &programs {
        shares(program).await;
        Caller::connect(program.address).await.answer(ask("Counted").cached()).await;
    }
    let [first, second] = &programs;
    has_counted(first, "sparkler_cache_lookups_total", "miss").await;
    has_counted(first, "sparkler_cache_stores_total", "stored").await;
    has_counted(second, "sparkler_cache_lookups_total", "hit").await;
    fleet.redis.signal("-STOP");
    Caller::connect(second.address).await.answer(ask("Failed").cached()).await;
    fleet.redis.signal("-CONT");
    has_counted(second, "sparkler_cache_lookups_total", "failed").await;
}
