//! Refusals: a status and a body are a row in a table.

use std::time::Duration;

use super::{
    fail,
    provider::{Script, Step},
};
use crate::{error::ProviderErrorKind, event::Phase};

use ProviderErrorKind::{
    AccountSuspended, BillingRequired, ContextTooLong, CredentialRejected, DeploymentScalingUp,
    ModelForbidden, ModelNotFound, RateLimited, RequestRejected, StreamInterrupted, Unavailable,
};

type Row = (u16, &'static str, ProviderErrorKind, Option<&'static str>, Option<&'static str>);

/// Status, body; kind, code, message.
const REFUSALS: &[Row] = &[
    (
        401,
        r#"{"error":{"message":"The API key you provided is invalid.","param":null,"code":"UNAUTHORIZED","type":"error"},"request_id":"r1"}"#,
        CredentialRejected,
        Some("UNAUTHORIZED"),
        Some("The API key you provided is invalid."),
    ),
    (402, "", BillingRequired, None, None),
    (403, r#"{"error":"unauthorized"}"#, ModelForbidden, None, Some("unauthorized")),
    (
        404,
        r#"{"error":{"message":"Model not found","code":"NOT_FOUND","type":"error"}}"#,
        ModelNotFound,
        Some("NOT_FOUND"),
        Some("Model not found"),
    ),
    (
        404,
        r#"{"detail":"Previous response not found"}"#,
        ModelNotFound,
        None,
        Some("Previous response not found"),
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
        let error = fail(Script::status(*status, body)).await;
        let row = format!("{status} {body}");
        assert_eq!(error.kind, *kind, "{row}");
        assert_eq!(error.http_status, Some(*status), "{row}");
        assert_eq!(error.code.as_deref(), *code, "{row}");
        assert_eq!(error.message.as_deref(), *message, "{row}");
        assert_eq!(error.phase, Phase::Waiting, "{row}");
    }
}

#[tokio::test]
async fn the_id_of_a_refused_call_is_found_in_headers_and_body() {
    let body = r#"{"error":{"message":"x"},"request_id":"in-body"}"#;
    let script = Script::status(404, body);
    assert_eq!(fail(script.clone()).await.request_id.as_deref(), Some("in-body"));
    let script = script.header("cf-ray", "ray");
    assert_eq!(fail(script.clone()).await.request_id.as_deref(), Some("ray"));
    let script = script.header("x-request-id", "first");
    assert_eq!(fail(script).await.request_id.as_deref(), Some("first"));
}

#[tokio::test]
async fn what_the_provider_says_is_shown_on_one_line_without_the_key() {
    for (said, shown) in [
        (r"the key fw_canary is bad", Some("the key [REDACTED] is bad")),
        (r"a\u0000b\u001b[31m\n\t c\u202e", Some("a b [31m c")),
        (r"fw_\u0007canary", Some("fw_ canary")),
        (r" see <!DOCTYPE html><p>", None),
        (r" \n ", None),
    ] {
        let body = format!(r#"{{"error":{{"message":"{said}"}}}}"#);
        let error = fail(Script::status(400, &body)).await;
        assert_eq!(error.message.as_deref(), shown, "{said}");
    }
    let long = format!("{}fw_canary", "é ".repeat(146));
    let message = fail(Script::status(400, &long)).await.message;
    assert_eq!(message, Some(format!("{}[REDACTE…", "é ".repeat(146))));
    let quoting = Script::status(400, r#"{"error":{"code":"fw_canary","message":"x"}}"#)
        .header("x-request-id", "fw_canary");
    let error = fail(quoting).await;
    assert_eq!((error.code, error.request_id), (None, None));
}

#[tokio::test]
async fn the_body_of_a_refusal_is_read_up_to_a_size() {
    let script = Script {
        body: vec![Step::Send(vec![b'x'; 1 << 20]), Step::Hang],
        ..Script::status(500, "")
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
        ("retry-after", "601", None),
    ] {
        let error = fail(Script::status(429, "").header(name, value)).await;
        assert_eq!(error.retry_after, wait, "{name}: {value}");
    }
}
