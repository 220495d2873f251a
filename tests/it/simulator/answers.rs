//! What good calls get.

use serde_json::{Value, json};

use crate::simulator::client::{Client, PLAIN, chat, events, said, with};

#[tokio::test]
async fn the_same_request_gets_the_same_words_and_another_seed_others() {
    let client = Client::start().await;
    let words = |reply: &Value| reply["choices"][0]["message"]["content"].clone();
    let (_, first) = client.ask(chat("Tell me of rivers")).await;
    let (_, again) = client.ask(with(chat("Tell me of rivers"), json!({"user": "u1"}))).await;
    let (_, other) = client.ask(with(chat("Tell me of rivers"), json!({"seed": 1}))).await;
    assert_eq!(words(&first), words(&again));
    assert_ne!(words(&first), words(&other));
    assert!(words(&first).as_str().expect("text").contains("Tell me of rivers"));
}

#[tokio::test]
async fn a_stream_says_what_the_whole_reply_says() {
    let client = Client::start().await;
    let (status, reply) = client.ask(chat("Tell me of rivers")).await;
    let stream = client.stream(chat("Tell me of rivers")).await;
    assert_eq!(status, 200);
    assert_eq!(reply["object"], "chat.completion");
    assert_eq!(reply["choices"][0]["message"]["content"], said(&events(&stream), 0, "content"));
    assert!(stream.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn models_think_in_a_field_in_tags_or_not_at_all() {
    let client = Client::start().await;
    for (model, more, in_field, in_tags) in [
        ("reasoning", json!({}), true, false),
        ("reasoning", json!({"reasoning_effort": "none"}), false, false),
        ("reasoning", json!({"thinking": {"type": "disabled"}}), false, false),
        ("think-tags", json!({}), false, true),
        ("plain", json!({}), false, false),
    ] {
        let model = json!({"model": format!("accounts/simulator/models/{model}")});
        let events = events(&client.stream(with(with(chat("Hi"), model.clone()), more)).await);
        assert_eq!(!said(&events, 0, "reasoning_content").is_empty(), in_field, "{model}");
        assert_eq!(said(&events, 0, "content").starts_with("<think>\n"), in_tags, "{model}");
    }
}

#[tokio::test]
async fn an_answer_ends_at_max_tokens() {
    let client = Client::start().await;
    let (_, reply) = client.ask(with(chat("Hi"), json!({"max_tokens": 5}))).await;
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    assert_eq!(reply["usage"]["completion_tokens"], 5);
    let endless = json!({"ignore_eos": true, "max_tokens": 300});
    let (_, reply) = client.ask(with(chat("Hi"), endless)).await;
    assert_eq!(reply["usage"]["completion_tokens"], 300);
}

#[tokio::test]
async fn json_mode_meets_the_schema() {
    let client = Client::start().await;
    let schema = json!({
        "type": "object",
        "required": ["city", "days"],
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "array", "items": {"type": "integer"}},
        },
    });
    for format in [
        json!({"type": "json_object"}),
        json!({"type": "json_object", "schema": schema}),
        json!({"type": "json_schema", "json_schema": {"name": "trip", "schema": schema}}),
    ] {
        let (_, reply) = client.ask(with(chat("Hi"), json!({"response_format": format}))).await;
        let text = reply["choices"][0]["message"]["content"].as_str().expect("text");
        let answer: Value = serde_json::from_str(text).expect("JSON");
        assert!(answer.is_object());
        if format.get("json_schema").is_some() {
            assert!(jsonschema::is_valid(&schema, &answer), "{answer}");
        }
    }
}

fn weather() -> Value {
    json!([{"type": "function", "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}])
}

#[tokio::test]
async fn tool_calls_stream_as_a_header_and_fragments_with_a_null_id() {
    let client = Client::start().await;
    let asked = json!({"tools": weather(), "tool_choice": "required"});
    let events = events(&client.stream(with(chat("Hi"), asked)).await);
    let calls: Vec<&Value> =
        events.iter().filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0")).collect();
    let (header, fragments) = calls.split_first().expect("a call");
    assert!(header["id"].as_str().expect("an id").starts_with("call_"));
    assert_eq!(header["function"], json!({"name": "weather"}));
    assert!(fragments.iter().all(|call| call.get("id") == Some(&Value::Null)));
    assert!(fragments.iter().all(|call| call["function"].get("name").is_none()));
    let arguments: String =
        fragments.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    let arguments: Value = serde_json::from_str(&arguments).expect("JSON");
    assert!(arguments["city"].is_string());
    assert_eq!(events.last().expect("events")["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn tools_are_called_when_wanted_and_not_otherwise() {
    let client = Client::start().await;
    for (prompt, choice, called) in [
        ("Hi", json!("auto"), false),
        ("What is the weather?", json!("auto"), true),
        ("What is the weather?", json!("none"), false),
        ("Hi", json!("any"), true),
        ("Hi", json!({"type": "function", "function": {"name": "weather"}}), true),
    ] {
        let asked = json!({"tools": weather(), "tool_choice": choice});
        let (_, reply) = client.ask(with(chat(prompt), asked)).await;
        let message = &reply["choices"][0]["message"];
        assert_eq!(message.get("tool_calls").is_some(), called, "{prompt} {choice}: {reply}");
    }
}

#[tokio::test]
async fn a_prompt_is_repeated_whole_or_its_end() {
    let client = Client::start().await;
    for (echo, start) in
        [(json!({"echo": true}), "Once upon a time"), (json!({"echo_last": 2}), " a time")]
    {
        let body =
            with(json!({"model": PLAIN, "prompt": "Once upon a time", "max_tokens": 3}), echo);
        let response = client.post("/v1/completions", &body).send().await.expect("a response");
        let reply: Value =
            serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
        let text = reply["choices"][0]["text"].as_str().expect("text");
        assert!(text.starts_with(&format!("{start}On “")), "{text}");
        assert_eq!(reply["usage"]["completion_tokens"], 3);
    }
}
