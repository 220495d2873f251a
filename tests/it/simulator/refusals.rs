//! Calls that get an error or nothing, as scripted.

use fireworks_simulator::{BodyForm, Endpoint, Fault, Refusal, Rule};
use serde_json::json;

use crate::simulator::client::{Client, chat};

#[tokio::test]
async fn refusals_have_every_body_there_is() {
    let client = Client::start().await;
    let text = |text: &str| text.to_owned();
    for (status, form, body) in [
        (429, BodyForm::ModelServer { message: text("slow") }, "\"invalid_request_error\""),
        (
            403,
            BodyForm::BareString { error: text("unauthorized"), message: None },
            r#"{"error":"unauthorized"}"#,
        ),
        (
            422,
            BodyForm::FastApi { detail: json!([{"loc": ["body"], "msg": "m", "type": "t"}]) },
            "\"loc\"",
        ),
        (
            404,
            BodyForm::ControlPlane { code: 5, message: text("no") },
            r#"{"code":5,"message":"no","details":[]}"#,
        ),
        (500, BodyForm::Apigee { faultstring: text("no") }, "\"faultstring\":\"no\""),
        (
            500,
            BodyForm::Text(text("Error listing deployed models")),
            "Error listing deployed models",
        ),
        (502, BodyForm::Html, "<html>"),
        (504, BodyForm::Empty, ""),
        (400, BodyForm::Json(json!({"a": 1})), r#"{"a":1}"#),
    ] {
        let refusal = Refusal::status(status).body(form).header("retry-after", "3");
        client.handle.script(Rule::once(refusal));
        let response = client.chat(&chat("Hi")).send().await.expect("a response");
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["retry-after"], "3");
        assert!(response.headers().contains_key("x-request-id"));
        let got = response.text().await.expect("a body");
        assert!(got.contains(body) && (got.is_empty() == body.is_empty()), "{body}: {got}");
    }
}

#[tokio::test]
async fn listing_models_fails_for_accounts_without_deployments() {
    let client = Client::start().await;
    let body = BodyForm::Text("Error listing deployed models".to_owned());
    let refusal = Refusal::status(500).body(body);
    client.handle.script(Rule::always(refusal).endpoint(Endpoint::Models));
    let list = client.http.get(client.url("/v1/models")).bearer_auth("fw_test").send();
    let list = list.await.expect("a response");
    assert_eq!(list.status(), 500);
    assert_eq!(list.text().await.expect("a body"), "Error listing deployed models");
    assert_eq!(client.ask(chat("Hi")).await.0, 200);
}

#[tokio::test]
async fn a_hang_up_has_no_response() {
    let client = Client::start().await;
    client.handle.script(Rule::once(Fault::HangUp));
    assert!(client.chat(&chat("Hi")).send().await.is_err());
    assert_eq!(client.ask(chat("Hi")).await.0, 200);
}

#[tokio::test]
async fn rules_are_armed_listed_and_cleared_over_http() {
    let client = Client::start().await;
    let url = client.url("/simulator/faults");
    for rule in [
        json!({"faults": [{"refuse": {"status": 503}}], "times": 1, "prompt": "Hi"}),
        json!([{"faults": ["hang_up"], "endpoint": "models"}]),
    ] {
        let response = client.http.post(&url).body(rule.to_string()).send().await;
        assert_eq!(response.expect("a response").status(), 200);
    }
    assert_eq!(client.handle.armed().len(), 2);
    assert_eq!(client.ask(chat("Hi")).await.0, 503);
    let list = client.http.get(&url).send().await.expect("a response");
    assert!(list.text().await.expect("a body").contains("\"hang_up\""));
    client.http.delete(&url).send().await.expect("a response");
    assert!(client.handle.armed().is_empty());
    let wrong = client.http.post(&url).body(r#"{"faults":["hangup"]}"#).send().await;
    assert_eq!(wrong.expect("a response").status(), 400);
}
