//! A worker is lost: killed, asleep, or asked to stop. Exactly one takes over,
//! and every caller goes on or learns that it may retry.

use std::{process::Command, time::Duration};

use futures_util::future::join_all;
use sparkler::proto::{
    AttachExecutionRequest, CacheStatus, ExecutionLimits, execute_node_response::Event,
};
use tokio::time::{Instant, timeout};
use tonic::Code;

use super::members::{Fleet, LEASE, status, unhurried};
use crate::support::{Call, Caller, PATIENCE, Program, Received, ask, page};

/// What the page of metrics says of a Redis that answers.
const REACHED: &str = "sparkler_redis_reachable 1";

/// A worker as a process of its own, so that it can be killed.
pub(crate) async fn program(fleet: &Fleet, folder: &tempfile::TempDir) -> Program {
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret of the whole fleet").expect("written");
    let lease = format!("{}ms", LEASE.as_millis());
    let more = [
        "--redis-url",
        &fleet.redis.url(),
        "--redis-timeout",
        "2s",
        "--cache-secret-file",
        secret.to_str().expect("a path"),
        "--fleet-lease",
        &lease,
    ];
    Program::serve(&fleet.base_url, &more).await
}

/// Picks an execution up again, also where it begins again.
fn again(execution_token: String, after_sequence: u64) -> AttachExecutionRequest {
    let limits = ExecutionLimits { allow_restart: true, ..Default::default() };
    AttachExecutionRequest {
        execution_token,
        after_sequence,
        limits: Some(limits),
        ..Default::default()
    }
}

fn signal(program: &Program, name: &str) {
    let sent = Command::new("kill").args([name, &program.id().to_string()]).status();
    assert!(sent.expect("there is kill").success());
}

/// Waits until a worker has reached Redis: what it begins before, it begins for
/// itself.
pub(crate) async fn shares(program: &Program) {
    let reached = async {
        while !page(program.admin, "/metrics").await.1.contains(REACHED) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("it reaches Redis");
}

/// A caller's execution on a worker that leads, under way.
async fn led(program: &Program, prompt: &str) -> Call {
    shares(program).await;
    let caller = Caller::connect(program.address).await;
    let mut call = caller.execute(ask(prompt).cached().drain()).await.expect("it runs");
    assert_eq!(call.started().await.cache_status(), CacheStatus::Miss, "it leads");
    call.first_text().await;
    call
}

#[tokio::test]
async fn a_killed_leader_is_succeeded_once_as_each_caller_allows() {
    let fleet = Fleet::of(2, unhurried()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let leader = program(&fleet, &folder).await;
    let _call = led(&leader, "Who stands in?").await;
    let asked = || ask("Who stands in?").cached();
    let mut strict = fleet.caller(0).await.execute(asked()).await.expect("it runs");
    let mut forgiving = Vec::new();
    for worker in [0, 1] {
        let call = fleet.caller(worker).await.execute(asked().allow_restart()).await;
        forgiving.push(call.expect("it runs"));
    }
    let final_only = fleet.caller(1).await.execute(asked().no_deltas()).await.expect("it runs");
    strict.first_text().await;
    for call in &mut forgiving {
        call.first_text().await;
    }
    signal(&leader, "-KILL");
    let killed = Instant::now();

    let failure = strict.finish().await.end.expect_err("it has had deltas");
    assert!(killed.elapsed() < LEASE + Duration::from_secs(2), "{:?}", killed.elapsed());
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Unavailable, "STREAM_INTERRUPTED"));
    assert!(failure.safe_to_retry());

    let mut answers = Vec::new();
    for received in join_all(forgiving.into_iter().map(Call::finish)).await {
        assert_eq!(received.restarts.len(), 1);
        assert_eq!(received.restarts[0].reason, "WORKER_LOST");
        let text = received.text.clone();
        let completed = received.completed();
        assert_eq!(completed.choices[0].text, text, "the new answer, and nothing of the old");
        answers.push(completed.choices);
    }
    let received = final_only.finish().await;
    assert!(received.deltas.is_empty());
    answers.push(received.completed().choices);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(fleet.upstream_calls(), 2, "one stood in for the one that was lost");
}

#[tokio::test]
async fn a_leader_that_was_asleep_changes_nothing_when_it_wakes() {
    let fleet = Fleet::of(2, unhurried()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let sleeper = program(&fleet, &folder).await;
    let call = led(&sleeper, "Asleep?").await;
    let asked = || ask("Asleep?").cached().allow_restart();
    let mut follower = fleet.caller(0).await.execute(asked()).await.expect("it runs");
    follower.first_text().await;
    signal(&sleeper, "-STOP");
    // It is taken over, and wakes while the other leads.
    loop {
        match follower.next().await.expect("more").expect("no failure") {
            Event::Restarted(_) => break,
            Event::Completed(_) => panic!("it was not taken over"),
            _ => {}
        }
    }
    follower.first_text().await;
    signal(&sleeper, "-CONT");
    let late = fleet.caller(1).await.execute(asked()).await.expect("it runs");
    let (sleepers, received, late) = tokio::join!(call.finish(), follower.finish(), late.finish());
    let (received, late) = (received.completed(), late.completed());
    assert_eq!(received.choices, late.choices, "nothing of the sleeper's came between");
    // Its own caller receives it to the end, or learns that it may retry.
    if let Err(failure) = sleepers.end {
        assert!(failure.safe_to_retry(), "{failure:?}");
    }
    let hit = fleet.caller(1).await.answer(ask("Asleep?").cached()).await;
    assert_eq!(status(&hit), CacheStatus::Hit);
    assert_eq!(hit.provider_request_id, received.provider_request_id, "what it had is not stored");
    assert_eq!(fleet.upstream_calls(), 2);
}

#[tokio::test]
async fn a_worker_that_stops_hands_its_flights_over_at_once() {
    let mut fleet = Fleet::with(2, unhurried(), |config| {
        config.drain.drain_limit = Duration::from_millis(100);
    })
    .await;
    let mut first = fleet.caller(0).await.execute(ask("Stop").cached()).await.expect("it runs");
    first.first_text().await;
    let asked = ask("Stop").cached().allow_restart();
    let mut other = fleet.caller(1).await.execute(asked).await.expect("it runs");
    other.first_text().await;
    fleet.workers[0].stop();
    let failure = first.finish().await.end.expect_err("it stops");
    assert_eq!(failure.reason, "WORKER_DRAINING");
    let ended = Instant::now();
    loop {
        if let Event::Restarted(restarted) = other.next().await.expect("more").expect("well") {
            assert_eq!(restarted.reason, "WORKER_LOST");
            break;
        }
    }
    assert!(ended.elapsed() < LEASE / 2, "the lease is not waited for: {:?}", ended.elapsed());
    timeout(PATIENCE, async { other.finish().await.completed() }).await.expect("an end");
    fleet.workers[0].stopped().await;
    assert_eq!(fleet.upstream_calls(), 2);
}

#[tokio::test]
async fn a_lost_execution_resumes_without_mixing_two_answers() {
    let fleet = Fleet::of(1, unhurried()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let leader = program(&fleet, &folder).await;
    let mut call = led(&leader, "Move").await;
    let token = call.started().await.execution_token;
    let asked = ask("Move").cached().allow_restart();
    let follower = fleet.caller(0).await.execute(asked).await.expect("it runs");
    for _ in 0..10 {
        call.first_text().await;
    }
    // It may have received more than the fleet has.
    let seen = call.last_sequence();
    signal(&leader, "-KILL");
    let moved = fleet.caller(0).await.attach(again(token, seen)).await.expect("it is known");
    let (followed, moved): (Received, Received) = tokio::join!(follower.finish(), moved.finish());
    assert_eq!(moved.restarts.len(), 1, "what it had is void");
    let text = moved.text.clone();
    let completed = moved.completed();
    assert_eq!(completed.choices[0].text, text);
    assert_eq!(completed.choices, followed.completed().choices);
}

/// The error of a drained worker is enough to go on at another.
#[tokio::test]
async fn a_drained_execution_resumes_on_the_worker_that_takes_over() {
    let mut fleet = Fleet::with(2, unhurried(), |config| {
        config.drain.drain_limit = Duration::from_millis(100);
    })
    .await;
    let other = fleet.caller(1).await;
    let mut first = fleet.caller(0).await.execute(ask("Drain").cached()).await.expect("it runs");
    first.first_text().await;
    let asked = ask("Drain").cached().allow_restart();
    let mut followed = other.execute(asked).await.expect("it runs");
    followed.first_text().await;
    let seen = first.last_sequence();
    fleet.workers[0].stop();

    let failure = first.finish().await.end.expect_err("it stops");
    assert_eq!((failure.code, &*failure.reason), (Code::Unavailable, "WORKER_DRAINING"));
    assert!(failure.safe_to_retry() && failure.retry_after.is_some());
    let token = failure.detail.expect("how to go on").execution_token;
    let moved = other.attach(again(token, seen)).await.expect("it is known");
    let (followed, moved): (Received, Received) = tokio::join!(followed.finish(), moved.finish());
    assert_eq!(moved.restarts.len(), 1, "what it had is void");
    let text = moved.text.clone();
    let completed = moved.completed();
    assert_eq!(completed.choices[0].text, text, "and it gets the whole answer");
    assert_eq!(completed.choices, followed.completed().choices);
    fleet.workers[0].stopped().await;
    assert_eq!(fleet.upstream_calls(), 2);
}

/// A token runs nothing: where nobody stands in, the execution is asked for again.
#[tokio::test]
async fn a_drained_execution_goes_on_once_it_is_requested_again() {
    let mut fleet = Fleet::with(2, unhurried(), |config| {
        config.drain.drain_limit = Duration::from_millis(100);
    })
    .await;
    let other = fleet.caller(1).await;
    let asked = || ask("Drain alone").idempotency_key("k");
    let mut first = fleet.caller(0).await.execute(asked()).await.expect("it runs");
    first.first_text().await;
    let seen = first.last_sequence();
    fleet.workers[0].stop();
    let failure = first.finish().await.end.expect_err("it stops");
    let token = failure.detail.expect("how to go on").execution_token;
    // Both at once: the one that attaches waits for a while until the other runs it.
    let moved = other.attach(again(token, seen)).await.expect("it is known");
    let (repeated, moved) = tokio::join!(other.answer(asked()), moved.finish());
    let text = moved.text.clone();
    let completed = moved.completed();
    assert_eq!(completed.choices[0].text, text);
    assert_eq!(completed.choices, repeated.choices);
    fleet.workers[0].stopped().await;
    assert_eq!(fleet.upstream_calls(), 2, "the one that was cut, and one");
}
