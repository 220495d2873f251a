//! What is recorded beside executions: a check of a credential; and the usage of a
//! provider request that was given up.

use fireworks_simulator::{Fault, Rule};

use super::{CHAT, traced, tree};
use crate::support::{KEY, MODEL, PATIENCE, World, ask, page};

const CHECK: &str = "sparkler.worker.v1.WorkerService/CheckNode";

#[tokio::test]
async fn a_check_has_its_question_to_the_provider_below_it() {
    let (world, sink) = traced(Vec::new()).await;
    world.caller().await.check(ask("x").key(KEY).check()).await.expect("it is checked");
    let spans = sink.wait_for(1, CHECK).await;
    assert_eq!(tree(&spans, spans.one(CHECK)), [CHECK, "  check credential"]);
    let asked = spans.one("check credential");
    assert_eq!((asked.kind, asked.failed), ("client", false));
    for (key, value) in [
        ("sparkler.check.credential", "yes"),
        ("sparkler.check.model", "yes"),
        ("sparkler.model", MODEL),
        ("gen_ai.provider.name", "fireworks_ai"),
        ("server.address", "127.0.0.1"),
        ("http.response.status_code", "400"),
    ] {
        assert_eq!(asked.get(key), value, "{key}");
    }
    assert!(!sink.has(KEY));
}

#[tokio::test]
async fn a_refused_check_is_answered_and_an_unanswered_one_failed() {
    let (world, sink) = traced(vec![Rule::once(Fault::status(401))]).await;
    let caller = world.caller().await;
    caller.check(ask("x").key("fw_another").check()).await.expect("it is checked");
    let spans = sink.wait_for(1, CHECK).await;
    let refused = spans.one("check credential");
    assert_eq!((refused.get("sparkler.check.credential"), refused.failed), ("no", false));
    assert_eq!(refused.get("http.response.status_code"), "401");

    world.simulator.script(Rule::always(Fault::HangUp));
    caller.check(ask("x").key("fw_another").check()).await.expect("it is checked");
    let spans = sink.wait_for(2, CHECK).await;
    let unanswered = spans.named("check credential")[1];
    assert_eq!((unanswered.get("sparkler.check.credential"), unanswered.failed), ("unknown", true));
    assert_eq!(unanswered.get("error.type"), "PROVIDER_UNAVAILABLE");
}

/// The tokens that were paid, by kind.
async fn paid(world: &World, kind: &str) -> f64 {
    let (_, page) = page(world.admin, "/metrics").await;
    let has = |line: &&str| {
        line.starts_with("sparkler_tokens_total{")
            && line.contains(r#"sparkler_token_paid="true""#)
            && line.contains(&format!(r#"sparkler_token_type="{kind}""#))
    };
    let value = |line: &str| line.rsplit(' ').next().expect("a value").parse::<f64>();
    page.lines().filter(has).map(|line| value(line).expect("a number")).sum()
}

#[tokio::test]
async fn the_usage_of_an_abandoned_request_is_counted_as_paid() {
    let (world, sink) = traced(vec![Rule::always(Fault::stall(2))]).await;
    let mut call = world.caller().await.execute(ask("Stop")).await.expect("it runs");
    call.started().await;
    world.simulator.wait_until(|report| report.stalled == 1, PATIENCE).await.expect("a stall");
    drop(call);
    let spans = sink.wait_for(1, CHAT).await;
    let reported = spans.one(CHAT).get("gen_ai.usage.input_tokens");
    let input: f64 = reported.parse().expect("its head says so");
    assert_eq!((paid(&world, "input").await, paid(&world, "output").await), (input, 0.0));
}

#[tokio::test]
async fn each_attempt_is_paid_also_those_whose_output_is_void() {
    let cut = Rule::once(Fault::Cut { after_deltas: 1 });
    let (world, _sink) = traced(vec![cut]).await;
    let received = world.caller().await.recv(ask("Again").allow_restart()).await;
    assert_eq!(received.restarts.len(), 1);
    let usage = received.completed().usage.expect("counted");
    let input = usage.prompt_tokens.expect("counted") as f64;
    assert_eq!(paid(&world, "input").await, 2.0 * input);
    // Of an attempt that breaks, nobody says what it brought.
    let output = usage.completion_tokens.expect("counted") as f64;
    assert_eq!(paid(&world, "output").await, output);
}
