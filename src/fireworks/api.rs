//! The JSON that the provider streams, as borrowed Rust values.
//!
//! Only the fields that are used are declared; all others are skipped without
//! being kept. Chat chunks, completions chunks and whole answers share the
//! types: a field that one of them lacks is absent.
//!
//! Reading is lenient by one rule: `null`, `""`, `[]` and `{}` are absent, a
//! field of an unexpected shape invalidates only itself, and the last
//! non-absent value of a repeated field counts. The shape matters only where
//! output could be lost ([`Few::is_odd`], [`ObjectShape::Odd`], [`MessageContent::Odd`]);
//! `answer` ends the attempt there.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::reasoning::TextKind;
use crate::event::Usage;

/// A field's value that may be absent.
pub(super) trait FieldValue {
    fn is_absent(&self) -> bool;
}

/// Defines an object of the API: its fields by name, each a [`FieldValue`]. Other
/// fields are skipped, absent values overwrite nothing, and anything that is
/// not an object becomes an [`ObjectShape`].
macro_rules! object {
    ($(#[$doc:meta])* struct $name:ident { $($(#[$note:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'a> { $($(#[$note])* pub(super) $field: $type,)* }

        impl<'de: 'a, 'a> Object<'de> for $name<'a> {
            fn read<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
                #[derive(Deserialize)]
                #[serde(field_identifier)]
                #[expect(non_camel_case_types, reason = "variants are the fields' own names")]
                enum FieldName { $($field,)* #[serde(other)] other }

                let mut object = $name::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        $(FieldName::$field => {
                            let value: $type = map.next_value()?;
                            if !value.is_absent() {
                                object.$field = value;
                            }
                        })*
                        FieldName::other => { map.next_value::<IgnoredAny>()?; }
                    }
                }
                Ok(object)
            }
        }
    };
}

/// The trait that [`object!`] implements.
pub(super) trait Object<'de>: Sized {
    fn read<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

object! {
    /// One event of a stream, or a whole answer.
    struct Chunk {
        id: Raw<'a>,
        model: Raw<'a>,
        /// The tier that served, where a provider says so.
        service_tier: Raw<'a>,
        choices: Few<ObjectShape<ChoicePiece<'a>>>,
        /// Read separately, by [`usage`].
        usage: Raw<'a>,
        /// These mean that the stream failed.
        error: Raw<'a>,
        errors: Raw<'a>,
        error_type: Raw<'a>,
        error_message: Raw<'a>,
    }
}

object! {
    /// A piece of one choice.
    struct ChoicePiece {
        index: Raw<'a>,
        /// In a chat stream.
        delta: ObjectShape<MessagePiece<'a>>,
        /// In a whole chat answer.
        message: ObjectShape<MessagePiece<'a>>,
        /// In completions.
        text: Raw<'a>,
        logprobs: Raw<'a>,
        finish_reason: Raw<'a>,
        /// Gateways report the failure of a single choice here.
        error: Raw<'a>,
        /// Moonshot reports token counts here.
        usage: Raw<'a>,
    }
}

object! {
    /// A message, or a piece of it.
    struct MessagePiece {
        content: Raw<'a>,
        reasoning_content: Raw<'a>,
        /// The same, as vLLM, OpenRouter, Groq and Ollama name it.
        reasoning: Raw<'a>,
        /// The text of the model's refusal.
        refusal: Raw<'a>,
        tool_calls: Few<ObjectShape<ToolCallPiece<'a>>>,
        /// The legacy form of a single tool call: a [`FunctionPiece`].
        function_call: Raw<'a>,
    }
}

object! {
    /// A piece of a tool call.
    struct ToolCallPiece {
        /// Sent in practice, although the official schema lacks it.
        index: Raw<'a>,
        id: Raw<'a>,
        /// A [`FunctionPiece`].
        function: Raw<'a>,
    }
}

object! {
    /// A function's name and arguments.
    struct FunctionPiece {
        name: Raw<'a>,
        arguments: Raw<'a>,
    }
}

object! {
    /// Token counts, in every spelling seen.
    struct Counts {
        prompt_tokens: Raw<'a>,
        completion_tokens: Raw<'a>,
        total_tokens: Raw<'a>,
        prompt_tokens_details: ObjectShape<CountDetails<'a>>,
        completion_tokens_details: ObjectShape<CountDetails<'a>>,
        output_tokens_details: ObjectShape<CountDetails<'a>>,
    }
}

object! {
    /// The breakdown of a count.
    struct CountDetails {
        cached_tokens: Raw<'a>,
        reasoning_tokens: Raw<'a>,
    }
}

object! {
    /// A part of a content that is a list.
    struct ContentPart {
        r#type: Raw<'a>,
        text: Raw<'a>,
        /// Mistral's field: again a list of parts.
        thinking: Raw<'a>,
        reasoning: Raw<'a>,
        refusal: Raw<'a>,
    }
}

/// A value as raw JSON text; a value that says nothing is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Raw<'a>(Option<&'a str>);

/// An object, or the kind of value found in its place.
#[derive(Debug, Default)]
pub(super) enum ObjectShape<T> {
    #[default]
    Absent,
    There(T),
    /// Neither an object nor absent.
    Odd,
}

/// A list optimised for one item, which takes no allocation. An object in place
/// of the list is its only item.
#[derive(Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
    is_odd: bool,
}

/// The content of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MessageContent<'a> {
    Absent,
    Text(Cow<'a, str>),
    Parts(Vec<(TextKind, String)>),
    /// Something unreadable that may be output.
    Odd,
}

// === impl Raw ===

impl<'a> Raw<'a> {
    /// Wraps `json`, or returns an absent value if it says nothing.
    pub(super) fn of(json: &'a str) -> Raw<'a> {
        let is_blank = match json.as_bytes() {
            b"null" | b"\"\"" => true,
            [b'[' | b'{', inside @ .., b']' | b'}'] => inside.trim_ascii().is_empty(),
            _ => false,
        };
        Raw((!is_blank).then_some(json))
    }

    pub(super) fn json(self) -> Option<&'a str> {
        self.0
    }

    pub(super) fn or(self, other: Raw<'a>) -> Raw<'a> {
        Raw(self.0.or(other.0))
    }

    /// Returns the text of a string, borrowed if it has no escapes; `None` for
    /// anything else.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        let json = self.0?;
        let inside = json.strip_prefix('"')?.strip_suffix('"')?;
        if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inside));
        }
        serde_json::from_str(json).ok().map(Cow::Owned)
    }

    pub(super) fn object<T: Object<'a>>(self) -> Option<T> {
        match serde_json::from_str(self.0?) {
            Ok(ObjectShape::There(object)) => Some(object),
            _ => None,
        }
    }

    /// Returns a non-negative whole number; `None` for anything else.
    pub(super) fn count<T: std::str::FromStr>(self) -> Option<T> {
        self.0?.parse().ok()
    }

    /// Returns the arguments of a call as text: the content of a string, or an
    /// object verbatim.
    pub(super) fn arguments(self) -> Cow<'a, str> {
        match (self.text(), self.0) {
            (Some(text), _) => text,
            (None, Some(json)) => Cow::Borrowed(json),
            (None, None) => Cow::Borrowed(""),
        }
    }

    /// Returns the content of a message: text, or a list of parts.
    pub(super) fn content(self) -> MessageContent<'a> {
        let Some(json) = self.0 else {
            return MessageContent::Absent;
        };
        if let Some(text) = self.text() {
            return MessageContent::Text(text);
        }
        let mut parts = Vec::new();
        match json.as_bytes().first() {
            Some(b'[' | b'{') if collect_parts(self, TextKind::Text, &mut parts).is_some() => {
                MessageContent::Parts(parts)
            }
            _ => MessageContent::Odd,
        }
    }

    /// Returns all text of a reasoning value, which is almost always a string;
    /// unreadable reasoning is dropped alone.
    pub(super) fn reasoning(self) -> Option<Cow<'a, str>> {
        match self.content() {
            MessageContent::Text(text) => Some(text),
            MessageContent::Parts(parts) => {
                Some(Cow::Owned(parts.into_iter().map(|(_, text)| text).collect()))
            }
            MessageContent::Absent | MessageContent::Odd => None,
        }
    }
}

/// Appends the text of a part, or of a list of parts. `None` if one is unreadable.
fn collect_parts(value: Raw<'_>, part: TextKind, into: &mut Vec<(TextKind, String)>) -> Option<()> {
    let Some(json) = value.json() else {
        return Some(());
    };
    if let Some(text) = value.text() {
        into.push((part, text.into_owned()));
        return Some(());
    }
    if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        return items
            .into_iter()
            .try_for_each(|item| collect_parts(Raw::of(item.get()), part, into));
    }
    let item: ContentPart<'_> = value.object()?;
    let thought = item.thinking.or(item.reasoning);
    let is_thought = item
        .r#type
        .text()
        .is_some_and(|kind| kind.starts_with("reasoning") || kind.starts_with("thinking"));
    // The recursion is bounded: a value within a part is shorter than the part.
    match (item.text.or(item.refusal), thought) {
        (text, Raw(None)) if text.json().is_some() => {
            collect_parts(text, if is_thought { TextKind::Reasoning } else { part }, into)
        }
        (_, thought) if thought.json().is_some() => {
            collect_parts(thought, TextKind::Reasoning, into)
        }
        // The text is empty: the kind alone says nothing.
        _ => json.contains("\"text\"").then_some(()),
    }
}

impl FieldValue for Raw<'_> {
    fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw<'a>, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|value| Raw::of(value.get()))
    }
}

// === impl Shape ===

impl<T> ObjectShape<T> {
    pub(super) fn there(self) -> Option<T> {
        match self {
            ObjectShape::There(object) => Some(object),
            ObjectShape::Absent | ObjectShape::Odd => None,
        }
    }

    pub(super) fn as_there(&self) -> Option<&T> {
        match self {
            ObjectShape::There(object) => Some(object),
            ObjectShape::Absent | ObjectShape::Odd => None,
        }
    }
}

impl<T> FieldValue for ObjectShape<T> {
    fn is_absent(&self) -> bool {
        matches!(self, ObjectShape::Absent)
    }
}

impl<'de, T: Object<'de>> Deserialize<'de> for ObjectShape<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ObjectShape<T>, D::Error> {
        deserializer.deserialize_any(ShapeVisitor(PhantomData))
    }
}

struct ShapeVisitor<T>(PhantomData<T>);

impl<'de, T: Object<'de>> Visitor<'de> for ShapeVisitor<T> {
    type Value = ObjectShape<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ObjectShape<T>, A::Error> {
        T::read(map).map(ObjectShape::There)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ObjectShape<T>, A::Error> {
        let mut shape = ObjectShape::Absent;
        while items.next_element::<IgnoredAny>()?.is_some() {
            shape = ObjectShape::Odd;
        }
        Ok(shape)
    }

    fn visit_unit<E: de::Error>(self) -> Result<ObjectShape<T>, E> {
        Ok(ObjectShape::Absent)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ObjectShape<T>, E> {
        Ok(if text.is_empty() { ObjectShape::Absent } else { ObjectShape::Odd })
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<ObjectShape<T>, E> {
        Ok(ObjectShape::Odd)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<ObjectShape<T>, E> {
        Ok(ObjectShape::Odd)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<ObjectShape<T>, E> {
        Ok(ObjectShape::Odd)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<ObjectShape<T>, E> {
        Ok(ObjectShape::Odd)
    }
}

// === impl Few ===

impl<T> Few<T> {
    /// Returns the item if there is exactly one.
    pub(super) fn single(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.rest.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Returns true if the value is neither a list, nor an item, nor absent.
    pub(super) fn is_odd(&self) -> bool {
        self.is_odd
    }
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few { first: None, rest: Vec::new(), is_odd: false }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

impl<T> FieldValue for Few<T> {
    fn is_absent(&self) -> bool {
        self.first.is_none() && !self.is_odd
    }
}

impl<'de, T: Object<'de>> Deserialize<'de> for Few<ObjectShape<T>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<ObjectShape<T>>, D::Error> {
        deserializer.deserialize_any(FewVisitor(PhantomData))
    }
}

struct FewVisitor<T>(PhantomData<T>);

impl<'de, T: Object<'de>> Visitor<'de> for FewVisitor<T> {
    type Value = Few<ObjectShape<T>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Few<ObjectShape<T>>, A::Error> {
        let first = items.next_element()?;
        let mut rest = Vec::new();
        while let Some(item) = items.next_element()? {
            rest.push(item);
        }
        Ok(Few { first, rest, is_odd: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Few<ObjectShape<T>>, A::Error> {
        let only = T::read(map)?;
        Ok(Few { first: Some(ObjectShape::There(only)), ..Few::default() })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Few<ObjectShape<T>>, E> {
        Ok(Few::default())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Few<ObjectShape<T>>, E> {
        Ok(Few { is_odd: !text.is_empty(), ..Few::default() })
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Few<ObjectShape<T>>, E> {
        Ok(Few { is_odd: true, ..Few::default() })
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Few<ObjectShape<T>>, E> {
        self.visit_bool(true)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Few<ObjectShape<T>>, E> {
        self.visit_bool(true)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Few<ObjectShape<T>>, E> {
        self.visit_bool(true)
    }
}

// === impl Function ===

impl<'a> FunctionPiece<'a> {
    /// Reads an object, or the bare name, which the schema allows too.
    pub(super) fn read(value: Raw<'a>) -> FunctionPiece<'a> {
        value.object().unwrap_or(FunctionPiece { name: value, arguments: Raw(None) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.name.is_absent() && self.arguments.is_absent()
    }
}

// === impl Chunk ===

impl<'a> Chunk<'a> {
    /// Returns true if the chunk reports, outside any choice, that the stream failed.
    pub(super) fn has_failed(&self) -> bool {
        let marks = [self.error, self.errors, self.error_type, self.error_message];
        marks.iter().any(|mark| mark.json().is_some_and(|json| json != "false"))
    }

    /// Returns the text if the chunk holds nothing else: its choice, its part
    /// and the text itself, if borrowed.
    pub(super) fn only_text(&self) -> Option<(u32, TextKind, &'a str)> {
        let choice = self.choices.single()?.as_there()?;
        let others =
            [self.usage, choice.usage, choice.finish_reason, choice.logprobs, choice.error];
        if others.iter().any(|other| !other.is_absent()) {
            return None;
        }
        let (part, text) = match (&choice.delta, &choice.message, choice.text.text()) {
            (ObjectShape::There(message), ObjectShape::Absent, None) => message.only_text()?,
            (ObjectShape::Absent, ObjectShape::Absent, Some(text)) => (TextKind::Text, text),
            _ => return None,
        };
        match text {
            Cow::Borrowed(text) => Some((choice.index.count().unwrap_or(0), part, text)),
            Cow::Owned(_) => None,
        }
    }
}

impl<'a> MessagePiece<'a> {
    fn only_text(&self) -> Option<(TextKind, Cow<'a, str>)> {
        let no_call = self.tool_calls.is_absent() && self.function_call.is_absent();
        if !no_call || !self.refusal.is_absent() {
            return None;
        }
        match (self.content.text(), self.thought()) {
            (Some(text), Raw(None)) => Some((TextKind::Text, text)),
            (None, thought) if self.content.is_absent() => {
                // With both spellings, the text would have to change in both.
                let is_said_once = self.reasoning_content.is_absent() || self.reasoning.is_absent();
                thought.text().filter(|_| is_said_once).map(|text| (TextKind::Reasoning, text))
            }
            _ => None,
        }
    }

    /// Returns the reasoning in either spelling; gateways send both with the same text.
    pub(super) fn thought(&self) -> Raw<'a> {
        self.reasoning_content.or(self.reasoning)
    }
}

/// Reads a `usage` object; counts that it lacks are taken from `earlier`.
pub(super) fn usage(json: Raw<'_>, earlier: Usage) -> Option<Usage> {
    let counts: Counts<'_> = json.object()?;
    let cached = counts.prompt_tokens_details.as_there().map(|details| details.cached_tokens);
    let reasoning = [&counts.completion_tokens_details, &counts.output_tokens_details]
        .into_iter()
        .filter_map(|details| details.as_there()?.reasoning_tokens.count().or(None));
    let usage = Usage {
        prompt_tokens: counts.prompt_tokens.count().or(earlier.prompt_tokens),
        completion_tokens: counts.completion_tokens.count().or(earlier.completion_tokens),
        total_tokens: counts.total_tokens.count().or(earlier.total_tokens),
        cached_tokens: cached.and_then(Raw::count).or(earlier.cached_tokens),
        reasoning_tokens: reasoning.into_iter().next().or(earlier.reasoning_tokens),
    };
    (usage != Usage::default()).then_some(usage)
}
