//! Broken streams and garbage: a fault is a row in a table.

use super::{
    super::Request,
    fail, generate,
    notes::{Notes, Told},
    provider::{Provider, Script, Step},
    request, run, run_request,
};
use crate::{
    error::{Error, ProviderErrorKind},
    event::{Phase, Usage},
};

use ProviderErrorKind::{
    CredentialRejected, DeploymentScalingUp, ModelNotFound, RateLimited, StreamInterrupted,
    Unavailable,
};

const BEGUN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";

#[tokio::test]
async fn a_stream_without_its_end_is_interrupted() {
    let good = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let unfinished = "the stream ended before every choice had a finish reason";
    let rows: &[(&str, &str)] = &[
        ("", unfinished),
        (BEGUN, unfinished),
        ("data: [DONE]\n\n", unfinished),
        (good.trim_end(), unfinished),
        (
            "data: {\"choices\":[{\"finish_reason\":\"content_filter\"}]}\n\n",
            "the model's finish reason was content_filter",
        ),
        (
            "data: {\"choices\":[{\"finish_reason\":\"a fw_canary\"}]}\n\n",
            "the model's finish reason was that cannot be shown",
        ),
        (
            "data: {\"choices\":[{\"index\":1}]}\n\n",
            "the stream has a choice that was not asked for",
        ),
        ("data: {\"choi\n\n", "an event of the stream is not the JSON that was expected"),
        ("data: [1]\n\n", "an event of the stream is no JSON object"),
        (
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"\\ud800\"}}]}}]}\n\n",
            "the arguments of a tool call are no text",
        ),
    ];
    for (body, message) in rows {
        let error = fail(Script::stream(body)).await;
        assert_eq!(error.kind, StreamInterrupted, "{body}");
        assert_eq!(error.message.as_deref(), Some(*message), "{body}");
    }
}

#[tokio::test]
async fn a_stream_of_something_else_is_interrupted() {
    let endless = Script::steps(vec![Step::Send(vec![b'x'; 5 << 20]), Step::Hang]);
    let garbage = Script::steps(vec![Step::Send(b"data: {\"id\":\"\xFF\"}\n\n".to_vec())]);
    let page = Script::stream("<html>").header("content-type", "text/html");
    let json = Script::status(200, "{\"choices\":[]}");
    for (script, message) in [
        (endless, "an event of the stream is larger than allowed"),
        (garbage, "an event of the stream is not valid UTF-8"),
        (page, "what came is neither a stream of events nor JSON; the base URL may be wrong"),
        (json, "the stream ended before every choice had a finish reason"),
    ] {
        let error = fail(script).await;
        assert_eq!(error.kind, StreamInterrupted, "{message}");
        assert_eq!(error.message.as_deref(), Some(message));
    }
}

#[tokio::test]
async fn a_failure_inside_a_stream_is_named_as_if_it_were_a_status() {
    for (event, kind, status) in [
        (r#"data: {"error":{"message":"m","status":429}}"#, RateLimited, Some(429)),
        (r#"data: {"error":{"message":"m","status_code":"401"}}"#, CredentialRejected, Some(401)),
        (r#"data: {"error":{"message":"m","code":404}}"#, ModelNotFound, Some(404)),
        (
            r#"data: {"error":{"message":"m","status":503,"code":"DEPLOYMENT_SCALING_UP"}}"#,
            DeploymentScalingUp,
            Some(503),
        ),
        (
            r#"data: {"error":{"message":"m","code":"internal"},"choices":[]}"#,
            StreamInterrupted,
            None,
        ),
        (r#"data: {"error":"m"}"#, StreamInterrupted, None),
        ("event: error\ndata: m", StreamInterrupted, None),
        ("event: error\ndata: {\"message\":\"m\",\"status\":500}", Unavailable, Some(500)),
    ] {
        let body = format!("data: {{\"id\":\"c-1\"}}\n\n{BEGUN}{event}\n\n");
        let error = fail(Script::stream(&body)).await;
        assert_eq!((error.kind, error.http_status), (kind, status), "{event}");
        assert_eq!(error.message.as_deref(), Some("m"), "{event}");
        assert_eq!(error.phase, Phase::Streaming, "{event}");
        assert_eq!(error.request_id.as_deref(), Some("c-1"), "{event}");
    }
    for event in ["event: error\n\n", "event: error\ndata:\n\n", "data: {\"error\":{}}\n\n"] {
        let error = fail(Script::stream(event)).await;
        assert_eq!((error.kind, error.message), (StreamInterrupted, None), "{event}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_an_interruption_and_keeps_the_usage() {
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n";
    let provider = Provider::start(Script::steps(vec![
        Step::Send(BEGUN.into()),
        Step::Send(usage.into()),
        Step::Gate,
        Step::Break,
    ]))
    .await;
    let notes = Notes::default();
    let mut listener = notes.clone();
    let client = provider.client();
    let (result, ()) =
        tokio::join!(async { generate(&client, &request(), &mut listener).await }, async {
            notes.until(Told::Flush).await;
            provider.open_gate();
        });
    let interrupted = result.expect_err("an interruption");
    assert_eq!(interrupted.error.reason(), "STREAM_INTERRUPTED");
    let expected = Usage { total_tokens: Some(3), ..Usage::default() };
    assert_eq!(interrupted.usage, Some(expected));
}

#[tokio::test]
async fn what_came_before_a_failure_in_the_same_read_is_not_shown() {
    let (result, notes) = run(Script::stream(&format!("{BEGUN}data: {{\n\n"))).await;
    result.expect_err("an interruption");
    assert_eq!(notes.text(0), "x");
    assert!(!notes.all().contains(&Told::Flush));
}

#[tokio::test]
async fn a_listener_that_refuses_ends_the_run_with_its_own_error() {
    let provider = Provider::start(Script::stream(BEGUN)).await;
    let mut notes = Notes::default();
    notes.refuse_after = Some(0);
    let result = generate(&provider.client(), &request(), &mut notes).await;
    let error = result.expect_err("an error").error;
    assert_eq!(error, Error::OutputTooLarge { limit_bytes: 7 });
}

#[tokio::test]
async fn an_answer_lacks_nothing_only_if_every_choice_ended() {
    let body = "data: {\"choices\":[{\"index\":1,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let two = Request { choices: 2, ..request() };
    let (result, _) = run_request(Script::stream(body), &two).await;
    assert_eq!(result.expect_err("a cut").error.reason(), "STREAM_INTERRUPTED");
}
