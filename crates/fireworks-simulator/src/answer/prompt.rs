//! The prompts of a request as text: the basis of token counts, of rules that
//! match prompts, and of answers' topics.

use serde_json::{Map, Value};

use crate::{answer::tokens, endpoint::Endpoint};

/// Returns the prompts as text, for token counts and rules.
pub(crate) fn texts(endpoint: Endpoint, body: &Map<String, Value>) -> Vec<String> {
    match endpoint {
        Endpoint::ChatCompletions => {
            let messages = body.get("messages").and_then(Value::as_array);
            let mut prompt: String = messages.into_iter().flatten().map(message_text).collect();
            if let Some(tools) = body.get("tools").filter(|tools| !tools.is_null()) {
                prompt.push_str(&tools.to_string());
            }
            vec![prompt]
        }
        Endpoint::Completions => prompt_texts(body.get("prompt")),
        Endpoint::Embeddings => match body.get("input") {
            Some(Value::Array(texts)) if texts.is_empty() => Vec::new(),
            input => prompt_texts(input),
        },
        Endpoint::Models => Vec::new(),
    }
}

/// Returns one text, or each of a list; a list of token ids is one text.
fn prompt_texts(prompt: Option<&Value>) -> Vec<String> {
    match prompt {
        Some(Value::Array(prompts)) if prompts.iter().any(|p| !p.is_number()) => {
            prompts.iter().map(prompt_text).collect()
        }
        Some(prompt) => vec![prompt_text(prompt)],
        None => Vec::new(),
    }
}

/// Drops the oldest turns of a chat until it has at most `prompt_truncate_len`
/// tokens; system messages and the last turn stay.
pub(crate) fn truncate(body: &mut Map<String, Value>) {
    let is_safe = body.get("safe_tokenization") == Some(&Value::Bool(true));
    let most = body.get("prompt_truncate_len").and_then(Value::as_u64).filter(|_| !is_safe);
    let (Some(most), Some(Value::Array(messages))) = (most, body.get_mut("messages")) else {
        return;
    };
    let is_turn = |message: &Value| message.get("role").and_then(Value::as_str) != Some("system");
    let length = |messages: &[Value]| {
        let text: String = messages.iter().map(message_text).collect();
        u64::from(tokens::count(&text))
    };
    while length(messages) > most {
        let oldest = messages.iter().position(is_turn);
        match oldest.filter(|oldest| messages[oldest + 1..].iter().any(is_turn)) {
            Some(oldest) => messages.remove(oldest),
            None => return,
        };
    }
}

fn message_text(message: &Value) -> String {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("{role}\n{}", content_text(message));
    if let Some(calls) = message.get("tool_calls").filter(|calls| !calls.is_null()) {
        text.push_str(&calls.to_string());
    }
    text.push('\n');
    text
}

fn content_text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| part.get("text").and_then(Value::as_str).unwrap_or("<image>"))
            .collect(),
        _ => String::new(),
    }
}

/// Returns text verbatim; token ids as numbers separated by spaces.
fn prompt_text(prompt: &Value) -> String {
    match prompt {
        Value::String(text) => text.clone(),
        Value::Array(ids) => ids.iter().map(|id| format!("{id} ")).collect(),
        other => other.to_string(),
    }
}

/// Returns the topic of the answer: the user's last message.
pub(crate) fn topic(endpoint: Endpoint, body: &Map<String, Value>, prompts: &[String]) -> String {
    if endpoint == Endpoint::Completions {
        return prompts.first().cloned().unwrap_or_default();
    }
    let messages = body.get("messages").and_then(Value::as_array);
    let last = messages
        .into_iter()
        .flatten()
        .rfind(|message| message.get("role").and_then(Value::as_str) == Some("user"));
    last.map(content_text).unwrap_or_default()
}
