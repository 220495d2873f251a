//! What good calls get.

use serde_json::{Value, json};

use crate::client::{Client, PLAIN, chat, events, said, with};

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
async fn a_stream_has_the_order_of_the_real_one() {
    let client = Client::start().await;
    let usage = json!({"stream_options": {"include_usage": true}});
    let events = events(&client.stream(with(chat("Hi"), usage)).await);
    let (first, rest) = events.split_first().expect("events");
    assert_eq!(first["choices"][0]["delta"], json!({"role": "assistant"}));
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["usage"], Value::Null);
    let [deltas @ .., finish, usage] = rest else { panic!("too short: {rest:?}") };
    assert!(deltas.iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
    assert_eq!(finish["choices"][0]["delta"], json!({}));
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["completion_tokens"].as_u64().expect("a count") >= 60);
    assert!(events.iter().all(|event| event["id"] == first["id"]));
}

#[tokio::test]
async fn usage_that_was_not_asked_for_is_on_the_finish_or_nowhere() {
    let client = Client::start().await;
    let loud = events(&client.stream(chat("Hi")).await);
    let last = loud.last().expect("events");
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert!(last["usage"]["prompt_tokens"].is_u64());
    let silent = with(chat("Hi"), json!({"model": "accounts/simulator/models/silent-usage"}));
    let silent = events(&client.stream(silent).await);
    assert!(silent.iter().all(|event| event["usage"].is_null()));
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
async fn several_choices_take_turns() {
    let client = Client::start().await;
    let events = events(&client.stream(with(chat("Hi"), json!({"n": 3}))).await);
    let turns: Vec<u64> =
        events.iter().skip(3).take(6).filter_map(|e| e["choices"][0]["index"].as_u64()).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    assert_ne!(said(&events, 0, "content"), said(&events, 1, "content"));
    let finishes = events.iter().filter(|e| e["choices"][0]["finish_reason"] == "stop");
    assert_eq!(finishes.count(), 3);
}

#[tokio::test]
async fn completions_have_text_and_a_choice_for_each_prompt() {
    let client = Client::start().await;
    let body = json!({"model": PLAIN, "prompt": ["Once", "Twice"], "stream": true, "logprobs": 1});
    let response = client.post("/v1/completions", &body).send().await.expect("a response");
    let id = response.headers()["x-request-id"].to_str().expect("text").to_owned();
    assert!(id.starts_with("cmpl-"), "{id}");
    let events = events(&response.text().await.expect("a body"));
    let first = &events[0];
    assert_eq!(first["object"], "text_completion");
    assert_eq!(first["id"], id.as_str());
    assert!(first["choices"][0]["text"].is_string());
    assert!(first["choices"][0]["logprobs"]["tokens"].is_array());
    assert!(events.iter().any(|event| event["choices"][0]["index"] == 1));
}

#[tokio::test]
async fn logprobs_of_chat_cover_every_token() {
    let client = Client::start().await;
    let asked = json!({"logprobs": true, "top_logprobs": 2});
    let (_, reply) = client.ask(with(chat("Hi"), asked)).await;
    let choice = &reply["choices"][0];
    let content = choice["logprobs"]["content"].as_array().expect("logprobs");
    let text: String = content.iter().filter_map(|token| token["token"].as_str()).collect();
    assert_eq!(choice["message"]["content"], text);
    assert_eq!(content[0]["top_logprobs"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_prompt_seen_before_is_cached() {
    let client = Client::start().await;
    let prompt = "All happy families are alike. ".repeat(20);
    let cached = |reply: &Value| {
        reply["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("a count")
    };
    let (_, first) = client.ask(chat(&prompt)).await;
    let (_, second) = client.ask(chat(&prompt)).await;
    let apart = json!({"prompt_cache_isolation_key": "mine"});
    let (_, isolated) = client.ask(with(chat(&prompt), apart)).await;
    assert_eq!((cached(&first), cached(&isolated)), (0, 0));
    assert!(cached(&second) > 100);
}

#[tokio::test]
async fn the_headers_are_those_of_the_real_service() {
    let client = Client::start().await;
    for stream in [true, false] {
        let body = with(chat("Hi"), json!({"stream": stream, "temperature": 0.5}));
        let response = client.chat(&body).send().await.expect("a response");
        let headers = response.headers();
        let sampling = headers["fireworks-sampling-options"].to_str().expect("text");
        let sampling: Value = serde_json::from_str(sampling).expect("JSON");
        assert_eq!(sampling["temperature"], 0.5);
        assert_eq!(sampling["max_tokens"], 2048);
        assert_eq!(headers.contains_key("fireworks-server-time-to-first-token"), stream);
        assert_eq!(headers.contains_key("fireworks-server-processing-time"), !stream);
    }
}

#[tokio::test]
async fn http2_works_without_tls() {
    let client = Client::start().await;
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let response = http2
        .post(client.url("/inference/v1/chat/completions"))
        .bearer_auth("fw_test")
        .body(with(chat("Hi"), json!({"stream": true})).to_string())
        .send()
        .await
        .expect("a response");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.text().await.expect("a body").ends_with("[DONE]\n\n"));
}
