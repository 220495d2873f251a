//! Prompts and answers on spans, if the operator has opted in: in the form of the
//! GenAI conventions, each up to a size limit, and never with the API key in them.
//!
//! Truncated content stays valid JSON: texts are shortened, and what follows is
//! left out.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{credentials::ApiKey, error::shorten, event::FinishReason, recording::Joined};

/// Content for a span, possibly truncated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpanContent {
    /// The messages as JSON.
    pub(crate) text: String,
    /// Set if something was left out.
    pub(crate) cut: bool,
}

/// The part of a request that holds the conversation.
#[derive(Debug, Deserialize)]
struct SentConversation {
    #[serde(default)]
    messages: Vec<SpanMessage>,
    prompt: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpanMessage {
    role: String,
    content: Value,
    reasoning_content: Value,
    tool_calls: Vec<SpanToolCall>,
    tool_call_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpanToolCall {
    id: String,
    function: SpanFunction,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpanFunction {
    name: String,
    arguments: String,
}

/// Returns the conversation of a request, if it has one; `request` is a complete JSON
/// object.
pub(crate) fn input(request: &[u8], bytes: usize, key: &ApiKey) -> Option<SpanContent> {
    let sent: SentConversation = serde_json::from_slice(request).ok()?;
    if sent.prompt.is_none() && sent.messages.is_empty() {
        return None;
    }
    let mut room = ByteBudget { bytes, cut: false, key };
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

/// Returns the answers, each with its finish reason: the conventions require one,
/// and backends drop an answer without it.
pub(crate) fn output(
    choices: &[Joined],
    reasons: &[FinishReason],
    bytes: usize,
    key: &ApiKey,
) -> SpanContent {
    let mut room = ByteBudget { bytes, cut: false, key };
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

/// The rest of the size limit.
struct ByteBudget<'a> {
    bytes: usize,
    cut: bool,
    key: &'a ApiKey,
}

impl ByteBudget<'_> {
    /// Approximate size of a part besides its texts, in bytes.
    const FRAME: usize = 64;

    /// Converts a message, if there is room for it.
    fn message(&mut self, message: &SpanMessage) -> Option<Value> {
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

    /// Appends a text, or a list of texts and images.
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
        // Image data is not text, and the query of a URL may be signed.
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

    /// Takes as much of a text as fits, with the key redacted.
    fn take(&mut self, text: &str) -> Option<String> {
        let Some(room) = self.bytes.checked_sub(ByteBudget::FRAME).filter(|_| !self.cut) else {
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

    fn close(self, messages: Vec<Value>) -> SpanContent {
        SpanContent { text: Value::from(messages).to_string(), cut: self.cut }
    }
}

/// Returns the size of a character in JSON, in bytes.
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
    fn a_conversation_follows_the_conventions_without_the_key() {
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
        let content = input(request.to_string().as_bytes(), 4096, &key()).expect("a conversation");
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
        let read: Value = serde_json::from_str(&content.text).expect("JSON");
        assert_eq!((read, content.cut), (expected, false));
    }

    #[test]
    fn what_is_too_long_is_cut_and_is_still_json() {
        let long = "\"é\n".repeat(1000);
        let request = json!({ "messages": [
            {"role": "user", "content": long},
            {"role": "user", "content": "later"},
        ]});
        for bytes in [0, 1, 63, 64, 65, 200, 1000] {
            let content = input(request.to_string().as_bytes(), bytes, &key()).expect("some");
            assert!(content.cut && !content.text.contains("later"));
            assert!(
                content.text.len() <= bytes + ByteBudget::FRAME,
                "{bytes}: {}",
                content.text.len()
            );
            serde_json::from_str::<Value>(&content.text).expect("JSON");
        }
        let choices = [Joined { text: long, reasoning: "hm".to_owned(), ..Joined::default() }];
        let content = output(&choices, &[FinishReason::Length], 300, &key());
        let read: Value = serde_json::from_str(&content.text).expect("JSON");
        assert_eq!(read[0]["finish_reason"], "length");
        assert_eq!(read[0]["parts"][0], json!({"type": "reasoning", "content": "hm"}));
        assert!(content.cut);
    }
}
