//! What bad calls get, and in which order it is looked.

use fireworks_simulator::{FORBIDDEN_KEY, SUSPENDED_KEY, UNKNOWN_KEY, UNPAID_KEY};
use serde_json::{Value, json};

use crate::simulator::client::{Client, PLAIN, chat, with};

#[tokio::test]
async fn keys_are_refused_each_in_its_way() {
    let client = Client::start().await;
    for (key, status, code) in [
        (None, 401, "UNAUTHORIZED"),
        (Some("sk-other"), 401, "UNAUTHORIZED"),
        (Some(UNKNOWN_KEY), 401, "UNAUTHORIZED"),
        (Some(UNPAID_KEY), 402, "PAYMENT_REQUIRED"),
        (Some(FORBIDDEN_KEY), 403, "FORBIDDEN"),
        (Some(SUSPENDED_KEY), 412, "PRECONDITION_FAILED"),
    ] {
        let mut request = client.http.post(client.url("/v1/chat/completions"));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        // Nothing else is right about this request: the key comes first.
        let response = request.body("{}").send().await.expect("a response");
        assert_eq!(response.status(), status, "{key:?}");
        let body: Value =
            serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
        assert_eq!(body["error"]["code"], code);
    }
}

#[tokio::test]
async fn an_unknown_model_is_the_404_on_record() {
    let client = Client::start().await;
    let body = json!({"model": "accounts/fireworks/models/nope", "messages": [], "x": 1});
    let response = client.chat(&body).send().await.expect("a response");
    assert_eq!(response.status(), 404);
    let id = response.headers()["x-request-id"].to_str().expect("text").to_owned();
    let text = response.text().await.expect("a body");
    assert_eq!(text.len(), 181);
    let error: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(error["error"]["param"], "model");
    assert_eq!(error["request_id"], id.as_str());
}

#[tokio::test]
async fn no_messages_is_found_only_after_key_and_model() {
    let client = Client::start().await;
    let (status, body) = client.ask(json!({"model": PLAIN, "messages": []})).await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["type"], "invalid_request_error");
    let forbidden = json!({"model": "accounts/simulator/models/forbidden", "messages": []});
    assert_eq!(client.ask(forbidden).await.0, 403);
}

#[tokio::test]
async fn fields_that_are_wrong_are_named_by_their_path() {
    let client = Client::start().await;
    let message =
        |more: Value| json!({"messages": [with(json!({"role": "user", "content": "x"}), more)]});
    for (more, words) in [
        (json!({"best_of": 2}), "Extra inputs are not permitted, field: 'best_of'"),
        (json!({"stream_options": {"usage": true}}), "field: 'stream_options.usage'"),
        (message(json!({"name": "bob"})), "field: 'messages[0].name'"),
        (
            json!({"messages": [{"role": "user", "content": [
                {"type": "text", "text": "x", "cache_control": {}},
            ]}]}),
            "field: 'messages[0].content[0].cache_control'",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]}),
            "field: 'tools[0].function.x'",
        ),
        (
            json!({"response_format": {"type": "json_object", "schema_field": null}}),
            "field: 'response_format.schema_field'",
        ),
        (message(json!({"role": "developer"})), "field: 'messages[0].role'"),
        (json!({"temperature": 2.5}), "out of range, field: 'temperature'"),
        (json!({"temperature": "hot"}), "a valid number, field: 'temperature'"),
        (json!({"n": 0}), "out of range, field: 'n'"),
        (json!({"max_tokens": 1.5}), "a valid integer, field: 'max_tokens'"),
        (json!({"messages": null}), "Field required, field: 'messages'"),
        (json!({"max_tokens": 1, "max_completion_tokens": 1}), "not both"),
        (json!({"thinking": {"type": "enabled"}, "reasoning_effort": "low"}), "not both"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "At most 4"),
        (json!({"prompt": "x"}), "field: 'prompt'"),
    ] {
        let (status, body) = client.ask(with(chat("Hi"), more.clone())).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(words), "{more}: {status} {body}");
        assert_eq!(body["error"]["type"], "invalid_request_error", "{more}");
    }
}

#[tokio::test]
async fn nulls_of_known_fields_count_as_left_out() {
    let client = Client::start().await;
    let nulls = json!({"temperature": null, "tools": null, "stop": null, "thinking": null});
    assert_eq!(client.ask(with(chat("Hi"), nulls)).await.0, 200);
}

#[tokio::test]
async fn long_answers_must_be_streamed() {
    let client = Client::start().await;
    let long = with(chat("Hi"), json!({"max_tokens": 4097}));
    let (status, body) = client.ask(long.clone()).await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["message"], "Requests with max_tokens > 4096 must have stream=true");
    assert_eq!(body["error"]["code"], "BAD_REQUEST");
    assert!(client.stream(long).await.ends_with("[DONE]\n\n"));
}

#[tokio::test]
async fn a_prompt_longer_than_the_window_is_refused() {
    let client = Client::start().await;
    let small = json!({"model": "accounts/simulator/models/small"});
    let (status, body) = client.ask(with(chat(&"word ".repeat(300)), small.clone())).await;
    assert_eq!(status, 400);
    let message = body["error"]["message"].as_str().expect("text");
    assert!(message.ends_with("model maximum context length: 256"), "{message}");
    let strict = json!({"context_length_exceeded_behavior": "error", "max_tokens": 4000});
    assert_eq!(client.ask(with(with(chat("Hi"), small.clone()), strict)).await.0, 400);
    assert_eq!(client.ask(with(with(chat("Hi"), small), json!({"max_tokens": 4000}))).await.0, 200);
}

#[tokio::test]
async fn models_refuse_what_they_cannot_do() {
    let client = Client::start().await;
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    for (model, more) in [
        ("accounts/simulator/models/bare", json!({"n": 2})),
        ("accounts/simulator/models/bare", json!({"tools": tool})),
        (
            PLAIN,
            json!({"messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
            ]}]}),
        ),
        ("accounts/fireworks/models/gpt-oss-20b", json!({"reasoning_effort": "none"})),
        ("accounts/fireworks/models/gpt-oss-20b", json!({"reasoning_effort": 7})),
        ("accounts/fireworks/models/gpt-oss-20b", json!({"reasoning_effort": false})),
    ] {
        let body = with(with(chat("Hi"), json!({"model": model})), more.clone());
        assert_eq!(client.ask(body).await.0, 400, "{model} {more}");
    }
    let medium =
        json!({"model": "accounts/fireworks/models/gpt-oss-20b", "reasoning_effort": true});
    assert_eq!(client.ask(with(chat("Hi"), medium)).await.0, 200);
}

#[tokio::test]
async fn everything_that_is_wrong_is_reported_at_once() {
    let client = Client::start().await;
    let wrong = json!({"best_of": 2, "temperature": "hot", "n": 0});
    let (status, body) = client.ask(with(chat("Hi"), wrong)).await;
    let message = body["error"]["message"].as_str().expect("text");
    assert!(status == 400 && message.starts_with("3 request validation errors: "), "{message}");
    for field in ["best_of", "temperature", "n"] {
        assert!(message.contains(&format!("field: '{field}'")), "{field}: {message}");
    }
}

#[tokio::test]
async fn a_tool_that_is_chosen_has_to_be_there() {
    let client = Client::start().await;
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (name, status) in [("f", 200), ("g", 400)] {
        let choice = json!({"type": "function", "function": {"name": name}});
        let more = json!({"tools": tools, "tool_choice": choice});
        assert_eq!(client.ask(with(chat("Hi"), more)).await.0, status, "{name}");
    }
}

#[tokio::test]
async fn the_oldest_turns_of_a_long_prompt_are_dropped() {
    let client = Client::start().await;
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let long = "word ".repeat(300);
    let messages = json!([
        turn("system", "Be brief."),
        turn("user", &long),
        turn("assistant", &long),
        turn("user", "Hi"),
    ]);
    let body = json!({"model": "accounts/simulator/models/small", "messages": messages});
    assert_eq!(client.ask(body.clone()).await.0, 400);
    let (status, answer) = client.ask(with(body, json!({"prompt_truncate_len": 50}))).await;
    assert_eq!(status, 200, "{answer}");
    let tokens = answer["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert!((1..=50).contains(&tokens), "{tokens}");
}

#[tokio::test]
async fn a_model_is_described_by_its_name() {
    let client = Client::start().await;
    let get = |name: &str| {
        client.http.get(client.url(&format!("/v1/models/{name}"))).bearer_auth("fw_test").send()
    };
    let response = get(PLAIN).await.expect("a response");
    assert_eq!(response.status(), 200);
    let body: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    assert_eq!(body["id"], PLAIN);
    assert_eq!(get("accounts/nobody/models/x").await.expect("a response").status(), 404);
}

#[tokio::test]
async fn a_deployment_wakes_up() {
    let client = Client::start().await;
    let waking = json!({"model": "accounts/simulator/deployments/scaling-up"});
    for _ in 0..2 {
        let (status, body) = client.ask(with(chat("Hi"), waking.clone())).await;
        assert_eq!((status, &body["error"]["code"]), (503, &json!("DEPLOYMENT_SCALING_UP")));
    }
    assert_eq!(client.ask(with(chat("Hi"), waking)).await.0, 200);
}

#[tokio::test]
async fn models_are_listed_but_not_for_fire_pass_keys() {
    let client = Client::start().await;
    let list =
        |key: &'static str| client.http.get(client.url("/v1/models")).bearer_auth(key).send();
    let response = list("fw_test").await.expect("a response");
    let body = response.text().await.expect("a body");
    assert!(body.contains(PLAIN));
    assert_eq!(list("fpk_test").await.expect("a response").status(), 403);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let client = Client::start().await;
    let response = client.post("/inference/v1/rerank", &json!({})).send().await;
    assert_eq!(response.expect("a response").status(), 404);
    let response = client.http.get(client.url("/v1/chat/completions")).send().await;
    assert_eq!(response.expect("a response").status(), 405);
}
