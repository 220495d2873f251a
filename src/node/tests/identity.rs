//! The fields that decide an answer, and those that do not.

use proptest::prelude::*;

use super::{samples::samples, *};

#[test]
fn every_field_has_samples() {
    let form = REGISTRY.find("chatFireworks").expect("the node").form();
    let sampled = samples();
    for field in form.fields() {
        let known =
            field.name == "modelName" || sampled.iter().any(|(name, _)| *name == field.name);
        assert!(known, "{} has no samples", field.name);
    }
}

#[test]
fn only_what_decides_the_answer_changes_the_identity() {
    let form = REGISTRY.find("chatFireworks").expect("the node").form();
    let plain = plan("chatFireworks", json!({})).identity;
    for (name, samples) in samples() {
        let field = form.fields().iter().find(|field| field.name == name).expect("a field");
        let mut seen = vec![plain.clone()];
        for sample in samples {
            let identity = plan("chatFireworks", json!({name: sample})).identity;
            if field.class.decides_the_answer() {
                assert!(!seen.contains(&identity), "{name}: {sample} changes nothing");
                seen.push(identity);
            } else {
                assert_eq!(identity, plain, "{name}: {sample}");
            }
        }
    }
}

#[test]
fn node_model_input_and_provider_are_part_of_the_identity() {
    let base = plan("chatFireworks", json!({})).identity;
    let other_prompt = Input::Prompt("Say bye.".to_owned());
    let other_input =
        planned("chatFireworks", json!({}), other_prompt, &OutputFormat::Text).expect("right");
    assert_ne!(base, other_input.identity);
    assert_ne!(base, plan("fireworks", json!({"temperature": 0.9})).identity);
    let chat = Input::Chat(vec![user("Say hello.")]);
    let same = planned("chatFireworks", json!({}), chat, &OutputFormat::Text).expect("right");
    assert_eq!(base, same.identity);

    let node = REGISTRY.find("chatFireworks").expect("the node");
    let other_model = node.plan(config(json!({"model": "other"})), prompt(), &OutputFormat::Text);
    assert_ne!(base, other_model.expect("right").identity);
}

#[test]
fn what_means_the_same_is_the_same() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (one, other) in [
        (json!({"maxCompletionTokens": 5}), json!({"maxTokens": 5})),
        (json!({"stop": "x"}), json!({"stop": ["x"]})),
        (json!({"toolChoice": "any"}), json!({"toolChoice": "required"})),
        (json!({"toolChoice": "auto"}), json!({})),
        (
            json!({"toolChoice": {"type": "function", "name": "f"}}),
            json!({"toolChoice": {"type": "function", "function": {"name": "f"}}}),
        ),
        (json!({"functions": [{"name": "f"}]}), json!({"tools": tools})),
        (json!({"functionCall": "auto"}), json!({})),
        (json!({"functionCall": "none"}), json!({"toolChoice": "none"})),
        (
            json!({"functionCall": {"name": "f"}}),
            json!({"toolChoice": {"type": "function", "name": "f"}}),
        ),
        (json!({"reasoningEffort": true}), json!({"reasoningEffort": "medium"})),
        (json!({"reasoningEffort": false}), json!({"reasoningEffort": "none"})),
        (json!({"thinking": {"type": "enabled"}}), json!({"reasoningEffort": "medium"})),
        (json!({"thinking": {"type": "disabled"}}), json!({"reasoningEffort": "none"})),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 4096.0}}),
            json!({"reasoningEffort": 4096}),
        ),
        (json!({"prediction": {"type": "content", "content": "a"}}), json!({"speculation": "a"})),
        (
            json!({"prediction": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}),
            json!({"speculation": "ab"}),
        ),
        (
            json!({"n": 1, "contextLengthExceededBehavior": "truncate", "echo": false, "logprobs": false}),
            json!({}),
        ),
        (json!({"temperature": 0.9}), json!({})),
        (json!({"temperature": 1}), json!({"temperature": 1.0})),
        (json!({"logitBias": {"10": 1, "9": 2}}), json!({"logit_bias": {"9": 2, "10": 1}})),
        (json!({"top_p": null}), json!({})),
    ] {
        assert_eq!(
            plan("chatFireworks", one.clone()).identity,
            plan("chatFireworks", other).identity,
            "{one}"
        );
    }
}

#[test]
fn the_key_order_of_tools_is_sent_and_not_distinguished() {
    let tools = |parameters: &str| {
        let text = format!(
            r#"[{{"type":"function","function":{{"name":"f","parameters":{parameters}}}}}]"#
        );
        plan("chatFireworks", json!({ "tools": text })).identity
    };
    let usual = r#"{"type":"object","properties":{"z":{"enum":[1,2]},"a":{}}}"#;
    let sorted = r#"{"properties":{"a":{},"z":{"enum":[1,2]}},"type":"object"}"#;
    assert_eq!(tools(usual), tools(sorted));
    for other in [
        r#"{"type":"object","properties":{"z":{"enum":[2,1]},"a":{}}}"#,
        r#"{"type":"object","properties":{"z":{"enum":[1,2]},"b":{}}}"#,
        r#"{"type":"object","properties":{"z":{"enum":[1,2]}},"a":{}}"#,
    ] {
        assert_ne!(tools(usual), tools(other), "{other}");
    }
}

#[test]
fn absent_sampling_is_not_the_same_as_the_usual_default() {
    for fields in [
        json!({"topP": 1}),
        json!({"topK": 0}),
        json!({"repetitionPenalty": 1}),
        json!({"frequencyPenalty": 0}),
    ] {
        assert_ne!(plan("fireworks", fields).identity, plan("fireworks", json!({})).identity);
    }
}

/// Generates configurations of a few fields, each with one of its values in one
/// of its spellings.
fn configurations() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let samples: Vec<_> = samples()
        .into_iter()
        .filter(|(name, _)| {
            !["maxCompletionTokens", "thinking", "prediction", "functions", "functionCall"]
                .contains(name)
        })
        .collect();
    let one_of_each = samples.into_iter().map(|(name, values)| {
        proptest::option::of(proptest::sample::select(values)).prop_map(move |value| (name, value))
    });
    one_of_each.collect::<Vec<_>>().prop_map(|fields| {
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    })
}

/// Returns the provider's spelling, if there is one.
fn snake_case(name: &str) -> &str {
    let field = parameter(name);
    field.and_then(|field| field.wire).unwrap_or(name)
}

fn parameter(name: &str) -> Option<Field> {
    use crate::node::parameters::{ANSWER, CHAT_PROMPT, PROMPT, REASONING, ROUTE, SAMPLING, TOOLS};
    let groups = [ANSWER, CHAT_PROMPT, PROMPT, REASONING, ROUTE, SAMPLING, TOOLS];
    groups.into_iter().flatten().find(|field| field.name == name).copied()
}

/// Returns a value as a form stores it.
fn as_form_text(value: &Value) -> Value {
    match value {
        Value::String(_) => value.clone(),
        other => Value::String(other.to_string()),
    }
}

proptest! {
    #[test]
    fn order_spelling_and_form_text_do_not_change_the_identity(
        (fields, shuffled) in configurations().prop_flat_map(|fields| (Just(fields.clone()), Just(fields).prop_shuffle())),
        seed in any::<u64>(),
    ) {
        let plain: Map<String, Value> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let respelled: Map<String, Value> = shuffled.iter().enumerate().map(|(index, (name, value))| {
            let bits = seed.rotate_right(2 * index as u32);
            let name = if bits & 1 == 0 { *name } else { snake_case(name) };
            // Text of a speculation or of a stop sequence is used verbatim.
            let literal = ["speculation", "stop", "cache"].contains(&name);
            let value = if bits & 2 == 0 || literal { value.clone() } else { as_form_text(value) };
            (name.to_owned(), value)
        }).collect();
        let one = plan("chatFireworks", Value::Object(plain));
        let other = plan("chatFireworks", Value::Object(respelled));
        prop_assert_eq!(canonical_text(&one), canonical_text(&other));
    }

    #[test]
    fn no_configuration_panics(
        name in proptest::sample::select(samples().into_iter().map(|(name, _)| name).collect::<Vec<_>>()),
        value in any_json(),
        as_text in any::<bool>(),
    ) {
        let value = if as_text { as_form_text(&value) } else { value };
        for node_type in ["fireworks", "chatFireworks"] {
            let fields = json!({name: value.clone()});
            if let Ok(plan) = planned(node_type, fields, prompt(), &OutputFormat::Text) {
                canonical(&plan);
            }
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = proptest::sample::select(vec![
        "",
        "type",
        "function",
        "enabled",
        "name",
        "json_schema",
        "schema",
        "5",
        "auto",
        "true",
        "[1]",
        "{}",
        "é\u{0}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..4).prop_map(|members| {
                Value::Object(
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}
