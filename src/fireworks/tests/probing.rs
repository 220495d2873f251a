//! Probes of a credential and a model, and the headers that ask to wait.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use super::{
    super::{
        Conclusion::{No, Unknown, Yes},
        head,
        probe::Verdicts,
    },
    key,
    provider::{ResponseScript, ScriptStep, TestProvider},
};

async fn probe(script: ResponseScript) -> Verdicts {
    let provider = TestProvider::start(script).await;
    let limit = Duration::from_secs(5);
    provider.client().probe("m", &key(), limit).await.findings
}

#[tokio::test]
async fn nothing_is_concluded_beyond_what_the_answer_says() {
    let gateway =
        |code: &str| format!(r#"{{"error":{{"message":"x","code":"{code}","type":"error"}}}}"#);
    let model_server =
        r#"{"error":{"object":"error","type":"invalid_request_error","message":"x"}}"#;
    let forbidden = Some("MODEL_FORBIDDEN");
    for (status, body, credential, model, reasons) in [
        (401, gateway("UNAUTHORIZED"), No, Unknown, (Some("CREDENTIAL_REJECTED"), None)),
        (402, String::new(), Yes, Unknown, (None, Some("BILLING_REQUIRED"))),
        (403, gateway("FORBIDDEN"), Yes, No, (None, forbidden)),
        (403, r#"{"error":"unauthorized"}"#.into(), Unknown, No, (None, forbidden)),
        (404, gateway("NOT_FOUND"), Yes, No, (None, Some("MODEL_NOT_FOUND"))),
        (404, "<html>".into(), Unknown, Unknown, (None, None)),
        (412, String::new(), Yes, Unknown, (None, Some("ACCOUNT_SUSPENDED"))),
        (400, model_server.into(), Yes, Yes, (None, None)),
        (400, gateway("BAD_REQUEST"), Yes, Unknown, (None, None)),
        (400, "bad".into(), Unknown, Unknown, (None, None)),
        (200, "{}".into(), Unknown, Unknown, (None, None)),
        (429, gateway("x"), Unknown, Unknown, (None, None)),
        (500, "x".into(), Unknown, Unknown, (None, None)),
        (302, String::new(), Unknown, Unknown, (None, None)),
    ] {
        let found = probe(ResponseScript::status(status, &body)).await;
        let row = format!("{status} {body}: {found:?}");
        assert_eq!(found.credential.answer, credential, "{row}");
        assert_eq!(found.model.answer, model, "{row}");
        assert_eq!((found.credential.reason, found.model.reason), reasons, "{row}");
        assert!(!found.model.basis.is_empty(), "{row}");
    }
}

#[tokio::test]
async fn behind_a_gateway_nothing_is_concluded_and_no_model_runs() {
    for (status, body) in [
        (200, r#"{"object":"list","data":[]}"#),
        (401, r#"{"error":{"message":"No api key","type":"auth_error","code":"401"}}"#),
        (404, "404 page not found"),
        (501, ""),
        (403, "<html>"),
    ] {
        let script = ResponseScript { is_fireworks: false, ..ResponseScript::status(status, body) };
        let mut provider = TestProvider::start(script).await;
        let found = provider.client().probe("m", &key(), Duration::from_secs(5)).await.findings;
        assert_eq!((found.credential.answer, found.model.answer), (Unknown, Unknown), "{body}");
        assert!(found.model.basis.contains(&format!("HTTP {status}")), "{found:?}");
        let asked = provider.requests.recv().await.expect("a request");
        assert_eq!(asked.path, "/inference/v1/models");
        assert!(!asked.headers.contains_key("authorization") && asked.body.is_empty());
        assert!(provider.requests.try_recv().is_err(), "asked for more");
    }
}

#[tokio::test]
async fn a_probe_asks_for_nothing_that_costs() {
    let mut provider = TestProvider::start(ResponseScript::status(400, "")).await;
    let limit = Duration::from_secs(5);
    provider.client().probe("a\"b", &key(), limit).await;
    let received = provider.requests.recv().await.expect("a request");
    assert_eq!(received.path, "/inference/v1/chat/completions");
    assert_eq!(received.body, r#"{"model":"a\"b","messages":[],"max_tokens":1}"#);
    assert_eq!(received.headers["authorization"], "Bearer fw_canary");
}

#[tokio::test]
async fn an_answer_that_comes_after_all_is_closed_at_once() {
    let script =
        ResponseScript::steps(vec![ScriptStep::Send("data: {}\n\n".into()), ScriptStep::Hang]);
    let mut provider = TestProvider::start(script).await;
    let found = provider.client().probe("m", &key(), Duration::from_secs(60)).await;
    assert_eq!(found.findings.model.answer, Unknown);
    tokio::time::timeout(Duration::from_millis(100), provider.closed.recv())
        .await
        .expect("a closed stream");
}

#[tokio::test]
async fn silence_and_absence_leave_everything_unknown() {
    let provider = TestProvider::start(ResponseScript::silence()).await;
    let found = provider.client().probe("m", &key(), Duration::from_millis(20)).await;
    assert_eq!((found.findings.credential.answer, found.findings.model.answer), (Unknown, Unknown));
    assert_eq!(found.findings.credential.basis, "the provider did not answer in time");
}

/// Headers; milliseconds.
type ProbeRow<'a> = (&'a [(&'a str, &'a str)], Option<u64>);

#[test]
fn a_wait_is_read_in_every_form_and_believed_within_reason() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let in_a_minute = httpdate::fmt_http_date(now + Duration::from_secs(60));
    let yesterday = httpdate::fmt_http_date(now - Duration::from_secs(86_400));
    let rows: &[ProbeRow<'_>] = &[
        (&[], None),
        (&[("retry-after", "1.5")], Some(1500)),
        (&[("retry-after", " 600 ")], Some(600_000)),
        (&[("retry-after", "600.1")], Some(600_100)),
        (&[("retry-after", "86401")], Some(86_400_000)),
        (&[("retry-after", "-1")], None),
        (&[("retry-after", "0")], None),
        (&[("retry-after", "NaN")], None),
        (&[("retry-after", "1e300")], Some(86_400_000)),
        (&[("retry-after", "soon")], None),
        (&[("retry-after", &in_a_minute)], Some(60_000)),
        (&[("retry-after", &yesterday)], None),
        (&[("retry-after-ms", "250"), ("retry-after", "9")], Some(250)),
        (&[("retry-after-ms", "x"), ("retry-after", "9")], Some(9000)),
    ];
    for (pairs, milliseconds) in rows {
        let mut headers = HeaderMap::new();
        for (name, value) in *pairs {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        let wait = head::retry_after(&headers, now);
        assert_eq!(wait, milliseconds.map(Duration::from_millis), "{pairs:?}");
    }
}
