//! A failure is printed as `REASON: message`, and the exit code says whose it is.

use std::{collections::HashMap, time::Duration};

use sparkler::proto::{Delta, execute_node_response::Event};
use tonic::{Code, Status, transport::Identity};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    cli::program::{Program, file, path},
    support::scripted_worker::{Script, ScriptedWorker},
};

fn failure(code: Code, reason: &str, message: &str, safe: bool) -> (Status, ErrorDetails) {
    let metadata = HashMap::from([("safe_to_retry".to_owned(), safe.to_string())]);
    let details = ErrorDetails::with_error_info(reason, "fireworks.ai", metadata);
    (Status::new(code, message), details)
}

#[tokio::test]
async fn a_failed_execution_says_when_and_whether_to_retry() {
    let (status, mut details) = failure(
        Code::ResourceExhausted,
        "PROVIDER_RATE_LIMITED",
        "Fireworks limits the rate",
        true,
    );
    details.set_retry_info(Some(Duration::from_millis(2500)));
    let status = Status::with_error_details(status.code(), status.message(), details);
    let worker = ScriptedWorker::start(Script::events([]).then_fails(status)).await;
    let run = Program::calling(&worker, &["execute", "p"]).run().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        run.stderr,
        "PROVIDER_RATE_LIMITED: Fireworks limits the rate\n  safe to retry: yes, after 2.50s\n"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_its_line() {
    let (status, details) = failure(Code::Unavailable, "STREAM_INTERRUPTED", "broke off", true);
    let status = Status::with_error_details(status.code(), status.message(), details);
    let half = Event::Delta(Delta { text: "Half an ans".to_owned(), ..Delta::default() });
    let worker = ScriptedWorker::start(Script::events([half]).then_fails(status)).await;
    let run = Program::calling(&worker, &["execute", "p"]).run().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "Half an ans\n"));
    assert!(run.stderr.starts_with("STREAM_INTERRUPTED: broke off\n"));
}

#[tokio::test]
async fn a_stream_that_ends_without_completed_is_a_failure() {
    let worker = ScriptedWorker::start(Script::events([])).await;
    let run = Program::calling(&worker, &["execute", "p"]).run().await;
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("without `completed`"), "{}", run.stderr);
}

#[tokio::test]
async fn a_worker_that_is_not_there_is_named() {
    let run = Program::new(&["nodes", "--worker", "http://127.0.0.1:1"]).run().await;
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.starts_with("WORKER_UNREACHABLE: no worker at http://127.0.0.1:1"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn what_is_wrong_on_this_side_is_bad_usage_and_calls_nobody() {
    let bad_messages = file(r#"[{"role": "user", "content": [{"type": "video_url"}]}]"#);
    let bad_key = file("not a key");
    let not_pem = file("no certificate");
    let table: [(&[&str], &str); 9] = [
        (&["--config", "[]", "p"], "--config is not a JSON object"),
        (&["--config", r#"{"model":"b"}"#, "--model", "a", "p"], "give it once"),
        (
            &["--messages", path(&bad_messages)],
            "messages[0].content[0].type must be text or image_url",
        ),
        (&["--messages", "/nowhere"], "--messages /nowhere: cannot be read"),
        (&["--json-output=/nowhere", "p"], "--json-output=/nowhere: cannot be read"),
        (&["--api-key-file", path(&bad_key), "p"], "has a character that no key has"),
        (&["--api-key-file", "/nowhere", "p"], "--api-key-file /nowhere cannot be read"),
        (&["--worker", "ftp://h", "p"], "must start with http:// or https://"),
        (&["--worker", "http://h", "--worker-ca", path(&not_pem), "p"], "for an https worker"),
    ];
    for (flags, reported) in table {
        let arguments = [&["execute"], flags].concat();
        let run = Program::new(&arguments).env("FIREWORKS_API_KEY", "fw_environment").run().await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{flags:?}: {}", run.stderr);
        assert!(run.stderr.contains(reported), "{flags:?}: {}", run.stderr);
    }
}

#[tokio::test]
async fn without_any_credential_nothing_is_executed() {
    let worker = ScriptedWorker::start(Script::events([])).await;
    let run =
        Program::calling(&worker, &["execute", "p"]).without_env("FIREWORKS_API_KEY").run().await;
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("set FIREWORKS_API_KEY"), "{}", run.stderr);

    Program::calling(&worker, &["execute", "--config", r#"{"credential": "team"}"#, "p"])
        .without_env("FIREWORKS_API_KEY")
        .run()
        .await;
    assert!(worker.executed().credential.is_none());
}

#[tokio::test]
async fn a_key_is_printed_nowhere() {
    let worker = ScriptedWorker::start(Script::events([])).await;
    let key = "fw_canary with spaces";
    for key in [key, "fw_canary"] {
        let run =
            Program::calling(&worker, &["execute", "p"]).env("FIREWORKS_API_KEY", key).run().await;
        assert!(!format!("{run:?}").contains("canary"), "{run:?}");
    }
}

#[tokio::test]
async fn a_worker_learns_its_caller_from_the_token_file() {
    let worker = ScriptedWorker::start(Script::default()).await;
    let token = file("caller-token\n");
    Program::calling(&worker, &["nodes", "--worker-token-file", path(&token)]).run().await;
    assert_eq!(worker.header("authorization").as_deref(), Some("Bearer caller-token"));

    Program::calling(&worker, &["nodes"]).run().await;
    assert_eq!(worker.header("authorization"), None);
}

/// The certificates are made for this test, for a hundred years; the authority's
/// own key was thrown away.
#[tokio::test]
async fn a_worker_with_tls_is_trusted_by_its_own_authority_only() {
    let identity =
        Identity::from_pem(include_str!("tls/worker.pem"), include_str!("tls/worker.key"));
    let worker = ScriptedWorker::start_tls(Script::default(), identity).await;
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cli/tls/authority.pem");
    let run = Program::calling(&worker, &["nodes", "--worker-ca", authority]).run().await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);

    let run = Program::calling(&worker, &["nodes"]).run().await;
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.starts_with("WORKER_UNREACHABLE: no worker at https://"), "{}", run.stderr);
}
