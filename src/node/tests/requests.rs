//! The requests that are sent.

use std::collections::HashSet;

use super::*;
use crate::{
    fireworks::{Endpoint, Request},
    node::request::{self, NodeSettings},
    output::Schema,
};

/// Returns the request of a node for a configuration.
fn request(node_type: &str, fields: Value, input: Input, output: &OutputFormat) -> Request {
    let form = REGISTRY.find(node_type).expect("a node").form();
    let mut fields = config(fields);
    fields.insert("modelName".to_owned(), json!("m"));
    let mut problems = Problems::default();
    let values = Values::read(form, fields, &mut problems);
    problems.into_result().expect("right");
    let endpoint = match (&input, node_type) {
        (Input::Prompt(_), "fireworks") => Endpoint::Completions,
        _ => Endpoint::ChatCompletions,
    };
    request::write(&NodeSettings::new(values), endpoint, &input, output).request
}

fn body(node_type: &str, fields: Value) -> String {
    let request = request(node_type, fields, prompt(), &OutputFormat::Text);
    String::from_utf8(request.body.to_vec()).expect("text")
}

#[test]
fn the_smallest_request_is_this() {
    assert_eq!(
        body("chatFireworks", json!({})),
        r#"{"model":"m","messages":[{"role":"user","content":"Say hello."}],"temperature":0.9,"stream":true,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        body("fireworks", json!({})),
        r#"{"model":"m","prompt":"Say hello.","stream":true,"stream_options":{"include_usage":true}}"#
    );
}

#[test]
fn a_temperature_of_zero_stays_zero() {
    for zero in [json!(0), json!(0.0), json!(-0.0), json!("0")] {
        assert!(
            body("chatFireworks", json!({"temperature": zero})).contains(r#""temperature":0,"#)
        );
    }
}

#[test]
fn a_prompt_goes_to_completions_and_a_chat_to_chat_completions() {
    for (node_type, input, endpoint) in [
        ("fireworks", prompt(), "completions"),
        ("fireworks", Input::Chat(vec![user("a")]), "chat/completions"),
        ("chatFireworks", prompt(), "chat/completions"),
        ("chatFireworks", Input::Chat(vec![user("a")]), "chat/completions"),
    ] {
        let plan = planned(node_type, json!({}), input, &OutputFormat::Text).expect("right");
        assert_eq!(plan.identity.endpoint, endpoint);
        assert_eq!(&*plan.identity.base_url, "https://api.fireworks.ai/inference/v1");
    }
}

#[test]
fn the_client_learns_how_many_answers_and_whether_logprobs_come() {
    let of = |fields| {
        let request = request("chatFireworks", fields, prompt(), &OutputFormat::Text);
        (request.choices, request.logprobs)
    };
    assert_eq!(of(json!({})), (1, false));
    assert_eq!(of(json!({"n": 3, "logprobs": true})), (3, true));
    assert_eq!(of(json!({"logprobs": false})), (1, false));
    assert_eq!(of(json!({"logprobs": 0})), (1, true));
}

/// Asserts that every key is in the provider's schema, at any depth, and that
/// nothing is null.
fn assert_known(value: &Value, path: &str) {
    match value {
        Value::Null => panic!("{path} is null"),
        Value::Array(items) => items.iter().for_each(|item| assert_known(item, path)),
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| assert_known(member, &format!("{path}.{name}"))),
        _ => {}
    }
}

#[test]
fn only_known_keys_are_sent_and_never_null() {
    let mut sent = HashSet::new();
    for (name, samples) in super::samples::samples() {
        for sample in samples {
            let body: Value =
                serde_json::from_str(&body("chatFireworks", json!({name: sample}))).expect("JSON");
            assert_known(&body, "");
            sent.extend(config(body).into_iter().map(|(name, _)| name));
        }
    }
    let mut sent: Vec<String> = sent.into_iter().collect();
    sent.sort();
    insta::assert_snapshot!(sent.join("\n"));
}

#[test]
fn requested_json_is_requested_with_the_schema_as_written() {
    let any = OutputFormat::Json { schema: None };
    let body = request("chatFireworks", json!({}), prompt(), &any).body;
    assert!(body.starts_with(br#"{"response_format":{"type":"json_object"},"model":"m","#));

    let schema =
        Schema::parse(r#"{"properties": {"z": {}, "a": {"maximum": 18446744073709551616}}}"#);
    let schema = Some(schema.expect("a schema"));
    let body = request("fireworks", json!({}), prompt(), &OutputFormat::Json { schema }).body;
    assert!(body.starts_with(br#"{"response_format":{"type":"json_schema","json_schema":{"name":"output","schema":{"properties":{"z":{},"a":{"maximum":18446744073709551616}}}}},"model":"m","#));
    serde_json::from_slice::<Value>(&body).expect("JSON");
}

#[test]
fn a_checked_answer_is_never_taken_for_an_unchecked_one() {
    let checked = planned("fireworks", json!({}), prompt(), &OutputFormat::Json { schema: None });
    let unchecked = plan("fireworks", json!({"responseFormat": {"type": "json_object"}}));
    assert_ne!(checked.expect("right").identity, unchecked.identity);
}

#[test]
fn two_answers_to_the_question_of_form_are_refused() {
    let json_output = OutputFormat::Json { schema: None };
    let fields = json!({"responseFormat": {"type": "text"}});
    let problems = planned("fireworks", fields, prompt(), &json_output).expect_err("both");
    assert_eq!(problems[0].field, "config.responseFormat");
}

#[test]
fn the_key_order_of_json_the_model_reads_is_kept() {
    let text = r#"[{"function":{"parameters":{"type":"object","properties":{"z":{"maximum":5.0},"a":{}}},"name":"f"},"type":"function"}]"#;
    assert!(body("chatFireworks", json!({"tools": text})).contains(
        r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"z":{"maximum":5},"a":{}}}}}]"#
    ));
}

#[test]
fn the_old_form_of_tools_is_sent_in_the_new() {
    let body =
        body("chatFireworks", json!({"functions": [{"name": "f"}], "functionCall": {"name": "f"}}));
    assert!(body.contains(r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}}"#), "{body}");
}
