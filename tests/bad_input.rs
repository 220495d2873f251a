//! What callers get wrong: a clear error that names the field, nothing asked of
//! the provider, and a worker that goes on.

mod support;

use std::time::Duration;

use bytes::{Buf, BufMut};
use prost::Message;
use prost_types::{Value as ProtoValue, value::Kind};
use serde_json::{Value, json};
use sparkler::{
    proto::{
        Chat, ChatMessage, ContentPart, Credential, ExecuteNodeRequest, cache_policy::Scope,
        execute_node_request::Input,
    },
    simulator::Options,
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use self::support::{Ask, Failure, World, ask};

/// Status and details together must fit into the headers that careful clients
/// allow.
const MOST_HEADER_BYTES: usize = 8 * 1024;

/// A request changed by hand.
fn by_hand(change: impl FnOnce(&mut ExecuteNodeRequest)) -> ExecuteNodeRequest {
    let mut request = ask("x").request();
    change(&mut request);
    request
}

fn duration(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.into(), content: content.into(), ..ChatMessage::default() }
}

async fn execute(world: &World, request: ExecuteNodeRequest) -> Result<(), Failure> {
    let mut stream = world.caller().await.client().execute_node(request).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

/// Each must be refused as INVALID_NODE_CONFIG, naming this field.
async fn check(rows: Vec<(&str, ExecuteNodeRequest)>) {
    let world = World::start().await;
    let mut wrong = Vec::new();
    for (field, request) in rows {
        let failure = match execute(&world, request).await {
            Ok(()) => {
                wrong.push(format!("{field}: it was executed"));
                continue;
            }
            Err(failure) => failure,
        };
        let named = failure.violations.iter().any(|(named, why)| named == field && !why.is_empty());
        let code = failure.code == Code::InvalidArgument;
        if !named || !code || failure.reason != "INVALID_NODE_CONFIG" || failure.safe_to_retry() {
            wrong.push(format!("{field}: {failure:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.upstream_calls(), 0, "nothing was asked of the provider");
    world.caller().await.answer(ask("and now well")).await;
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
        assert_eq!(failure.metadata["known_node_types"], "chatFireworks,fireworks");
        assert!(failure.message.contains("chatFireworks"), "{}", failure.message);
    }
}

#[tokio::test]
async fn an_error_fits_into_headers_whatever_is_wrong() {
    let world = World::start().await;
    let many = |count: usize| {
        let fields = (0..count).map(|field| format!("unknown field {field}"));
        fields.fold(ask("x"), |asked, field| asked.set(&field, json!(1)))
    };
    let no_numbers = |count: usize| {
        let infinite = || ProtoValue { kind: Some(Kind::NumberValue(f64::INFINITY)) };
        let mut request = ask("x").request();
        let config = request.config.get_or_insert_default();
        config.fields.extend((0..count).map(|field| (format!("{field}").repeat(99), infinite())));
        request
    };
    let rows: [(&str, Ask); 5] = [
        ("many fields", many(1000)),
        ("a long key", ask("x").set(&"k".repeat(100_000), json!(1))),
        ("a key that needs escapes", ask("x").set(&"\u{1F388}\n".repeat(5000), json!(1))),
        ("a long name", ask("x").secret(&"n".repeat(100_000))),
        ("many messages", ask("x").chat((0..2000).map(|_| message("nobody", "x")).collect())),
    ];
    let rows = rows.map(|(name, asked)| (name, asked.request()));
    for (name, request) in rows.into_iter().chain([("no numbers", no_numbers(1000))]) {
        let mut client = world.caller().await.client();
        let status = client.execute_node(request).await.expect_err(name);
        let size = header_bytes(&status);
        let failure = Failure::from(status);
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{name}: {failure:?}");
        assert!(!failure.violations.is_empty(), "{name}");
        assert!(size <= MOST_HEADER_BYTES, "{name}: {size} bytes");
    }
}

/// About what a status takes in headers: the message percent-encoded, the
/// details in base64.
fn header_bytes(status: &Status) -> usize {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\"#<>`?{}%".contains(&byte);
    let message: usize = status.message().bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum();
    message + status.details().len().div_ceil(3) * 4
}

#[tokio::test]
async fn a_failed_answer_fits_into_headers_too() {
    use sparkler::simulator::{Fault, Rule};
    let world = World::start().await;
    for text in ["prose ".repeat(20_000), "\"\u{1F388}".repeat(10_000), "[\n".repeat(300)] {
        world.simulator.clear_script();
        world.simulator.script(Rule::always(Fault::answer([text.clone()])));
        let failure = world.caller().await.failure(ask("x").json()).await;
        assert_eq!(failure.reason, "OUTPUT_NOT_JSON", "{failure:?}");
        let detail = failure.detail.expect("a detail");
        let told = detail.text.trim_end_matches('…');
        assert!(told.len() > 500 && text.starts_with(told), "{} bytes", told.len());
        assert!(detail.usage.is_some(), "it was paid for");
    }
}

#[tokio::test]
async fn a_message_beyond_the_bound_is_refused_by_name() {
    let world = World::with(Options::instant(), |config| {
        config.execution.max_input_bytes = 64 * 1024;
    })
    .await;
    for bytes in [70 * 1024, 1 << 20] {
        let failure = world.caller().await.failure(ask(&"x".repeat(bytes))).await;
        assert_eq!(failure.code, Code::InvalidArgument, "{bytes}: {failure:?}");
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{bytes}: {failure:?}");
        assert!(!failure.violations.is_empty(), "{bytes}: {failure:?}");
    }
    world.caller().await.answer(ask("and now short")).await;
}

/// A frame as it is.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

async fn send(world: &World, frame: Vec<u8>) -> Result<(), Status> {
    let channel = Channel::from_shared(format!("http://{}", world.worker)).expect("an address");
    let mut grpc = Grpc::new(channel.connect().await.expect("the worker listens"));
    grpc.ready().await.expect("a channel");
    let path = "/sparkler.worker.v1.WorkerService/ExecuteNode".parse().expect("a path");
    let mut stream = grpc.server_streaming(Request::new(frame), path, Raw).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

/// A request whose config has a value of so many lists in each other, written
/// without recursion.
fn deep(levels: usize) -> Vec<u8> {
    let tagged = |tag: u8, content: &[u8]| {
        let mut bytes = vec![tag];
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    };
    const VALUE_BOOL: [u8; 2] = [0x20, 1];
    let value = (0..levels).fold(VALUE_BOOL.to_vec(), |inner, _| {
        let list = tagged(0x0a, &inner);
        tagged(0x32, &list)
    });
    let entry = [tagged(0x0a, b"tools"), tagged(0x12, &value)].concat();
    tagged(0x12, &tagged(0x0a, &entry))
}

#[tokio::test]
async fn a_frame_that_is_no_request_is_refused_by_name() {
    let world = World::start().await;
    let good = ask("x").request().encode_to_vec();
    for (name, frame) in [
        ("invalid UTF-8", vec![0x0a, 2, 0xff, 0xfe]),
        ("no message", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a length beyond the end", vec![0x0a, 0xff, 0xff, 0xff, 0x7f]),
        ("a cut message", good[..good.len() - 3].to_vec()),
        ("1,000 levels", deep(1000)),
        ("5,000 levels", deep(5000)),
        ("the wrong type", vec![0x08, 1]),
        ("nothing", Vec::new()),
    ] {
        let failure = Failure::from(send(&world, frame).await.expect_err(name));
        assert_eq!(failure.code, Code::InvalidArgument, "{name}: {failure:?}");
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{name}: {failure:?}");
        assert!(!failure.violations.is_empty(), "{name}: {failure:?}");
    }
    send(&world, good).await.expect("a good frame");
    world.caller().await.answer(ask("and now well")).await;
}

#[tokio::test]
async fn a_body_that_is_no_frame_is_refused_by_name() {
    let world = World::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build();
    let client = client.expect("a client");
    let url = format!("http://{}/sparkler.worker.v1.WorkerService/ExecuteNode", world.worker);
    for (name, body) in [
        ("an unknown flag", &[7, 0, 0, 0, 1, 0][..]),
        ("compressed, and not said how", &[1, 0, 0, 0, 1, 0]),
        ("shorter than it says", &[0, 0, 0, 0, 9, 0]),
        ("half a head", &[0, 0]),
        ("nothing", &[]),
        ("four gigabytes", &[0, 0xff, 0xff, 0xff, 0xff, 0]),
    ] {
        let request = client.post(&url).header("content-type", "application/grpc");
        let response = request.header("te", "trailers").body(body.to_vec()).send().await;
        let response = response.expect(name);
        let status = Status::from_header_map(response.headers()).expect(name);
        let failure = Failure::from(status);
        assert_eq!(failure.code, Code::InvalidArgument, "{name}: {failure:?}");
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{name}: {failure:?}");
        assert_eq!(failure.violations[0].0, "request", "{name}: {failure:?}");
    }
    world.caller().await.answer(ask("and now well")).await;
}

#[tokio::test]
async fn an_answer_of_a_thousand_levels_is_no_json() {
    use sparkler::simulator::{Fault, Rule};
    let world = World::start().await;
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    world.simulator.script(Rule::once(Fault::answer([deep.clone()])));
    let failure = world.caller().await.failure(ask("x").json()).await;
    assert_eq!(failure.reason, "OUTPUT_NOT_JSON");
    world.simulator.script(Rule::once(Fault::answer([deep.clone()])));
    assert_eq!(world.caller().await.answer(ask("x")).await.choices[0].text, deep);
}

#[test]
fn a_schema_that_takes_for_ever_does_not_hold_the_worker() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    runtime.block_on(check_for_ever());
    // The check still runs, and would keep a runtime that waits for it.
    runtime.shutdown_background();
}

async fn check_for_ever() {
    use sparkler::simulator::{Fault, Rule};
    let world = World::start().await;
    // Two branches at every level, and the difference only at the bottom.
    let schema = json!({
        "anyOf": [
            {"type": "object", "properties": {"a": {"$ref": "#"}, "b": false}},
            {"type": "object", "properties": {"a": {"$ref": "#"}, "c": false}},
        ]
    });
    let answer = r#"{"a":"#.repeat(60) + "1" + &"}".repeat(60);
    world.simulator.script(Rule::once(Fault::answer([answer])).prompt("for ever"));
    let caller = world.caller().await;
    let checked = caller.failure(ask("for ever").schema(&schema));
    let others = async {
        for _ in 0..5 {
            caller.answer(ask("meanwhile")).await;
        }
    };
    let both = async { tokio::join!(checked, others).0 };
    let failure = tokio::time::timeout(Duration::from_secs(15), both).await.expect("it ends");
    assert_eq!(failure.reason, "OUTPUT_SCHEMA_MISMATCH", "{failure:?}");
    assert!(failure.message.contains("longer than 5s"), "{}", failure.message);
}
