//! Wrong fields, inputs, credentials and options: each is named.

use prost_types::{Value as ProtoValue, value::Kind};
use serde_json::{Value, json};
use sparkler::proto::{
    Chat, ChatMessage, ContentPart, Credential, cache_policy::Scope, execute_node_request::Input,
};
use tonic::Code;

use super::{by_hand, check, message};
use crate::support::{World, ask};

fn duration(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let set = |field: &str, value: Value| ask("x").set(field, value).request();
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    let number = |value: f64| {
        by_hand(|request| {
            let config = request.config.get_or_insert_default();
            let value = ProtoValue { kind: Some(Kind::NumberValue(value)) };
            config.fields.insert("temperature".to_owned(), value);
        })
    };
    check(vec![
        ("config.temprature", set("temprature", json!(0.5))),
        ("config.temperature", set("temperature", json!("warm"))),
        ("config.temperature", set("temperature", json!([0.5]))),
        ("config.temperature", set("temperature", json!(3))),
        ("config.temperature", set("temperature", json!("1e999"))),
        ("config.temperature", number(f64::NAN)),
        ("config.temperature", number(f64::INFINITY)),
        ("config.temperature", number(f64::NEG_INFINITY)),
        ("config.maxTokens", set("maxTokens", json!(1.5))),
        ("config.maxTokens", set("maxTokens", json!(-1))),
        ("config.maxTokens", set("maxTokens", json!(1e300))),
        (
            "config.max_tokens",
            ask("x").set("maxTokens", json!(1)).set("max_tokens", json!(2)).request(),
        ),
        ("config.streaming", set("streaming", json!("perhaps"))),
        ("config.modelName", set("modelName", json!(""))),
        ("config.modelName", set("modelName", json!(null))),
        ("config.modelName", set("modelName", json!("with space"))),
        ("config.modelName", set("modelName", json!("ключ"))),
        ("config.modelName", set("modelName", json!("m".repeat(10_000)))),
        ("config.tools", set("tools", json!(deep))),
        ("config.tools", set("tools", json!("{not json"))),
        ("config.responseFormat", set("responseFormat", json!(deep))),
        ("config.stop", set("stop", json!(["a", "b", "c", "d", "e"]))),
        ("config.messages", set("messages", json!([]))),
        ("config.stream", set("stream", json!(true))),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_input_is_named() {
    let chat = |messages| ask("x").chat(messages).request();
    let tool = ChatMessage { tool_call_id: String::new(), ..message("tool", "result") };
    let empty_part = ChatMessage { parts: vec![ContentPart { part: None }], ..message("user", "") };
    check(vec![
        ("prompt", ask("").request()),
        ("input", by_hand(|request| request.input = None)),
        ("chat.messages", by_hand(|request| request.input = Some(Input::Chat(Chat::default())))),
        ("chat.messages[0].role", chat(vec![message("developer", "x")])),
        ("chat.messages[0].role", chat(vec![message("", "x")])),
        ("chat.messages[1].content", chat(vec![message("user", "x"), message("user", "")])),
        ("chat.messages[0].tool_call_id", chat(vec![tool])),
        ("chat.messages[0].parts[0]", chat(vec![empty_part])),
        ("input", ask(&"x".repeat(20 << 20)).request()),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_credential_is_named_and_not_shown() {
    let key = |key: &str| ask("x").key(key).request();
    check(vec![
        ("credential.api_key", key("")),
        ("credential.api_key", key("fw_canary\r\nx-evil: 1")),
        ("credential.api_key", key("fw_canary ")),
        ("credential.api_key", key("fw_ключ")),
        ("credential.api_key", key(&"fw_canary".repeat(600))),
        ("credential", ask("x").no_credential().request()),
        ("credential", by_hand(|request| request.credential = Some(Credential { source: None }))),
        ("credential.secret_name", ask("x").secret("../../etc/passwd").request()),
        ("credential.secret_name", ask("x").secret("").request()),
        ("credential.secret_name", ask("x").secret("not-mounted").request()),
        (
            "config.credential",
            ask("x").no_credential().set("credential", json!("/etc/passwd")).request(),
        ),
    ])
    .await;
    let world = World::start().await;
    let failure = world.caller().await.failure(ask("x").key("fw_canary\n")).await;
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
}

#[tokio::test]
async fn wrong_options_are_named() {
    let schema = |text: &str| {
        let mut request = ask("x").json().request();
        request.output.get_or_insert_default().json_schema = text.to_owned();
        request
    };
    let limits = |change: fn(&mut sparkler::proto::ExecutionLimits)| {
        by_hand(|request| change(request.limits.get_or_insert_default()))
    };
    let deep = format!("{}1{}", r#"{"not":"#.repeat(1000), "}".repeat(1000));
    let large = json!({"description": "x".repeat(1 << 20)}).to_string();
    let labels =
        |count: usize| (0..count).map(|label| (label.to_string(), String::new())).collect();
    check(vec![
        ("output.json_schema", schema("{not json")),
        ("output.json_schema", schema("[]")),
        ("output.json_schema", schema(r#"{"type":"strnig"}"#)),
        ("output.json_schema", schema(r#"{"$ref":"https://example.com/schema.json"}"#)),
        ("output.json_schema", schema(r#"{"$ref":"file:///etc/passwd"}"#)),
        ("output.json_schema", schema(&deep)),
        ("output.json_schema", schema(r##"{"anyOf":[{"$ref":"#"}]}"##)),
        ("output.json_schema", schema(r#"{"pattern":"(?!look)ahead"}"#)),
        ("output.json_schema", schema(&large)),
        (
            "output.json_schema",
            by_hand(|request| {
                request.output.get_or_insert_default().json_schema = "{}".to_owned();
            }),
        ),
        ("output.format", by_hand(|request| request.output.get_or_insert_default().format = 77)),
        ("cache.mode", by_hand(|request| request.cache.get_or_insert_default().mode = 77)),
        ("cache.scope", by_hand(|request| request.cache.get_or_insert_default().scope = -1)),
        ("cache.scope", ask("x").cached().scope(Scope::Shared).request()),
        ("cache.scope", ask("x").cached().scope(Scope::Tenant).tenant("acme").request()),
        (
            "cache.ttl",
            by_hand(|request| request.cache.get_or_insert_default().ttl = duration(-1, 0)),
        ),
        ("cache.salt", ask("x").cached().salt(&"s".repeat(257)).request()),
        ("idempotency_key", ask("x").idempotency_key(&"k".repeat(257)).request()),
        ("limits.on_cancel", limits(|limits| limits.on_cancel = 9)),
        ("limits.total", limits(|limits| limits.total = duration(-1, 0))),
        ("limits.total", limits(|limits| limits.total = duration(0, -1))),
        ("limits.total", limits(|limits| limits.total = duration(0, 0))),
        ("limits.idle", limits(|limits| limits.idle = duration(i64::MIN, 0))),
        ("limits.connect", limits(|limits| limits.connect = duration(0, 0))),
        ("limits.first_token", limits(|limits| limits.first_token = duration(0, i32::MIN))),
        (
            "context.labels",
            by_hand(|request| {
                request.context.get_or_insert_default().labels = labels(17);
            }),
        ),
        (
            "context.session_id",
            by_hand(|request| {
                request.context.get_or_insert_default().session_id = "s".repeat(257);
            }),
        ),
        (
            "context.flow_id",
            by_hand(|request| {
                request.context.get_or_insert_default().flow_id = "a\nb".to_owned();
            }),
        ),
        (
            "request",
            by_hand(|request| {
                let empty = ProtoValue { kind: None };
                let values = vec![empty; 200_000];
                let list = Kind::ListValue(prost_types::ListValue { values });
                let config = request.config.get_or_insert_default();
                config.fields.insert("tools".to_owned(), ProtoValue { kind: Some(list) });
            }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_unknown_node_type_names_those_there_are() {
    let world = World::start().await;
    for name in ["", "openai", "chatfireworks", &"x".repeat(100_000)] {
        let failure = world.caller().await.failure(ask("x").node(name)).await;
        assert_eq!(failure.code, Code::Unimplemented);
        assert_eq!(failure.reason, "UNKNOWN_NODE_TYPE");
        let known = "chatFireworks,fireworks,fireworksEmbeddings";
        assert_eq!(failure.metadata["known_node_types"], known);
        assert!(failure.message.contains("chatFireworks"), "{}", failure.message);
    }
}
