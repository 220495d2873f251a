//! However an execution ends, its spans say how.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use fireworks_simulator::{BodyForm, Fault, Options, Refusal, Rule};
use serde_json::json;
use sparkler::{
    config::{Config, ConnectionAge},
    internals::{Callers, quota_file},
    proto::{AttachExecutionRequest, cache_policy::Mode},
};
use tokio::net::TcpListener;

use super::{CHAT, EXECUTE, Sink, Span, Spans, traced, traced_with, tree};
use crate::support::{Ask, Failure, KnownCaller, Moment, Panicking, World, ask, panicking};

/// The call of an execution that has ended, with everything below it.
async fn ended(sink: &Sink) -> (Spans, Span) {
    let spans = sink.wait_for(1, EXECUTE).await;
    let call = spans.one(EXECUTE).clone();
    (spans, call)
}

/// What happens to an execution.
enum Scene {
    /// It is asked for, and the provider has this fault if it gets there.
    Asked(Box<Ask>, Option<Fault>),
    /// The provider never shakes hands.
    Unconnected,
    /// One with an unknown token is to be picked up.
    Attached,
    /// Its idempotency key stands for another request.
    Mismatched,
    /// Nobody knows its caller.
    Unauthenticated,
    /// There is no place for it.
    Crowded,
    /// Its tenant has spent what it may.
    Spent,
    /// Its connection grows old.
    Aged,
    /// Its request never comes.
    Unsent,
    /// Its request comes compressed.
    Compressed,
}

/// What happens, and what the call then says: status, reason, and whether the
/// worker failed by it.
type Row = (Scene, &'static str, &'static str, bool);

fn refused(status: u16) -> Option<Fault> {
    Some(Refusal::status(status).into())
}

fn too_long() -> Option<Fault> {
    let message = "The prompt is too long: 9000, model maximum context length: 8192".to_owned();
    Some(Refusal::status(400).body(BodyForm::ModelServer { message }).into())
}

/// Asks it of a provider that has this fault.
fn when(asked: Ask, fault: Option<Fault>) -> Scene {
    Scene::Asked(Box::new(asked), fault)
}

fn rows() -> Vec<Row> {
    use Scene::{
        Aged, Attached, Compressed, Crowded, Mismatched, Spent, Unauthenticated, Unconnected,
        Unsent,
    };
    let asked = || ask("Fail").attempts(1);
    let soon = Duration::from_millis(100);
    let stall = || Some(Fault::stall(2));
    let slow_head = || Some(Fault::SlowHead { delay: Duration::from_secs(20) });
    let answer = |text: &str| Some(Fault::answer([text.to_owned()]));
    let schema = json!({"type": "array"});
    let large = Some(Fault::answer(["x".repeat(5000)]));
    let refused = |status| when(asked(), refused(status));
    let wrong = when(asked().set("temprature", json!(1)), None);
    let retired = when(asked().model("accounts/simulator/models/retired"), None);
    let scaling = when(asked(), Some(Refusal::scaling_up().into()));
    let unknown_end = when(asked(), Some(Fault::FinishReason("whim".to_owned())));
    let cut = when(asked(), Some(Fault::Cut { after_deltas: 1 }));
    let slow = when(asked().first_token(soon), slow_head());
    let other_form = when(asked().schema(&schema), answer("{}"));
    vec![
        (wrong, "INVALID_ARGUMENT", "INVALID_NODE_CONFIG", false),
        (when(asked().node("other"), None), "UNIMPLEMENTED", "UNKNOWN_NODE_TYPE", true),
        (when(asked().mode(Mode::OnlyIfCached), None), "NOT_FOUND", "NOT_CACHED", false),
        (Attached, "NOT_FOUND", "EXECUTION_NOT_FOUND", false),
        (Mismatched, "FAILED_PRECONDITION", "IDEMPOTENCY_MISMATCH", false),
        (Unauthenticated, "UNAUTHENTICATED", "CALLER_UNAUTHENTICATED", false),
        (Crowded, "RESOURCE_EXHAUSTED", "WORKER_SATURATED", false),
        (Spent, "RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED", false),
        (Aged, "UNAVAILABLE", "CONNECTION_MAX_AGE", true),
        (Compressed, "UNIMPLEMENTED", "COMPRESSION_UNSUPPORTED", true),
        (Unsent, "DEADLINE_EXCEEDED", "REQUEST_TIMEOUT", true),
        (refused(401), "FAILED_PRECONDITION", "CREDENTIAL_REJECTED", false),
        (refused(403), "PERMISSION_DENIED", "MODEL_FORBIDDEN", false),
        (refused(404), "NOT_FOUND", "MODEL_NOT_FOUND", false),
        (retired, "NOT_FOUND", "MODEL_RETIRED", false),
        (refused(402), "FAILED_PRECONDITION", "BILLING_REQUIRED", false),
        (refused(412), "FAILED_PRECONDITION", "ACCOUNT_SUSPENDED", false),
        (refused(422), "INVALID_ARGUMENT", "REQUEST_REJECTED", false),
        (when(asked(), too_long()), "INVALID_ARGUMENT", "CONTEXT_TOO_LONG", false),
        (refused(429), "RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED", false),
        (refused(500), "UNAVAILABLE", "PROVIDER_UNAVAILABLE", true),
        (unknown_end, "FAILED_PRECONDITION", "PROVIDER_ANSWER_INVALID", false),
        (scaling, "UNAVAILABLE", "DEPLOYMENT_SCALING_UP", true),
        (cut, "UNAVAILABLE", "STREAM_INTERRUPTED", true),
        (Unconnected, "DEADLINE_EXCEEDED", "CONNECT_TIMEOUT", true),
        (slow, "DEADLINE_EXCEEDED", "FIRST_TOKEN_TIMEOUT", true),
        (when(asked().idle(soon), stall()), "DEADLINE_EXCEEDED", "IDLE_TIMEOUT", true),
        (when(asked().total(soon), stall()), "DEADLINE_EXCEEDED", "TOTAL_TIMEOUT", true),
        (when(asked().json(), answer("no")), "FAILED_PRECONDITION", "OUTPUT_NOT_JSON", false),
        (other_form, "FAILED_PRECONDITION", "OUTPUT_SCHEMA_MISMATCH", false),
        (when(asked().no_deltas(), large), "RESOURCE_EXHAUSTED", "OUTPUT_TOO_LARGE", false),
    ]
}

/// Those that have a test of their own below.
const APART: [&str; 3] = ["EXECUTION_CANCELLED", "WORKER_DRAINING", "WORKER_FAILED"];

/// The table of failures, which its own test holds to the code.
const FAILURES: &str = "tests/it/snapshots/it__failures__the_table_of_failures.snap";

#[test]
fn no_failure_is_left_out() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FAILURES);
    let table = fs::read_to_string(path).expect("the table of failures");
    let (_, table) = table.split_once("safe_to_retry\n").expect("its head");
    let all: BTreeSet<&str> = table.lines().filter_map(|line| line.split(' ').next()).collect();
    let shown = rows().into_iter().map(|(_, _, reason, _)| reason).chain(APART).collect();
    assert_eq!(all, shown);
}

/// A worker with a small bound, and its collector.
async fn small(fault: Option<Fault>, configure: impl FnOnce(&mut Config)) -> (World, Sink) {
    let rules = fault.into_iter().map(Rule::always).collect();
    traced_with(rules, |config| {
        config.flights.max_answer_bytes = 4096;
        configure(config);
    })
    .await
}

/// Has it happen; returns the reason that the caller received, and where it is exported.
async fn happens(scene: Scene) -> (String, World, Sink) {
    let stalls = || Some(Fault::stall(2));
    let asked = || ask("Fail").attempts(1);
    match scene {
        Scene::Asked(asked, fault) => {
            let (world, sink) = small(fault, |_| {}).await;
            (world.caller().await.failure(*asked).await.reason, world, sink)
        }
        Scene::Unconnected => {
            let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("https://{}/v1", silent.local_addr().expect("an address"));
            let nowhere =
                |config: &mut Config| config.fireworks.base_url = url.parse().expect("a URL");
            let (world, sink) = small(None, nowhere).await;
            let asked = asked().connect(Duration::from_millis(100));
            (world.caller().await.failure(asked).await.reason, world, sink)
        }
        Scene::Attached => {
            let (world, sink) = small(None, |_| {}).await;
            let attached = world.caller().await.attach(AttachExecutionRequest::default()).await;
            (attached.err().expect("no such execution").reason, world, sink)
        }
        Scene::Mismatched => {
            let (world, sink) = small(None, |_| {}).await;
            let caller = world.caller().await;
            caller.answer(ask("First").idempotency_key("1")).await;
            (caller.failure(ask("Second").idempotency_key("1")).await.reason, world, sink)
        }
        Scene::Unauthenticated => {
            let known = KnownCaller::new();
            let callers = Callers::listed(&known.file()).expect("callers");
            let (world, sink) = small(None, |config| config.ingress.callers = callers).await;
            (world.caller().await.failure(asked()).await.reason, world, sink)
        }
        Scene::Crowded => {
            let one = |config: &mut Config| {
                config.admission.executions = 1;
                config.admission.queue_length = 0;
            };
            let (world, sink) = small(stalls(), one).await;
            let caller = world.caller().await;
            let mut first = caller.execute(asked()).await.expect("a place");
            first.started().await;
            (caller.failure(asked()).await.reason, world, sink)
        }
        Scene::Spent => {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("limits");
            let limits = json!({"default": {"tokens_per_day": 1}});
            fs::write(&file, limits.to_string()).expect("written");
            let limits = Some(quota_file(&file).expect("limits"));
            let limited = |config: &mut Config| {
                config.limits = limits;
                config.execution.trust_tenant = true;
            };
            let (world, sink) = small(None, limited).await;
            let caller = world.caller().await;
            caller.answer(asked().tenant("acme")).await;
            (caller.failure(asked().tenant("acme")).await.reason, world, sink)
        }
        Scene::Aged => {
            let (limit, grace) = (Duration::from_millis(200), Duration::from_millis(400));
            let age = Some(ConnectionAge { limit, grace });
            let (world, sink) = small(stalls(), |config| config.ingress.age = age).await;
            (world.caller().await.failure(asked()).await.reason, world, sink)
        }
        Scene::Compressed => {
            let (world, sink) = small(None, |_| {}).await;
            let client = world.caller().await.client();
            let mut client = client.send_compressed(tonic::codec::CompressionEncoding::Gzip);
            let refused = client.execute_node(asked().request()).await;
            let status = refused.expect_err("it is not read");
            (Failure::decode(&status).reason, world, sink)
        }
        Scene::Unsent => {
            let soon = Duration::from_millis(100);
            let (world, sink) = small(None, |config| config.ingress.request_timeout = soon).await;
            (unsent(&world).await.reason, world, sink)
        }
    }
}

/// Begins a call whose request never comes.
async fn unsent(world: &World) -> Failure {
    let channel = tonic::transport::Endpoint::from_shared(world.url()).expect("a URL");
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.expect("it listens"));
    grpc.ready().await.expect("ready");
    let nothing: tonic_prost::ProstCodec<(), ()> = tonic_prost::ProstCodec::default();
    let path = format!("/{EXECUTE}").parse().expect("a path");
    let request = tonic::Request::new(futures_util::stream::pending());
    let status = grpc.streaming(request, path, nothing).await.expect_err("it is not waited for");
    Failure::decode(&status)
}

/// The call that failed for a reason.
async fn failed(sink: &Sink, reason: &str) -> Span {
    let has = |span: &&Span| span.kind == "server" && span.get("sparkler.reason") == reason;
    let spans = sink.wait_until(reason, |spans| spans.0.iter().any(|span| has(&span))).await;
    spans.0.iter().find(has).expect("it was there").clone()
}

#[tokio::test]
async fn every_failure_has_its_status_and_its_reason() {
    let mut wrong = Vec::new();
    for (scene, status, reason, fails) in rows() {
        let is_flight = matches!(&scene, Scene::Asked(_, Some(_)) | Scene::Unconnected);
        let (received, _world, sink) = happens(scene).await;
        if received != reason {
            wrong.push(format!("{reason}: the caller received {received}"));
            continue;
        }
        let call = failed(&sink, reason).await;
        let reported = (call.get("rpc.response.status_code"), call.failed);
        if reported != (status, fails) {
            wrong.push(format!("{reason}: {reported:?}"));
        }
        if call.get("error.type") != if fails { reason } else { "" } {
            wrong.push(format!("{reason}: error.type is {:?}", call.get("error.type")));
        }
        if is_flight && !sink.wait_for(1, "flight").await.one("flight").failed {
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
    let (world, sink) = traced(vec![Rule::always(Fault::stall(30))]).await;
    let caller = world.caller().await;
    let mut call = caller.execute(ask("Stop")).await.expect("it runs");
    call.first_text().await;
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
    assert_eq!(call.get("error.type"), "");
    assert_eq!(spans.one(CHAT).get("gen_ai.response.finish_reasons"), "error");
}

#[tokio::test]
async fn what_a_drain_ends_is_exported_before_the_worker_stops() {
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
    let broken = |nodes: sparkler::node::Registry| nodes.with(Panicking);
    let world = World::with_nodes(Options::instant(), traces, broken).await;
    let failure = world.caller().await.failure(panicking(Moment::Begun)).await;
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
