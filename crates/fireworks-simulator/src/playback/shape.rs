//! The JSON that every reply of one call shares: id, time, model, and the names
//! that differ between chat and completions.

use serde_json::{Value, json};

use crate::{answer::generation::Logprobs, endpoint::Endpoint, script::dialect::Dialect};

/// The constant part of one reply.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) logprobs: Logprobs,
    pub(crate) token_ids: bool,
    pub(crate) dialects: Vec<Dialect>,
}

impl Envelope {
    /// Returns the member that carries reasoning.
    pub(crate) fn reasoning_member(&self) -> &'static str {
        if self.speaks(Dialect::Reasoning) { "reasoning" } else { "reasoning_content" }
    }

    /// Returns the member that carries the text of a chat answer, and its form.
    pub(crate) fn content(&self, text: String) -> (&'static str, Value) {
        if self.speaks(Dialect::Refusal) {
            ("refusal", json!(text))
        } else if self.speaks(Dialect::ContentParts) {
            ("content", json!([{"type": "text", "text": text}]))
        } else {
            ("content", json!(text))
        }
    }

    fn speaks(&self, dialect: Dialect) -> bool {
        self.dialects.contains(&dialect)
    }

    /// Returns the reply's `object`.
    pub(crate) fn object(&self, streamed: bool) -> &'static str {
        match (self.endpoint, streamed) {
            (Endpoint::Completions, _) => "text_completion",
            (_, true) => "chat.completion.chunk",
            (_, false) => "chat.completion",
        }
    }
}
