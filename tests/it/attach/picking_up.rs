//! AttachExecution while an execution runs, after it has ended, and for as long
//! as it is remembered.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Rule};
use sparkler::proto::{AttachExecutionRequest, CacheStatus, ExecutionLimits};
use tokio::time::Instant;
use tonic::Code;

use super::{after, attachment, unhurried};
use crate::support::{Call, Caller, PATIENCE, Received, World, ask};

async fn attach(caller: &Caller, request: AttachExecutionRequest) -> Received {
    match caller.attach(request).await {
        Ok(call) => call.finish().await,
        Err(failure) => Received { end: Err(failure), ..Received::default() },
    }
}

/// An execution under way: its call, its token, and the text received so far.
async fn under_way(caller: &Caller) -> (Call, String, String) {
    let mut call = caller.execute(ask("Tell it all")).await.expect("it runs");
    let token = call.started().await.execution_token;
    let mut received = String::new();
    for _ in 0..5 {
        received.push_str(&call.first_text().await);
    }
    (call, token, received)
}

#[tokio::test]
async fn a_running_execution_is_received_again_from_the_start() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let (call, token, beginning) = under_way(&caller).await;
    let mut again = caller.attach(attachment(&token)).await.expect("it runs");
    assert_eq!(again.started().await.execution_token, token);
    assert_eq!(again.last_sequence(), 0);
    let (first, again) = tokio::join!(call.finish(), again.finish());
    assert_eq!(again.text, beginning + &first.text);
    assert_eq!(again.completed().choices, first.completed().choices);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn a_running_execution_resumes_after_the_last_event_received() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let (call, token, beginning) = under_way(&caller).await;
    let seen = call.last_sequence();
    let mut again = caller.attach(after(&token, seen)).await.expect("it runs");
    again.started().await;
    assert_eq!(again.last_sequence(), seen, "started repeats where it resumes");
    let (first, again) = tokio::join!(call.finish(), again.finish());
    assert_eq!(again.text, first.text, "no word twice, none missing");
    let text = &again.completed().choices[0].text;
    assert_eq!(*text, beginning + &first.text, "completed has it all");
}

#[tokio::test]
async fn an_event_that_was_not_sent_cannot_have_been_received() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let (call, token, _) = under_way(&caller).await;
    let failure = attach(&caller, after(&token, 1_000_000)).await.end.expect_err("refused");
    assert_eq!(failure.code, Code::InvalidArgument);
    assert_eq!(failure.violations[0].0, "after_sequence");
    call.finish().await.completed();
}

#[tokio::test]
async fn a_finished_execution_resumes_wherever_it_was_left() {
    let world = World::start().await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Tell it all")).await.expect("it runs");
    let token = call.started().await.execution_token;
    let first = call.finish().await;
    let text = first.text.clone();
    let first = first.completed();

    let all = attach(&caller, attachment(&token)).await;
    assert_eq!(all.text, text);
    let all = all.completed();
    assert_eq!((&all.choices, &all.usage), (&first.choices, &first.usage));
    assert_eq!(all.cost, first.cost, "it is the same execution, paid once");

    let mut partly = caller.attach(after(&token, 3)).await.expect("it is remembered");
    partly.started().await;
    let partly = partly.finish().await;
    assert!(!partly.text.is_empty() && text.ends_with(&partly.text), "{}", partly.text);
    partly.completed();

    let mut end = caller.attach(attachment(&token)).await.expect("it is remembered");
    while let Some(event) = end.next().await {
        event.expect("it does not fail");
    }
    let end = attach(&caller, after(&token, end.last_sequence())).await;
    assert!(end.deltas.is_empty(), "only the end is left");
    assert_eq!(end.completed().choices, first.choices);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn without_deltas_only_the_end_is_sent() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let (call, token, _) = under_way(&caller).await;
    let request = AttachExecutionRequest { deltas: Some(false), ..attachment(&token) };
    let (first, again) = tokio::join!(call.finish(), attach(&caller, request));
    assert!(again.deltas.is_empty());
    assert_eq!(again.completed().choices, first.completed().choices);
}

#[tokio::test]
async fn a_failed_execution_replays_its_output_and_its_error() {
    let world = World::start().await;
    world.simulator.script(Rule::always(Fault::Cut { after_deltas: 5 }));
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Break")).await.expect("it runs");
    let token = call.started().await.execution_token;
    let first = call.finish().await;
    let calls = world.upstream_calls();
    let again = attach(&caller, attachment(&token)).await;
    assert_eq!(again.text, first.text);
    let (first, again) = (first.end.expect_err("it broke"), again.end.expect_err("it broke"));
    assert_eq!(again.reason, "STREAM_INTERRUPTED");
    assert_eq!(again.message, first.message);
    assert_eq!(world.upstream_calls(), calls, "attaching never runs anything");
}

#[tokio::test]
async fn a_finished_execution_is_forgotten_after_the_retention_time() {
    let world = World::with(Options::instant(), |config| {
        config.flights.retention = Duration::from_millis(300);
    })
    .await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Briefly")).await.expect("it runs");
    let token = call.started().await.execution_token;
    call.finish().await.completed();
    attach(&caller, attachment(&token)).await.completed();
    let began = Instant::now();
    let failure = loop {
        assert!(began.elapsed() < PATIENCE, "it is never forgotten");
        if let Err(failure) = attach(&caller, attachment(&token)).await.end {
            break failure;
        }
    };
    assert_eq!((failure.code, failure.reason.as_str()), (Code::NotFound, "EXECUTION_NOT_FOUND"));
    assert!(!failure.safe_to_retry(), "the caller must decide whether to pay again");
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn a_cached_execution_is_remembered_as_long_as_the_cache_has_it() {
    let world = World::with(Options::instant(), |config| {
        config.flights.retention_bytes = 0;
    })
    .await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("x").cached()).await.expect("it runs");
    let token = call.started().await.execution_token;
    let first = call.finish().await.completed();
    let again = attach(&caller, attachment(&token)).await.completed();
    assert_eq!(again.choices, first.choices);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn a_hit_can_be_picked_up_like_any_execution() {
    let world = World::start().await;
    let caller = world.caller().await;
    let first = caller.answer(ask("x").cached()).await;
    let mut hit = caller.execute(ask("x").cached()).await.expect("it runs");
    let token = hit.started().await.execution_token;
    drop(hit);
    let mut again = caller.attach(attachment(&token)).await.expect("it is remembered");
    assert_eq!(again.started().await.cache_status(), CacheStatus::Hit);
    let again = again.finish().await.completed();
    assert_eq!(again.choices, first.choices);
    assert_eq!(again.cost.expect("a price").spent_nanodollars, 0);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn an_execution_that_drains_runs_on_and_is_picked_up() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Run on").drain()).await.expect("it runs");
    let token = call.started().await.execution_token;
    let beginning = call.first_text().await;
    let seen = call.last_sequence();
    drop(call);
    let rest = attach(&caller, after(&token, seen)).await;
    let (text, completed) = (rest.text.clone(), rest.completed());
    assert_eq!(completed.choices[0].text, beginning + &text);
    let report = world.simulator.report();
    assert_eq!((report.calls, report.aborted), (1, 0));
}

#[tokio::test]
async fn an_execution_that_drained_to_its_end_alone_is_picked_up() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Run on").drain()).await.expect("it runs");
    let token = call.started().await.execution_token;
    drop(call);
    world.simulator.wait_until(|report| report.completed == 1, PATIENCE).await.expect("an end");
    let completed = attach(&caller, attachment(&token)).await.completed();
    assert_eq!(completed.choices[0].finish_reason, "stop");
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn nobody_drains_for_ever() {
    let options = Options { rules: vec![Rule::always(Fault::stall(5))], ..Options::instant() };
    let world = World::with(options, |config| {
        config.execution.drain_limit = Duration::from_millis(200);
    })
    .await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Run on").drain()).await.expect("it runs");
    call.started().await;
    world.simulator.wait_until(|report| report.stalled == 1, PATIENCE).await.expect("a stall");
    drop(call);
    world.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await.expect("an abort");
}

#[tokio::test]
async fn an_execution_that_was_stopped_says_so() {
    let world = World::with(unhurried(), |_| {}).await;
    let caller = world.caller().await;
    let (call, token, _) = under_way(&caller).await;
    drop(call);
    world.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await.expect("an abort");
    let failure = attach(&caller, attachment(&token)).await.end.expect_err("it was stopped");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Cancelled, "EXECUTION_CANCELLED"));
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn an_attachment_has_limits_of_its_own() {
    let options = Options { rules: vec![Rule::always(Fault::stall(5))], ..Options::instant() };
    let world = World::with(options, |_| {}).await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Stand still")).await.expect("it runs");
    let token = call.started().await.execution_token;
    let total = Duration::from_millis(200).try_into().ok();
    let limits = ExecutionLimits { total, ..Default::default() };
    let request = AttachExecutionRequest { limits: Some(limits), ..attachment(&token) };
    let failure = attach(&caller, request).await.end.expect_err("too slow");
    assert_eq!(failure.reason, "TOTAL_TIMEOUT");
    assert_eq!(world.simulator.report().aborted, 0, "the first caller still listens");
    drop(call);
}
