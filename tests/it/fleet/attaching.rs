//! Lost connections and retries on another worker: the token names the flight,
//! not the worker, and an idempotency key holds everywhere.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Rule};
use sparkler::proto::{AttachExecutionRequest, CacheStatus};
use tokio::time::Instant;
use tonic::Code;

use super::members::{Fleet, status, unhurried};
use crate::support::{Caller, PATIENCE, Received, ask};

fn after(token: &str, after_sequence: u64) -> AttachExecutionRequest {
    AttachExecutionRequest {
        execution_token: token.to_owned(),
        after_sequence,
        ..Default::default()
    }
}

async fn attach(caller: &Caller, request: AttachExecutionRequest) -> Received {
    match caller.attach(request).await {
        Ok(call) => call.finish().await,
        Err(failure) => Received { end: Err(failure), ..Received::default() },
    }
}

#[tokio::test]
async fn a_running_execution_resumes_on_another_worker() {
    for asked in [ask("Go on").drain(), ask("Go on").cached(), ask("Go on").idempotency_key("k")] {
        let fleet = Fleet::of(2, unhurried()).await;
        let mut call = fleet.caller(0).await.execute(asked).await.expect("it runs");
        let token = call.started().await.execution_token;
        let mut beginning = String::new();
        for _ in 0..5 {
            beginning.push_str(&call.first_text().await);
        }
        let seen = call.last_sequence();
        let other = fleet.caller(1).await;
        let (rest, again) = tokio::join!(call.finish(), attach(&other, after(&token, seen)));
        assert_eq!(again.text, rest.text, "no word twice, none missing");
        let text = beginning + &again.text;
        let (first, again) = (rest.completed(), again.completed());
        assert_eq!(again.choices, first.choices);
        assert_eq!(again.choices[0].text, text);
        assert_eq!(again.cost, first.cost, "it is the same execution, paid once");
        assert_eq!(fleet.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn a_draining_execution_is_attached_elsewhere_after_its_end() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut call = fleet.caller(0).await.execute(ask("Run on").drain()).await.expect("it runs");
    let token = call.started().await.execution_token;
    let beginning = call.first_text().await;
    let seen = call.last_sequence();
    drop(call);
    fleet.simulator.wait_until(|report| report.completed == 1, PATIENCE).await.expect("an end");
    let rest = attach(&fleet.caller(1).await, after(&token, seen)).await;
    let text = rest.text.clone();
    assert_eq!(rest.completed().choices[0].text, beginning + &text);
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test]
async fn a_failed_execution_replays_its_error_on_other_workers() {
    let options =
        Options { rules: vec![Rule::always(Fault::Cut { after_deltas: 5 })], ..Options::instant() };
    let fleet = Fleet::of(2, options).await;
    let mut call = fleet.caller(0).await.execute(ask("Break").cached()).await.expect("it runs");
    let token = call.started().await.execution_token;
    let first = call.finish().await;
    let again = attach(&fleet.caller(1).await, after(&token, 0)).await;
    assert_eq!(again.text, first.text);
    let (first, again) = (first.end.expect_err("it broke"), again.end.expect_err("it broke"));
    assert_eq!((again.reason, again.message), (first.reason, first.message));
}

#[tokio::test]
async fn a_token_unknown_to_the_fleet_is_refused_and_runs_nothing() {
    let fleet = Fleet::of(2, Options::instant()).await;
    let mut call = fleet.caller(0).await.execute(ask("Alone")).await.expect("it runs");
    let token = call.started().await.execution_token;
    call.finish().await.completed();
    let failure = attach(&fleet.caller(1).await, after(&token, 0)).await.end.expect_err("unknown");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::NotFound, "EXECUTION_NOT_FOUND"));
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test]
async fn a_key_joins_and_replays_on_every_worker_in_every_cache_mode() {
    for (first, retry) in [
        (ask("Once").idempotency_key("k"), ask("Once").idempotency_key("k")),
        (ask("Once").idempotency_key("k").cached(), ask("Once").idempotency_key("k")),
    ] {
        let fleet = Fleet::of(3, unhurried()).await;
        let mut call = fleet.caller(0).await.execute(first).await.expect("it runs");
        call.first_text().await;
        let other = fleet.caller(1).await;
        let (first, joined) = tokio::join!(call.finish(), other.answer(retry.clone()));
        let first = first.completed();
        assert_eq!(status(&joined), CacheStatus::Joined);
        assert_eq!(joined.choices, first.choices);
        let replayed = fleet.caller(2).await.answer(retry).await;
        assert_eq!(replayed.choices, first.choices);
        assert_eq!(replayed.cost.expect("a price").spent_nanodollars, 0);
        assert_eq!(fleet.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn a_key_with_another_request_is_refused_on_every_worker() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut first =
        fleet.caller(0).await.execute(ask("Once").idempotency_key("k")).await.expect("it runs");
    first.first_text().await;
    let other = fleet.caller(1).await;
    for asked in [ask("Twice").idempotency_key("k"), ask("Twice").idempotency_key("k").cached()] {
        let failure = other.failure(asked).await;
        assert_eq!(failure.code, Code::FailedPrecondition);
        assert_eq!(failure.reason, "IDEMPOTENCY_MISMATCH");
    }
    first.finish().await.completed();
    let failure = other.failure(ask("Twice").idempotency_key("k")).await;
    assert_eq!(failure.reason, "IDEMPOTENCY_MISMATCH");
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test]
async fn what_failed_runs_again_on_every_worker() {
    let options = Options { rules: vec![Rule::once(Fault::status(400))], ..Options::instant() };
    let fleet = Fleet::of(2, options).await;
    let asked = || ask("Again").idempotency_key("k");
    assert_eq!(fleet.caller(0).await.failure(asked()).await.reason, "REQUEST_REJECTED");
    fleet.caller(1).await.answer(asked()).await;
    assert_eq!(fleet.upstream_calls(), 2);
}

#[tokio::test]
async fn a_key_that_joined_a_keyless_flight_holds_on_every_worker() {
    let fleet = Fleet::of(2, unhurried()).await;
    let caller = fleet.caller(0).await;
    let mut first = caller.execute(ask("Shared").cached()).await.expect("it runs");
    first.first_text().await;
    let keyed = || ask("Shared").idempotency_key("k");
    let mut joined = caller.execute(keyed().cached()).await.expect("it runs");
    joined.first_text().await;
    let other = fleet.caller(1).await;
    let failure = other.failure(ask("Another").idempotency_key("k")).await;
    assert_eq!(failure.reason, "IDEMPOTENCY_MISMATCH");
    let retry = other.answer(keyed()).await;
    let (first, joined) = (first.finish().await.completed(), joined.finish().await.completed());
    assert_eq!([status(&joined), status(&retry)], [CacheStatus::Joined; 2]);
    assert_eq!((&joined.choices, &retry.choices), (&first.choices, &first.choices));
    assert_eq!(fleet.upstream_calls(), 1);
    // Also afterwards, and where the key's own flight was a mirror.
    for caller in [&caller, &other] {
        let failure = caller.failure(ask("Another").idempotency_key("k")).await;
        assert_eq!(failure.reason, "IDEMPOTENCY_MISMATCH");
        assert_eq!(caller.answer(keyed()).await.choices, first.choices);
    }
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test]
async fn sharing_an_answer_is_not_refused_for_anothers_key() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut first =
        fleet.caller(1).await.execute(ask("First").idempotency_key("k")).await.expect("it runs");
    first.first_text().await;
    let caller = fleet.caller(0).await;
    let wrong = || ask("Second").cached().idempotency_key("k");
    let (refused, right, again) = tokio::join!(
        caller.failure(wrong()),
        caller.answer(ask("Second").cached()),
        caller.failure(wrong()),
    );
    assert_eq!([&*refused.reason, &again.reason], ["IDEMPOTENCY_MISMATCH"; 2]);
    assert_eq!(status(&right), CacheStatus::Miss);
    first.finish().await.completed();
    assert_eq!(fleet.upstream_calls(), 2);
}

#[tokio::test]
async fn a_key_that_was_answered_from_memory_holds_on_every_worker() {
    let fleet = Fleet::of(2, Options::instant()).await;
    let caller = fleet.caller(0).await;
    let first = caller.answer(ask("Known").cached()).await;
    let hit = caller.answer(ask("Known").cached().idempotency_key("k")).await;
    assert_eq!(status(&hit), CacheStatus::Hit);
    // Only this test waits until the fleet has the claim.
    let began = Instant::now();
    while fleet.redis.command(&["KEYS", "sparkler:1:*:claim"]).trim().is_empty() {
        assert!(began.elapsed() < PATIENCE, "the fleet never has the claim");
        // The worker is of this process, too.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let other = fleet.caller(1).await;
    let retry = other.answer(ask("Known").idempotency_key("k")).await;
    assert_eq!((status(&retry), retry.choices), (CacheStatus::Hit, first.choices));
    let failure = other.failure(ask("Unknown").idempotency_key("k")).await;
    assert_eq!(failure.reason, "IDEMPOTENCY_MISMATCH");
    assert_eq!(fleet.upstream_calls(), 1);
}
