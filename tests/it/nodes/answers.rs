//! What is made of the provider's answers.

use fireworks_simulator::{Fault, Rule, ScriptedToolCall};
use serde_json::{Value, json};
use sparkler::proto::Completed;
use tonic::Code;

use super::{PLAIN, last_request, weather};
use crate::support::{MODEL, World, ask};

const REASONING: &str = "accounts/simulator/models/reasoning";
const THINK_TAGS: &str = "accounts/simulator/models/think-tags";

#[tokio::test]
async fn several_choices_come_apart_again() {
    let world = World::start().await;
    let received =
        world.caller().await.recv(ask("Three ways").model(PLAIN).set("n", json!(3))).await;
    let mut joined = vec![String::new(); 3];
    for delta in &received.deltas {
        joined[delta.choice as usize].push_str(&delta.text);
    }
    let completed = received.completed();
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
    let received = world.caller().await.recv(ask("Weather?").set("tools", weather())).await;
    let mut joined = vec![(String::new(), String::new(), String::new()); 2];
    for fragment in received.deltas.iter().flat_map(|delta| &delta.tool_calls) {
        let (id, name, arguments) = &mut joined[fragment.index as usize];
        id.push_str(&fragment.id);
        name.push_str(&fragment.name);
        arguments.push_str(&fragment.arguments);
    }
    let choice = received.completed().choices.remove(0);
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
async fn reasoning_is_separated_whichever_way_it_comes() {
    let world = World::start().await;
    let caller = world.caller().await;
    for model in [REASONING, THINK_TAGS] {
        let received = caller.recv(ask("Think").model(model)).await;
        assert!(
            received.reasoning.contains("The user asks about"),
            "{model}: {}",
            received.reasoning
        );
        assert!(
            !received.text.contains("think>") && !received.text.is_empty(),
            "{model}: {}",
            received.text
        );
        let (text, reasoning) = (received.text.clone(), received.reasoning.clone());
        let choice = received.completed().choices.remove(0);
        assert_eq!((choice.text, choice.reasoning), (text, reasoning), "{model}");
    }
}

#[tokio::test]
async fn log_probabilities_come_when_asked_for() {
    let world = World::start().await;
    let caller = world.caller().await;
    let received = caller.recv(ask("How sure?").model(PLAIN).set("logprobs", json!(true))).await;
    assert!(received.deltas.iter().any(|delta| !delta.logprobs.is_empty()));
    let choice = received.completed().choices.remove(0);
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
