//! Redis fails while executions run: they go on, each worker for itself, and the
//! fleet is one again when Redis is back.

use std::time::Duration;

use fireworks_simulator::Options;
use sparkler::proto::CacheStatus;
use tokio::time::Instant;

use super::members::{Fleet, status, unhurried, until_shared};
use crate::support::{Caller, World, ask};

/// Until two workers share again what they are asked.
async fn healed(fleet: &Fleet) {
    until_shared(&fleet.caller(0).await, &fleet.caller(1).await, 1).await;
}

#[tokio::test]
async fn executions_go_on_without_redis_and_share_once_it_is_back() {
    let mut fleet = Fleet::of(2, unhurried()).await;
    let mut led = fleet.caller(0).await.execute(ask("Stopped").cached()).await.expect("it runs");
    led.first_text().await;
    let asked = ask("Stopped").cached().allow_restart();
    let mut followed = fleet.caller(1).await.execute(asked).await.expect("it runs");
    followed.first_text().await;
    fleet.redis.stop();
    let alone = fleet.caller(1).await.answer(ask("New").cached()).await;
    assert_eq!(status(&alone), CacheStatus::LookupFailed);
    // Empty, as it has kept nothing: the leader has its flight kept again.
    fleet.redis.start_again().await;
    let (led, followed) = tokio::join!(led.finish(), followed.finish());
    assert!(followed.restarts.is_empty());
    assert_eq!(followed.completed().choices, led.completed().choices);
    assert_eq!(fleet.upstream_calls(), 2);
    healed(&fleet).await;
}

#[tokio::test]
async fn a_leader_whose_redis_was_emptied_restores_its_flight() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut led = fleet.caller(0).await.execute(ask("Emptied").cached()).await.expect("it runs");
    led.first_text().await;
    let asked = ask("Emptied").cached().allow_restart();
    let mut followed = fleet.caller(1).await.execute(asked).await.expect("it runs");
    let first = followed.first_text().await;
    fleet.redis.command(&["FLUSHALL"]);
    let (led, followed) = tokio::join!(led.finish(), followed.finish());
    assert!(led.restarts.is_empty() && followed.restarts.is_empty());
    let text = first + &followed.text;
    assert_eq!(followed.completed().choices[0].text, text);
    led.completed();
    assert_eq!(fleet.upstream_calls(), 1);
    healed(&fleet).await;
}

/// What a frozen Redis may add to an execution.
const AIM: Duration = Duration::from_millis(50);
/// Added where an execution waits for a Redis that never answers.
const HANGS: Duration = Duration::from_secs(1);

const ROUNDS: usize = 8;
const MOST_ROUNDS: usize = 80;

async fn took(caller: &Caller, prompt: &str) -> (Duration, CacheStatus) {
    let began = Instant::now();
    let answer = caller.answer(ask(prompt).cached()).await;
    (began.elapsed(), status(&answer))
}

/// With the time limit that workers have by default, and against a
/// worker that has no Redis. The machine may be busy with other things: then it
/// is the best of several rounds that says what Redis adds, and there are more of
/// them until one was not disturbed.
#[tokio::test]
async fn a_frozen_redis_delays_no_execution_by_more_than_a_moment() {
    let fleet = Fleet::with(2, Options::instant(), |config| {
        config.fleet.as_mut().expect("a fleet").redis.timeout = Duration::from_millis(40);
    })
    .await;
    let world = World::start().await;
    let lone = world.caller().await;
    let caller = fleet.caller(0).await;
    let (mut first_ones, mut later_ones) = (Vec::new(), Vec::new());
    for round in 0..MOST_ROUNDS {
        if round >= ROUNDS && first_ones.iter().any(|added| *added <= AIM) {
            break;
        }
        healed(&fleet).await;
        fleet.redis.signal("-STOP");
        for number in 0..4 {
            let prompt = format!("Frozen {round} {number}");
            let (usual, _) = took(&lone, &prompt).await;
            let (frozen, status) = took(&caller, &prompt).await;
            assert_eq!(status, CacheStatus::LookupFailed);
            let added = if number == 0 { &mut first_ones } else { &mut later_ones };
            added.push(frozen.saturating_sub(usual));
        }
        fleet.redis.signal("-CONT");
    }
    for (which, added) in [("first", &mut first_ones), ("later", &mut later_ones)] {
        added.sort();
        let (best, worst) = (added[0], added[added.len() - 1]);
        let median = added[added.len() / 2];
        eprintln!(
            "a frozen Redis adds to the {which} executions {best:?} at best, {median:?} in the middle, {worst:?} at worst"
        );
        assert!(best <= AIM, "{which}: {added:?}");
        assert!(worst < HANGS, "{which}: {added:?}");
    }
}
