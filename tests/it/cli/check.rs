//! `sparkler check`: what was found out, and what was not.

use sparkler::proto::{
    CheckNodeResponse, FieldViolation, Finding, credential::Source, finding::Verdict,
};

use crate::{
    cli::program::Program,
    support::scripted_worker::{Script, ScriptedWorker},
};

fn finding(subject: &str, verdict: Verdict, basis: &str) -> Finding {
    Finding {
        subject: subject.to_owned(),
        verdict: verdict.into(),
        basis: basis.to_owned(),
        ..Finding::default()
    }
}

async fn worker(findings: Vec<Finding>) -> ScriptedWorker {
    ScriptedWorker::start(Script::findings(CheckNodeResponse { findings })).await
}

#[tokio::test]
async fn what_is_not_known_is_no_failure() {
    let worker = worker(vec![
        finding("config", Verdict::Yes, "every field is as it should be"),
        finding("credential", Verdict::Yes, "GET /models answered 200"),
        finding("model", Verdict::Unknown, "it is not in the list, which is not complete"),
    ])
    .await;
    let run = Program::calling(&worker, &["check", "--model", "m"]).run().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        run.stdout,
        "SUBJECT     ANSWER   REASON  RESTS ON\n\
         config      yes              every field is as it should be\n\
         credential  yes              GET /models answered 200\n\
         model       unknown          it is not in the list, which is not complete\n"
    );
    let credential = worker.checked().credential.expect("a credential");
    assert!(credential.source == Some(Source::ApiKey("fw_environment".to_owned())));
}

#[tokio::test]
async fn a_no_is_exit_code_1_with_every_wrong_field() {
    let violation = FieldViolation {
        field: "config.temperature".to_owned(),
        description: "must be between 0 and 2".to_owned(),
    };
    let worker = worker(vec![Finding {
        reason: "INVALID_NODE_CONFIG".to_owned(),
        violations: vec![violation],
        ..finding("config", Verdict::No, "the node's own fields")
    }])
    .await;
    let run = Program::calling(&worker, &["check"]).without_env("FIREWORKS_API_KEY").run().await;
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.stdout,
        "SUBJECT  ANSWER  REASON               RESTS ON\n\
         config   no      INVALID_NODE_CONFIG  the node's own fields\n  \
         config.temperature must be between 0 and 2\n"
    );
    assert!(worker.checked().credential.is_none());
}
