//! Broken streams and garbage: each fault is a row in a table.

use super::{
    super::{Interrupted, Request},
    fail, generate,
    notes::{Note, Notes},
    provider::{ResponseScript, ScriptStep, TestProvider},
    request, run, run_request,
};
use crate::{
    error::{Error, ProviderErrorKind},
    event::{Phase, Usage},
};

use ProviderErrorKind::{
    AnswerInvalid, BillingRequired, CredentialRejected, DeploymentScalingUp, ModelNotFound,
    RateLimited, RequestRejected, StreamInterrupted, Unavailable,
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
            "data: {\"choices\":[{\"finish_reason\":\"error\"}]}\n\n",
            "the model's finish reason was error",
        ),
        ("data: {\"choi\n\n", "an event of the stream is not the JSON that was expected"),
    ];
    for (body, message) in rows {
        let error = fail(ResponseScript::stream(body)).await;
        assert_eq!(error.kind, StreamInterrupted, "{body}");
        assert_eq!(error.message.as_deref(), Some(*message), "{body}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_interrupted() {
    let endless =
        ResponseScript::steps(vec![ScriptStep::Send(vec![b'x'; 5 << 20]), ScriptStep::Hang]);
    let error = fail(endless).await;
    assert_eq!(error.kind, StreamInterrupted);
    assert_eq!(error.message.as_deref(), Some("an event of the stream is larger than allowed"));
}

#[tokio::test]
async fn what_comes_out_the_same_again_is_not_an_interruption() {
    let page = ResponseScript::stream("hello").header("content-type", "text/html");
    let not_this = "what came is neither a stream of events nor JSON; the base URL may be wrong";
    let no_answer = "what came is JSON without an answer; the base URL may be wrong";
    let content = "the content of a message has a shape that cannot be read";
    let chunk =
        |choice: &str| ResponseScript::stream(&format!("data: {{\"choices\":[{choice}]}}\n\n"));
    for (script, message) in [
        (page, not_this),
        (ResponseScript::stream("<html>"), not_this),
        (ResponseScript::status(200, "{\"choices\":[]}"), no_answer),
        (ResponseScript::status(200, "{\"data\":[1]}"), no_answer),
        (ResponseScript::status(200, "{}\n{}\n"), "what came has a shape that cannot be read"),
        (
            ResponseScript::stream("data: [1]\n\n"),
            "an event of the stream has a shape that cannot be read",
        ),
        (chunk(r#"{"delta":{"content":7}}"#), content),
        (chunk(r#"{"delta":{"content":[{"type":"image"}]}}"#), content),
        (chunk("7"), "a choice has a shape that cannot be read"),
        (chunk(r#"{"delta":{"tool_calls":["x"]}}"#), "a tool call has a shape that cannot be read"),
        (chunk(r#"{"index":1}"#), "the stream has a choice that was not asked for"),
        (chunk(r#"{"finish_reason":"banana"}"#), "the model's finish reason was banana"),
        (
            chunk(r#"{"finish_reason":"a fw_canary"}"#),
            "the model's finish reason was that cannot be shown",
        ),
    ] {
        let error = fail(script).await;
        assert_eq!(error.kind, AnswerInvalid, "{message}");
        assert_eq!(error.message.as_deref(), Some(message));
        assert!(!error.kind.is_transient());
    }
}

#[tokio::test]
async fn the_answers_that_came_are_counted_against_those_asked_for() {
    let two = Request { choices: 2, ..request() };
    let one = r#"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#;
    let cut = r#"data: {"choices":[{"index":1,"delta":{"content":"y"}}]}"#;
    for (body, kind) in [
        (format!("{one}\n\ndata: [DONE]\n\n"), AnswerInvalid),
        (format!("{one}\n\n"), StreamInterrupted),
        (format!("{one}\n\n{cut}\n\ndata: [DONE]\n\n"), StreamInterrupted),
    ] {
        let (result, _) = run_request(ResponseScript::stream(&body), &two).await;
        let Err(Interrupted { error: Error::Provider(error), .. }) = result else {
            panic!("{body}: not a failure of the provider");
        };
        assert_eq!(error.kind, kind, "{body}");
        let counts = error.message.as_deref() == Some("1 of 2 answers came");
        assert_eq!(counts, kind == AnswerInvalid, "{body}");
    }
}

#[tokio::test]
async fn a_failure_of_any_shape_inside_a_stream_is_read() {
    for (event, kind) in [
        (r#"data: {"object":"error","message":"m","code":400}"#, RequestRejected),
        (
            r#"data: {"choices":null,"error_type":"X","error_message":"m","status_code":400}"#,
            RequestRejected,
        ),
        (
            r#"data: {"choices":[{"delta":{},"finish_reason":"error","error":{"message":"m","code":502}}]}"#,
            Unavailable,
        ),
        (r#"data: {"choices":[{"delta":{"content":"x"},"error":"m"}]}"#, StreamInterrupted),
        (r#"data: {"detail":"m"}"#, StreamInterrupted),
        (r#"data: {"detail":[{"msg":"m"}]}"#, StreamInterrupted),
        (r#"data: {"errors":[{"message":"m","code":"rate_limit_exceeded"}]}"#, RateLimited),
        (r#"data: {"errors":["m"]}"#, StreamInterrupted),
        (
            r#"data: {"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
            StreamInterrupted,
        ),
        (r#"data: {"error":{"message":"m","code":"RATE-LIMIT-EXCEEDED"}}"#, RateLimited),
        (
            r#"data: {"error":{"message":"m","type":"invalid_request_error","code":"invalid_request_error"}}"#,
            StreamInterrupted,
        ),
        (r#"data: {"error":{"message":"m","code":"BAD_REQUEST"}}"#, RequestRejected),
        (r#"data: {"error":{"message":"m","code":"insufficient_quota"}}"#, BillingRequired),
        (r#"error: {"code":500,"message":"m"}"#, Unavailable),
        ("error: m", StreamInterrupted),
        ("data: m", StreamInterrupted),
        (r#"data: {"message":"m"}"#, StreamInterrupted),
    ] {
        let error = fail(ResponseScript::stream(&format!("{BEGUN}{event}\n\n"))).await;
        assert_eq!(error.kind, kind, "{event}");
        assert_eq!(error.message.as_deref(), Some("m"), "{event}");
    }
    // Without any framing, under any label.
    for label in ["text/event-stream", "application/json", "text/plain"] {
        let body = "\n {\n \"error\": {\"message\": \"m\", \"code\": 429}}";
        let error = fail(ResponseScript::stream(body).header("content-type", label)).await;
        assert_eq!((error.kind, error.message.as_deref()), (RateLimited, Some("m")), "{label}");
    }
}

#[tokio::test]
async fn what_says_nothing_is_not_a_failure() {
    for event in [
        r#"{"error":null}"#,
        r#"{"error":""}"#,
        r#"{"error":{}}"#,
        r#"{"error":false}"#,
        r#"{"errors":[]}"#,
        "null",
        "{}",
        "[]",
        r#"{"type":"ping"}"#,
        r#"{"message":"processing"}"#,
    ] {
        let good = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        let (result, _) =
            run(ResponseScript::stream(&format!("{BEGUN}data: {event}\n\n{good}\n\n"))).await;
        result.unwrap_or_else(|error| panic!("{event}: {error:?}"));
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
        let error = fail(ResponseScript::stream(&body)).await;
        assert_eq!((error.kind, error.http_status), (kind, status), "{event}");
        assert_eq!(error.message.as_deref(), Some("m"), "{event}");
        assert_eq!(error.phase, Phase::Streaming, "{event}");
        assert_eq!(error.request_id.as_deref(), Some("c-1"), "{event}");
    }
    for event in ["event: error\n\n", "event: error\ndata:\n\n", "data: {\"error\":[{}]}\n\n"] {
        let error = fail(ResponseScript::stream(event)).await;
        assert_eq!((error.kind, error.message), (StreamInterrupted, None), "{event}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_an_interruption_and_keeps_the_usage() {
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n";
    let provider = TestProvider::start(ResponseScript::steps(vec![
        ScriptStep::Send(BEGUN.into()),
        ScriptStep::Send(usage.into()),
        ScriptStep::Gate,
        ScriptStep::Break,
    ]))
    .await;
    let notes = Notes::default();
    let mut emit = notes.clone();
    let client = provider.client();
    let (result, ()) =
        tokio::join!(async { generate(&client, &request(), &mut emit).await }, async {
            notes.until(Note::Flush).await;
            provider.open_gate();
        });
    let interrupted = result.expect_err("an interruption");
    assert_eq!(interrupted.error.reason(), "STREAM_INTERRUPTED");
    let expected = Usage { total_tokens: Some(3), ..Usage::default() };
    assert_eq!(interrupted.usage, Some(expected));
}

#[tokio::test]
async fn what_came_before_a_failure_in_the_same_read_is_not_shown() {
    let (result, notes) = run(ResponseScript::stream(&format!("{BEGUN}data: {{\n\n"))).await;
    result.expect_err("an interruption");
    assert_eq!(notes.text(0), "x");
    assert!(!notes.all().contains(&Note::Flush));
}

#[tokio::test]
async fn a_listener_that_refuses_ends_the_run_with_its_own_error() {
    let provider = TestProvider::start(ResponseScript::stream(BEGUN)).await;
    let mut notes = Notes::default();
    notes.refuse_after = Some(0);
    let result = generate(&provider.client(), &request(), &mut notes).await;
    let error = result.expect_err("an error").error;
    assert_eq!(error, Error::OutputTooLarge { limit_bytes: 7 });
}
