//! Answers and errors in the forms of other providers: each on the wire.

use std::collections::BTreeSet;

use fireworks_simulator::{
    BodyForm, Dialect, ErrorShape, Fault, ForeignError, Preset, Refusal, Rule, ScriptedToolCall,
};
use serde_json::{Value, json};

use crate::simulator::client::{Client, chat, events};

/// Thinks, speaks, and calls two tools.
fn answer() -> Fault {
    let call = |name: &str, arguments: [&str; 2]| ScriptedToolCall {
        name: name.to_owned(),
        arguments: arguments.map(str::to_owned).to_vec(),
    };
    Fault::Answer {
        reasoning: vec!["hm".to_owned()],
        deltas: vec!["ok".to_owned()],
        tool_calls: vec![call("read", ["{\"p\":", "1}"]), call("list", ["{", "}"])],
    }
}

/// The deltas of a stream in a dialect, with ids replaced by `id`, and the same
/// answer unstreamed.
async fn said(client: &Client, dialect: Dialect) -> (Vec<Value>, Value) {
    client.handle.clear_script();
    client.handle.script(Rule::always(answer()).and(Fault::Dialect(dialect)));
    let stream = events(&client.stream(chat("Hi")).await);
    let deltas = stream.iter().map(|event| without_ids(event["choices"][0]["delta"].clone()));
    let deltas = deltas.filter(|delta| delta.as_object().is_some_and(|delta| !delta.is_empty()));
    let (_, reply) = client.ask(chat("Hi")).await;
    (deltas.skip(1).collect(), without_ids(reply["choices"][0]["message"].clone()))
}

fn without_ids(mut message: Value) -> Value {
    for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
        if call["id"].as_str().is_some_and(|id| id.starts_with("call_")) {
            call["id"] = json!("id");
        }
    }
    if message["tool_calls"].is_null()
        && let Some(members) = message.as_object_mut()
    {
        members.remove("tool_calls");
    }
    message
}

#[tokio::test]
async fn answers_are_spelled_as_by_other_providers() {
    let client = Client::start().await;
    let call = |name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"id": "id", "type": "function", "function": function})
    };
    let at = |index: u32, mut call: Value| {
        call["index"] = json!(index);
        call
    };
    let (read, list) = (call("read", "{\"p\":1}"), call("list", "{}"));
    let empty = |index| {
        let mut empty = at(index, call("", ""));
        empty["id"] = json!("");
        empty
    };
    for (dialect, deltas) in [
        (Dialect::CallsInOneDelta, vec![json!([read, list])]),
        (Dialect::CallPerDelta, vec![json!([read]), json!([list])]),
        (
            Dialect::CallsAtOneIndex,
            vec![json!([at(0, read.clone())]), json!([at(0, list.clone())])],
        ),
        (
            Dialect::LateCallNames,
            vec![
                json!([empty(0)]),
                json!([at(0, read.clone())]),
                json!([empty(1)]),
                json!([at(1, list.clone())]),
            ],
        ),
    ] {
        let (streamed, whole) = said(&client, dialect).await;
        let expected: Vec<Value> =
            deltas.into_iter().map(|calls| json!({"tool_calls": calls})).collect();
        assert_eq!(streamed[2..], expected, "{dialect:?}");
        let functions = whole["tool_calls"].as_array().expect("calls").iter();
        let functions: Vec<&Value> = functions.map(|call| &call["function"]).collect();
        assert_eq!(functions, [&read["function"], &list["function"]], "{dialect:?}");
    }
    for (dialect, members) in [
        (Dialect::Reasoning, json!({"reasoning": "hm", "content": "ok"})),
        (Dialect::Refusal, json!({"reasoning_content": "hm", "refusal": "ok"})),
        (
            Dialect::ContentParts,
            json!({"reasoning_content": "hm", "content": [{"type": "text", "text": "ok"}]}),
        ),
    ] {
        let (streamed, mut whole) = said(&client, dialect).await;
        let mut both = streamed[0].as_object().expect("a delta").clone();
        both.extend(streamed[1].as_object().expect("a delta").clone());
        assert_eq!(Value::Object(both), members, "{dialect:?}");
        let whole = whole.as_object_mut().expect("a message");
        whole.retain(|member, _| member != "role" && member != "tool_calls");
        assert_eq!(Value::Object(whole.clone()), members, "{dialect:?}");
    }
}

#[tokio::test]
async fn dialects_of_one_call_add_up() {
    let client = Client::start().await;
    let rule = Rule::always(answer())
        .and(Fault::Dialect(Dialect::Reasoning))
        .and(Fault::Dialect(Dialect::ContentParts));
    client.handle.script(rule);
    let (_, reply) = client.ask(chat("Hi")).await;
    let message = &reply["choices"][0]["message"];
    assert_eq!(
        (&message["reasoning"], &message["content"][0]["text"]),
        (&json!("hm"), &json!("ok"))
    );
}

#[tokio::test]
async fn errors_are_spelled_as_by_other_servers() {
    let client = Client::start().await;
    for (shape, body) in [
        (ErrorShape::Text, json!({"error": "no"})),
        (
            ErrorShape::TypeAndMessage,
            json!({
                "choices": null,
                "error_type": "ServerError",
                "error_message": "no",
                "status_code": 503,
            }),
        ),
        (
            ErrorShape::TopLevel,
            json!({
                "object": "error",
                "message": "no",
                "type": "ServerError",
                "param": null,
                "code": 503,
            }),
        ),
        (ErrorShape::Detail, json!({"detail": "no"})),
        (ErrorShape::Errors, json!({"errors": [{"message": "no"}]})),
        (
            ErrorShape::Choice,
            json!({"choices": [{
                "index": 0,
                "delta": {},
                "finish_reason": "error",
                "error": {"message": "no", "code": 503},
            }]}),
        ),
        (ErrorShape::Field, json!({"message": "no", "code": 503})),
    ] {
        let error = ForeignError { shape, status: Some(503), message: "no".to_owned() };
        let refusal = Refusal::status(418).body(BodyForm::Foreign(error.clone()));
        client.handle.script(Rule::once(refusal));
        assert_eq!(client.ask(chat("Hi")).await, (418, body.clone()), "{shape:?}");
        client.handle.script(Rule::once(Fault::ForeignError { after_deltas: Some(1), error }));
        let stream = client.stream(chat("Hi")).await;
        let field = if shape == ErrorShape::Field { "error" } else { "data" };
        let last = stream.lines().rfind(|line| !line.is_empty()).expect("a line");
        let data = last.strip_prefix(&format!("{field}: ")).expect("the field");
        assert_eq!(serde_json::from_str::<Value>(data).expect("JSON"), body, "{shape:?}");
        assert_eq!(stream.matches("\"content\"").count(), 1, "{shape:?}");
    }
}

#[test]
fn no_two_presets_share_a_name() {
    let names: BTreeSet<&str> = Preset::ALL.iter().map(|preset| preset.name).collect();
    assert_eq!(names.len(), Preset::ALL.len());
}
