//! Memory for requests and answers has a bound of its own.

use fireworks_simulator::Options;
use serde_json::json;
use tonic::Code;

use super::narrow;
use crate::support::{Failure, PATIENCE, World, ask};

/// About as much as a few small executions take.
const LITTLE: u64 = 512 << 10;

fn assert_out_of_memory(failure: &Failure) {
    assert_eq!(failure.code, Code::ResourceExhausted);
    assert_eq!(failure.reason, "WORKER_SATURATED");
    assert!(failure.message.contains("no memory left"), "{}", failure.message);
    assert!(failure.retry_after.is_some() && failure.pushback.is_some());
}

#[tokio::test]
async fn a_request_that_there_is_no_memory_for_is_refused_unread() {
    let world = narrow(|config| config.admission.bytes = LITTLE).await;
    let caller = world.caller().await;
    let long = "word ".repeat(100_000);
    assert_out_of_memory(&caller.failure(ask(&long)).await);
    assert_eq!(world.upstream_calls(), 0);
    assert_eq!(world.admission.bytes(), 0);
    caller.answer(ask("A short one")).await;
}

#[tokio::test]
async fn an_answer_that_outgrows_the_memory_ends_and_returns_it() {
    let options = Options { answer_tokens: 100_000, ..Options::instant() };
    let world = World::with(options, |config| config.admission.bytes = LITTLE).await;
    let caller = world.caller().await;
    let failure = caller.failure(ask("At length").set("maxTokens", json!(100_000))).await;
    assert_out_of_memory(&failure);
    assert_eq!(failure.detail.expect("it had begun").attempts, 1);
    tokio::time::timeout(PATIENCE, world.admission.idle()).await.expect("it ends");
    caller.answer(ask("In short").set("maxTokens", json!(10))).await;
    tokio::time::timeout(PATIENCE, world.admission.idle()).await.expect("it ends");
    assert_eq!(world.admission.bytes(), 0);
}
