//! However an execution ends, its spans say how.

use std::time::Duration;

use serde_json::json;
use sparkler::{
    proto::cache_policy::Mode,
    simulator::{BodyForm, Fault, Options, Refusal, Rule},
};

use super::{CHAT, EXECUTE, Sink, Span, Spans, traced, traced_with, tree};
use crate::support::{Ask, World, ask};

/// The call of an execution that has ended, with everything below it.
async fn ended(sink: &Sink) -> (Spans, Span) {
    let spans = sink.wait_for(1, EXECUTE).await;
    let call = spans.one(EXECUTE).clone();
    (spans, call)
}

/// What is asked, the fault of the provider if it gets there, and what the call
/// then says: status, reason, and whether the worker failed by it.
type Row = (Ask, Option<Fault>, &'static str, &'static str, bool);

fn refused(status: u16) -> Option<Fault> {
    Some(Refusal::status(status).into())
}

fn rows() -> Vec<Row> {
    let asked = || ask("Fail").attempts(1);
    let soon = Duration::from_millis(100);
    let stall = || Some(Fault::stall(2));
    let slow_head = || Some(Fault::SlowHead { delay: Duration::from_secs(20) });
    let answer = |text: &str| Some(Fault::answer([text.to_owned()]));
    vec![
        (
            asked().set("temprature", json!(1)),
            None,
            "INVALID_ARGUMENT",
            "INVALID_NODE_CONFIG",
            false,
        ),
        (asked().node("other"), None, "UNIMPLEMENTED", "UNKNOWN_NODE_TYPE", true),
        (asked().mode(Mode::OnlyIfCached), None, "NOT_FOUND", "NOT_CACHED", false),
        (asked(), refused(401), "FAILED_PRECONDITION", "CREDENTIAL_REJECTED", false),
        (asked(), refused(403), "PERMISSION_DENIED", "MODEL_FORBIDDEN", false),
        (asked(), refused(404), "NOT_FOUND", "MODEL_NOT_FOUND", false),
        (asked(), refused(402), "FAILED_PRECONDITION", "BILLING_REQUIRED", false),
        (asked(), refused(412), "FAILED_PRECONDITION", "ACCOUNT_SUSPENDED", false),
        (asked(), refused(422), "INVALID_ARGUMENT", "REQUEST_REJECTED", false),
        (asked(), refused(429), "RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED", false),
        (asked(), refused(500), "UNAVAILABLE", "PROVIDER_UNAVAILABLE", true),
        (asked(), Some(Refusal::scaling_up().into()), "UNAVAILABLE", "DEPLOYMENT_SCALING_UP", true),
        (asked(), Some(Fault::Cut { after_deltas: 1 }), "UNAVAILABLE", "STREAM_INTERRUPTED", true),
        (asked().first_token(soon), slow_head(), "DEADLINE_EXCEEDED", "FIRST_TOKEN_TIMEOUT", true),
        (asked().idle(soon), stall(), "DEADLINE_EXCEEDED", "IDLE_TIMEOUT", true),
        (asked().total(soon), stall(), "DEADLINE_EXCEEDED", "TOTAL_TIMEOUT", true),
        (asked().json(), answer("no JSON"), "FAILED_PRECONDITION", "OUTPUT_NOT_JSON", false),
        (
            asked().schema(&json!({"type": "array"})),
            answer("{}"),
            "FAILED_PRECONDITION",
            "OUTPUT_SCHEMA_MISMATCH",
            false,
        ),
        (
            asked().no_deltas(),
            Some(Fault::answer(["x".repeat(5000)])),
            "RESOURCE_EXHAUSTED",
            "OUTPUT_TOO_LARGE",
            false,
        ),
    ]
}

#[tokio::test]
async fn every_failure_has_its_status_and_its_reason() {
    let mut wrong = Vec::new();
    for (asked, fault, status, reason, failed) in rows() {
        let rules = fault.into_iter().map(Rule::always).collect();
        let small = |config: &mut sparkler::config::Config| config.flights.max_answer_bytes = 4096;
        let (world, sink) = traced_with(rules, small).await;
        assert_eq!(world.caller().await.failure(asked).await.reason, reason);
        let (_, call) = ended(&sink).await;
        let told = (call.get("rpc.response.status_code"), call.get("error.type"), call.failed);
        if told != (status, reason, failed) {
            wrong.push(format!("{reason}: {told:?}"));
        }
        if world.upstream_calls() > 0 && !sink.wait_for(1, "flight").await.one("flight").failed {
            wrong.push(format!("{reason}: its flight has not failed"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_stream_that_breaks_has_no_other_finish_reason_than_that() {
    let (world, sink) = traced(vec![Rule::always(Fault::Cut { after_deltas: 1 })]).await;
    world.caller().await.failure(ask("Fail").attempts(1)).await;
    let (spans, _) = ended(&sink).await;
    let provider = spans.one(CHAT);
    assert_eq!(provider.get("gen_ai.response.finish_reasons"), "error");
    assert_eq!(provider.get("error.type"), "STREAM_INTERRUPTED");
}

#[tokio::test]
async fn a_caller_that_goes_is_seen_at_every_level() {
    let (world, sink) = traced(vec![Rule::always(Fault::stall(2))]).await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Stop")).await.expect("it runs");
    call.started().await;
    drop(call);
    sink.wait_for(1, "flight").await;
    let (spans, call) = ended(&sink).await;
    assert_eq!(
        tree(&spans, &call),
        [
            format!("{EXECUTE}: EXECUTION_CANCELLED"),
            "  flight: EXECUTION_CANCELLED".to_owned(),
            format!("    {CHAT}: EXECUTION_CANCELLED"),
        ]
    );
    assert_eq!(call.get("rpc.response.status_code"), "CANCELLED");
    assert!(!call.failed, "a server does not fail by it");
}

#[tokio::test]
async fn what_a_drain_ends_says_so_and_is_delivered_before_the_worker_goes() {
    let (mut world, sink) = traced_with(vec![Rule::always(Fault::stall(2))], |config| {
        config.drain.drain_limit = Duration::from_millis(100);
        config.telemetry.queue.delay = Duration::from_secs(3600);
    })
    .await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Long")).await.expect("it runs");
    call.started().await;
    world.stop();
    assert_eq!(call.finish().await.end.expect_err("ended").reason, "WORKER_DRAINING");
    world.stopped().await;
    let spans = sink.spans();
    let call = spans.one(EXECUTE);
    assert_eq!(
        tree(&spans, call),
        [
            format!("{EXECUTE}: WORKER_DRAINING"),
            "  flight: WORKER_DRAINING".to_owned(),
            format!("    {CHAT}: WORKER_DRAINING"),
        ]
    );
    assert_eq!((call.get("rpc.response.status_code"), call.failed), ("UNAVAILABLE", true));
}

#[tokio::test]
async fn a_panic_is_the_workers_failure() {
    let sink = Sink::start().await;
    let traces = sink.traces();
    let broken = |nodes: sparkler::node::Registry| nodes.with(crate::panicking::Panicking);
    let world = World::with_nodes(Options::instant(), traces, broken).await;
    let failure = world.caller().await.failure(ask("x").node("panicking")).await;
    assert_eq!(failure.reason, "WORKER_FAILED");
    sink.wait_for(1, "flight").await;
    let (spans, call) = ended(&sink).await;
    assert_eq!(
        tree(&spans, &call),
        [
            format!("{EXECUTE}: WORKER_FAILED"),
            "  flight: WORKER_FAILED".to_owned(),
            "    panicking none: WORKER_FAILED".to_owned(),
        ]
    );
    assert_eq!((call.get("rpc.response.status_code"), call.failed), ("INTERNAL", true));
}

#[tokio::test]
async fn what_the_stack_refuses_has_a_span_too() {
    let body = BodyForm::ModelServer { message: "unread".to_owned() };
    let (world, sink) = traced(vec![Rule::always(Refusal::status(400).body(body))]).await;
    let channel = tonic::transport::Endpoint::from_shared(world.url()).expect("a URL");
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.expect("it listens"));
    grpc.ready().await.expect("ready");
    let nothing: tonic_prost::ProstCodec<(), ()> = tonic_prost::ProstCodec::default();
    let path = http::uri::PathAndQuery::from_static("/of.Some/Body");
    let answered = grpc.unary(tonic::Request::new(()), path, nothing).await;
    assert_eq!(answered.expect_err("no such method").code(), tonic::Code::Unimplemented);
    let spans = sink.wait_for(1, "_OTHER").await;
    let span = spans.one("_OTHER");
    assert_eq!(span.get("rpc.method_original"), "of.Some/Body");
    assert_eq!((span.get("rpc.response.status_code"), span.failed), ("UNIMPLEMENTED", true));
}
