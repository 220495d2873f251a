//! Normalises a configuration: parameters that the provider treats as equal
//! become equal here, so that they are one upstream request and one cache
//! entry.
//!
//! The default of a sampling parameter differs between models, so absent values
//! are never filled in here.

use serde_json::{Value, json};

use super::values::Values;

/// Applies every equivalence. Afterwards `maxCompletionTokens`, `thinking`,
/// `prediction`, `functions` and `functionCall` are absent.
pub(super) fn canonicalise(values: &mut Values<'_>) {
    if let Some(limit) = values.take("maxCompletionTokens") {
        values.put("maxTokens", limit);
    }
    match values.take("stop") {
        Some(stop @ Value::String(_)) => values.put("stop", Value::Array(vec![stop])),
        Some(stops) => values.put("stop", stops),
        None => {}
    }
    canonicalise_tools(values);
    canonicalise_effort(values);
    if let Some(prediction) = values.take("prediction") {
        values.put("speculation", predicted_text(prediction));
    }
}

fn canonicalise_tools(values: &mut Values<'_>) {
    if let Some(Value::Array(functions)) = values.take("functions") {
        let tool = |function| json!({"type": "function", "function": function});
        values.put("tools", functions.into_iter().map(tool).collect());
    }
    let choice = values.take("functionCall").or_else(|| values.take("toolChoice"));
    if let Some(choice) = choice {
        values.put("toolChoice", canonical_choice(choice));
    }
}

/// Normalises a tool choice: `any` is `required`; a name alone, or beside
/// `type`, is the name of the function.
fn canonical_choice(choice: Value) -> Value {
    if choice == "any" {
        return Value::from("required");
    }
    match choice.get("name") {
        Some(name) => json!({"type": "function", "function": {"name": name}}),
        None => choice,
    }
}

fn canonicalise_effort(values: &mut Values<'_>) {
    let effort = match values.take("thinking") {
        Some(thinking) if thinking["type"] == "disabled" => Some(Value::Bool(false)),
        Some(thinking) => match thinking.get("budget_tokens") {
            Some(budget) => Some(budget.clone()),
            None => Some(Value::Bool(true)),
        },
        None => values.take("reasoningEffort"),
    };
    match effort {
        Some(Value::Bool(true)) => values.put("reasoningEffort", Value::from("medium")),
        Some(Value::Bool(false)) => values.put("reasoningEffort", Value::from("none")),
        Some(effort) => values.put("reasoningEffort", effort),
        None => {}
    }
}

/// Returns the text of a prediction: its parts are concatenated.
fn predicted_text(prediction: Value) -> Value {
    let content = match prediction {
        Value::Object(mut members) => members.remove("content").unwrap_or_default(),
        text => text,
    };
    match content {
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            Value::String(texts.collect())
        }
        text => text,
    }
}
