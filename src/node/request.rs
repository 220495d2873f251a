//! The part shared by all Fireworks nodes: their typed configuration and the
//! request built from it.
//!
//! The head of the request is everything that decides the answer, normalised,
//! and its tail everything that does not. The head is the execution's identity:
//! the cache key and the sent request cannot drift apart.
//!
//! With one exception: the keys of tools are sent in the caller's order, which the
//! model reads, and sorted in the identity. JSON gives their order no meaning and a
//! protobuf Struct cannot carry it, so equal tools are one entry in every spelling.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::{
    Routing,
    field::Field,
    input::{Input, Message, Part},
    message::{self, UserMessage},
    prompt::SentPrompt,
    values::Values,
};
use crate::{
    fireworks::{Endpoint, Request},
    output::OutputFormat,
    price::Tier,
};

/// The typed configuration of a Fireworks node.
#[derive(Debug)]
pub(super) struct NodeSettings {
    /// The model's name.
    pub(super) model: String,
    /// True if the answer may be published while it arrives.
    pub(super) streaming: bool,
    /// The price tier.
    pub(super) tier: Tier,
    choices: u32,
    logprobs: bool,
    /// The other parameters to send, normalised and ordered.
    parameters: Vec<(&'static Field, Value)>,
}

impl NodeSettings {
    /// Builds the settings from values without problems.
    pub(super) fn new(mut values: Values<'_>) -> NodeSettings {
        super::canonical::canonicalise(&mut values);
        let model = values.take_text("modelName").unwrap_or_default();
        let streaming = values.boolean("streaming").unwrap_or(true);
        let choices = values.integer("n").unwrap_or(1);
        let parameters: Vec<_> = values
            .into_fields()
            .filter(|(field, value)| !field.neutral.is_some_and(|neutral| neutral.is(value)))
            .collect();
        NodeSettings {
            model,
            streaming,
            tier: tier(&parameters),
            choices: u32::try_from(choices).unwrap_or(1),
            logprobs: parameters.iter().any(|(field, _)| field.name == "logprobs"),
            parameters,
        }
    }

    /// Returns the names that the fields give to the provider's prompt caches.
    pub(super) fn routing(&self) -> Routing {
        let has = |name| self.parameters.iter().any(|(field, _)| field.name == name);
        Routing {
            names_session: has("promptCacheKey") || has("user"),
            names_isolation: has("promptCacheIsolationKey"),
        }
    }
}

fn tier(parameters: &[(&'static Field, Value)]) -> Tier {
    let field = parameters.iter().find(|(field, _)| field.name == "serviceTier");
    Tier::named(field.and_then(|(_, value)| value.as_str()).unwrap_or_default())
}

/// A request, and the head of it that decides the answer.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) request: Request,
    pub(super) canonical: Bytes,
    pub(super) prompt: SentPrompt,
}

/// Writes the request. A prompt to the chat endpoint is one user message.
pub(super) fn write(
    settings: &NodeSettings,
    endpoint: Endpoint,
    input: &Input,
    output: &OutputFormat,
) -> Written {
    let mut body = Body::new(text_bytes(input) + 1024);
    // First, where no parameter can be: an answer that the worker checks must
    // not be mistaken for one that merely had the same `response_format`.
    body.output_format(output);
    body.member("model", &settings.model);
    match (endpoint, input) {
        (Endpoint::Completions, Input::Prompt(prompt)) => body.prompt(prompt),
        (_, Input::Prompt(prompt)) => body.messages([UserMessage(prompt)]),
        (_, Input::Chat(messages)) => body.messages(message::wire(messages)),
        // Of no node that generates.
        (_, Input::Texts(_)) => {}
    }
    body.parameters(settings, true);
    let head = body.json.len();
    body.parameters(settings, false);
    body.raw(r#","stream":true,"stream_options":{"include_usage":true}}"#);

    let Body { json, tools, messages } = body;
    let body = Bytes::from(json);
    let canonical = body.slice(..head);
    Written {
        canonical: tools.clone().map_or(canonical.clone(), |tools| sorted_at(&canonical, tools)),
        prompt: SentPrompt::new(body.clone(), tools, messages),
        request: Request { endpoint, body, choices: settings.choices, logprobs: settings.logprobs },
    }
}

/// Writes a request for the embeddings of texts, likewise.
pub(super) fn write_texts(settings: &NodeSettings, texts: &[Arc<str>]) -> (Bytes, Bytes) {
    let bytes: usize = texts.iter().map(|text| escaped_bytes(text) + 3).sum();
    let mut body = Body::new(bytes + 256);
    body.member("model", &settings.model);
    body.parameters(settings, true);
    body.name("input");
    body.texts(texts);
    let head = body.json.len();
    body.parameters(settings, false);
    body.raw(r#","encoding_format":"base64"}"#);
    let body = Bytes::from(body.json);
    (body.slice(..head), body)
}

/// Returns the JSON with the keys of the value at this position sorted; unchanged if
/// the value is nested too deeply to be read.
fn sorted_at(json: &Bytes, position: Range<usize>) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(&json[position.clone()]) else {
        return json.clone();
    };
    value.sort_all_objects();
    let sorted = value.to_string();
    [&json[..position.start], sorted.as_bytes(), &json[position.end..]].concat().into()
}

/// The JSON object under construction: everything but its closing brace.
struct Body {
    json: Vec<u8>,
    /// The position of the value of `tools`.
    tools: Option<Range<usize>>,
    /// The position of each message, or of the prompt.
    messages: Vec<Range<usize>>,
}

impl Body {
    fn new(capacity: usize) -> Body {
        Body { json: Vec::with_capacity(capacity), tools: None, messages: Vec::new() }
    }

    fn raw(&mut self, json: &str) {
        self.json.extend_from_slice(json.as_bytes());
    }

    /// Writes a key, which must not need escapes.
    fn name(&mut self, name: &str) {
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        self.json.push(b'"');
        self.raw(name);
        self.raw("\":");
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        self.value(value);
    }

    fn prompt(&mut self, prompt: &str) {
        self.name("prompt");
        self.message(&prompt);
    }

    fn messages<T: Serialize>(&mut self, messages: impl IntoIterator<Item = T>) {
        self.name("messages");
        self.json.push(b'[');
        for (index, message) in messages.into_iter().enumerate() {
            if index > 0 {
                self.json.push(b',');
            }
            self.message(&message);
        }
        self.json.push(b']');
    }

    fn message<T: Serialize>(&mut self, message: &T) {
        let start = self.json.len();
        self.value(message);
        self.messages.push(start..self.json.len());
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.json, value)
            .expect("texts and JSON values have a JSON form");
    }

    fn texts(&mut self, texts: &[Arc<str>]) {
        for (index, text) in texts.iter().enumerate() {
            self.json.push(if index == 0 { b'[' } else { b',' });
            self.value(&**text);
        }
        self.json.push(b']');
    }

    fn parameters(&mut self, settings: &NodeSettings, decisive: bool) {
        for (field, value) in &settings.parameters {
            if let Some(wire) = field.wire
                && field.class.decides_the_answer() == decisive
            {
                self.name(wire);
                let start = self.json.len();
                self.value(value);
                if field.name == "tools" {
                    self.tools = Some(start..self.json.len());
                }
            }
        }
    }

    fn output_format(&mut self, output: &OutputFormat) {
        match output {
            OutputFormat::Text => {}
            OutputFormat::Json { schema: None } => {
                self.name("response_format");
                self.raw(r#"{"type":"json_object"}"#);
            }
            OutputFormat::Json { schema: Some(schema) } => {
                self.name("response_format");
                self.raw(r#"{"type":"json_schema","json_schema":{"name":"output","schema":"#);
                // As the caller wrote it: the model writes the properties in
                // the order of the schema.
                self.raw(schema.text());
                self.raw("}}");
            }
        }
    }
}

/// Estimates the length of the input as JSON, in bytes: a body that grows takes up
/// to twice its length.
fn text_bytes(input: &Input) -> usize {
    let part_bytes = |part: &Part| match part {
        Part::Empty => 0,
        Part::Text(text) => escaped_bytes(text) + 32,
        Part::Image { url, .. } => escaped_bytes(url) + 64,
    };
    let message_bytes = |message: &Message| {
        let parts: usize = message.parts.iter().map(part_bytes).sum();
        let texts = [&message.content, &message.reasoning_content];
        texts.into_iter().map(|text| escaped_bytes(text)).sum::<usize>() + parts + 64
    };
    match input {
        Input::Prompt(prompt) => escaped_bytes(prompt),
        Input::Chat(messages) => messages.iter().map(message_bytes).sum(),
        Input::Texts(texts) => texts.iter().map(|text| escaped_bytes(text) + 3).sum(),
    }
}

/// Returns the size of a text within JSON, without its quotes.
fn escaped_bytes(text: &str) -> usize {
    // Sums that fit a byte, which the compiler turns into vector code.
    let of_chunk = |chunk: &[u8]| chunk.iter().map(|byte| escape_bytes(*byte)).sum::<u8>();
    text.len() + text.as_bytes().chunks(32).map(of_chunk).map(usize::from).sum::<usize>()
}

/// Returns the bytes that the escape of a byte adds: 1 for `\n`, 5 for `\u0001`.
fn escape_bytes(byte: u8) -> u8 {
    let is_short =
        b"\"\\\x08\t\n\x0c\r".iter().fold(false, |found, short| found | (byte == *short));
    let is_control = (byte < b' ') & !is_short;
    u8::from(is_short) + 5 * u8::from(is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_texts_size_is_that_of_its_json(text in r#"[\x00-\x24\\a-c가-나]{0,200}"#) {
            let json = serde_json::to_string(&text).expect("JSON");
            prop_assert_eq!(escaped_bytes(&text), json.len() - 2);
        }
    }
}
