//! Identical executions on several workers: one call of the provider serves them
//! all.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Pace, Rule};
use futures_util::future::join_all;
use sparkler::proto::{CacheStatus, cache_policy::Mode};

use super::members::{Fleet, status, unhurried};
use crate::support::{PATIENCE, ask};

#[tokio::test]
async fn a_repeat_is_a_hit_on_whichever_worker() {
    let fleet = Fleet::of(2, Options::instant()).await;
    let first = fleet.caller(0).await.answer(ask("Once").cached()).await;
    assert_eq!(status(&first), CacheStatus::Miss);
    let again = fleet.caller(1).await.recv(ask("Once").cached()).await;
    let text = again.text.clone();
    let again = again.completed();
    assert_eq!(status(&again), CacheStatus::Hit);
    assert_eq!((&again.choices, &again.usage), (&first.choices, &first.usage));
    assert_eq!(again.choices[0].text, text);
    assert_eq!(again.cost.expect("a price").spent_nanodollars, 0);
    assert_eq!(again.attempts, 0);
    let age = again.cache.expect("said").age.expect("a hit has an age");
    assert!(age.seconds < 60);
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test]
async fn a_refresh_on_one_worker_is_new_on_those_that_had_none() {
    let fleet = Fleet::of(3, Options::instant()).await;
    fleet.caller(0).await.answer(ask("Again").cached()).await;
    let refreshed = fleet.caller(1).await.answer(ask("Again").mode(Mode::Refresh)).await;
    assert_eq!(status(&refreshed), CacheStatus::Bypassed);
    let hit = fleet.caller(2).await.answer(ask("Again").cached()).await;
    assert_eq!(hit.provider_request_id, refreshed.provider_request_id);
    assert_eq!(fleet.upstream_calls(), 2);
}

#[tokio::test]
async fn only_if_cached_finds_what_another_worker_has() {
    let fleet = Fleet::of(2, Options::instant()).await;
    let caller = fleet.caller(1).await;
    let asked = || ask("Cached?").mode(Mode::OnlyIfCached);
    assert_eq!(caller.failure(asked()).await.reason, "NOT_CACHED");
    fleet.caller(0).await.answer(ask("Cached?").cached()).await;
    assert_eq!(status(&caller.answer(asked()).await), CacheStatus::Hit);
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_identical_executions_are_one_upstream_call() {
    let options = Options {
        pace: Pace { first_token: Duration::from_millis(1500), tokens_per_second: 200.0 },
        ..unhurried()
    };
    let fleet = Fleet::of(3, options).await;
    let callers = join_all((0..12).map(|index| fleet.caller(index % 3))).await;
    let receiving =
        (0..300).map(|index| callers[index % 12].recv(ask("What do all ask?").cached()));
    let mut answers = Vec::new();
    let mut paid = 0;
    for received in join_all(receiving).await {
        let text = received.text.clone();
        let completed = received.completed();
        assert_eq!(completed.choices[0].text, text, "the deltas are the answer");
        paid += i32::from(completed.cost.as_ref().expect("a price").spent_nanodollars > 0);
        answers.push(completed.choices);
    }
    assert_eq!(fleet.upstream_calls(), 1);
    assert_eq!(answers.len(), 300);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "everyone receives the same");
    assert!(answers[0][0].text.len() > 300);
    assert_eq!(paid, 1, "one of them pays");
}

#[tokio::test]
async fn a_late_follower_receives_all_events_under_their_numbers() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut first = fleet.caller(0).await.execute(ask("Late?").cached()).await.expect("it runs");
    first.first_text().await;
    for _ in 0..20 {
        first.first_text().await;
    }
    let late = fleet.caller(1).await.execute(ask("Late?").cached()).await.expect("it runs");
    let (first, late) = tokio::join!(first.finish(), late.finish());
    let (text, first) = (late.text.clone(), first.completed());
    let late = late.completed();
    assert_eq!(late.choices, first.choices);
    assert_eq!(late.choices[0].text, text);
    assert_eq!((status(&first), status(&late)), (CacheStatus::Miss, CacheStatus::Joined));
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test]
async fn a_flight_runs_on_for_those_who_listen_elsewhere() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut first = fleet.caller(0).await.execute(ask("Leave").cached()).await.expect("it runs");
    first.first_text().await;
    let mut other = fleet.caller(1).await.execute(ask("Leave").cached()).await.expect("it runs");
    let beginning = other.first_text().await;
    // The leader knows of the follower once the follower has received events that
    // were published after it joined.
    let middle = other.first_text().await;
    drop(first);
    let received = other.finish().await;
    let text = received.text.clone();
    assert_eq!(received.completed().choices[0].text, beginning + &middle + &text);
    let report = fleet.simulator.report();
    assert_eq!((report.calls, report.aborted), (1, 0));
}

#[tokio::test]
async fn a_flight_stops_when_nobody_listens_anywhere() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut first = fleet.caller(0).await.execute(ask("Stop").cached()).await.expect("it runs");
    first.first_text().await;
    let mut other = fleet.caller(1).await.execute(ask("Stop").cached()).await.expect("it runs");
    other.first_text().await;
    drop(first);
    other.first_text().await;
    drop(other);
    fleet.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await.expect("an abort");
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test]
async fn what_fails_fails_for_all_with_the_same_words() {
    let options = Options {
        pace: Pace { first_token: Duration::from_millis(500), tokens_per_second: 100.0 },
        rules: vec![Rule::always(Fault::Cut { after_deltas: 10 })],
        ..unhurried()
    };
    let fleet = Fleet::of(2, options).await;
    let mut first = fleet.caller(0).await.execute(ask("Fail").cached()).await.expect("it runs");
    first.started().await;
    let other = fleet.caller(1).await.execute(ask("Fail").cached()).await.expect("it runs");
    let (first, other) = tokio::join!(first.finish(), other.finish());
    let (first, other) = (first.end.expect_err("cut"), other.end.expect_err("cut"));
    assert_eq!(other.reason, "STREAM_INTERRUPTED");
    assert_eq!((&first.message, first.code), (&other.message, other.code));
}

#[tokio::test]
async fn a_slow_reader_elsewhere_loses_nothing_and_slows_nobody() {
    let options = Options {
        pace: Pace { first_token: Duration::from_millis(300), tokens_per_second: 400.0 },
        ..unhurried()
    };
    let fleet = Fleet::of(2, options).await;
    let mut first = fleet.caller(0).await.execute(ask("Slow").cached()).await.expect("it runs");
    first.started().await;
    let mut slow = fleet.caller(1).await.execute(ask("Slow").cached()).await.expect("it runs");
    slow.started().await;
    let quick = fleet.caller(1).await.execute(ask("Slow").cached()).await.expect("it runs");
    // The slow one has read nothing when all is over for the others.
    let (first, quick) = tokio::join!(first.finish(), quick.finish());
    let slow = slow.finish().await;
    let (text, answer) = (slow.text.clone(), slow.completed().choices);
    assert_eq!(answer[0].text, text);
    assert_eq!(answer, first.completed().choices);
    assert_eq!(answer, quick.completed().choices);
    assert_eq!(fleet.upstream_calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_too_large_for_one_command_is_shared_in_parts() {
    let options = Options {
        pace: Pace { first_token: Duration::from_millis(1500), tokens_per_second: 1e9 },
        // All in one event, of more than a million bytes.
        answer_tokens: 300_000,
        delta_tokens: u32::MAX,
        default_max_tokens: 1_000_000,
        ..Options::default()
    };
    // What takes long here is the provider, which is in this process too.
    let fleet = Fleet::with(2, options, |config| {
        let fleet = config.fleet.as_mut().expect("a fleet");
        fleet.lease = Duration::from_secs(60);
        fleet.redis.timeout = Duration::from_secs(20);
    })
    .await;
    let asked = || ask("Large?").cached();
    let mut first = fleet.caller(0).await.execute(asked()).await.expect("it runs");
    first.started().await;
    let early = fleet.caller(1).await;
    let (first, early) = tokio::join!(first.finish(), early.recv(asked()));
    let (text, answer) = (early.text.clone(), first.completed().choices);
    assert!(text.len() > 1 << 20, "{} bytes are not much", text.len());
    assert_eq!(answer[0].text, text);
    assert_eq!(early.completed().choices, answer);
    assert_eq!(fleet.upstream_calls(), 1);
}
