//! Waiting for a place.

use std::time::Duration;

use sparkler::proto::{
    AttachExecutionRequest, CheckNodeRequest, execute_node_response::Event, progress::Phase,
};
use tokio::{task::JoinHandle, time::Instant};
use tonic::Code;

use super::{STALLS, hold, narrow, until};
use crate::support::{Ask, PATIENCE, Received, World, ask, spawn};

/// Calls, and is in line when this returns.
async fn in_line(world: &World, ask: Ask) -> JoinHandle<Received> {
    let caller = world.caller().await;
    let before = world.admission.queued();
    let call = spawn(async move { caller.recv(ask).await });
    until(async || world.admission.queued() > before).await;
    call
}

#[tokio::test]
async fn a_call_without_a_slot_waits_and_knows_its_place() {
    let world = narrow(|_| {}).await;
    let holding = hold(&world).await;
    let first = in_line(&world, ask("First")).await;
    let second = in_line(&world, ask("Second")).await;
    assert_eq!(world.upstream_calls(), 1, "nobody in line asks the provider");
    drop(holding);
    for call in [first, second] {
        let timing = call.await.expect("no panic").completed().timing.expect("a timing");
        assert!(timing.queue.is_some_and(|queue| queue.nanos > 0), "{timing:?}");
    }
    let timing = world.caller().await.answer(ask("Later")).await.timing.expect("a timing");
    assert_eq!(timing.queue, None, "there was a place at once");
}

#[tokio::test]
async fn a_long_wait_is_broken_by_progress_before_started() {
    let world = narrow(|config| {
        config.execution.progress_interval = Duration::from_millis(50);
    })
    .await;
    let holding = hold(&world).await;
    let mut call = world.caller().await.execute(ask("Patience")).await.expect("it is in line");
    for _ in 0..2 {
        match call.next().await {
            Some(Ok(Event::Progress(progress))) => assert_eq!(progress.phase(), Phase::Queued),
            other => panic!("no progress: {:?}", other.map(Result::err)),
        }
    }
    drop(holding);
    let received = call.finish().await;
    assert!(received.started.is_some());
    assert!(received.completed().timing.expect("a timing").queue.is_some());
}

#[tokio::test]
async fn nobody_waits_beyond_the_queue_timeout() {
    let world = narrow(|config| {
        config.admission.queue_timeout = Duration::from_millis(100);
    })
    .await;
    let _holding = hold(&world).await;
    let failure = world.caller().await.failure(ask("In vain")).await;
    assert_eq!(failure.code, Code::ResourceExhausted);
    assert_eq!(failure.reason, "WORKER_SATURATED");
    assert!(failure.message.contains("100ms"), "{}", failure.message);
    assert!(failure.retry_after.is_some() && failure.pushback.is_some());
    assert!(failure.detail.is_none(), "nothing had begun");
    assert_eq!(world.admission.queued(), 0);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn deadlines_count_in_line_too() {
    let world = narrow(|_| {}).await;
    let _holding = hold(&world).await;
    let caller = world.caller().await;
    let limit = Duration::from_millis(100);
    for (asked, deadline, reason) in [
        (ask("x").first_token(limit), None, "FIRST_TOKEN_TIMEOUT"),
        (ask("x").total(limit), None, "TOTAL_TIMEOUT"),
        // Room for a busy machine: what the worker says must come before the
        // gRPC stack's own end of the call.
        (ask("x"), Some(limit * 20), "TOTAL_TIMEOUT"),
    ] {
        let failure = caller.execute_within(asked, deadline).await.err().expect("no place");
        assert_eq!((failure.code, failure.reason.as_str()), (Code::DeadlineExceeded, reason));
        assert_eq!(failure.metadata["phase"], "queued");
    }
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn who_leaves_frees_its_place_in_line() {
    let world = narrow(|config| config.admission.queue_length = 1).await;
    let holding = hold(&world).await;
    let leaving = in_line(&world, ask("Gone")).await;
    assert_eq!(world.caller().await.failure(ask("x")).await.reason, "WORKER_SATURATED");
    leaving.abort();
    until(async || world.admission.queued() == 0).await;
    let staying = in_line(&world, ask("Staying")).await;
    drop(holding);
    staying.await.expect("no panic").completed();
    assert_eq!(world.upstream_calls(), 2, "who left was not executed");
}

#[tokio::test]
async fn the_place_of_one_who_leaves_as_it_is_called_goes_to_the_next() {
    let world = narrow(|_| {}).await;
    for delay in 0..20 {
        let holding = hold(&world).await;
        let leaving = in_line(&world, ask("Gone")).await;
        let staying = in_line(&world, ask("Staying")).await;
        drop(holding);
        tokio::time::sleep(Duration::from_micros(delay * 100)).await;
        leaving.abort();
        staying.await.expect("no panic").completed();
    }
    tokio::time::timeout(PATIENCE, world.admission.idle()).await.expect("every place comes back");
}

#[tokio::test]
async fn a_stopping_worker_sends_who_is_in_line_elsewhere() {
    let mut world = narrow(|config| config.drain.drain_limit = Duration::from_secs(1)).await;
    let _holding = hold(&world).await;
    let waiting = in_line(&world, ask("Elsewhere")).await;
    let began = Instant::now();
    world.stop();
    let failure = waiting.await.expect("no panic").end.expect_err("it is not executed");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Unavailable, "WORKER_DRAINING"));
    assert!(began.elapsed() < Duration::from_secs(1), "it waited for the drain limit");
    world.stopped().await;
}

#[tokio::test]
async fn attachments_and_checks_wait_like_everybody() {
    let world = narrow(|_| {}).await;
    let caller = world.caller().await;
    let token = caller.recv(ask("Attach to me")).await.started.expect("started").execution_token;
    let holding = hold(&world).await;
    let attaching = {
        let caller = caller.clone();
        let request = AttachExecutionRequest { execution_token: token, ..Default::default() };
        spawn(async move { caller.attach(request).await.expect("a place").finish().await })
    };
    let checking = spawn(async move {
        let request = CheckNodeRequest { node_type: "none".to_owned(), ..Default::default() };
        caller.check(request).await.expect_err("unknown").reason
    });
    until(async || world.admission.queued() == 2).await;
    drop(holding);
    let timing = attaching.await.expect("no panic").completed().timing.expect("a timing");
    assert!(timing.queue.is_some());
    assert_eq!(checking.await.expect("no panic"), "UNKNOWN_NODE_TYPE");
}

#[tokio::test]
async fn a_wrong_call_is_refused_once_it_has_its_slot() {
    let world = narrow(|_| {}).await;
    let holding = hold(&world).await;
    let wrong = in_line(&world, ask(STALLS).set("temprature", 1.into())).await;
    drop(holding);
    let failure = wrong.await.expect("no panic").end.expect_err("it is wrong");
    assert_eq!(failure.reason, "INVALID_NODE_CONFIG");
    tokio::time::timeout(PATIENCE, world.admission.idle()).await.expect("the place comes back");
}
