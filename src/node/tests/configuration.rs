//! Valid configurations and their effect.

use super::*;

#[test]
fn the_model_is_required_and_has_no_default() {
    for node_type in ["fireworks", "chatFireworks"] {
        let node = REGISTRY.find(node_type).expect("the node");
        for (fields, reported) in [
            (json!({}), "is required"),
            (json!({"modelName": ""}), "is required"),
            (json!({"modelName": null}), "is required"),
            (json!({"modelName": "a b"}), "must be a model's name: printable ASCII without spaces"),
            (json!({"modelName": "m\n"}), "must be a model's name: printable ASCII without spaces"),
            (json!({"modelName": "m".repeat(513)}), "must be at most 512 bytes long"),
            (
                json!({"modelName": 5}),
                "must be a model's name: printable ASCII without spaces, not 5",
            ),
        ] {
            let violations = node.check(config(fields)).expect_err("no model");
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert_eq!(violations[0].field, "config.modelName");
            assert_eq!(violations[0].description, reported);
        }
        let checked = node.check(config(json!({"model": "m"}))).expect("right");
        assert_eq!(checked.model, "m");
    }
}

#[test]
fn form_text_counts_as_what_it_says_and_emptiness_as_nothing() {
    for (text, plain) in [
        (json!({"temperature": "0.9", "n": "2"}), json!({"temperature": 0.9, "n": 2})),
        (json!({"temperature": " 1 "}), json!({"temperature": 1})),
        (json!({"maxTokens": "1e3"}), json!({"maxTokens": 1000})),
        (json!({"maxTokens": 40.0}), json!({"maxTokens": 40})),
        (json!({"ignoreEos": "true", "echo": "false"}), json!({"ignoreEos": true})),
        (
            json!({"topP": "", "stop": "", "tools": "", "maxTokens": "  ", "thinking": null}),
            json!({}),
        ),
        (json!({"stop": [], "tools": "[]", "logitBias": {}, "metadata": "{}"}), json!({})),
        (json!({"stop": "[\"a\",\"b\"]"}), json!({"stop": ["a", "b"]})),
        (json!({"stop": "[END]"}), json!({"stop": ["[END]"]})),
        (json!({"stop": " "}), json!({"stop": [" "]})),
        (json!({"reasoningEffort": "2048"}), json!({"reasoningEffort": 2048})),
        (json!({"reasoningEffort": "true"}), json!({"reasoningEffort": "medium"})),
        (json!({"logprobs": "3"}), json!({"logprobs": 3})),
        (json!({"logitBias": "{\"10\":1.0,\"9\":-2}"}), json!({"logitBias": {"9": -2, "10": 1}})),
        (
            json!({"toolChoice": "{\"type\":\"function\",\"function\":{\"name\":\"a\"}}"}),
            json!({"toolChoice": {"type": "function", "function": {"name": "a"}}}),
        ),
        (json!({"prediction": "{\"a\":1}"}), json!({"speculation": "{\"a\":1}"})),
    ] {
        let (text_plan, plain_plan) =
            (plan("chatFireworks", text.clone()), plan("chatFireworks", plain));
        assert_eq!(canonical_text(&text_plan), canonical_text(&plain_plan), "{text}");
    }
}

#[test]
fn a_cache_field_is_a_bool_or_a_reference() {
    for (value, cache) in [
        (json!(true), true),
        (json!(false), false),
        (json!("true"), true),
        (json!("false"), false),
        (json!("False"), false),
        (json!(""), false),
        (json!(" "), false),
        (json!(null), false),
        (json!("{{inMemoryCache_0.data.instance}}"), true),
        (json!({}), false),
        (json!({"id": "redisCache_0"}), true),
    ] {
        let plan = plan("chatFireworks", json!({"cache": value}));
        assert_eq!(plan.cache, cache, "{value}");
    }
    assert!(!plan("fireworks", json!({})).cache);
}

#[test]
fn credential_and_streaming_do_not_reach_the_provider() {
    let plain = plan("chatFireworks", json!({}));
    assert!(plain.deltas);
    assert_eq!(plain.secret_name, None);
    let other =
        plan("chatFireworks", json!({"credential": "team", "streaming": "false", "cache": true}));
    assert!(!other.deltas);
    assert_eq!(other.secret_name.as_deref(), Some("team"));
    assert_eq!(plain.identity, other.identity);
}

#[test]
fn a_plan_prints_without_what_was_asked() {
    let canary = Input::Prompt("canary".to_owned());
    let plan = planned("fireworks", json!({"user": "canary"}), canary, &OutputFormat::Text);
    assert!(!format!("{:?}", plan.expect("right")).contains("canary"));
}
