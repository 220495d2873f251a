//! Serialises a conversation as the provider accepts it: known keys only, no
//! empty values, borrowed from the input.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::input::{Message, Part, ToolCall};

/// Returns the `messages` of a request.
pub(super) fn wire(messages: &[Message]) -> impl Iterator<Item = impl Serialize> {
    messages.iter().map(Wire)
}

/// The only message of a request that has a prompt.
pub(super) struct UserMessage<'a>(pub(super) &'a str);

struct Wire<'a, T>(&'a T);

struct ContentParts<'a>(&'a [Part]);

struct ToolCalls<'a>(&'a [ToolCall]);

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl Serialize for UserMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct User<'a> {
            role: &'static str,
            content: &'a str,
        }
        User { role: "user", content: self.0 }.serialize(serializer)
    }
}

impl Serialize for Wire<'_, Message> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", &message.role)?;
        if !message.parts.is_empty() {
            map.serialize_entry("content", &ContentParts(&message.parts))?;
        } else if !message.content.is_empty() || message.role == "tool" {
            map.serialize_entry("content", &message.content)?;
        }
        if !message.reasoning_content.is_empty() {
            map.serialize_entry("reasoning_content", &message.reasoning_content)?;
        }
        if !message.tool_calls.is_empty() {
            map.serialize_entry("tool_calls", &ToolCalls(&message.tool_calls))?;
        }
        if !message.tool_call_id.is_empty() {
            map.serialize_entry("tool_call_id", &message.tool_call_id)?;
        }
        map.end()
    }
}

impl Serialize for ContentParts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Wire))
    }
}

impl Serialize for Wire<'_, Part> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self.0 {
            Part::Text(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
            Part::Image { url, detail } => {
                map.serialize_entry("type", "image_url")?;
                map.serialize_entry("image_url", &ImageUrl { url, detail })?;
            }
            // Refused by `Input::check`.
            Part::Empty => {}
        }
        map.end()
    }
}

impl Serialize for ToolCalls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Wire))
    }
}

impl Serialize for Wire<'_, ToolCall> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ToolCall { id, name, arguments } = self.0;
        // Models write nothing for a function without arguments.
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry("function", &Function { name, arguments })?;
        map.end()
    }
}
