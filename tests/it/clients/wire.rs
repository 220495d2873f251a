//! What a client sends beside its request, and how it takes a refusal.

use sparkler::proto::{Choice, Completed, Started, execute_node_response::Event};
use tonic::{Status, transport::Identity};

use crate::{
    clients::client::Client,
    support::scripted_worker::{Script, ScriptedWorker},
};

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cli/tls/authority.pem");
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A worker that refuses its first execution as a full one does, and completes the next.
async fn full_once() -> ScriptedWorker {
    let mut full = Status::resource_exhausted("the worker is full");
    full.metadata_mut().insert("grpc-retry-pushback-ms", "20".parse().expect("a value"));
    let choice = Choice { finish_reason: "stop".to_owned(), ..Choice::default() };
    let completed = Completed { choices: vec![choice], ..Completed::default() };
    let events = [Event::Started(Started::default()), Event::Completed(completed.into())];
    let identity = Identity::from_pem(
        include_str!("../cli/tls/worker.pem"),
        include_str!("../cli/tls/worker.key"),
    );
    ScriptedWorker::start_tls(Script::events(events).but_first_refuses(full), identity).await
}

#[tokio::test]
async fn a_refused_execution_is_sent_again_with_the_same_key() {
    for client in Client::ALL {
        let worker = full_once().await;
        let run = client.run(&worker.url(), &["--worker-ca", AUTHORITY, "stream"]).await;
        run.output();
        let executions = worker.executions();
        let [refused, taken] = &executions[..] else { panic!("{} executions", executions.len()) };
        assert_eq!(refused.header("grpc-previous-rpc-attempts"), None);
        assert_eq!(taken.header("grpc-previous-rpc-attempts"), Some("1"));
        assert!(!refused.request.idempotency_key.is_empty());
        assert_eq!(refused.request.idempotency_key, taken.request.idempotency_key);
    }
}

#[tokio::test]
async fn the_trace_and_the_deadline_reach_the_worker() {
    for client in Client::ALL {
        let worker = full_once().await;
        let with = ["--worker-ca", AUTHORITY, "--traceparent", TRACEPARENT, "--timeout", "30"];
        let run = client.run(&worker.url(), &[&with[..], &["stream"]].concat()).await;
        run.output();
        for execution in worker.executions() {
            assert_eq!(execution.header("traceparent"), Some(TRACEPARENT));
            assert!(execution.header("grpc-timeout").is_some(), "a call without a deadline");
        }
    }
}

#[tokio::test]
async fn a_worker_is_not_trusted_without_its_authority() {
    let worker = full_once().await;
    let url = worker.url();
    let [python, node] = Client::ALL.map(|client| client.run(&url, &["stream"]));
    let (python, node) = tokio::join!(python, node);
    for run in [python, node] {
        assert!(!run.succeeded, "{run:#?}");
        run.says(&["UNAVAILABLE: "]);
    }
    assert!(worker.executions().is_empty());
}
