//! What the provider has refused a moment ago, it is not asked again.

use std::time::{Duration, Instant};

use fireworks_simulator::{Fault, Options, Refusal, Rule};
use sparkler::config::Config;

use crate::support::{World, ask};

async fn world(refusals_for: Duration) -> World {
    World::with(Options::instant(), |config: &mut Config| {
        config.refusals_for = refusals_for;
        config.retry.base = Duration::from_millis(1);
    })
    .await
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_by_all_of_its_credential() {
    let world = world(Duration::ZERO).await;
    let caller = world.caller().await;
    let limited = Refusal::rate_limited().header("retry-after-ms", "500");
    world.simulator.script(Rule::once(limited));
    let began = Instant::now();
    caller.failure(ask("Limited").attempts(1)).await;
    assert_eq!(world.upstream_calls(), 1);
    caller.answer(ask("Another's").key("fw_another_canary_key")).await;
    assert!(began.elapsed() < Duration::from_millis(500), "it is not their limit");
    let completed = caller.answer(ask("A second one")).await;
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(completed.attempts, 1, "the wait is no attempt");
}

#[tokio::test]
async fn a_long_rate_limit_is_answered_from_memory_with_its_rest() {
    let world = world(Duration::ZERO).await;
    let caller = world.caller().await;
    let limited = Refusal::rate_limited().header("retry-after", "60");
    world.simulator.script(Rule::once(limited));
    caller.failure(ask("Limited").attempts(1)).await;
    let failure = caller.failure(ask("Refused at once")).await;
    assert_eq!(failure.reason, "PROVIDER_RATE_LIMITED");
    assert!(failure.message.contains("a cached rejection"), "{}", failure.message);
    let wait = failure.retry_after.expect("RetryInfo");
    assert!(wait <= Duration::from_secs(60) && wait > Duration::from_secs(30), "{wait:?}");
    assert_eq!(failure.detail.expect("a detail").attempts, 0, "the provider was not asked");
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn a_rate_limit_is_the_models_unless_called_the_accounts() {
    let world = world(Duration::ZERO).await;
    let caller = world.caller().await;
    let other = || ask("Another model").model("accounts/simulator/models/plain");
    let limited = || Refusal::rate_limited().header("retry-after", "60");
    world.simulator.script(Rule::once(limited()));
    caller.failure(ask("Limited").attempts(1)).await;
    caller.answer(other()).await;
    let spent = limited().header("x-ratelimit-remaining-requests", "0");
    world.simulator.script(Rule::once(spent));
    caller.failure(other().attempts(1)).await;
    let failure = caller.failure(other()).await;
    assert_eq!(failure.reason, "PROVIDER_RATE_LIMITED");
    assert_eq!(world.upstream_calls(), 3, "the last was answered from memory");
    let third = ask("A third model").model("accounts/fireworks/models/kimi-k2");
    let failure = caller.failure(third).await;
    assert_eq!(failure.reason, "PROVIDER_RATE_LIMITED", "{failure:?}");
    assert_eq!(world.upstream_calls(), 3);
}

#[tokio::test]
async fn a_refused_key_is_answered_from_memory_until_it_heals() {
    let lasting = Duration::from_millis(600);
    let world = world(lasting).await;
    let caller = world.caller().await;
    world.simulator.script(Rule::once(Fault::status(401)));
    caller.failure(ask("Refused")).await;
    let began = Instant::now();
    let failure = caller.failure(ask("Refused again")).await;
    assert_eq!(failure.reason, "CREDENTIAL_REJECTED");
    assert!(failure.message.contains("a cached rejection"), "{}", failure.message);
    assert_eq!(world.upstream_calls(), 1);
    caller.answer(ask("Another's").key("fw_another_canary_key")).await;
    // The simulator is not at Fireworks' host: it may be a gateway that means a
    // key of its own.
    caller.answer(ask("Another model").model("accounts/simulator/models/plain")).await;
    loop {
        let received = caller.recv(ask("Healed")).await;
        if received.end.is_ok() {
            break;
        }
        assert!(began.elapsed() < lasting * 2, "it does not heal");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.upstream_calls(), 4, "asked again once its time was over");
}

#[tokio::test]
async fn a_model_that_is_not_served_is_remembered_for_itself_alone() {
    let world = world(Duration::from_secs(60)).await;
    let caller = world.caller().await;
    let missing = || ask("x").model("accounts/nobody/models/missing");
    for _ in 0..3 {
        assert_eq!(caller.failure(missing()).await.reason, "MODEL_NOT_FOUND");
    }
    assert_eq!(world.upstream_calls(), 1);
    caller.answer(ask("x")).await;
}

#[tokio::test]
async fn where_it_is_turned_off_the_provider_is_asked_every_time() {
    let world = world(Duration::ZERO).await;
    let caller = world.caller().await;
    for _ in 0..2 {
        caller.failure(ask("x").model("accounts/nobody/models/missing")).await;
    }
    assert_eq!(world.upstream_calls(), 2);
}
