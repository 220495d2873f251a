//! The problems reported for an invalid configuration.

use super::*;

#[test]
fn every_problem_is_reported_at_once_with_its_path() {
    let node = REGISTRY.find("chatFireworks").expect("the node");
    let fields = config(json!({
        "temprature": 0.5,
        "topP": 7,
        "maxTokens": 3.5,
        "max_completion_tokens": 5,
        "tools": [{"type": "function", "function": {"name": "a b", "params": {}}}],
    }));
    let chat = Input::Chat(vec![Message::default()]);
    let violations = node.plan(fields, chat, &OutputFormat::Text).expect_err("problems");
    insta::assert_snapshot!(
        violations
            .iter()
            .map(|violation| format!("{} {}\n", violation.field, violation.description))
            .collect::<String>()
    );
}

#[test]
fn a_wrong_value_is_reported_in_words_that_help() {
    for (fields, reported) in [
        (
            json!({"temprature": 1}),
            "config.temprature is not a field of chatFireworks; did you mean temperature?",
        ),
        (
            json!({"max_token": 1}),
            "config.max_token is not a field of chatFireworks; did you mean max_tokens?",
        ),
        (json!({"zzz": 1}), "config.zzz is not a field of chatFireworks"),
        (json!({"guided_json": {}}), "config.guided_json is not a field of chatFireworks"),
        (
            json!({"stream": true}),
            "config.stream is not a field of chatFireworks: Fireworks is always asked to stream; streaming says whether you see it",
        ),
        (
            json!({"temperature": 2.1}),
            "config.temperature must be a number between 0 and 2, not 2.1",
        ),
        (
            json!({"temperature": "warm"}),
            "config.temperature must be a number between 0 and 2, not this text",
        ),
        (
            json!({"temperature": "NaN"}),
            "config.temperature must be a number between 0 and 2, not this text",
        ),
        (
            json!({"temperature": "inf"}),
            "config.temperature must be a number between 0 and 2, not this text",
        ),
        (
            json!({"temperature": "1e999"}),
            "config.temperature must be a number between 0 and 2, not this text",
        ),
        (
            json!({"temperature": true}),
            "config.temperature must be a number between 0 and 2, not true",
        ),
        (
            json!({"mirostatTarget": "-inf"}),
            "config.mirostatTarget must be a number, not this text",
        ),
        (json!({"n": 0}), "config.n must be a whole number between 1 and 128, not 0"),
        (json!({"n": 1.5}), "config.n must be a whole number between 1 and 128, not 1.5"),
        (json!({"n": "1.5"}), "config.n must be a whole number between 1 and 128, not 1.5"),
        (
            json!({"seed": 9_007_199_254_740_992_u64}),
            "config.seed must be a whole number, not 9007199254740992",
        ),
        (json!({"seed": 9.1e15}), "config.seed must be a whole number, not 9100000000000000.0"),
        (json!({"seed": i64::MIN}), "config.seed must be a whole number, not -9223372036854775808"),
        (json!({"ignoreEos": "yes"}), "config.ignoreEos must be true or false, not this text"),
        (json!({"echo": 1}), "config.echo must be true or false, not 1"),
        (
            json!({"cache": 1}),
            "config.cache must be true, false, or a reference to a cache node, not 1",
        ),
        (
            json!({"credential": "two words"}),
            "config.credential must be a name of printable ASCII without spaces",
        ),
        (
            json!({"reasoningEffort": 0}),
            "config.reasoningEffort must be a whole number, at least 1, not 0",
        ),
        (
            json!({"serviceTier": "Gold Plus"}),
            "config.serviceTier must be a word of lower-case letters, digits, _ or -, such as priority",
        ),
        (
            json!({"logitBias": {"12": 101}}),
            "config.logitBias.12 must be a number between -100 and 100, not 101",
        ),
        (
            json!({"logitBias": {"a": 1}}),
            "config.logitBias.a is not allowed: its key must be a token id of the model's tokenizer",
        ),
        (
            json!({"logitBias": "{bad"}),
            "config.logitBias is not JSON: key must be a string at line 1 column 2",
        ),
        (json!({"metadata": {"a": 1}}), "config.metadata.a must be text, not 1"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "config.stop must be at most 4 items, not 5"),
        (json!({"stop": ["a", 1]}), "config.stop[1] must be text, not 1"),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 5}}),
            "config.thinking.budget_tokens must be a whole number, at least 1024, not 5",
        ),
        (
            json!({"thinking": {"type": "disabled", "budget_tokens": 2048}}),
            "config.thinking.budget_tokens needs type enabled",
        ),
        (json!({"thinking": {"budget": 5}}), "config.thinking.type is required"),
        (json!({"thinking": "enabled"}), "config.thinking must be a JSON object, not this text"),
        (
            json!({"responseFormat": {"type": "json_schema"}}),
            "config.responseFormat.json_schema is required",
        ),
        (
            json!({"responseFormat": {"type": "grammar"}}),
            "config.responseFormat.grammar is required",
        ),
        (
            json!({"responseFormat": {"type": "text", "schema": {}}}),
            "config.responseFormat.schema needs type json_schema or json_object",
        ),
        (
            json!({"responseFormat": {"type": "json_schema", "schema": {}, "json_schema": {"schema": {}}}}),
            "config.responseFormat.schema excludes json_schema: give one of them",
        ),
        (
            json!({"responseFormat": {"type": "json_object", "schema_field": 1}}),
            "config.responseFormat.schema_field is not known here; did you mean schema?",
        ),
        (json!({"tools": [{"type": "function"}]}), "config.tools[0].function is required"),
        (
            json!({"tools": {"type": "function"}}),
            "config.tools must be a list, each item a JSON object, not an object",
        ),
        (
            json!({"toolChoice": "maybe"}),
            "config.toolChoice must be one of auto, none, any, required, not this word",
        ),
        (json!({"toolChoice": {"type": "function"}}), "config.toolChoice.function is required"),
        (
            json!({"toolChoice": {"type": "function", "name": "a", "function": {"name": "a"}}}),
            "config.toolChoice.name excludes function: give one of them",
        ),
        (json!({"prediction": {"type": "content"}}), "config.prediction.content is required"),
        (
            json!({"maxTokens": 1, "maxCompletionTokens": 1}),
            "config.maxCompletionTokens excludes maxTokens: give one of them",
        ),
        (
            json!({"thinking": {"type": "enabled"}, "reasoningEffort": "low"}),
            "config.thinking excludes reasoningEffort: give one of them",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a"}}], "functions": [{"name": "a"}]}),
            "config.functions excludes tools: give one of them",
        ),
        (json!({"topP": 1, "top_p": 1}), "config.top_p is given in two spellings; give topP only"),
        (json!({"model": "m"}), "config.modelName is given in two spellings; give modelName only"),
    ] {
        let problems = problems("chatFireworks", fields.clone(), prompt());
        assert!(problems.contains(&reported.to_owned()), "{fields}: {problems:#?}");
    }
}

#[test]
fn a_text_of_the_caller_is_never_quoted() {
    let canary = "fw_canary";
    for name in [
        "temperature",
        "n",
        "echo",
        "stop",
        "tools",
        "serviceTier",
        "toolChoice",
        "logitBias",
        "thinking",
        "credential",
        "modelName",
        "metadata",
    ] {
        for value in [
            json!(canary),
            json!(format!("{canary} ")),
            json!(format!("{{\"{canary}")),
            json!([canary, {}]),
            json!({"a": {"b": canary}}),
        ] {
            let node = REGISTRY.find("chatFireworks").expect("the node");
            let mut fields = config(json!({"modelName": "m"}));
            fields.insert(name.to_owned(), value);
            if let Err(violations) = node.plan(fields, prompt(), &OutputFormat::Text) {
                assert!(
                    violations.iter().all(|violation| !violation.description.contains(canary)),
                    "{violations:?}"
                );
            }
        }
    }
}

#[test]
fn a_flood_of_unknown_fields_is_refused_quickly_and_shortly() {
    let fields: Map<String, Value> =
        (0..100_000).map(|number| (format!("temperatur{number}"), json!("1"))).collect();
    let started = std::time::Instant::now();
    let problems = problems("chatFireworks", Value::Object(fields), prompt());
    assert!(problems.len() < 30);
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn json_that_is_too_deep_is_refused() {
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    let text = format!("{{\"type\":\"json_object\",\"schema\":{{\"a\":{deep}}}}}");
    let reported = problems("chatFireworks", json!({"responseFormat": text}), prompt());
    assert!(
        reported[0].starts_with("config.responseFormat is not JSON: recursion limit exceeded"),
        "{reported:?}"
    );

    let mut value = json!(1);
    for _ in 0..1000 {
        value = json!([value]);
    }
    let fields = json!({"responseFormat": {"type": "json_object", "schema": {"a": value}}});
    let reported = problems("chatFireworks", fields, prompt());
    assert_eq!(reported, ["config.responseFormat.schema is nested more than 100 levels deep"]);
}
