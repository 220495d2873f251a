//! Refusals: each status and body is a row in a table.

use std::time::Duration;

use super::{
    fail,
    provider::{ResponseScript, ScriptStep},
};
use crate::{error::ProviderErrorKind, event::Phase};

use ProviderErrorKind::{
    AccountSuspended, BillingRequired, ContextTooLong, CredentialRejected, DeploymentScalingUp,
    ModelForbidden, ModelNotFound, RateLimited, RequestRejected, StreamInterrupted, Unavailable,
};

type RefusalRow =
    (u16, &'static str, ProviderErrorKind, Option<&'static str>, Option<&'static str>);

const EDGE: &str = "a proxy or firewall in front of the provider refused the request, not the API";

/// Status, body; kind, code, message.
const REFUSALS: &[RefusalRow] = &[
    (
        401,
        r#"{"error":{"message":"The API key you provided is invalid.","param":null,"code":"UNAUTHORIZED","type":"error"},"request_id":"r1"}"#,
        CredentialRejected,
        Some("UNAUTHORIZED"),
        Some("The API key you provided is invalid."),
    ),
    (402, "", BillingRequired, None, None),
    (403, r#"{"error":"unauthorized"}"#, CredentialRejected, None, Some("unauthorized")),
    (
        403,
        r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#,
        CredentialRejected,
        Some("invalid_api_key"),
        Some("Incorrect API key provided"),
    ),
    (
        403,
        r#"{"error":{"message":"no access","code":"FORBIDDEN","type":"error"}}"#,
        ModelForbidden,
        Some("FORBIDDEN"),
        Some("no access"),
    ),
    (403, "<!DOCTYPE html><title>Just a moment...</title>", RequestRejected, None, Some(EDGE)),
    (401, " <html>", RequestRejected, None, Some(EDGE)),
    (
        403,
        r#"{"cloudflare_error":true,"status":403,"detail":"denied"}"#,
        RequestRejected,
        None,
        Some(
            "a proxy or firewall in front of the provider refused the request, not the API: denied",
        ),
    ),
    (
        404,
        r#"{"error":{"message":"Model not found","code":"NOT_FOUND","type":"error"}}"#,
        ModelNotFound,
        Some("NOT_FOUND"),
        Some("Model not found"),
    ),
    (
        404,
        r#"{"detail":"Not Found"}"#,
        RequestRejected,
        None,
        Some("nothing is served at this path; the base URL may be wrong: Not Found"),
    ),
    (
        404,
        r#"{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)","code":null}}"#,
        RequestRejected,
        None,
        Some(
            "nothing is served at this path; the base URL may be wrong: Invalid URL (POST /v1/v1/chat/completions)",
        ),
    ),
    (
        404,
        r#"{"error":{"message":"Path not found: /v1/x","code":"NOT_FOUND","type":"error"}}"#,
        RequestRejected,
        Some("NOT_FOUND"),
        Some("nothing is served at this path; the base URL may be wrong: Path not found: /v1/x"),
    ),
    (
        404,
        "404 page not found",
        RequestRejected,
        None,
        Some("nothing is served at this path; the base URL may be wrong: 404 page not found"),
    ),
    (
        404,
        r#"{"object":"error","message":"The model `m` does not exist.","type":"NotFoundError","code":404}"#,
        ModelNotFound,
        Some("404"),
        Some("The model `m` does not exist."),
    ),
    (
        404,
        r#"{"error":{"message":"Deployment d not found","code":"NOT_FOUND","type":"error"}}"#,
        ModelNotFound,
        Some("NOT_FOUND"),
        Some("there is no such deployment, or it was deleted: Deployment d not found"),
    ),
    (
        400,
        r#"{"error":{"message":"m is not a thing","code":"model_not_found"}}"#,
        ModelNotFound,
        Some("model_not_found"),
        Some("m is not a thing"),
    ),
    (405, "Method Not Allowed", RequestRejected, None, Some("Method Not Allowed")),
    (408, "", Unavailable, None, None),
    (
        409,
        r#"{"code":10,"message":"conflict","details":[]}"#,
        RequestRejected,
        Some("10"),
        Some("conflict"),
    ),
    (
        412,
        r#"{"error":{"message":"suspended","code":"PRECONDITION_FAILED"}}"#,
        AccountSuspended,
        Some("PRECONDITION_FAILED"),
        Some("suspended"),
    ),
    (
        413,
        r#"{"fault":{"faultstring":"too large","detail":{"errorcode":"x"}}}"#,
        RequestRejected,
        None,
        Some("too large"),
    ),
    (
        400,
        r#"{"error":{"object":"error","type":"invalid_request_error","code":"invalid_request_error","message":"Extra inputs are not permitted, field: 'x'"}}"#,
        RequestRejected,
        Some("invalid_request_error"),
        Some("Extra inputs are not permitted, field: 'x'"),
    ),
    (
        400,
        r#"{"error":{"object":"error","type":"invalid_request_error","code":null,"message":"The prompt is too long: 9, model maximum context length: 8"}}"#,
        ContextTooLong,
        None,
        Some("The prompt is too long: 9, model maximum context length: 8"),
    ),
    (
        422,
        r#"{"detail":[{"loc":["body"],"msg":"field required","type":"missing"},{"msg":"too small"}]}"#,
        RequestRejected,
        None,
        Some("field required; too small"),
    ),
    (425, "", Unavailable, None, None),
    (
        429,
        r#"{"error":"Too Many Requests","message":"slow down"}"#,
        RateLimited,
        None,
        Some("Too Many Requests"),
    ),
    (
        429,
        r#"{"error":{"object":"error","type":"invalid_request_error","code":429,"message":"busy"}}"#,
        RateLimited,
        Some("429"),
        Some("busy"),
    ),
    (499, "[1]", RequestRejected, None, Some("[1]")),
    (
        500,
        "Error listing deployed models\n",
        Unavailable,
        None,
        Some("Error listing deployed models"),
    ),
    (502, "<html><head><title>502</title></head></html>", Unavailable, None, None),
    (
        503,
        r#"{"error":{"code":"SERVICE_UNAVAILABLE","message":"x"}}"#,
        Unavailable,
        Some("SERVICE_UNAVAILABLE"),
        Some("x"),
    ),
    (
        503,
        r#"{"error":{"message":"waking","code":"DEPLOYMENT_SCALING_UP","type":"error"}}"#,
        DeploymentScalingUp,
        Some("DEPLOYMENT_SCALING_UP"),
        Some("waking"),
    ),
    (504, r#"{"error":{"message":7}}"#, Unavailable, None, None),
    (520, "error code: 520", Unavailable, None, Some("error code: 520")),
    (
        301,
        "Moved to http://elsewhere",
        RequestRejected,
        None,
        Some("the provider redirects; the base URL may be wrong"),
    ),
    (204, "", StreamInterrupted, None, None),
];

#[tokio::test]
async fn a_refusal_is_named_by_its_status_and_its_words_are_found() {
    for (status, body, kind, code, message) in REFUSALS {
        let error = fail(ResponseScript::status(*status, body)).await;
        let row = format!("{status} {body}");
        assert_eq!(error.kind, *kind, "{row}");
        assert_eq!(error.http_status, Some(*status), "{row}");
        assert_eq!(error.code.as_deref(), *code, "{row}");
        assert_eq!(error.message.as_deref(), *message, "{row}");
        assert_eq!(error.phase, Phase::Waiting, "{row}");
    }
}

#[tokio::test]
async fn a_context_that_is_too_long_is_named_in_every_wording() {
    for (status, message) in [
        (400, "the request exceeds the available context size. try increasing the context size"),
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000"),
        (400, "The decoder prompt (length 9) is longer than the maximum model length of 8"),
        (400, "The input (9 tokens) is longer than the model's context length (8 tokens)."),
        (400, "Requested token count exceeds the model's maximum context length of 8 tokens"),
        (500, "the input length exceeds the context length"),
        (413, "`inputs` tokens + `max_new_tokens` must be <= 8. Given: 9"),
        (422, "input exceeds the context window of this model"),
    ] {
        let body = serde_json::json!({"error": {"message": message, "code": status}}).to_string();
        assert_eq!(
            fail(ResponseScript::status(status, &body)).await.kind,
            ContextTooLong,
            "{message}"
        );
        let event = format!("data: {body}\n\n");
        assert_eq!(fail(ResponseScript::stream(&event)).await.kind, ContextTooLong, "{message}");
    }
    for message in [
        "context_length_exceeded_behavior must be truncate or error",
        "the model's name is too long",
    ] {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        assert_eq!(
            fail(ResponseScript::status(400, &body)).await.kind,
            RequestRejected,
            "{message}"
        );
    }
}

#[tokio::test]
async fn only_a_failure_of_a_known_form_may_be_remembered() {
    for (body, is_known) in [
        (r#"{"error":{"message":"x"}}"#, true),
        (r#"{"error":"x"}"#, true),
        (r#"{"object":"error","message":"x"}"#, true),
        (r#"{"detail":"x"}"#, true),
        (r#"[{"error":{"message":"x"}}]"#, true),
        ("Unauthorized", false),
        ("", false),
        ("<html>", false),
        (r#"{"hello":"x"}"#, false),
        (r#"{"error":null,"message":"x"}"#, false),
    ] {
        let error = fail(ResponseScript::status(401, body)).await;
        assert_eq!(error.is_known_form, is_known, "{body}");
    }
}

#[tokio::test]
async fn the_id_of_a_refused_call_is_found_in_headers_and_body() {
    let body = r#"{"error":{"message":"x"},"request_id":"in-body"}"#;
    let script = ResponseScript::status(404, body);
    assert_eq!(fail(script.clone()).await.request_id.as_deref(), Some("in-body"));
    let script = script.header("cf-ray", "ray");
    assert_eq!(fail(script.clone()).await.request_id.as_deref(), Some("ray"));
    let script = script.header("x-request-id", "first");
    assert_eq!(fail(script).await.request_id.as_deref(), Some("first"));
}

#[tokio::test]
async fn what_the_provider_says_is_shown_on_one_line_without_the_key() {
    for (message, shown) in [
        (r"the key fw_canary is bad", Some("the key [REDACTED] is bad")),
        (r"a\u0000b\u001b[31m\n\t c\u202e", Some("a b [31m c")),
        (r"fw_\u0007canary", Some("fw_ canary")),
        (r" see <!DOCTYPE html><p>", None),
        (r" \n ", None),
    ] {
        let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
        let error = fail(ResponseScript::status(400, &body)).await;
        assert_eq!(error.message.as_deref(), shown, "{message}");
    }
    let long = format!("{}fw_canary", "é ".repeat(146));
    let message = fail(ResponseScript::status(400, &long)).await.message;
    assert_eq!(message, Some(format!("{}[REDACTE…", "é ".repeat(146))));
    let quoting = ResponseScript::status(400, r#"{"error":{"code":"fw_canary","message":"x"}}"#)
        .header("x-request-id", "fw_canary");
    let error = fail(quoting).await;
    assert_eq!((error.code, error.request_id), (None, None));
}

#[tokio::test]
async fn the_body_of_a_refusal_is_read_up_to_a_size() {
    let script = ResponseScript {
        body: vec![ScriptStep::Send(vec![b'x'; 1 << 20]), ScriptStep::Hang],
        ..ResponseScript::status(500, "")
    };
    let message = fail(script).await.message.expect("its beginning");
    assert_eq!(message, format!("{}…", "x".repeat(300)));
}

#[tokio::test]
async fn a_wait_that_the_provider_asks_for_is_passed_on() {
    for (name, value, wait) in [
        ("retry-after-ms", "1500", Some(Duration::from_millis(1500))),
        ("retry-after", "2", Some(Duration::from_secs(2))),
        ("retry-after", "0", None),
        ("retry-after", "3600", Some(Duration::from_secs(3600))),
    ] {
        let error = fail(ResponseScript::status(429, "").header(name, value)).await;
        assert_eq!(error.retry_after, wait, "{name}: {value}");
    }
}
