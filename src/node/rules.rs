//! Rules between Fireworks' parameters, beyond the declarations of each: fields
//! that exclude or need each other, or that do not fit the request.

use serde_json::Value;

use super::{
    NodeRequest,
    field::Field,
    problems::{Path, Problems},
    values::Values,
};
use crate::output::OutputFormat;

/// Pairs of spellings for the same thing.
const EXCLUSIVE: [(&str, &str); 5] = [
    ("maxTokens", "maxCompletionTokens"),
    ("reasoningEffort", "thinking"),
    ("speculation", "prediction"),
    ("tools", "functions"),
    ("toolChoice", "functionCall"),
];

/// A check of one value.
type ValueCheck = fn(&Value, Path<'_>, &mut Problems);

/// Applies the rules of every Fireworks node.
pub(super) fn check(values: &Values<'_>, asked: NodeRequest<'_>, problems: &mut Problems) {
    let config = Path::Root("config");
    for (one, other) in EXCLUSIVE {
        if values.is_given(one) && values.is_given(other) {
            problems.add(config.member(other), format!("excludes {one}: give one of them"));
        }
    }
    if matches!(asked.output, OutputFormat::Json { .. }) && values.is_given("responseFormat") {
        let description = "excludes the request's output format JSON: give one of them";
        problems.add(config.member("responseFormat"), description);
    }
    let checks: [(&str, ValueCheck); 3] = [
        ("responseFormat", check_response_format),
        ("thinking", check_thinking),
        ("toolChoice", check_tool_choice),
    ];
    for (name, check) in checks {
        if let Some(value) = values.get(name) {
            check(value, config.member(name), problems);
        }
    }
}

/// Reports each of these fields that is given, for `why`: the input is of the
/// other kind.
pub(super) fn refuse(fields: &[Field], values: &Values<'_>, why: &str, problems: &mut Problems) {
    let config = Path::Root("config");
    for field in fields {
        if values.is_given(field.name) {
            problems.add(config.member(field.name), why);
        }
    }
}

fn check_response_format(format: &Value, path: Path<'_>, problems: &mut Problems) {
    let kind = format["type"].as_str().unwrap_or_default();
    let given = |member: &str| format.get(member).is_some();
    for (member, kinds) in [
        ("json_schema", &["json_schema"][..]),
        ("schema", &["json_schema", "json_object"]),
        ("grammar", &["grammar"]),
    ] {
        if given(member) && !kinds.contains(&kind) {
            let kinds = kinds.join(" or ");
            problems.add(path.member(member), format!("needs type {kinds}"));
        }
    }
    match kind {
        "json_schema" if given("json_schema") && given("schema") => {
            let description = "excludes json_schema: give one of them";
            problems.add(path.member("schema"), description);
        }
        "json_schema" if !given("json_schema") && !given("schema") => {
            problems.add(path.member("json_schema"), "is required");
        }
        "grammar" if !given("grammar") => problems.add(path.member("grammar"), "is required"),
        _ => {}
    }
}

fn check_thinking(thinking: &Value, path: Path<'_>, problems: &mut Problems) {
    if thinking["type"] == "disabled" && thinking.get("budget_tokens").is_some() {
        problems.add(path.member("budget_tokens"), "needs type enabled");
    }
}

fn check_tool_choice(choice: &Value, path: Path<'_>, problems: &mut Problems) {
    if !choice.is_object() {
        return;
    }
    match (choice.get("name"), choice.get("function")) {
        (Some(_), Some(_)) => {
            problems.add(path.member("name"), "excludes function: give one of them");
        }
        (None, None) => problems.add(path.member("function"), "is required"),
        _ => {}
    }
}
