//! What a client sends beside its request, and how it takes a refusal.

use crate::clients::{client::Client, witness::Witness};

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cli/tls/authority.pem");
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_refused_execution_is_sent_again_with_the_same_key() {
    for client in Client::ALL {
        let worker = Witness::start().await;
        let run = client.run(worker.url(), &["--worker-ca", AUTHORITY, "stream"]).await;
        run.output();
        let [refused, taken] = &worker.seen()[..] else { panic!("{:#?}", worker.seen()) };
        assert_eq!(refused.header("grpc-previous-rpc-attempts"), None);
        assert_eq!(taken.header("grpc-previous-rpc-attempts"), Some("1"));
        assert!(!refused.idempotency_key.is_empty());
        assert_eq!(refused.idempotency_key, taken.idempotency_key);
    }
}

#[tokio::test]
async fn the_trace_and_the_deadline_reach_the_worker() {
    for client in Client::ALL {
        let worker = Witness::start().await;
        let with = ["--worker-ca", AUTHORITY, "--traceparent", TRACEPARENT, "--timeout", "30"];
        let run = client.run(worker.url(), &[&with[..], &["stream"]].concat()).await;
        run.output();
        for seen in worker.seen() {
            assert_eq!(seen.header("traceparent"), Some(TRACEPARENT));
            assert!(seen.header("grpc-timeout").is_some(), "{seen:#?}");
        }
    }
}

#[tokio::test]
async fn a_worker_is_not_trusted_without_its_authority() {
    let worker = Witness::start().await;
    let [python, node] = Client::ALL.map(|client| client.run(worker.url(), &["stream"]));
    let (python, node) = tokio::join!(python, node);
    for run in [python, node] {
        assert!(!run.succeeded, "{run:#?}");
        run.says(&["UNAVAILABLE: "]);
    }
    assert!(worker.seen().is_empty());
}
