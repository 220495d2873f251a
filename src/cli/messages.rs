//! Converts OpenAI's `messages` JSON from a file to the API's conversation.
//!
//! Reports every problem with its path. Content that the API cannot express is
//! rejected rather than dropped: an answer to half a question misleads.

use serde_json::{Map, Value};

use crate::proto::{Chat, ChatMessage, ContentPart, ImageUrl, ToolCall, content_part::Part};

/// Parses a conversation: a JSON array of messages, or an object that contains
/// `messages`.
///
/// # Errors
///
/// Returns all problems, one per line.
pub(super) fn parse(text: &str) -> Result<Chat, String> {
    let value: Value = serde_json::from_str(text).map_err(|problem| problem.to_string())?;
    let value = match value {
        Value::Object(mut object) => {
            object.remove("messages").ok_or("is an object without `messages`")?
        }
        value => value,
    };
    let mut reader = MessagesReader::default();
    let messages = reader.list("messages", Some(value), MessagesReader::message);
    if messages.is_empty() && reader.problems.is_empty() {
        reader.problem("messages", "is empty; give at least one message");
    }
    match reader.problems.is_empty() {
        true => Ok(Chat { messages }),
        false => Err(reader.problems.join("\n")),
    }
}

/// Collects problems and reads on, so as to find them all.
#[derive(Default)]
struct MessagesReader {
    problems: Vec<String>,
}

impl MessagesReader {
    fn problem(&mut self, path: &str, what: &str) {
        self.problems.push(format!("{path} {what}"));
    }

    fn message(&mut self, path: &str, value: Value) -> ChatMessage {
        let mut fields = self.object(path, value);
        let (content, parts) = self.content(&format!("{path}.content"), fields.remove("content"));
        let message = ChatMessage {
            role: self.role(path, &mut fields),
            content,
            parts,
            tool_calls: self.list(
                &format!("{path}.tool_calls"),
                fields.remove("tool_calls"),
                MessagesReader::tool_call,
            ),
            tool_call_id: self.text(path, "tool_call_id", &mut fields),
            reasoning_content: self.text(path, "reasoning_content", &mut fields),
        };
        self.nothing_else(path, &fields);
        message
    }

    fn role(&mut self, path: &str, fields: &mut Map<String, Value>) -> String {
        let role = self.text(path, "role", fields);
        if role.is_empty() {
            self.problem(
                &format!("{path}.role"),
                "is missing; give system, user, assistant or tool",
            );
        }
        role
    }

    fn content(&mut self, path: &str, value: Option<Value>) -> (String, Vec<ContentPart>) {
        match value {
            None | Some(Value::Null) => (String::new(), Vec::new()),
            Some(Value::String(text)) => (text, Vec::new()),
            Some(list @ Value::Array(_)) => {
                (String::new(), self.list(path, Some(list), MessagesReader::part))
            }
            Some(_) => {
                self.problem(path, "must be a text or a list of parts");
                (String::new(), Vec::new())
            }
        }
    }

    fn part(&mut self, path: &str, value: Value) -> ContentPart {
        let mut fields = self.object(path, value);
        let part = match self.text(path, "type", &mut fields).as_str() {
            "text" => Some(Part::Text(self.text(path, "text", &mut fields))),
            "image_url" => {
                let value = fields.remove("image_url").unwrap_or_default();
                Some(Part::ImageUrl(self.image(&format!("{path}.image_url"), value)))
            }
            _ => {
                self.problem(&format!("{path}.type"), "must be text or image_url");
                return ContentPart::default();
            }
        };
        self.nothing_else(path, &fields);
        ContentPart { part }
    }

    fn image(&mut self, path: &str, value: Value) -> ImageUrl {
        let mut fields = self.object(path, value);
        let image = ImageUrl {
            url: self.text(path, "url", &mut fields),
            detail: self.text(path, "detail", &mut fields),
        };
        self.nothing_else(path, &fields);
        image
    }

    fn tool_call(&mut self, path: &str, value: Value) -> ToolCall {
        let mut fields = self.object(path, value);
        let kind = self.text(path, "type", &mut fields);
        if !["", "function"].contains(&kind.as_str()) {
            self.problem(&format!("{path}.type"), "must be function");
        }
        let id = self.text(path, "id", &mut fields);
        let function_path = format!("{path}.function");
        let mut function =
            self.object(&function_path, fields.remove("function").unwrap_or_default());
        let call = ToolCall {
            id,
            name: self.text(&function_path, "name", &mut function),
            arguments: self.text(&function_path, "arguments", &mut function),
        };
        self.nothing_else(&function_path, &function);
        self.nothing_else(path, &fields);
        call
    }

    fn list<T>(
        &mut self,
        path: &str,
        value: Option<Value>,
        read: fn(&mut MessagesReader, &str, Value) -> T,
    ) -> Vec<T> {
        match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| read(self, &format!("{path}[{index}]"), item))
                .collect(),
            Some(_) => {
                self.problem(path, "must be a list");
                Vec::new()
            }
        }
    }

    fn object(&mut self, path: &str, value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            _ => {
                self.problem(path, "must be an object");
                Map::new()
            }
        }
    }

    /// Takes a text that may be missing or null.
    fn text(&mut self, path: &str, name: &str, fields: &mut Map<String, Value>) -> String {
        match fields.remove(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(_) => {
                self.problem(&format!("{path}.{name}"), "must be a text");
                String::new()
            }
        }
    }

    /// Rejects the remaining fields, except for those that carry no content.
    fn nothing_else(&mut self, path: &str, fields: &Map<String, Value>) {
        for (name, value) in fields {
            if says_something(value) {
                self.problem(&format!("{path}.{name}"), "is not known here; take it out");
            }
        }
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_everything_in_it_is_read() {
        let chat = parse(
            r#"{"model": "ignored", "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}}]},
                {"role": "assistant", "content": null, "reasoning_content": "hm", "refusal": null,
                 "tool_calls": [{"id": "c1", "type": "function",
                                 "function": {"name": "look", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "a cat"}]}"#,
        )
        .unwrap();
        let [system, user, assistant, tool] = chat.messages.as_slice() else {
            panic!("{} messages", chat.messages.len());
        };
        assert_eq!((system.role.as_str(), system.content.as_str()), ("system", "Be brief."));
        let image = ImageUrl { url: "https://a/b.png".to_owned(), detail: "low".to_owned() };
        assert_eq!(user.parts[1].part, Some(Part::ImageUrl(image)));
        assert_eq!(assistant.reasoning_content, "hm");
        assert_eq!(assistant.tool_calls[0].name, "look");
        assert_eq!((tool.tool_call_id.as_str(), tool.content.as_str()), ("c1", "a cat"));
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let problems = parse(
            r#"[{"content": 5, "name": "Bob"},
                {"role": "user", "content": [{"type": "video_url"}, {"type": "text", "text": 1}]},
                {"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": {}}}]},
                "hello"]"#,
        )
        .unwrap_err();
        assert_eq!(
            problems.lines().collect::<Vec<_>>(),
            [
                "messages[0].content must be a text or a list of parts",
                "messages[0].role is missing; give system, user, assistant or tool",
                "messages[0].name is not known here; take it out",
                "messages[1].content[0].type must be text or image_url",
                "messages[1].content[1].text must be a text",
                "messages[2].tool_calls[0].function.arguments must be a text",
                "messages[3] must be an object",
                "messages[3].role is missing; give system, user, assistant or tool",
            ]
        );
    }

    #[test]
    fn a_malformed_conversation_is_rejected_with_a_reason() {
        for (text, problem) in [
            ("", "EOF while parsing"),
            ("[", "EOF while parsing"),
            ("{}", "is an object without `messages`"),
            ("[]", "messages is empty"),
            ("3", "messages must be a list"),
        ] {
            let printed = parse(text).unwrap_err();
            assert!(printed.starts_with(problem), "{text:?}: {printed}");
        }
    }
}
