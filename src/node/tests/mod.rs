//! The rules that hold for every node: tables and properties over
//! configurations and inputs.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::*;
use crate::fireworks::{Client, ClientConfig};

mod configuration;
mod conversation;
mod embeddings;
mod forms;
mod identity;
mod other_node;
mod refusals;
mod requests;
mod samples;

/// Created once: a client reads the machine's TLS roots.
static CLIENT: LazyLock<Client> =
    LazyLock::new(|| Client::new(ClientConfig::default()).expect("a client"));
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(CLIENT.clone()));

pub(super) fn config(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no configuration"),
    }
}

pub(super) fn prompt() -> Input {
    Input::Prompt("Say hello.".to_owned())
}

pub(super) fn user(text: &str) -> Message {
    Message { role: "user".to_owned(), content: text.to_owned(), ..Message::default() }
}

/// Plans a node with the model `m`, these further fields, and a prompt.
pub(super) fn plan(node_type: &str, fields: Value) -> Plan {
    planned(node_type, fields, prompt(), &OutputFormat::Text).expect("nothing wrong")
}

pub(super) fn planned(
    node_type: &str,
    fields: Value,
    input: Input,
    output: &OutputFormat,
) -> Result<Plan, Vec<crate::error::Violation>> {
    let mut fields = config(fields);
    fields.insert("modelName".to_owned(), json!("m"));
    let node = REGISTRY.find(node_type).expect("a node");
    node.plan(fields, input, output)
}

/// Returns every problem, each as `path description`.
pub(super) fn problems(node_type: &str, fields: Value, input: Input) -> Vec<String> {
    match planned(node_type, fields, input, &OutputFormat::Text) {
        Ok(_) => Vec::new(),
        Err(violations) => violations
            .into_iter()
            .map(|violation| format!("{} {}", violation.field, violation.description))
            .collect(),
    }
}

/// Returns the identity as JSON: its text lacks the closing brace.
pub(super) fn canonical(plan: &Plan) -> Value {
    let text = format!("{}}}", canonical_text(plan));
    serde_json::from_str(&text).expect("JSON")
}

pub(super) fn canonical_text(plan: &Plan) -> &str {
    std::str::from_utf8(&plan.identity.canonical).expect("text")
}
