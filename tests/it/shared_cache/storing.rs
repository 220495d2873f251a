//! What is stored: whole answers only, and not for longer than they may live.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Pace, Rule};
use serde_json::json;
use sparkler::proto::{CacheStatus, StoreStatus, cache_policy::Mode};
use tokio::time::Instant;

use super::{outcome, status};
use crate::support::{Ask, Caller, PATIENCE, World, ask};

const MOVING: &str = "accounts/fireworks/routers/glm-5p3-fast";

async fn is_cached(caller: &Caller, asked: &Ask) -> bool {
    match caller.recv(asked.clone().mode(Mode::OnlyIfCached)).await.end {
        Ok(_) => true,
        Err(failure) => {
            assert_eq!(failure.reason, "NOT_CACHED");
            false
        }
    }
}

/// Asks until the answer's time is over.
async fn until_gone(caller: &Caller, asked: &Ask) {
    let began = Instant::now();
    while is_cached(caller, asked).await {
        assert!(began.elapsed() < PATIENCE, "the answer stays");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_answer_cut_at_its_length_is_returned_and_not_stored() {
    let world = World::start().await;
    let caller = world.caller().await;
    let short = ask("Go on and on").cached().set("maxTokens", json!(5));
    let completed = caller.answer(short.clone()).await;
    assert_eq!(completed.choices[0].finish_reason, "length");
    assert_eq!(outcome(&completed).store(), StoreStatus::NotStored);
    assert_eq!(outcome(&completed).not_stored_reason, "finish_reason");
    assert!(!is_cached(&caller, &short).await);
}

#[tokio::test]
async fn one_cut_choice_of_two_is_enough_not_to_be_stored() {
    let world = World::start().await;
    let caller = world.caller().await;
    let two = ask("Twice").cached().set("n", json!(2)).set("maxTokens", json!(5));
    assert_eq!(outcome(&caller.answer(two.clone()).await).store(), StoreStatus::NotStored);
    assert!(!is_cached(&caller, &two).await);
}

#[tokio::test]
async fn what_fails_is_never_stored() {
    let world = World::start().await;
    let caller = world.caller().await;
    let plain = || ask("Fail").cached().attempts(1);
    let schema = json!({"type": "object", "required": ["city"]});
    let faults: Vec<(&str, Fault, Ask)> = vec![
        ("REQUEST_REJECTED", Fault::status(400), plain()),
        ("PROVIDER_UNAVAILABLE", Fault::status(500), plain()),
        ("STREAM_INTERRUPTED", Fault::Cut { after_deltas: 5 }, plain()),
        ("STREAM_INTERRUPTED", Fault::EndEarly { after_deltas: None }, plain()),
        ("STREAM_INTERRUPTED", Fault::FinishReason("error".to_owned()), plain()),
        ("PROVIDER_UNAVAILABLE", Fault::LateError { message: "late".to_owned() }, plain()),
        ("OUTPUT_NOT_JSON", Fault::NotJson, plain().json()),
        ("OUTPUT_SCHEMA_MISMATCH", Fault::answer([r#"{"town": 1}"#]), plain().schema(&schema)),
    ];
    for (reason, fault, asked) in faults {
        world.simulator.script(Rule::once(fault.clone()));
        assert_eq!(caller.failure(asked.clone()).await.reason, reason, "{fault:?}");
        assert!(!is_cached(&caller, &asked).await, "{fault:?}");
        world.simulator.clear_script();
    }
}

#[tokio::test]
async fn what_is_larger_than_the_bound_is_returned_and_not_stored() {
    let world =
        World::with(Options::instant(), |config| config.execution.max_recording_bytes = 100).await;
    let caller = world.caller().await;
    let completed = caller.answer(ask("x").cached()).await;
    assert_eq!(outcome(&completed).store(), StoreStatus::NotStored);
    assert_eq!(outcome(&completed).not_stored_reason, "too_large");
    assert!(!is_cached(&caller, &ask("x")).await);
}

#[tokio::test]
async fn an_answer_lives_as_long_as_its_caller_says() {
    let world = World::start().await;
    let caller = world.caller().await;
    let brief = ask("Briefly").cached().ttl(Duration::from_millis(300));
    caller.answer(brief.clone()).await;
    assert!(is_cached(&caller, &brief).await);
    until_gone(&caller, &brief).await;

    let never = ask("Never").cached().ttl(Duration::ZERO);
    let completed = caller.answer(never.clone()).await;
    assert_eq!(outcome(&completed).store(), StoreStatus::NotStored);
    assert_eq!(outcome(&completed).not_stored_reason, "ttl");
    assert!(!is_cached(&caller, &never).await);
}

#[tokio::test]
async fn no_caller_makes_an_answer_live_longer_than_the_operator_says() {
    let world = World::with(Options::instant(), |config| {
        config.execution.cache_ttl = Duration::from_millis(300);
    })
    .await;
    let caller = world.caller().await;
    let long = ask("Forever").cached().ttl(Duration::from_secs(3600));
    caller.answer(long.clone()).await;
    until_gone(&caller, &long).await;
}

#[tokio::test]
async fn answers_of_moving_names_live_shorter() {
    let world = World::with(Options::instant(), |config| {
        config.execution.alias_cache_ttl = Duration::from_millis(300);
    })
    .await;
    let caller = world.caller().await;
    let (fixed, moving) = (ask("x").cached(), ask("x").cached().model(MOVING));
    caller.answer(fixed.clone()).await;
    let completed = caller.answer(moving.clone()).await;
    assert_eq!(outcome(&completed).store(), StoreStatus::Stored);
    until_gone(&caller, &moving).await;
    assert!(is_cached(&caller, &fixed).await);
}

/// Slow enough for a second to join.
fn joinable() -> Options {
    let pace = Pace { first_token: Duration::from_millis(300), tokens_per_second: f64::INFINITY };
    Options { pace, ..Options::default() }
}

#[tokio::test]
async fn a_follower_stores_the_answer_that_its_leader_does_not() {
    let world = World::with(joinable(), |_| {}).await;
    let caller = world.caller().await;
    let reading = ask("x").mode(Mode::ReadOnly);
    let leader = caller.execute(reading).await.expect("it runs");
    let follower = caller.execute(ask("x").cached()).await.expect("it runs");
    let (leader, follower) = tokio::join!(leader.finish(), follower.finish());
    let (leader, follower) = (leader.completed(), follower.completed());
    assert_eq!(outcome(&leader).store(), StoreStatus::NotStored);
    assert_eq!(status(&follower), CacheStatus::Joined);
    assert_eq!(outcome(&follower).store(), StoreStatus::Stored);
    assert!(is_cached(&caller, &ask("x")).await);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn an_idempotent_retry_that_asks_for_caching_is_stored() {
    let world = World::with(joinable(), |_| {}).await;
    let caller = world.caller().await;
    let keyed = || ask("x").idempotency_key("1");
    let first = caller.execute(keyed()).await.expect("it runs");
    let retry = caller.execute(keyed().cached()).await.expect("it runs");
    let (first, retry) = tokio::join!(first.finish(), retry.finish());
    assert_eq!(outcome(&first.completed()).store(), StoreStatus::Unspecified);
    assert_eq!(outcome(&retry.completed()).store(), StoreStatus::Stored);
    assert!(is_cached(&caller, &ask("x")).await);
}
