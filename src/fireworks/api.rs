//! The JSON that the provider streams, as borrowed Rust values.
//!
//! Only the fields that are used are here; all others are skipped without
//! being kept. Strings without escapes are borrowed from the event. Chat chunks,
//! completions chunks and whole answers share the types: what one does not send
//! is absent. `answer` makes deltas of it, `failure` errors.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::reasoning::Part;
use crate::event::{ToolCallFragment, Usage};

/// One event of a stream, or a whole answer.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) choices: Few<Choice<'a>>,
    /// Read apart, by [`UsageCounts`]: an odd count must not void an answer.
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    /// Anything but null means that the stream failed.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// A piece of one choice.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    /// In a chat stream.
    #[serde(borrow)]
    pub(super) delta: Option<Message<'a>>,
    /// In a whole chat answer.
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    /// In completions.
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Text<'a>>,
}

/// A message, or a piece of it.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) content: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Few<ToolCall<'a>>,
    /// The old form of a single tool call.
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
}

/// A piece of a tool call.
#[derive(Debug, Deserialize)]
pub(super) struct ToolCall<'a> {
    /// The official schema does not have it, although it is sent.
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
}

/// A function's name and arguments; the schema also allows the bare name.
#[derive(Debug, Default)]
pub(super) struct Function<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) arguments: Option<&'a RawValue>,
}

/// Token counts, in every spelling seen.
#[derive(Debug, Deserialize)]
pub(super) struct UsageCounts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<TokenDetails>,
    completion_tokens_details: Option<TokenDetails>,
    output_tokens_details: Option<TokenDetails>,
}

/// What the tokens of a count were.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct TokenDetails {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

/// A string, borrowed where it has no escapes. (Inside an `Option` serde would
/// make every `Cow` an owned one.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// A list that mostly has one item, which then takes no allocation.
#[derive(Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Few<T> {
    /// The item, if there is one and only one.
    pub(super) fn single(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.rest.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few { first: None, rest: Vec::new() }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<T>, D::Error> {
        deserializer.deserialize_any(FewVisitor(PhantomData))
    }
}

struct FewVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FewVisitor<T> {
    type Value = Few<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list or null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Few<T>, A::Error> {
        let first = items.next_element()?;
        let mut rest = Vec::new();
        while let Some(item) = items.next_element()? {
            rest.push(item);
        }
        Ok(Few { first, rest })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Few<T>, E> {
        Ok(Few::default())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Function<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Function<'a>, D::Error> {
        deserializer.deserialize_any(FunctionVisitor)
    }
}

struct FunctionVisitor;

impl<'de> Visitor<'de> for FunctionVisitor {
    type Value = Function<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a function or its name")
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Function<'de>, E> {
        Ok(Function { name: Some(Text(Cow::Borrowed(name))), arguments: None })
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Function<'de>, E> {
        Ok(Function { name: Some(Text(Cow::Owned(name.to_owned()))), arguments: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Function<'de>, A::Error> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            name: Option<Text<'a>>,
            #[serde(borrow)]
            arguments: Option<&'a RawValue>,
        }
        let Fields { name, arguments } =
            Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Function { name, arguments })
    }
}

impl<'a> Chunk<'a> {
    /// The text, if that is all this chunk says: its choice, whether it is
    /// reasoning, and the text itself, if it is borrowed.
    pub(super) fn only_text(&self) -> Option<(u32, Part, &'a str)> {
        let choice = self.choices.single()?;
        if self.usage.is_some() || choice.finish_reason.is_some() || choice.logprobs.is_some() {
            return None;
        }
        let (part, text) = match (&choice.delta, &choice.message, &choice.text) {
            (Some(message), None, None) => message.only_text()?,
            (None, None, Some(text)) => (Part::Text, text),
            _ => return None,
        };
        match text.0 {
            Cow::Borrowed(text) => Some((choice.index.unwrap_or(0), part, text)),
            Cow::Owned(_) => None,
        }
    }
}

impl<'a> Message<'a> {
    fn only_text(&self) -> Option<(Part, &Text<'a>)> {
        if !self.tool_calls.is_empty() || self.function_call.is_some() {
            return None;
        }
        match (&self.content, &self.reasoning_content) {
            (Some(text), None) => Some((Part::Text, text)),
            (None, Some(text)) => Some((Part::Reasoning, text)),
            _ => None,
        }
    }
}

impl<'a> From<Function<'a>> for ToolCall<'a> {
    fn from(function: Function<'a>) -> ToolCall<'a> {
        ToolCall { index: None, id: None, function: Some(function) }
    }
}

impl ToolCall<'_> {
    /// Fails if the arguments are a string that is none.
    pub(super) fn into_fragment(self) -> Result<ToolCallFragment, serde_json::Error> {
        let function = self.function.unwrap_or_default();
        Ok(ToolCallFragment {
            index: self.index.unwrap_or(0),
            id: self.id.map(|Text(id)| id.into_owned()),
            arguments: function.arguments_text()?,
            name: function.name.map(|Text(name)| name.into_owned()),
        })
    }
}

impl Function<'_> {
    /// The arguments as text: a string's content, or an object as it is
    /// written.
    fn arguments_text(&self) -> Result<String, serde_json::Error> {
        let Some(arguments) = self.arguments else {
            return Ok(String::new());
        };
        if arguments.get().starts_with('"') {
            return serde_json::from_str(arguments.get());
        }
        Ok(arguments.get().to_owned())
    }
}

impl UsageCounts {
    /// These counts, and the earlier ones where these have none.
    pub(super) fn over(&self, earlier: Usage) -> Usage {
        let prompt = self.prompt_tokens_details;
        let answer = self.completion_tokens_details.or(self.output_tokens_details);
        let cached_tokens = prompt.and_then(|details| details.cached_tokens);
        let reasoning_tokens = answer.and_then(|details| details.reasoning_tokens);
        Usage {
            prompt_tokens: self.prompt_tokens.or(earlier.prompt_tokens),
            completion_tokens: self.completion_tokens.or(earlier.completion_tokens),
            total_tokens: self.total_tokens.or(earlier.total_tokens),
            cached_tokens: cached_tokens.or(earlier.cached_tokens),
            reasoning_tokens: reasoning_tokens.or(earlier.reasoning_tokens),
        }
    }
}
