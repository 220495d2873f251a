//! When the worker calls the provider again, and when it does not.

use std::time::{Duration, Instant};

use fireworks_simulator::{Availability, Fault, Model, Options, Refusal, Rule};
use sparkler::proto::execute_node_response::Event;
use tonic::Code;

use crate::support::{Ask, World};

/// A model whose output is text from the first delta.
const PLAIN: &str = "accounts/simulator/models/plain";
const SCALING_UP: &str = "accounts/simulator/deployments/scaling-up";

fn ask(prompt: &str) -> Ask {
    crate::support::ask(prompt).model(PLAIN)
}

/// A worker that does not wait long between attempts.
async fn quick() -> World {
    World::with(Options::instant(), quickly).await
}

fn quickly(config: &mut sparkler::config::Config) {
    config.retry.base = Duration::from_millis(1);
    config.retry.scaling_up_poll = Duration::from_millis(2);
    config.retry.scaling_up_budget = Duration::from_millis(500);
}

/// Two deltas, a while in which they reach the subscribers, then a cut.
fn cut_after_output() -> Rule {
    Rule::once(pause(Duration::from_millis(300))).and(Fault::Cut { after_deltas: 2 })
}

fn pause(lasting: Duration) -> Fault {
    Fault::Stall { after_deltas: 2, lasting: Some(lasting) }
}

#[tokio::test]
async fn what_passes_is_tried_again_before_the_first_delta() {
    let world = quick().await;
    let caller = world.caller().await;
    for fault in [
        Fault::status(429),
        Fault::status(503),
        Fault::status(408),
        Fault::HangUp,
        Fault::Cut { after_deltas: 0 },
        Fault::EndEarly { after_deltas: Some(0) },
        Fault::status(502),
    ] {
        world.simulator.reset();
        world.simulator.script(Rule::once(fault.clone()).times(2));
        let received = caller.recv(ask("Try again")).await;
        assert!(received.restarts.is_empty(), "{fault:?}: nothing had been shown");
        let text = received.text.clone();
        let completed = received.completed();
        // A pooled connection that proves closed is not counted as an attempt.
        let uncounted = u32::from(matches!(fault, Fault::HangUp));
        assert!((3 - uncounted..=3).contains(&completed.attempts), "{fault:?}");
        assert_eq!(completed.choices[0].text, text, "{fault:?}");
        assert_eq!(world.upstream_calls(), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn the_providers_wait_is_a_floor() {
    let world = quick().await;
    for (header, value) in [("retry-after-ms", "400"), ("retry-after", "0.4")] {
        world.simulator.script(Rule::once(Refusal::rate_limited().header(header, value)));
        let began = Instant::now();
        let completed = world.caller().await.answer(ask("Wait")).await;
        assert_eq!(completed.attempts, 2);
        assert!(began.elapsed() >= Duration::from_millis(400), "{header}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_the_callers_to_make() {
    let world = quick().await;
    world.simulator.script(Rule::always(Refusal::rate_limited().header("retry-after", "30")));
    let began = Instant::now();
    let asked = ask("No time").total(Duration::from_secs(10));
    let failure = world.caller().await.failure(asked).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(failure.reason, "PROVIDER_RATE_LIMITED");
    assert_eq!(failure.retry_after, Some(Duration::from_secs(30)));
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn the_callers_attempts_count_up_to_the_operators() {
    let world = quick().await;
    let caller = world.caller().await;
    for (asked, made) in [(1, 1), (2, 2), (3, 3), (100, 3), (0, 3)] {
        world.simulator.reset();
        world.simulator.script(Rule::always(Fault::status(500)));
        let failure = caller.failure(ask("Fail").attempts(asked)).await;
        assert_eq!(failure.pushback.as_deref(), Some("-1"), "the retries are the worker's");
        assert_eq!(failure.detail.expect("a detail").attempts, made, "{asked} asked for");
        assert_eq!(world.upstream_calls(), u64::from(made), "{asked} asked for");
    }
}

#[tokio::test]
async fn a_waking_deployment_has_a_budget_of_its_own() {
    let world = quick().await;
    let caller = world.caller().await;
    let completed = caller.answer(ask("Wake up").model(SCALING_UP).attempts(1)).await;
    assert_eq!(completed.attempts, 3, "two refusals, although one attempt was allowed");

    let asleep =
        Model::new(SCALING_UP).availability(Availability::ScalingUp { calls: None, lasting: None });
    let options = Options { models: vec![asleep], ..Options::instant() };
    let world = World::with(options, quickly).await;
    let failure = world.caller().await.failure(ask("Wake up").model(SCALING_UP)).await;
    assert_eq!(failure.reason, "DEPLOYMENT_SCALING_UP");
    assert_eq!(failure.code, Code::Unavailable);
    assert!(failure.safe_to_retry());
    assert!(world.upstream_calls() > 3, "it was asked for as long as the budget lasted");
}

#[tokio::test]
async fn after_output_the_caller_decides() {
    let world = quick().await;
    world.simulator.script(cut_after_output());
    let received = world.caller().await.recv(ask("Once")).await;
    assert!(!received.text.is_empty(), "what came before the cut was shown");
    let failure = received.end.expect_err("it is not tried again");
    assert_eq!(failure.reason, "STREAM_INTERRUPTED");
    assert!(failure.safe_to_retry());
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn with_permission_the_answer_begins_again() {
    let world = quick().await;
    world.simulator.script(cut_after_output());
    let received = world.caller().await.recv(ask("Begin again").allow_restart()).await;
    assert_eq!(received.restarts.len(), 1);
    assert_eq!(received.restarts[0].attempt, 2);
    assert_eq!(received.restarts[0].reason, "STREAM_INTERRUPTED");
    let text = received.text.clone();
    let completed = received.completed();
    assert_eq!(completed.choices[0].text, text, "the deltas since the restart are the answer");
    assert_eq!(completed.attempts, 2);
}

#[tokio::test]
async fn without_deltas_a_restart_is_not_sent() {
    let world = quick().await;
    let caller = world.caller().await;
    let whole = caller.answer(ask("Quietly")).await.choices[0].text.clone();
    world.simulator.script(cut_after_output());
    let received = caller.recv(ask("Quietly").no_deltas()).await;
    assert!(received.restarts.is_empty() && received.deltas.is_empty(), "{:?}", received.restarts);
    let completed = received.completed();
    assert_eq!(completed.choices[0].text, whole);
    assert_eq!(completed.attempts, 2);
}

#[tokio::test]
async fn who_had_output_ends_and_the_others_go_on() {
    let world = quick().await;
    let caller = world.caller().await;
    world
        .simulator
        .script(Rule::once(pause(Duration::from_millis(1500))).and(Fault::Cut { after_deltas: 2 }));
    let asked = || ask("Together").cached();
    let mut had = caller.execute(asked()).await.expect("it begins");
    had.first_text().await;
    let mut quiet = caller.execute(asked().no_deltas()).await.expect("it joins");
    quiet.started().await;
    let mut allowing = caller.execute(asked().allow_restart()).await.expect("it joins");
    allowing.first_text().await;

    let failure = had.finish().await.end.expect_err("it had output");
    assert_eq!(failure.code, Code::Unavailable);
    assert_eq!(failure.reason, "STREAM_INTERRUPTED");
    assert!(failure.safe_to_retry());
    let (quiet, allowing) = tokio::join!(quiet.finish(), allowing.finish());
    assert!(quiet.restarts.is_empty());
    assert_eq!(allowing.restarts.len(), 1);
    let text = quiet.completed().choices[0].text.clone();
    assert_eq!(allowing.text, text);
    assert_eq!(allowing.completed().choices[0].text, text);
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn who_leaves_between_two_attempts_is_not_waited_for() {
    let world = quick().await;
    let refusal = Refusal::status(503).header("retry-after-ms", "300");
    world.simulator.script(Rule::always(refusal));
    let call = world.caller().await.execute(ask("Gone")).await.expect("it begins");
    let refused =
        world.simulator.wait_until(|report| report.refused == 1, crate::support::PATIENCE);
    refused.await.expect("the provider was asked");
    drop(call);
    let again = world.simulator.wait_until(|report| report.calls > 1, Duration::from_millis(700));
    again.await.expect_err("nobody is there to ask for");
}

#[tokio::test]
async fn a_cached_answer_does_not_show_the_restarts_it_took() {
    let world = quick().await;
    let caller = world.caller().await;
    world.simulator.script(cut_after_output());
    let asked = || ask("Stored after a restart").cached();
    let first = caller.answer(asked().allow_restart()).await;
    let mut hit = caller.execute(asked()).await.expect("a hit");
    let mut text = String::new();
    while let Some(event) = hit.next().await {
        match event.expect("a hit does not fail") {
            Event::Restarted(restarted) => panic!("{restarted:?} to one who had nothing"),
            Event::Delta(delta) => text.push_str(&delta.text),
            Event::Started(_) | Event::Progress(_) | Event::Completed(_) => {}
        }
    }
    assert_eq!(text, first.choices[0].text);
}
