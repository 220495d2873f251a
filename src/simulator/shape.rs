//! The JSON that every reply of one call shares: id, time, model, and the names
//! that differ between chat and completions. Called by `chunk` and `reply`.

use serde_json::{Map, Value, json};

use super::{endpoint::Endpoint, generation::Logprobs};

/// What is constant through one reply.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) endpoint: Endpoint,
    pub(super) logprobs: Logprobs,
    pub(super) token_ids: bool,
}

impl Envelope {
    /// `id`, `object`, `created`, `model`, `choices`.
    pub(super) fn wrap(&self, streamed: bool, choices: Vec<Value>) -> Map<String, Value> {
        let object = match (self.endpoint, streamed) {
            (Endpoint::Completions, _) => "text_completion",
            (_, true) => "chat.completion.chunk",
            (_, false) => "chat.completion",
        };
        let mut wrapped = Map::new();
        wrapped.insert("id".to_owned(), json!(self.id));
        wrapped.insert("object".to_owned(), json!(object));
        wrapped.insert("created".to_owned(), json!(self.created));
        wrapped.insert("model".to_owned(), json!(self.model));
        wrapped.insert("choices".to_owned(), Value::Array(choices));
        wrapped
    }
}
