//! The nodes end to end: what they ask of the provider, and what they make of
//! its answers.

mod support;

use serde_json::{Value, json};
use sparkler::{
    proto::{
        ChatMessage, CheckNodeRequest, Completed, ContentPart, Finding, ImageUrl, ToolCall,
        content_part, finding::Verdict,
    },
    simulator::{
        Endpoint, FORBIDDEN_KEY, Fault, Options, Rule, SUSPENDED_KEY, ScriptedToolCall, Seen,
        UNKNOWN_KEY, UNPAID_KEY,
    },
};
use tonic::{Code, Request};

use self::support::{Ask, KEY, MODEL, World, ask};

const PLAIN: &str = "accounts/simulator/models/plain";
const REASONING: &str = "accounts/simulator/models/reasoning";
const THINK_TAGS: &str = "accounts/simulator/models/think-tags";
const FORBIDDEN: &str = "accounts/simulator/models/forbidden";

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.into(), content: content.into(), ..ChatMessage::default() }
}

/// The last request that the provider saw.
fn last_request(world: &World) -> Seen {
    world.simulator.report().requests.back().expect("the provider was asked").clone()
}

fn weather() -> Value {
    json!([{"type": "function", "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    }}])
}

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
    world.caller().await.answer(ask("").chat(messages)).await;
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
    let heard = caller.hear(text.clone().set("maxTokens", json!(5))).await;
    let said = heard.text.clone();
    let completed = heard.completed();
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
async fn several_choices_come_apart_again() {
    let world = World::start().await;
    let heard = world.caller().await.hear(ask("Three ways").model(PLAIN).set("n", json!(3))).await;
    let mut joined = vec![String::new(); 3];
    for delta in &heard.deltas {
        joined[delta.choice as usize].push_str(&delta.text);
    }
    let completed = heard.completed();
    let indices: Vec<u32> = completed.choices.iter().map(|choice| choice.index).collect();
    assert_eq!(indices, [0, 1, 2]);
    let texts: Vec<&str> = completed.choices.iter().map(|choice| choice.text.as_str()).collect();
    assert_eq!(texts, joined);
    assert!(texts.iter().all(|text| !text.is_empty()));
}

#[tokio::test]
async fn fragments_of_tool_calls_join_to_the_whole() {
    let world = World::start().await;
    let call = |name: &str, arguments: &[&str]| ScriptedToolCall {
        name: name.to_owned(),
        arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
    };
    let tool_calls = vec![
        call("weather", &["{\"ci", "ty\":\"서", "울\",\"da", "ys\":12345678901234567890}"]),
        call("weather", &["{}"]),
    ];
    world.simulator.script(Rule::once(Fault::Answer {
        deltas: Vec::new(),
        reasoning: vec!["Let me see.".to_owned()],
        tool_calls,
    }));
    let heard = world.caller().await.hear(ask("Weather?").set("tools", weather())).await;
    let mut joined = vec![(String::new(), String::new(), String::new()); 2];
    for fragment in heard.deltas.iter().flat_map(|delta| &delta.tool_calls) {
        let (id, name, arguments) = &mut joined[fragment.index as usize];
        id.push_str(&fragment.id);
        name.push_str(&fragment.name);
        arguments.push_str(&fragment.arguments);
    }
    let choice = heard.completed().choices.remove(0);
    let calls: Vec<_> =
        choice.tool_calls.into_iter().map(|call| (call.id, call.name, call.arguments)).collect();
    assert_eq!(calls, joined);
    assert_eq!(calls[0].1, "weather");
    assert_eq!(calls[0].2, "{\"city\":\"서울\",\"days\":12345678901234567890}", "verbatim");
    assert_eq!(calls[1].2, "{}");
    assert!(calls[0].0.starts_with("call_") && calls[0].0 != calls[1].0);
    assert_eq!(choice.finish_reason, "tool_calls");
}

#[tokio::test]
async fn a_tool_may_be_called_where_json_is_asked_for() {
    let world = World::start().await;
    let asked = ask("Weather?").set("tools", weather()).set("toolChoice", json!("required")).json();
    let choice = world.caller().await.answer(asked).await.choices.remove(0);
    assert_eq!(choice.finish_reason, "tool_calls");
    assert_eq!(choice.tool_calls[0].name, "weather");
}

#[tokio::test]
async fn reasoning_is_told_apart_whichever_way_it_comes() {
    let world = World::start().await;
    let caller = world.caller().await;
    for model in [REASONING, THINK_TAGS] {
        let heard = caller.hear(ask("Think").model(model)).await;
        assert!(heard.reasoning.contains("The user asks about"), "{model}: {}", heard.reasoning);
        assert!(
            !heard.text.contains("think>") && !heard.text.is_empty(),
            "{model}: {}",
            heard.text
        );
        let (text, reasoning) = (heard.text.clone(), heard.reasoning.clone());
        let choice = heard.completed().choices.remove(0);
        assert_eq!((choice.text, choice.reasoning), (text, reasoning), "{model}");
    }
}

#[tokio::test]
async fn log_probabilities_come_when_asked_for() {
    let world = World::start().await;
    let caller = world.caller().await;
    let heard = caller.hear(ask("How sure?").model(PLAIN).set("logprobs", json!(true))).await;
    assert!(heard.deltas.iter().any(|delta| !delta.logprobs.is_empty()));
    let choice = heard.completed().choices.remove(0);
    let logprobs: Value = serde_json::from_str(&choice.logprobs).expect("JSON");
    let tokens = logprobs["content"].as_array().expect("tokens").iter();
    let joined: String = tokens.map(|token| token["token"].as_str().expect("a token")).collect();
    assert_eq!(joined, choice.text);
    assert_eq!(caller.answer(ask("How sure?")).await.choices[0].logprobs, "");
}

#[tokio::test]
async fn json_is_checked_and_handed_over_verbatim() {
    let world = World::start().await;
    let caller = world.caller().await;
    let schema = json!({
        "type": "object",
        "properties": {"z": {"type": "number"}, "a": {"type": "string"}},
        "required": ["z", "a"],
        "additionalProperties": false,
    });
    let verbatim = r#" {"z": 0.10, "a":"\u00e9", "z": 12345678901234567890123 }"#;
    world.simulator.script(Rule::once(Fault::answer([&verbatim[..9], &verbatim[9..]])));
    let choice = caller.answer(ask("JSON").schema(&schema)).await.choices.remove(0);
    assert_eq!(choice.json, verbatim);
    let sent = last_request(&world).body["response_format"].clone();
    assert_eq!(sent["type"], "json_schema");
    assert_eq!(sent["json_schema"]["schema"].to_string(), schema.to_string(), "its order is kept");

    let whole = caller.answer(ask("JSON").schema(&schema)).await.choices.remove(0);
    assert!(serde_json::from_str::<Value>(&whole.json).expect("JSON")["a"].is_string());
    let any = caller.answer(ask("Any JSON").json()).await.choices.remove(0);
    assert_eq!(any.json, any.text);
    assert_eq!(last_request(&world).body["response_format"], json!({"type": "json_object"}));
    assert_eq!(caller.answer(ask("Text")).await.choices[0].json, "");
}

#[tokio::test]
async fn an_answer_of_another_form_fails_with_its_text_and_its_price() {
    let world = World::start().await;
    let caller = world.caller().await;
    let schema = json!({"type": "object", "required": ["a"]});
    for (reason, asked, answer) in [
        ("OUTPUT_NOT_JSON", ask("x").json(), "Here you are: {}"),
        ("OUTPUT_NOT_JSON", ask("x").json(), ""),
        ("OUTPUT_NOT_JSON", ask("x").schema(&schema), "{\"a\":"),
        ("OUTPUT_SCHEMA_MISMATCH", ask("x").schema(&schema), "{\"b\":1}"),
        ("OUTPUT_SCHEMA_MISMATCH", ask("x").schema(&schema).no_deltas(), "[]"),
    ] {
        world.simulator.reset();
        world.simulator.script(Rule::once(Fault::answer([answer])));
        let failure = caller.failure(asked.cached()).await;
        assert_eq!(failure.reason, reason, "{answer}");
        assert_eq!((failure.code, failure.domain.as_str()), (Code::FailedPrecondition, "sparkler"));
        assert!(!failure.safe_to_retry(), "it would be paid twice");
        let detail = failure.detail.expect("a detail");
        assert_eq!(detail.text, answer);
        assert!(detail.usage.is_some() && detail.cost.is_some(), "{detail:?}");
        assert_eq!((detail.attempts, world.upstream_calls()), (1, 1));
    }
}

#[tokio::test]
async fn every_node_type_describes_a_form_that_can_be_drawn() {
    let world = World::start().await;
    let types = world.caller().await.node_types().await;
    let names: Vec<&str> = types.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["chatFireworks", "fireworks"]);
    for node in &types {
        assert_eq!(node.inputs, ["prompt", "chat"]);
        assert_eq!(node.credential_fields[0].name, "api_key");
        let schema: Value = serde_json::from_str(&node.config_schema).expect("JSON");
        jsonschema::validator_for(&schema).expect("a JSON Schema");
        for field in &node.fields {
            let label = field.label.as_ref().expect("a label");
            assert!(!label.en.is_empty() && !label.ko.is_empty(), "{}", field.name);
            assert!(schema["properties"].get(&field.name).is_some(), "{}", field.name);
        }
        let required = node.fields.iter().filter(|field| field.required);
        assert_eq!(required.map(|field| field.name.as_str()).collect::<Vec<_>>(), ["modelName"]);
    }
}

fn check_of(asked: Ask) -> CheckNodeRequest {
    let request = asked.request();
    CheckNodeRequest {
        node_type: request.node_type,
        config: request.config,
        credential: request.credential,
        context: None,
    }
}

#[tokio::test]
async fn a_check_says_yes_no_or_unknown_and_spends_nothing() {
    use Verdict::{No, Unknown, Yes};
    let world = World::start().await;
    let caller = world.caller().await;
    for (name, asked, verdicts, reason) in [
        ("good", ask("").model(MODEL), [Yes, Yes, Yes], ""),
        ("unknown key", ask("").key(UNKNOWN_KEY), [Yes, No, Unknown], "CREDENTIAL_REJECTED"),
        ("forbidden key", ask("").key(FORBIDDEN_KEY), [Yes, Yes, No], "MODEL_FORBIDDEN"),
        ("forbidden model", ask("").model(FORBIDDEN), [Yes, Yes, No], "MODEL_FORBIDDEN"),
        ("unpaid", ask("").key(UNPAID_KEY), [Yes, Yes, Unknown], "BILLING_REQUIRED"),
        ("suspended", ask("").key(SUSPENDED_KEY), [Yes, Yes, Unknown], "ACCOUNT_SUSPENDED"),
        ("unknown model", ask("").model("accounts/a/models/b"), [Yes, Yes, No], "MODEL_NOT_FOUND"),
        ("no credential", ask("").no_credential(), [Yes, Unknown, Unknown], ""),
        ("bad field", ask("").set("topP", json!(7)), [No, Unknown, Unknown], "INVALID_NODE_CONFIG"),
    ] {
        let response = caller.check(check_of(asked)).await.expect(name);
        let told: Vec<Verdict> = response.findings.iter().map(Finding::verdict).collect();
        assert_eq!(told, verdicts, "{name}: {:?}", response.findings);
        let subjects: Vec<&str> =
            response.findings.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(subjects, ["config", "credential", "model"]);
        let reasons: String =
            response.findings.iter().map(|finding| finding.reason.as_str()).collect();
        assert_eq!(reasons, reason, "{name}");
        assert!(response.findings.iter().all(|finding| !finding.basis.is_empty()), "{name}");
    }
    assert_eq!(world.simulator.report().completion_tokens, 0);
    let failure = caller.check(check_of(ask("").node("openai"))).await.expect_err("no such node");
    assert_eq!(failure.reason, "UNKNOWN_NODE_TYPE");
}

#[tokio::test]
async fn a_check_of_a_provider_that_is_down_says_unknown() {
    let world = World::with(Options::instant(), |_| {}).await;
    let caller = world.caller().await;
    for fault in [Fault::HangUp, Fault::status(503), Fault::status(429), Fault::status(500)] {
        world.simulator.clear_script();
        world.simulator.script(Rule::always(fault.clone()));
        let response = caller.check(check_of(ask("").key(KEY))).await.expect("findings");
        let told: Vec<Verdict> = response.findings.iter().map(Finding::verdict).collect();
        assert_eq!(told, [Verdict::Yes, Verdict::Unknown, Verdict::Unknown], "{fault:?}");
    }
}

#[tokio::test]
async fn a_check_answers_within_the_callers_deadline() {
    let world = World::start().await;
    world.simulator.script(Rule::always(Fault::SlowHead { delay: support::PATIENCE }));
    let mut request = Request::new(check_of(ask("")));
    request.metadata_mut().insert("grpc-timeout", "500m".parse().expect("a header value"));
    let response = world.caller().await.client().check_node(request).await.expect("findings");
    let findings = response.into_inner().findings;
    assert_eq!(findings[1].verdict(), Verdict::Unknown);
    assert!(findings[1].basis.contains("in time"), "{}", findings[1].basis);
}

#[tokio::test]
async fn what_completed_says_is_what_the_provider_counted() {
    let world = World::start().await;
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 100},
    });
    world.simulator.script(Rule::once(Fault::Usage(usage)));
    let completed: Completed = world.caller().await.answer(ask("Count")).await;
    let usage = completed.usage.expect("usage");
    assert_eq!(usage.prompt_tokens, Some(1000));
    assert_eq!(usage.completion_tokens, Some(500));
    assert_eq!(usage.total_tokens, Some(1500));
    assert_eq!(usage.cached_tokens, Some(400));
    assert_eq!(usage.reasoning_tokens, Some(100));
    // 600 at $1.40, 400 at $0.26 and 500 at $4.40 the million.
    assert_eq!(completed.cost.expect("a price").spent_nanodollars, 840_000 + 104_000 + 2_200_000);
    assert_eq!(completed.model, MODEL);
    assert!(completed.provider_request_id.starts_with("chatcmpl-"));
    assert!(completed.timing.expect("timing").first_token.is_some());
}
