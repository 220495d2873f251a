//! Prompts and answers on spans, where the operator has opted in: by the GenAI
//! conventions, each up to a bound, and never with the key in them.
//!
//! What is cut stays whole JSON: texts are shortened, and what comes after them
//! is left out. Called for each call of the provider.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{credentials::ApiKey, error::shorten, event::FinishReason, recording::Joined};

/// A text for a span, and whether it was cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// JSON.
    pub(crate) text: String,
    /// Whether something is missing.
    pub(crate) cut: bool,
}

/// What is sent of a conversation.
#[derive(Debug, Deserialize)]
struct Sent {
    #[serde(default)]
    messages: Vec<Message>,
    prompt: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    role: String,
    content: Value,
    reasoning_content: Value,
    tool_calls: Vec<ToolCall>,
    tool_call_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolCall {
    id: String,
    function: Function,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: String,
    arguments: String,
}

/// The conversation of a request, which is whole JSON.
pub(crate) fn input(request: &[u8], bytes: usize, key: &ApiKey) -> Option<Content> {
    let sent: Sent = serde_json::from_slice(request).ok()?;
    let mut room = Room { bytes, cut: false, key };
    let mut messages = Vec::new();
    if let Some(prompt) = &sent.prompt {
        let mut parts = Vec::new();
        room.text("text", prompt, &mut parts);
        messages.push(json!({ "role": "user", "parts": parts }));
    }
    for message in &sent.messages {
        messages.extend(room.message(message));
    }
    Some(room.close(messages))
}

/// The answers, each with its finish reason: the conventions require one, and
/// backends drop an answer without it.
pub(crate) fn output(
    choices: &[Joined],
    reasons: &[FinishReason],
    bytes: usize,
    key: &ApiKey,
) -> Content {
    let mut room = Room { bytes, cut: false, key };
    let mut messages = Vec::new();
    for (choice, reason) in choices.iter().zip(reasons) {
        let mut parts = Vec::new();
        room.text("reasoning", &Value::from(choice.reasoning.as_str()), &mut parts);
        room.text("text", &Value::from(choice.text.as_str()), &mut parts);
        for call in &choice.tool_calls {
            let name = call.name.as_deref().unwrap_or_default();
            let id = call.id.as_deref().unwrap_or_default();
            room.tool_call(id, name, &call.arguments, &mut parts);
        }
        let reason = reason.as_str();
        messages.push(json!({ "role": "assistant", "parts": parts, "finish_reason": reason }));
    }
    room.close(messages)
}

/// What is left of the bound.
struct Room<'a> {
    bytes: usize,
    cut: bool,
    key: &'a ApiKey,
}

impl Room<'_> {
    /// What a part takes beside its texts, about.
    const FRAME: usize = 64;

    /// A message, as long as there is room.
    fn message(&mut self, message: &Message) -> Option<Value> {
        let mut parts = Vec::new();
        if message.tool_call_id.is_empty() {
            self.text("reasoning", &message.reasoning_content, &mut parts);
            self.text("text", &message.content, &mut parts);
        } else {
            let response = self.take(&plain(&message.content))?;
            let id = self.take(&message.tool_call_id)?;
            parts.push(json!({ "type": "tool_call_response", "id": id, "response": response }));
        }
        for call in &message.tool_calls {
            self.tool_call(&call.id, &call.function.name, &call.function.arguments, &mut parts);
        }
        let is_there = !parts.is_empty() || !self.cut;
        is_there.then(|| json!({ "role": message.role, "parts": parts }))
    }

    /// A text, or a list of texts and images.
    fn text(&mut self, kind: &str, content: &Value, parts: &mut Vec<Value>) {
        match content {
            Value::Null => {}
            Value::Array(several) => {
                for one in several {
                    self.part(kind, one, parts);
                }
            }
            one => {
                let text = plain(one);
                if !text.is_empty()
                    && let Some(text) = self.take(&text)
                {
                    parts.push(json!({ "type": kind, "content": text }));
                }
            }
        }
    }

    fn part(&mut self, kind: &str, part: &Value, parts: &mut Vec<Value>) {
        let Some(url) = part["image_url"]["url"].as_str() else {
            let text = part.get("text").unwrap_or(part);
            if !text.is_array() {
                self.text(kind, text, parts);
            }
            return;
        };
        // An image itself is no text, and the query of an address may be signed.
        if url.starts_with("data:") {
            parts.push(json!({ "type": "blob", "modality": "image" }));
        } else if let Some(uri) = self.take(url.split(['?', '#']).next().unwrap_or_default()) {
            parts.push(json!({ "type": "uri", "modality": "image", "uri": uri }));
        }
    }

    fn tool_call(&mut self, id: &str, name: &str, arguments: &str, parts: &mut Vec<Value>) {
        if let (Some(id), Some(name), Some(arguments)) =
            (self.take(id), self.take(name), self.take(arguments))
        {
            let part =
                json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments });
            parts.push(part);
        }
    }

    /// As much of a text as there is room for, without the key.
    fn take(&mut self, text: &str) -> Option<String> {
        let Some(room) = self.bytes.checked_sub(Room::FRAME).filter(|_| !self.cut) else {
            self.cut = true;
            return None;
        };
        let text = self.key.redact(text);
        let mut taken = 0;
        let fits = text.chars().take_while(|letter| {
            taken += encoded(*letter);
            taken <= room
        });
        let end: usize = fits.map(char::len_utf8).sum();
        self.cut = end < text.len();
        self.bytes = room.saturating_sub(taken);
        Some(if self.cut { shorten(&text, end).into_owned() } else { text })
    }

    fn close(self, messages: Vec<Value>) -> Content {
        Content { text: Value::from(messages).to_string(), cut: self.cut }
    }
}

/// What a letter takes in JSON.
fn encoded(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        letter if letter.is_ascii_control() => 6,
        letter => letter.len_utf8(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey::new("fw_canary".to_owned()).expect("a key")
    }

    #[test]
    fn a_conversation_is_told_by_the_conventions_and_without_the_key() {
        let request = json!({
            "messages": [
                {"role": "system", "content": "Be kind to fw_canary."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png?signature=s"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ]},
                {"role": "assistant", "tool_calls": [
                    {"id": "1", "function": {"name": "look", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "1", "content": "a cat"},
            ],
        });
        let told = input(request.to_string().as_bytes(), 4096, &key()).expect("a conversation");
        let expected = json!([
            {"role": "system", "parts": [{"type": "text", "content": "Be kind to [REDACTED]."}]},
            {"role": "user", "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "uri", "modality": "image", "uri": "https://x/y.png"},
                {"type": "blob", "modality": "image"},
            ]},
            {"role": "assistant", "parts": [
                {"type": "tool_call", "id": "1", "name": "look", "arguments": "{}"},
            ]},
            {"role": "tool", "parts": [
                {"type": "tool_call_response", "id": "1", "response": "a cat"},
            ]},
        ]);
        let read: Value = serde_json::from_str(&told.text).expect("JSON");
        assert_eq!((read, told.cut), (expected, false));
    }

    #[test]
    fn what_is_too_long_is_cut_and_is_still_json() {
        let long = "\"é\n".repeat(1000);
        let request = json!({ "messages": [
            {"role": "user", "content": long},
            {"role": "user", "content": "later"},
        ]});
        for bytes in [0, 1, 63, 64, 65, 200, 1000] {
            let told = input(request.to_string().as_bytes(), bytes, &key()).expect("some");
            assert!(told.cut && !told.text.contains("later"));
            assert!(told.text.len() <= bytes + Room::FRAME, "{bytes}: {}", told.text.len());
            serde_json::from_str::<Value>(&told.text).expect("JSON");
        }
        let choices = [Joined { text: long, reasoning: "hm".to_owned(), ..Joined::default() }];
        let told = output(&choices, &[FinishReason::Length], 300, &key());
        let read: Value = serde_json::from_str(&told.text).expect("JSON");
        assert_eq!(read[0]["finish_reason"], "length");
        assert_eq!(read[0]["parts"][0], json!({"type": "reasoning", "content": "hm"}));
        assert!(told.cut);
    }
}
