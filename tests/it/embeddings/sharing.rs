//! Texts are shared one by one: from the cache, and while they are under way.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Pace, Rule};
use futures_util::future::join_all;
use serde_json::json;
use sparkler::proto::{CacheStatus, StoreStatus, cache_policy::Mode};

use super::{alone, sources, texts, vectors};
use crate::support::{KEY, PATIENCE, World, embed};

/// Answers take long enough to be joined.
fn unhurried() -> Options {
    let pace = Pace { first_token: Duration::from_millis(300), tokens_per_second: f64::INFINITY };
    Options { pace, ..Options::default() }
}

#[tokio::test]
async fn a_known_text_is_a_hit_whatever_it_comes_with() {
    let world = World::start().await;
    let caller = world.caller().await;
    let first = caller.answer(embed(texts([1, 2, 3])).cached()).await;
    let cache = first.cache.as_ref().expect("said");
    assert_eq!((cache.status(), cache.store()), (CacheStatus::Miss, StoreStatus::Stored));
    let mixed = texts([4, 2, 2, 5, 1, 4]);
    let second = caller.answer(embed(mixed.clone()).cached()).await;
    assert_eq!(vectors(&second), alone(&mixed).await);
    assert_eq!(sources(&second), [2, 0, 2, 2]);
    assert_eq!(second.cache.as_ref().expect("said").status(), CacheStatus::Miss);
    let third = caller.answer(embed(texts([5, 3])).cached()).await;
    assert_eq!(sources(&third), [2, 0, 0, 0]);
    assert_eq!(third.cache.as_ref().expect("said").status(), CacheStatus::Hit);
    let report = world.simulator.report();
    assert_eq!((report.texts, report.distinct_texts), (5, 5));
}

#[tokio::test]
async fn overlapping_calls_under_way_pay_for_a_text_once() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let asked: Vec<Vec<String>> = (0..10).map(|call| texts(call * 5..call * 5 + 10)).collect();
    let calls = asked.iter().map(|texts| caller.answer(embed(texts.clone()).cached()));
    let answers = join_all(calls).await;
    for (asked, answer) in asked.iter().zip(&answers) {
        assert_eq!(vectors(answer), alone(asked).await);
    }
    let sum = |source: usize| answers.iter().map(|answer| sources(answer)[source]).sum::<u32>();
    assert_eq!((sum(0) + sum(1), sum(2), sum(3)), (45, 55, 0));
    assert!(sum(1) > 0, "some were joined");
    assert_eq!(world.simulator.report().texts, 55);
}

#[tokio::test]
async fn the_modes_of_the_cache_hold_for_each_text() {
    let world = World::start().await;
    let caller = world.caller().await;
    let seen = || world.simulator.report().texts;
    caller.answer(embed(["a"])).await;
    caller.answer(embed(["a"])).await;
    assert_eq!(seen(), 2, "off: nothing is read or stored");
    let failure = caller.failure(embed(["a"]).mode(Mode::OnlyIfCached)).await;
    assert_eq!(failure.reason, "NOT_CACHED");
    let unstored = caller.answer(embed(["a"]).mode(Mode::ReadOnly)).await;
    let cache = unstored.cache.expect("said");
    assert_eq!((cache.store(), &*cache.not_stored_reason), (StoreStatus::NotStored, "mode"));
    assert_eq!(seen(), 3);
    caller.answer(embed(["a"]).cached()).await;
    let refreshed = caller.answer(embed(["a"]).mode(Mode::Refresh)).await;
    assert_eq!(refreshed.cache.expect("said").status(), CacheStatus::Bypassed);
    assert_eq!(seen(), 5);
    let cached = caller.answer(embed(["a", "a"]).mode(Mode::OnlyIfCached)).await;
    assert_eq!(sources(&cached), [1, 0, 0, 1]);
    let failure = caller.failure(embed(["a", "b"]).mode(Mode::OnlyIfCached)).await;
    assert_eq!((failure.reason.as_str(), seen()), ("NOT_CACHED", 5));
    let by_field = embed(["a"]).set("cache", json!(true));
    assert_eq!(sources(&caller.answer(by_field).await), [1, 0, 0, 0]);
}

#[tokio::test]
async fn texts_are_not_shared_between_credentials_or_salts() {
    let world = World::start().await;
    let caller = world.caller().await;
    for asked in [
        embed(["a"]).cached(),
        embed(["a"]).cached().key(&format!("{KEY}_of_another")),
        embed(["a"]).cached().salt("other"),
    ] {
        assert_eq!(sources(&caller.answer(asked).await), [0, 0, 1, 0]);
    }
    assert_eq!(world.simulator.report().texts, 3);
}

#[tokio::test]
async fn a_failure_reaches_exactly_the_texts_of_its_batch() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    // Late enough for the others to join.
    let slow = Fault::SlowHead { delay: Duration::from_millis(200) };
    world.simulator.script(Rule::always(Fault::status(400)).and(slow).prompt("number 3"));
    let asked = |names: [usize; 4]| embed(texts(names)).set("batchSize", json!(2)).cached();
    let (first, second, third) = tokio::join!(
        caller.recv(asked([0, 1, 2, 3])),
        // They join the first one's batches: the good one, and the bad one.
        caller.recv(asked([0, 1, 4, 5])),
        caller.recv(asked([2, 6, 7, 8])),
    );
    let reason = |end: crate::support::Received| end.end.expect_err("a failure").reason;
    assert_eq!(reason(first), "REQUEST_REJECTED");
    let second = second.completed();
    assert_eq!(vectors(&second), alone(&texts([0, 1, 4, 5])).await);
    assert_eq!(reason(third), "REQUEST_REJECTED");
    // What was not in that batch is there, and text 2 is good by itself.
    let again = caller.answer(embed(texts([0, 1, 2, 4, 5])).cached()).await;
    assert_eq!(vectors(&again), alone(&texts([0, 1, 2, 4, 5])).await);
    assert_eq!(sources(&again)[..2], [4, 0]);
}

#[tokio::test]
async fn who_leaves_takes_no_text_from_others() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let leaving = caller.execute(embed(texts([1, 2])).cached()).await.expect("it runs");
    let staying = caller.execute(embed(texts([2, 3])).cached()).await.expect("it runs");
    drop(leaving);
    let completed = staying.finish().await.completed();
    assert_eq!(vectors(&completed), alone(&texts([2, 3])).await);
    assert_eq!(sources(&completed), [0, 1, 1, 0]);
    let report = world.simulator.report();
    assert_eq!((report.texts, report.aborted), (3, 0));
}

#[tokio::test]
async fn a_request_that_nobody_wants_any_more_is_stopped() {
    let options = Options {
        rules: vec![Rule::always(Fault::SlowFirstToken { delay: Duration::from_secs(3600) })],
        ..Options::instant()
    };
    let world = World::with(options, |_| {}).await;
    let caller = world.caller().await;
    let call = caller.execute(embed(texts(0..4)).cached()).await.expect("it runs");
    let in_progress = |report: &fireworks_simulator::Report| report.texts == 4;
    world.simulator.wait_until(in_progress, PATIENCE).await.expect("a request");
    drop(call);
    let stopped = |report: &fireworks_simulator::Report| report.aborted == 1;
    world.simulator.wait_until(stopped, PATIENCE).await.expect("an abort");
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_its_request() {
    let options = Options {
        rules: vec![Rule::always(Fault::SlowFirstToken { delay: Duration::from_secs(3600) })],
        ..Options::instant()
    };
    let world = World::with(options, |_| {}).await;
    let limit = Duration::from_millis(300);
    let failure = world.caller().await.failure(embed(["a"]).cached().first_token(limit)).await;
    assert_eq!(failure.reason, "FIRST_TOKEN_TIMEOUT");
    let stopped = |report: &fireworks_simulator::Report| report.aborted == 1;
    world.simulator.wait_until(stopped, PATIENCE).await.expect("an abort");
}

#[tokio::test]
async fn an_idempotency_key_replays_without_a_cache() {
    let world = World::start().await;
    let caller = world.caller().await;
    let asked = || embed(texts([1, 2])).idempotency_key("once");
    let first = caller.answer(asked()).await;
    let again = caller.answer(asked()).await;
    assert_eq!(vectors(&again), vectors(&first));
    assert_eq!(again.cost.map(|cost| cost.spent_nanodollars), first.cost.map(|_| 0));
    assert_eq!(world.simulator.report().texts, 2);
    let other = caller.failure(embed(texts([1, 3])).idempotency_key("once")).await;
    assert_eq!(other.reason, "IDEMPOTENCY_MISMATCH");
}
