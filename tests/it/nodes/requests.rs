//! What is asked of the provider.

use fireworks_simulator::Endpoint;
use serde_json::{Value, json};
use sparkler::proto::{self, ChatMessage, ContentPart, ImageUrl, ToolCall, content_part};

use super::{PLAIN, last_request, message, weather};
use crate::support::{World, ask};

fn assert_no_nulls(path: &str, value: &Value) {
    match value {
        Value::Null => panic!("{path} is null"),
        Value::Array(items) => items.iter().for_each(|item| assert_no_nulls(path, item)),
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(key, value)| assert_no_nulls(&format!("{path}.{key}"), value));
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_chat_reaches_the_provider_as_it_was_said() {
    let world = World::start().await;
    let image = ImageUrl { url: "https://example.com/cat.png".into(), detail: "low".into() };
    let parts =
        [content_part::Part::Text("What is this?".into()), content_part::Part::ImageUrl(image)];
    let called =
        ToolCall { id: "call_1".into(), name: "weather".into(), arguments: "{\"city\": 1}".into() };
    let messages = vec![
        message("system", "Be brief."),
        ChatMessage {
            parts: parts.into_iter().map(|part| ContentPart { part: Some(part) }).collect(),
            ..message("user", "")
        },
        ChatMessage {
            tool_calls: vec![called],
            reasoning_content: "I should look.".into(),
            ..message("assistant", "")
        },
        ChatMessage { tool_call_id: "call_1".into(), ..message("tool", "sunny") },
    ];
    world
        .caller()
        .await
        .answer(ask("").model("accounts/fireworks/models/kimi-k3").chat(messages))
        .await;
    let seen = last_request(&world);
    assert_eq!(seen.endpoint, Endpoint::ChatCompletions);
    assert_eq!(
        seen.body["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}},
            ]},
            {"role": "assistant", "reasoning_content": "I should look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": 1}"}},
            ]},
            {"role": "tool", "content": "sunny", "tool_call_id": "call_1"},
        ])
    );
    assert_eq!(seen.headers["authorization"], "[REDACTED]");
    assert_eq!(seen.headers["content-type"], "application/json");
}

#[tokio::test]
async fn only_known_keys_are_sent_and_never_null() {
    let world = World::start().await;
    let caller = world.caller().await;
    let everything = ask("x")
        .set("temperature", json!("0"))
        .set("topP", json!(0.9))
        .set("top_k", json!(40))
        .set("minP", json!(null))
        .set("maxTokens", json!("64"))
        .set("stop", json!(["END"]))
        .set("seed", json!(7))
        .set("frequencyPenalty", json!(0.1))
        .set("presencePenalty", json!(""))
        .set("reasoningEffort", json!("low"))
        .set("user", json!("somebody"))
        .set("metadata", json!({"flow": "a"}))
        .set("cache", json!(false))
        .set("streaming", json!(true));
    caller.answer(everything).await;
    let body = last_request(&world).body;
    assert_no_nulls("body", &body);
    let keys: Vec<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "frequency_penalty",
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "reasoning_effort",
            "seed",
            "stop",
            "stream",
            "stream_options",
            "temperature",
            "top_k",
            "top_p",
            "user",
        ]
    );
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(0), &json!(64)));
    assert_eq!(body["stream_options"], json!({"include_usage": true}));

    caller.answer(ask("x")).await;
    let body = last_request(&world).body;
    assert_eq!(body["temperature"], json!(0.9), "the chat node's own default");
    assert_eq!(body.as_object().expect("an object").len(), 5, "{body}");
}

#[tokio::test]
async fn the_text_node_sends_prompts_and_chats_each_to_its_place() {
    let world = World::start().await;
    let caller = world.caller().await;
    let text = ask("Once upon a time").node("fireworks").model(PLAIN);
    let received = caller.recv(text.clone().set("maxTokens", json!(5))).await;
    let said = received.text.clone();
    let completed = received.completed();
    assert_eq!(completed.choices[0].text, said);
    assert_eq!(completed.choices[0].finish_reason, "length");
    let seen = last_request(&world);
    assert_eq!(seen.endpoint, Endpoint::Completions);
    assert_eq!(seen.body["prompt"], "Once upon a time");
    assert_eq!(seen.body.get("temperature"), None, "the text node has no default of its own");

    caller.answer(text.chat(vec![message("user", "Hello")])).await;
    assert_eq!(last_request(&world).endpoint, Endpoint::ChatCompletions);
}

#[tokio::test]
async fn tools_are_one_to_the_cache_in_every_spelling() {
    let world = World::start().await;
    let caller = world.caller().await;
    let tool = proto::Tool {
        name: "weather".to_owned(),
        description: "Reports the weather.".to_owned(),
        parameters_json: r#"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}"#.to_owned(),
        strict: None,
    };
    let asked = || ask("What is the weather?").model(PLAIN).cached();
    caller.answer(asked().tool(tool.clone())).await;
    let sent = last_request(&world).body["tools"].to_string();
    assert!(sent.contains(&tool.parameters_json), "the order is kept: {sent}");
    for other in
        [asked().set("tools", weather()), asked().set("tools", weather().to_string().into())]
    {
        let answer = caller.answer(other).await;
        assert_eq!(answer.cache.expect("an outcome").status(), proto::CacheStatus::Hit);
    }
    assert_eq!(world.upstream_calls(), 1);

    let both = asked().set("tools", weather()).tool(tool.clone());
    let failure = caller.failure(both).await;
    assert_eq!(failure.violations[0].0, "tools");
    let named = proto::Tool { name: "a b".to_owned(), ..tool.clone() };
    let cut = proto::Tool { parameters_json: "{".to_owned(), ..tool };
    for (bad, field) in
        [(named, "config.tools[0].function.name"), (cut, "tools[0].parameters_json")]
    {
        let failure = caller.failure(asked().tool(bad)).await;
        assert_eq!(failure.violations.len(), 1, "{:?}", failure.violations);
        assert_eq!(failure.violations[0].0, field);
    }
}
