//! Redis fails while executions run: they go on, each worker for itself, and the
//! fleet is one again when Redis is back.

use std::time::Duration;

use sparkler::{proto::CacheStatus, simulator::Options};
use tokio::time::Instant;

use super::{
    members::{Fleet, status, unhurried, until_shared},
    support::ask,
};

/// Until two workers share again what they are asked.
async fn healed(fleet: &Fleet) {
    until_shared(&fleet.caller(0).await, &fleet.caller(1).await, 1).await;
}

#[tokio::test]
async fn executions_go_on_when_redis_stops_and_share_again_when_it_is_back() {
    let mut fleet = Fleet::of(2, unhurried()).await;
    let mut led = fleet.caller(0).await.execute(ask("Stopped").cached()).await.expect("it runs");
    led.first_text().await;
    let asked = ask("Stopped").cached().allow_restart();
    let mut followed = fleet.caller(1).await.execute(asked).await.expect("it runs");
    followed.first_text().await;
    fleet.redis.stop();
    let (led, followed) = tokio::join!(led.finish(), followed.finish());
    led.completed();
    followed.completed();
    let alone = fleet.caller(1).await.answer(ask("New").cached()).await;
    assert_eq!(status(&alone), CacheStatus::LookupFailed);
    // Empty, as it has kept nothing.
    fleet.redis.start_again().await;
    healed(&fleet).await;
}

#[tokio::test]
async fn a_leader_whose_redis_was_emptied_goes_on_for_its_own() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut led = fleet.caller(0).await.execute(ask("Emptied").cached()).await.expect("it runs");
    led.first_text().await;
    let asked = ask("Emptied").cached().allow_restart();
    let mut followed = fleet.caller(1).await.execute(asked).await.expect("it runs");
    followed.first_text().await;
    fleet.redis.command(&["FLUSHALL"]);
    let (led, followed) = tokio::join!(led.finish(), followed.finish());
    assert!(led.restarts.is_empty());
    led.completed();
    let text = followed.text.clone();
    assert_eq!(followed.completed().choices[0].text, text);
    assert_eq!(fleet.upstream_calls(), 2);
    healed(&fleet).await;
}

#[tokio::test]
async fn a_frozen_redis_delays_no_execution_by_more_than_a_moment() {
    let fleet = Fleet::with(2, Options::instant(), |config| {
        let fleet = config.fleet.as_mut().expect("a fleet");
        fleet.redis.timeout = Duration::from_millis(30);
    })
    .await;
    let caller = fleet.caller(0).await;
    caller.answer(ask("Warm").cached()).await;
    let mut plain = Vec::new();
    for number in 0..5 {
        let began = Instant::now();
        caller.answer(ask(&format!("Plain {number}"))).await;
        plain.push(began.elapsed());
    }
    fleet.redis.signal("-STOP");
    let mut frozen = Vec::new();
    for number in 0..5 {
        let began = Instant::now();
        let answer = caller.answer(ask(&format!("Frozen {number}")).cached()).await;
        frozen.push(began.elapsed());
        assert_eq!(status(&answer), CacheStatus::LookupFailed);
    }
    eprintln!("without Redis {plain:?}; with a frozen one, from the first on {frozen:?}");
    let usual = *plain.iter().max().expect("some");
    for delayed in frozen {
        assert!(delayed < usual + Duration::from_millis(250), "{delayed:?} against {usual:?}");
    }
    fleet.redis.signal("-CONT");
    healed(&fleet).await;
}
