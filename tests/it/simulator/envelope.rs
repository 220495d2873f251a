//! What answers come in: order, usage, headers, logprobs, choices.

use serde_json::{Value, json};

use crate::simulator::client::{Client, PLAIN, chat, events, said, with};

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
async fn extras_come_where_the_real_service_has_them() {
    let client = Client::start().await;
    let asked = json!({
        "return_token_ids": true,
        "raw_output": true,
        "perf_metrics_in_response": true,
        "stream_options": {"include_usage": true},
    });
    let events = events(&client.stream(with(chat("Hi"), asked.clone())).await);
    let having = |member: &str| -> Vec<usize> {
        let places = events.iter().enumerate();
        places.filter(|(_, event)| event.pointer(member).is_some()).map(|(at, _)| at).collect()
    };
    assert_eq!(having("/prompt_token_ids"), [0]);
    assert_eq!(having("/choices/0/raw_output"), [events.len() - 2]);
    assert_eq!(having("/perf_metrics"), [events.len() - 1]);
    assert!(having("/choices/0/token_ids").len() > 10);
    let (_, reply) = client.ask(with(chat("Hi"), asked)).await;
    let choice = &reply["choices"][0];
    assert_eq!(choice["raw_output"]["completion"], choice["message"]["content"]);
    assert_eq!(reply["perf_metrics"]["prompt-tokens"], reply["usage"]["prompt_tokens"]);
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
    let client = client.http2();
    let streamed = with(chat("Hi"), json!({"stream": true}));
    let response = client.chat(&streamed).send().await.expect("a response");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.text().await.expect("a body").ends_with("[DONE]\n\n"));
}
