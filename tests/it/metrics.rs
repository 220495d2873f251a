//! What the worker counts, by its page for Prometheus: each call, execution,
//! look-up, flight, token and dollar, once.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use fireworks_simulator::{Fault, Options, Rule, UNKNOWN_KEY};
use sparkler::{
    internals::Callers,
    proto::{AttachExecutionRequest, Completed},
};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::support::{KnownCaller, MODEL, PATIENCE, World, ask, page};

/// The page of a worker.
struct Page(String);

impl Page {
    async fn of(world: &World) -> Page {
        let (_, text) = page(world.admin, "/metrics").await;
        Page(text)
    }

    /// The page once it says this, which it does soon.
    async fn that_says(world: &World, name: &str, with: &[&str], value: f64) -> Page {
        let began = Instant::now();
        loop {
            let page = Page::of(world).await;
            if page.sum(name, with) == value {
                return page;
            }
            assert!(began.elapsed() < PATIENCE, "{name} {with:?} never is {value}:\n{}", page.0);
            tokio::task::yield_now().await;
        }
    }

    /// The values of a metric that have all these labels, added.
    fn sum(&self, name: &str, with: &[&str]) -> f64 {
        let has = |line: &&str| {
            line.split(['{', ' ']).next() == Some(name)
                && with.iter().all(|label| line.contains(label))
        };
        let values = self.0.lines().filter(has);
        values
            .map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>())
            .map(|value| value.expect("a number"))
            .sum()
    }

    fn assert(&self, name: &str, with: &[&str], value: f64) {
        assert_eq!(self.sum(name, with), value, "{name} {with:?}\n{}", self.0);
    }
}

/// Input and output tokens.
fn tokens(completed: &Completed) -> (f64, f64) {
    let usage = completed.usage.expect("a usage");
    let count = |tokens: Option<u64>| tokens.expect("a count") as f64;
    (count(usage.prompt_tokens), count(usage.completion_tokens))
}

#[tokio::test]
async fn an_execution_and_its_hit_differ_down_to_the_tokens() {
    let world = World::start().await;
    let caller = world.caller().await;
    let first = caller.answer(ask("Count me").cached()).await;
    caller.answer(ask("Count me").cached()).await;
    let page = Page::of(&world).await;

    let executions = "sparkler_executions_total";
    for status in ["miss", "hit"] {
        let status = format!("sparkler_cache_status=\"{status}\"");
        let labels = [r#"node_type="chatFireworks""#, r#"reason="OK""#, &status];
        page.assert(executions, &labels, 1.0);
        page.assert("sparkler_execution_duration_seconds_count", &[&status], 1.0);
        page.assert("sparkler_execution_time_to_first_token_seconds_count", &[&status], 1.0);
    }
    for (result, count) in [("miss", 1.0), ("hit", 1.0), ("failed", 0.0)] {
        let result = format!("cache_result=\"{result}\"");
        page.assert("sparkler_cache_lookups_total", &[r#"tier="memory""#, &result], count);
    }
    page.assert("sparkler_cache_stores_total", &[r#"cache_result="stored""#], 1.0);
    page.assert("sparkler_flights_total", &[r#"role="leader""#], 1.0);
    page.assert("sparkler_flights_total", &[], 1.0);
    page.assert("sparkler_flight_subscribers_sum", &[], 1.0);
    page.assert("sparkler_upstream_attempts_total", &[r#"reason="OK""#], 1.0);
    page.assert("sparkler_executions_active", &[], 0.0);

    let (input, output) = tokens(&first);
    for paid in [r#"paid="true""#, r#"paid="false""#] {
        page.assert("sparkler_tokens_total", &[paid, r#"type="input""#], input);
        page.assert("sparkler_tokens_total", &[paid, r#"type="output""#], output);
    }
    let cost = first.cost.expect("a price").spent_nanodollars as f64 / 1e9;
    page.assert("sparkler_cost_total", &[r#"kind="spent""#], cost);
    page.assert("sparkler_cost_total", &[r#"kind="saved""#], cost);
}

#[tokio::test]
async fn provider_requests_follow_the_genai_conventions() {
    let world = World::start().await;
    let answer = world.caller().await.answer(ask("Count me")).await;
    let page = Page::of(&world).await;
    let model = format!("gen_ai_request_model=\"{MODEL}\"");
    let labels = [r#"operation_name="chat""#, r#"provider_name="fireworks_ai""#, &model];
    page.assert("gen_ai_client_operation_duration_seconds_count", &labels, 1.0);
    page.assert("gen_ai_client_operation_time_to_first_chunk_seconds_count", &labels, 1.0);
    let (input, _) = tokens(&answer);
    let usage = [&labels[..], &[r#"token_type="input""#]].concat();
    page.assert("gen_ai_client_token_usage_sum", &usage, input);
}

#[tokio::test]
async fn every_call_is_counted_with_its_status_at_its_end() {
    let world = World::start().await;
    let caller = world.caller().await;
    caller.answer(ask("x")).await;
    caller.failure(ask("x").no_credential()).await;
    caller.node_types().await;
    let page = Page::of(&world).await;
    let calls = "rpc_server_call_duration_seconds_count";
    let execute = r#"rpc_method="sparkler.worker.v1.WorkerService/ExecuteNode""#;
    page.assert(calls, &[execute, r#"status_code="OK""#], 1.0);
    page.assert(calls, &[execute, r#"status_code="INVALID_ARGUMENT""#], 1.0);
    page.assert(calls, &["ListNodeTypes", r#"status_code="OK""#], 1.0);
    page.assert(calls, &[], 3.0);
}

#[tokio::test]
async fn each_failure_is_counted_by_its_reason() {
    let world = World::start().await;
    world.simulator.script(Rule::once(Fault::status(503)).times(2).prompt("Try again"));
    let caller = world.caller().await;
    caller.answer(ask("Try again")).await;
    caller.failure(ask("x").node("nobody's")).await;
    caller.failure(ask("x").key(UNKNOWN_KEY)).await;
    let page = Page::of(&world).await;
    let attempts = "sparkler_upstream_attempts_total";
    page.assert(attempts, &[r#"reason="PROVIDER_UNAVAILABLE""#], 2.0);
    page.assert(attempts, &[r#"reason="OK""#], 1.0);
    let executions = "sparkler_executions_total";
    let unknown = [r#"reason="UNKNOWN_NODE_TYPE""#, r#"node_type="_OTHER""#];
    page.assert(executions, &unknown, 1.0);
    page.assert(executions, &[r#"reason="CREDENTIAL_REJECTED""#], 1.0);
    page.assert(executions, &[], 3.0);
    assert!(!page.0.contains("nobody's"), "what a caller writes is on the page");
}

#[tokio::test]
async fn a_caller_that_leaves_is_counted_as_cancelled() {
    let stalls = Fault::Stall { after_deltas: 1, lasting: None };
    let options = Options { rules: vec![Rule::always(stalls)], ..Options::instant() };
    let world = World::with(options, |_| {}).await;
    let mut call = world.caller().await.execute(ask("x")).await.expect("it runs");
    call.started().await;
    Page::that_says(&world, "sparkler_executions_active", &[], 1.0).await;
    drop(call);
    let cancelled = [r#"reason="EXECUTION_CANCELLED""#];
    Page::that_says(&world, "sparkler_upstream_attempts_total", &cancelled, 1.0).await;
    let page = Page::that_says(&world, "sparkler_executions_total", &cancelled, 1.0).await;
    page.assert("sparkler_executions_active", &[], 0.0);
    let calls = "rpc_server_call_duration_seconds_count";
    Page::that_says(&world, calls, &[r#"status_code="CANCELLED""#], 1.0).await;
}

#[tokio::test]
async fn a_shared_flight_is_counted_with_its_subscribers() {
    let slow = Fault::Stall { after_deltas: 1, lasting: Some(Duration::from_millis(500)) };
    let options = Options { rules: vec![Rule::always(slow)], ..Options::instant() };
    let world = World::with(options, |_| {}).await;
    let caller = world.caller().await;
    let both = || caller.answer(ask("Together").cached());
    let (one, _) = tokio::join!(both(), both());
    let page = Page::of(&world).await;
    page.assert("sparkler_flights_total", &[r#"role="leader""#], 1.0);
    page.assert("sparkler_flights_total", &[r#"role="follower""#], 1.0);
    page.assert("sparkler_flight_subscribers_sum", &[], 2.0);
    page.assert("sparkler_executions_total", &[r#"cache_status="joined""#], 1.0);
    let (input, _) = tokens(&one);
    page.assert("sparkler_tokens_total", &[r#"paid="false""#, r#"type="input""#], input);
}

const EXECUTIONS: &str = "sparkler_executions_total";

#[tokio::test]
async fn a_call_refused_at_the_ingress_is_counted_once() {
    let known = KnownCaller::new();
    let options = Options { rules: vec![Rule::always(Fault::stall(1))], ..Options::instant() };
    let world = World::with(options, |config| {
        config.ingress.callers = Callers::listed(&known.file()).expect("callers");
        config.admission.executions = 1;
        config.admission.queue_length = 0;
    })
    .await;
    let stranger = world.caller().await;
    let caller = stranger.authorized(KnownCaller::AUTHORIZATION);
    stranger.failure(ask("x")).await;
    caller.failure(ask("x").set("temprature", 1.into())).await;
    let attached = caller.attach(AttachExecutionRequest::default()).await;
    attached.err().expect("no such execution");
    let mut holding = caller.execute(ask("Hold")).await.expect("it runs");
    holding.started().await;
    caller.failure(ask("No place")).await;
    let page = Page::of(&world).await;
    for (node_type, reason) in [
        ("_OTHER", "CALLER_UNAUTHENTICATED"),
        ("chatFireworks", "INVALID_NODE_CONFIG"),
        ("_ATTACHED", "EXECUTION_NOT_FOUND"),
        ("chatFireworks", "WORKER_SATURATED"),
    ] {
        let node_type = format!("sparkler_node_type=\"{node_type}\"");
        let reason = format!("sparkler_reason=\"{reason}\"");
        page.assert(EXECUTIONS, &[&node_type, &reason, r#"cache_status="none""#], 1.0);
    }
    page.assert(EXECUTIONS, &[], 4.0);
    page.assert("sparkler_executions_active", &[], 1.0);
    drop(holding);
    Page::that_says(&world, EXECUTIONS, &[], 5.0).await;
}

#[tokio::test]
async fn a_caller_that_leaves_the_queue_is_counted_as_cancelled() {
    let options = Options { rules: vec![Rule::always(Fault::stall(1))], ..Options::instant() };
    let world = World::with(options, |config| config.admission.executions = 1).await;
    let caller = world.caller().await;
    let mut holding = caller.execute(ask("Hold")).await.expect("it runs");
    holding.started().await;
    let waiting = crate::support::spawn({
        let caller = caller.clone();
        async move { caller.execute(ask("Wait")).await.map(drop) }
    });
    Page::that_says(&world, "sparkler_admission_queued", &[], 1.0).await;
    waiting.abort();
    let cancelled = [r#"reason="EXECUTION_CANCELLED""#, r#"cache_status="none""#];
    let page = Page::that_says(&world, EXECUTIONS, &cancelled, 1.0).await;
    page.assert(EXECUTIONS, &[], 1.0);
}

#[tokio::test]
async fn an_attached_execution_is_distinct_and_saves_nothing_twice() {
    let world = World::start().await;
    let caller = world.caller().await;
    caller.answer(ask("Keep").cached()).await;
    let hit = caller.recv(ask("Keep").cached()).await;
    let token = hit.started.as_ref().expect("started").execution_token.clone();
    let request = AttachExecutionRequest { execution_token: token, ..Default::default() };
    let attached = caller.attach(request).await.expect("it is known").finish().await;
    let (input, _) = tokens(&attached.completed());
    let page = Page::of(&world).await;
    page.assert(EXECUTIONS, &[r#"node_type="_ATTACHED""#, r#"reason="OK""#], 1.0);
    page.assert(EXECUTIONS, &[r#"node_type="chatFireworks""#], 2.0);
    page.assert("sparkler_tokens_total", &[r#"paid="false""#, r#"type="input""#], input);
}

/// As Prometheus itself sees the page of a worker that has done this and that.
#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_page() {
    let world = World::start().await;
    world.simulator.script(Rule::once(Fault::status(503)));
    let caller = world.caller().await;
    for _ in 0..2 {
        caller.answer(ask("Count me").cached()).await;
    }
    caller.failure(ask("x").node("nobody's")).await;
    let (status, page) = page(world.admin, "/metrics").await;
    assert_eq!(status, 200);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which tests/setup installs");
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(page.as_bytes()).await.expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().await.expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}
