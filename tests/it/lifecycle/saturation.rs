//! A worker that is full says so, and when to come again.

use sparkler::proto::{AttachExecutionRequest, worker_service_client::WorkerServiceClient};
use tokio::time::{Duration, Instant};
use tonic::{Code, transport::Endpoint};

use super::{STALLS, some_stall};
use crate::support::{Caller, Failure, PATIENCE, World, ask};

async fn full_world() -> (World, Caller) {
    let world = World::with(some_stall(), |config| {
        config.admission.executions = 1;
        config.admission.queue_length = 0;
    })
    .await;
    let caller = world.caller().await;
    (world, caller)
}

fn assert_saturated(failure: &Failure) {
    assert_eq!(failure.code, Code::ResourceExhausted);
    assert_eq!(
        (failure.reason.as_str(), failure.domain.as_str()),
        ("WORKER_SATURATED", "sparkler")
    );
    let wait = failure.retry_after.expect("RetryInfo");
    let pushback = failure.pushback.as_ref().expect("grpc-retry-pushback-ms");
    assert_eq!(Duration::from_millis(pushback.parse().expect("a number")), wait);
    assert!(failure.safe_to_retry());
}

/// Asks until there is a place.
async fn until_answered(caller: &Caller) {
    let began = Instant::now();
    while let Err(failure) = caller.recv(ask("x")).await.end {
        assert_saturated(&failure);
        assert!(began.elapsed() < PATIENCE, "the place does not come back");
    }
}

#[tokio::test]
async fn a_full_worker_refuses_with_a_wait_and_sends_no_request() {
    let (world, caller) = full_world().await;
    let mut holding = caller.execute(ask(STALLS)).await.expect("a place");
    let token = holding.started().await.execution_token;
    for asked in [ask("x"), ask("x").cached(), ask(STALLS).cached()] {
        assert_saturated(&caller.failure(asked).await);
    }
    let attachment = AttachExecutionRequest { execution_token: token, ..Default::default() };
    assert_saturated(&caller.attach(attachment).await.err().expect("full"));
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn the_place_comes_back_when_a_caller_drops_its_stream() {
    let (world, caller) = full_world().await;
    let mut holding = caller.execute(ask(STALLS)).await.expect("a place");
    holding.started().await;
    world.simulator.wait_until(|report| report.stalled == 1, PATIENCE).await.expect("a stall");
    drop(holding);
    until_answered(&caller).await;
    world.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await.expect("an abort");
}

#[tokio::test]
async fn the_place_comes_back_when_an_execution_ends_or_is_refused() {
    let (_world, caller) = full_world().await;
    for _ in 0..3 {
        until_answered(&caller).await;
        let began = Instant::now();
        loop {
            let refused = caller.failure(ask("x").set("temprature", 1.into())).await;
            if refused.reason == "INVALID_NODE_CONFIG" {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "the place does not come back");
        }
    }
}

#[tokio::test]
async fn the_slot_of_a_caller_that_stops_reading_is_freed_in_time() {
    let (world, caller) = full_world().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", world.worker)).expect("a URL");
    let channel = endpoint.initial_stream_window_size(64).connect().await.expect("it listens");
    let brief = ask(STALLS).total(Duration::from_millis(300));
    let unread = WorkerServiceClient::new(channel).execute_node(brief.request()).await;
    let mut unread = unread.expect("it runs").into_inner();
    until_answered(&caller).await;
    world.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await.expect("an abort");
    // It reads on after all, and gets its error.
    let end = loop {
        match unread.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if whole"),
            Err(status) => break Failure::decode(&status),
        }
    };
    assert_eq!((end.code, end.reason.as_str()), (Code::DeadlineExceeded, "TOTAL_TIMEOUT"));
}
