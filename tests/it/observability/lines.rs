//! The log: one line an execution, with its whole course and the ids of its span.

use std::net::SocketAddr;

use fireworks_simulator::{Fault, Handle, Options, Refusal, Rule, Simulator};
use serde_json::Value;
use sparkler::proto::{AttachExecutionRequest, ExecutionContext};
use tokio::task::JoinHandle;

use crate::support::{Ask, Caller, KnownCaller, MODEL, Program, ask, spawn};

/// A program with its provider.
struct Running {
    program: Program,
    provider: Handle,
    simulating: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(more: &[&str]) -> Running {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(loopback, Options::instant()).await.expect("a free port");
        let (base_url, provider) = (simulator.base_url(), simulator.handle());
        let simulating = spawn(simulator.run(std::future::pending()));
        let program = Program::serve(&base_url, more).await;
        Running { program, provider, simulating }
    }

    async fn caller(&self) -> Caller {
        Caller::connect(self.program.address).await
    }

    /// The lines with a message, once it has stopped.
    async fn lines(self, message: &str) -> Vec<Value> {
        let log = self.program.stop().await;
        self.simulating.abort();
        let lines = log.iter().map(|line| serde_json::from_str(line).expect("a JSON object"));
        lines.filter(|line: &Value| line["message"] == message).collect()
    }
}

fn placed(asked: Ask) -> Ask {
    let mut request = asked.request();
    request.context = Some(ExecutionContext {
        flow_id: "flow-1".to_owned(),
        run_id: "run-2".to_owned(),
        node_id: "node-3".to_owned(),
        ..ExecutionContext::default()
    });
    Ask::from(request)
}

#[tokio::test]
async fn each_execution_ends_in_one_line_that_has_everything() {
    let running = Running::start(&["--worker-id", "worker-7"]).await;
    let caller = running.caller().await;
    for _ in 0..2 {
        caller.answer(placed(ask("Tell").cached())).await;
    }
    drop(caller);
    let lines = running.lines("execution completed").await;
    assert_eq!(lines.len(), 2);
    for (line, cache, attempts) in [(&lines[0], "miss", 1), (&lines[1], "hit", 0)] {
        for (field, expected) in [
            ("level", "INFO"),
            ("reason", "OK"),
            ("node_type", "chatFireworks"),
            ("model", MODEL),
            ("flow_id", "flow-1"),
            ("run_id", "run-2"),
            ("node_id", "node-3"),
            ("worker_id", "worker-7"),
            ("cache_status", cache),
        ] {
            assert_eq!(line[field], expected, "{field} of {line}");
        }
        assert_eq!(line["attempts"], attempts);
        assert!(line["total_seconds"].is_f64() && line["first_token_seconds"].is_f64());
        assert!(line["input_tokens"].is_u64() && line["output_tokens"].is_u64());
        assert_eq!(line["trace_id"].as_str().map(str::len), Some(32), "{line}");
        assert_eq!(line["span_id"].as_str().map(str::len), Some(16), "{line}");
        let (spent, saved) = (&line["cost_spent_usd"], &line["cost_saved_usd"]);
        assert_eq!(spent.as_f64() > Some(0.0), cache == "miss", "{line}");
        assert_eq!(saved.as_f64() > Some(0.0), cache == "hit", "{line}");
    }
    assert_ne!(lines[0]["trace_id"], lines[1]["trace_id"]);
}

#[tokio::test]
async fn a_fault_that_repeats_is_logged_a_few_times() {
    let running = Running::start(&[]).await;
    running.provider.script(Rule::always(Refusal::status(401)));
    let caller = running.caller().await;
    for _ in 0..60 {
        caller.failure(ask("Fail")).await;
    }
    drop(caller);
    let lines = running.lines("execution failed").await;
    assert!((1..60).contains(&lines.len()), "{} lines", lines.len());
    let line = &lines[0];
    assert_eq!((&line["level"], &line["reason"]), (&"INFO".into(), &"CREDENTIAL_REJECTED".into()));
    assert_eq!((&line["http_status"], &line["attempts"]), (&401.into(), &1.into()));
}

#[tokio::test]
async fn a_caller_that_leaves_and_a_refused_call_have_their_lines() {
    let running = Running::start(&[]).await;
    running.provider.script(Rule::once(Fault::stall(2)));
    let caller = running.caller().await;
    let mut call = caller.execute(placed(ask("Leave"))).await.expect("it runs");
    call.started().await;
    drop(call);
    caller.failure(ask("x").node("nothing")).await;
    drop(caller);
    let log = running.program.stop().await;
    running.simulating.abort();
    let reported = |reason: &str| {
        let has = |line: &&String| line.contains(reason);
        let line = log.iter().find(has).unwrap_or_else(|| panic!("no {reason} in {log:#?}"));
        serde_json::from_str::<Value>(line).expect("a JSON object")
    };
    assert_eq!(reported("EXECUTION_CANCELLED")["flow_id"], "flow-1");
    assert!(reported("UNKNOWN_NODE_TYPE")["trace_id"].is_string());
}

/// Every line about the end of a call, by its reason.
fn ends(log: &[String]) -> Vec<Value> {
    const ENDS: [&str; 4] =
        ["execution completed", "execution failed", "execution refused", "call refused"];
    let lines = log.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| ENDS.iter().any(|end| line["message"] == *end)).collect()
}

#[tokio::test]
async fn each_call_has_one_line_whatever_ends_it() {
    let known = KnownCaller::new();
    let callers = known.file();
    let callers = callers.to_str().expect("text");
    let running = Running::start(&[
        "--callers-file",
        callers,
        "--max-executions",
        "1",
        "--queue-length",
        "0",
    ])
    .await;
    let stranger = running.caller().await;
    let caller = stranger.authorized(KnownCaller::AUTHORIZATION);
    stranger.failure(placed(ask("x"))).await;
    caller.failure(placed(ask("x").node("nothing"))).await;
    caller.failure(placed(ask("x").set("temprature", 1.into()))).await;
    let unknown = caller.attach(AttachExecutionRequest::default()).await;
    unknown.err().expect("no such execution");
    caller.answer(placed(ask("x"))).await;
    running.provider.script(Rule::once(Fault::stall(2)));
    let mut holding = caller.execute(placed(ask("Hold"))).await.expect("it runs");
    holding.started().await;
    caller.failure(placed(ask("No place"))).await;
    drop(holding);
    drop((caller, stranger));
    let log = running.program.stop().await;
    running.simulating.abort();

    let lines = ends(&log);
    let mut reasons: Vec<&str> = lines.iter().filter_map(|line| line["reason"].as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "CALLER_UNAUTHENTICATED",
            "EXECUTION_CANCELLED",
            "EXECUTION_NOT_FOUND",
            "INVALID_NODE_CONFIG",
            "OK",
            "UNKNOWN_NODE_TYPE",
            "WORKER_SATURATED",
        ],
        "{lines:#?}"
    );
    for line in &lines {
        assert_eq!(line["trace_id"].as_str().map(str::len), Some(32), "{line}");
        assert!(line["total_seconds"].is_f64(), "{line}");
        // Who is not known is not listened to; and an attachment had no context.
        let has_context = !matches!(
            line["reason"].as_str(),
            Some("CALLER_UNAUTHENTICATED" | "EXECUTION_NOT_FOUND")
        );
        assert_eq!(line["flow_id"] == "flow-1", has_context, "{line}");
    }
}
