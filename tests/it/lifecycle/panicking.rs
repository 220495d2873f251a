//! A node that panics loses its own flight and nothing else.

use fireworks_simulator::Options;
use serde_json::Value;
use tonic::Code;

use crate::support::{Ask, Failure, Moment, Panicking, World, ask};

async fn world() -> World {
    World::with_nodes(Options::instant(), |_| {}, |nodes| nodes.with(Panicking)).await
}

fn panicking() -> Ask {
    crate::support::panicking(Moment::Reported)
}

fn assert_worker_failed(failure: &Failure) {
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Internal, "WORKER_FAILED"));
    assert_eq!(failure.domain, "sparkler");
    assert!(!failure.safe_to_retry());
    assert!(!failure.message.contains("broken node"), "the panic's words stay inside");
}

#[tokio::test]
async fn a_panic_ends_its_flight_in_worker_failed_and_no_other() {
    let world = world().await;
    let caller = world.caller().await;
    for _ in 0..3 {
        assert_worker_failed(&caller.failure(panicking()).await);
        assert!(!caller.answer(ask("And you?")).await.choices.is_empty());
    }
}

#[tokio::test]
async fn followers_of_a_flight_that_panicked_fail_and_do_not_hang() {
    let world = world().await;
    let caller = world.caller().await;
    let all = (0..20).map(|_| caller.failure(panicking().cached()));
    for failure in futures_util::future::join_all(all).await {
        assert_worker_failed(&failure);
    }
    assert_worker_failed(&caller.failure(panicking().cached()).await);
}

#[tokio::test]
async fn a_place_and_a_key_survive_a_panic() {
    let configure = |config: &mut sparkler::config::Config| config.admission.executions = 2;
    let world =
        World::with_nodes(Options::instant(), configure, |nodes| nodes.with(Panicking)).await;
    let caller = world.caller().await;
    for _ in 0..10 {
        let failure = caller.failure(panicking().idempotency_key("1")).await;
        if failure.reason != "WORKER_SATURATED" {
            assert_worker_failed(&failure);
        }
    }
    let field = Value::from(0);
    let mut answered = false;
    for _ in 0..100 {
        answered |= caller.recv(ask("x").set("temperature", field.clone())).await.end.is_ok();
    }
    assert!(answered, "the places come back");
}
