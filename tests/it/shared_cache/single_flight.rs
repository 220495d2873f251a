//! Many ask for the same at once: one call of the provider serves them all.

use std::{future::Future, net::SocketAddr, time::Duration};

use fireworks_simulator::{Fault, Options, Pace, Rule};
use futures_util::future::join_all;
use sparkler::proto::{
    CacheStatus, StoreStatus, cache_policy::Mode, execute_node_response::Event,
    worker_service_client::WorkerServiceClient,
};
use tonic::transport::Endpoint;

use super::{outcome, status};
use crate::support::{Ask, Caller, PATIENCE, Received, World, ask, spawn};

const CROWD: usize = 200;

/// Answers take long enough for everybody to arrive, and come token by token.
fn unhurried() -> Options {
    Options {
        pace: Pace { first_token: Duration::from_millis(800), tokens_per_second: 400.0 },
        answer_tokens: 300,
        delta_tokens: 1,
        ..Options::default()
    }
}

/// Everything that each of a crowd receives who all send `ask`.
async fn crowd(callers: &[Caller], ask: impl Fn() -> Ask) -> Vec<Received> {
    let receiving = (0..CROWD).map(|index| {
        let (caller, ask) = (callers[index % callers.len()].clone(), ask());
        async move { caller.recv(ask).await }
    });
    join_all(receiving).await
}

/// Several connections, as orchestrators have them.
async fn callers(world: &World) -> Vec<Caller> {
    join_all((0..4).map(|_| world.caller())).await
}

/// The whole answer, in deltas and at the end, the same for all.
fn whole_answer(received: Vec<Received>) -> (String, Vec<CacheStatus>) {
    let mut answers = Vec::new();
    let mut statuses = Vec::new();
    for received in received {
        let (text, reasoning) = (received.text.clone(), received.reasoning.clone());
        let completed = received.completed();
        statuses.push(status(&completed));
        assert_eq!(completed.choices[0].text, text, "the deltas are the answer");
        assert_eq!(completed.choices[0].reasoning, reasoning);
        answers.push(text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "everyone receives the same");
    (answers.remove(0), statuses)
}

#[tokio::test]
async fn two_hundred_identical_cold_executions_are_one_upstream_call() {
    let world = World::with(unhurried(), |_| {}).await;
    let received = crowd(&callers(&world).await, || ask("What do many ask?").cached()).await;
    let spent: Vec<i64> = received
        .iter()
        .filter_map(|received| received.end.as_ref().ok()?.cost.as_ref())
        .map(|cost| cost.spent_nanodollars)
        .collect();
    let (answer, statuses) = whole_answer(received);
    assert_eq!(world.upstream_calls(), 1);
    assert!(answer.len() > 500, "{answer}");
    let leaders = statuses.iter().filter(|status| **status == CacheStatus::Miss).count();
    let joined = statuses.iter().filter(|status| **status == CacheStatus::Joined).count();
    assert_eq!((leaders, joined), (1, CROWD - 1));
    assert_eq!(spent.len(), CROWD);
    assert_eq!(spent.iter().filter(|spent| **spent > 0).count(), 1, "one of them pays");
}

#[tokio::test]
async fn with_the_cache_off_every_execution_is_its_own() {
    let world = World::start().await;
    let received = crowd(&callers(&world).await, || ask("What do many ask?")).await;
    let (_, statuses) = whole_answer(received);
    assert_eq!(world.upstream_calls(), CROWD as u64);
    assert!(statuses.iter().all(|status| *status == CacheStatus::Disabled));
}

#[tokio::test]
async fn an_idempotency_key_makes_a_crowd_one_call_without_a_cache() {
    let world = World::with(unhurried(), |_| {}).await;
    let same = || ask("What is paid once?").idempotency_key("run 7, node 3");
    let (answer, _) = whole_answer(crowd(&callers(&world).await, same).await);
    assert_eq!(world.upstream_calls(), 1);
    let retry = world.caller().await.answer(same()).await;
    assert_eq!(world.upstream_calls(), 1);
    assert_eq!(retry.choices[0].text, answer);
    assert_eq!(retry.cost.expect("a price").spent_nanodollars, 0);
}

#[tokio::test]
async fn a_late_follower_receives_all_from_the_first_token() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let first = caller.execute(ask("Am I late?").cached()).await.expect("it runs");
    let first = spawn(first.finish());
    world.simulator.wait_until(|report| report.deltas >= 270, PATIENCE).await.expect("deltas");
    let late = caller.execute(ask("Am I late?").cached()).await.expect("it runs").finish().await;
    assert_eq!(world.upstream_calls(), 1);
    assert!(late.deltas.len() < 100, "what was there already comes together");
    let first = first.await.expect("no panic");
    let (_, statuses) = whole_answer(vec![first, late]);
    assert_eq!(statuses, [CacheStatus::Miss, CacheStatus::Joined]);
}

/// A caller that lets only so many bytes come before it has read them, and
/// reads a message now and then: the worker meets real backpressure.
async fn read_slowly(worker: SocketAddr, ask: Ask) -> Vec<Event> {
    let endpoint = Endpoint::from_shared(format!("http://{worker}"))
        .expect("a URL")
        .initial_stream_window_size(64);
    let channel = endpoint.connect().await.expect("the worker listens");
    let response = WorkerServiceClient::new(channel).execute_node(ask.request()).await;
    let mut stream = response.expect("it runs").into_inner();
    let mut events = Vec::new();
    while let Some(message) = stream.message().await.expect("it does not fail") {
        events.push(message.event.expect("an event"));
        // What a slow reader does.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    events
}

fn text_of(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Delta(delta) => Some(delta.text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// Which of two ends first.
async fn ends_first<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    tokio::pin!(second);
    let first = tokio::select! {
        biased;
        _ = &mut second => panic!("the second ended first"),
        first = first => first,
    };
    (first, second.await)
}

#[tokio::test]
async fn a_slow_reader_slows_nobody_and_loses_nothing() {
    let world = World::with(unhurried(), |_| {}).await;
    let same = || ask("Who reads slowly?").cached();
    let slow = read_slowly(world.worker, same());
    let caller = world.caller().await;
    let quick = async { join_all((0..10).map(|_| caller.recv(same()))).await };
    let (quick, events) = ends_first(quick, slow).await;
    assert_eq!(world.upstream_calls(), 1);
    let (answer, _) = whole_answer(quick);
    assert_eq!(text_of(&events), answer);
    let Some(Event::Completed(completed)) = events.last() else {
        panic!("completed comes last");
    };
    assert_eq!(completed.choices[0].text, answer);
}

#[tokio::test]
async fn when_the_first_caller_leaves_the_others_receive_it_all() {
    let world = World::with(unhurried(), |_| {}).await;
    let same = || ask("Who stays?").cached();
    let mut leader = world.caller().await.execute(same()).await.expect("it runs");
    leader.started().await;
    let follower = world.caller().await.execute(same()).await.expect("it runs");
    leader.first_text().await;
    drop(leader);
    let completed = follower.finish().await.completed();
    assert_eq!(status(&completed), CacheStatus::Joined);
    assert_eq!(outcome(&completed).store(), StoreStatus::Stored);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn when_the_last_subscriber_leaves_the_request_is_cancelled() {
    let world = World::with(unhurried(), |_| {}).await;
    let same = || ask("Who stays?").cached();
    let mut calls = Vec::new();
    for caller in callers(&world).await {
        let mut call = caller.execute(same()).await.expect("it runs");
        call.started().await;
        calls.push(call);
    }
    calls[0].first_text().await;
    drop(calls);
    world.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await.expect("an abort");
    let failure = world.caller().await.failure(same().mode(Mode::OnlyIfCached)).await;
    assert_eq!(failure.reason, "NOT_CACHED");
}

#[tokio::test]
async fn each_follower_has_limits_of_its_own() {
    let world = World::with(unhurried(), |_| {}).await;
    let same = || ask("How long is too long?").cached();
    let patient = world.caller().await.execute(same()).await.expect("it runs");
    let hasty = same().total(Duration::from_millis(300)).attempts(1);
    let hasty = world.caller().await.failure(hasty).await;
    assert_eq!(hasty.reason, "TOTAL_TIMEOUT");
    assert_eq!(status(&patient.finish().await.completed()), CacheStatus::Miss);

    // Nor does a hasty leader end the flight for those who wait longer.
    let other = || ask("And how long is not?").cached();
    let hasty = other().total(Duration::from_millis(300));
    let hasty = world.caller().await.execute(hasty).await.expect("it runs");
    let patient = world.caller().await.execute(other()).await.expect("it runs");
    let (hasty, patient) = tokio::join!(hasty.finish(), patient.finish());
    assert_eq!(hasty.end.expect_err("too late").reason, "TOTAL_TIMEOUT");
    assert_eq!(status(&patient.completed()), CacheStatus::Joined);
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn when_the_one_call_fails_all_fail_and_the_next_runs_again() {
    let world = World::with(unhurried(), |_| {}).await;
    world.simulator.script(Rule::once(Fault::Cut { after_deltas: 20 }));
    let same = || ask("Who is unlucky?").cached().attempts(1);
    let received = crowd(&callers(&world).await, same).await;
    assert_eq!(world.upstream_calls(), 1);
    for received in received {
        let failure = received.end.expect_err("it was cut");
        assert_eq!(failure.reason, "STREAM_INTERRUPTED");
    }
    world.caller().await.answer(same()).await;
    assert_eq!(world.upstream_calls(), 2);
}
