//! The same idempotency key and the same request are one execution, whatever
//! the cache mode.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Rule};
use sparkler::proto::CacheStatus;
use tokio::time::Instant;
use tonic::Code;

use super::unhurried;
use crate::support::{Ask, PATIENCE, World, ask};

fn keyed() -> Ask {
    ask("Once").idempotency_key("run 1, node 2")
}

fn status(completed: &sparkler::proto::Completed) -> CacheStatus {
    completed.cache.as_ref().expect("completed says what the cache did").status()
}

#[tokio::test]
async fn a_retry_joins_what_runs_and_replays_what_has_run() {
    for asked in [keyed(), keyed().cached()] {
        let world = World::with(unhurried(), |_| {}).await;
        let caller = world.caller().await;
        let mut first = caller.execute(asked.clone()).await.expect("it runs");
        first.first_text().await;
        let (first, joined) = tokio::join!(first.finish(), caller.recv(asked.clone()));
        let (first, text) = (first.completed(), joined.text.clone());
        let joined = joined.completed();
        assert_eq!(status(&joined), CacheStatus::Joined);
        assert_eq!(joined.choices, first.choices);
        assert_eq!(joined.choices[0].text, text, "from the first token on");
        let replayed = caller.recv(asked).await;
        assert_eq!(replayed.text, text);
        let replayed = replayed.completed();
        assert_eq!(status(&replayed), CacheStatus::Hit);
        assert_eq!(replayed.choices, first.choices);
        assert_eq!(replayed.cost.expect("a price").spent_nanodollars, 0);
        assert_eq!(world.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn a_key_with_another_request_is_refused_during_and_after() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let mut first = caller.execute(keyed()).await.expect("it runs");
    first.first_text().await;
    let other = || ask("Twice").idempotency_key("run 1, node 2");
    for asked in [other(), other().cached()] {
        let failure = caller.failure(asked).await;
        assert_eq!(failure.code, Code::FailedPrecondition);
        assert_eq!(failure.reason, "IDEMPOTENCY_MISMATCH");
    }
    first.finish().await.completed();
    assert_eq!(caller.failure(other()).await.reason, "IDEMPOTENCY_MISMATCH");
    assert_eq!(world.upstream_calls(), 1);
    caller.answer(ask("Twice").idempotency_key("run 1, node 3")).await;
}

#[tokio::test]
async fn what_failed_runs_again() {
    let world = World::start().await;
    world.simulator.script(Rule::once(Fault::status(400)));
    let caller = world.caller().await;
    assert_eq!(caller.failure(keyed()).await.reason, "REQUEST_REJECTED");
    assert_eq!(status(&caller.answer(keyed()).await), CacheStatus::Disabled);
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn a_retry_of_what_drains_joins_it() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let mut first = caller.execute(keyed().drain()).await.expect("it runs");
    first.first_text().await;
    drop(first);
    assert_eq!(status(&caller.answer(keyed().drain()).await), CacheStatus::Joined);
    let report = world.simulator.report();
    assert_eq!((report.calls, report.aborted), (1, 0));
}

#[tokio::test]
async fn a_hit_is_replayed_also_when_the_cache_no_longer_has_it() {
    let world = World::start().await;
    let caller = world.caller().await;
    let brief = Duration::from_millis(300);
    let first = caller.answer(ask("Once").cached().ttl(brief)).await;
    assert_eq!(status(&caller.answer(keyed().cached()).await), CacheStatus::Hit);
    let began = Instant::now();
    // Without the key the answer's time is over at some point.
    while status(&caller.answer(ask("Once").cached()).await) == CacheStatus::Hit {
        assert!(began.elapsed() < PATIENCE, "the answer stays");
    }
    let replayed = caller.answer(keyed().cached()).await;
    assert_eq!(replayed.provider_request_id, first.provider_request_id);
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn a_key_holds_as_long_as_the_retention_time() {
    let world = World::with(Options::instant(), |config| {
        config.flights.retention = Duration::from_millis(300);
    })
    .await;
    let caller = world.caller().await;
    caller.answer(keyed()).await;
    let began = Instant::now();
    while status(&caller.answer(keyed()).await) == CacheStatus::Hit {
        assert!(began.elapsed() < PATIENCE, "the key holds forever");
    }
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn an_execution_that_joined_is_known_by_its_key_too() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let first = caller.execute(ask("Once").cached()).await.expect("it runs");
    let joined = caller.execute(keyed().cached()).await.expect("it runs");
    let (first, joined) = tokio::join!(first.finish(), joined.finish());
    assert_eq!(status(&first.completed()), CacheStatus::Miss);
    assert_eq!(status(&joined.completed()), CacheStatus::Joined);
    assert_eq!(status(&caller.answer(keyed()).await), CacheStatus::Hit, "with the cache off");
    assert_eq!(world.upstream_calls(), 1);
}
