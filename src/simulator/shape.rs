//! The JSON that every reply of one call shares: id, time, model, and the names
//! that differ between chat and completions. Called by `chunk` and `reply`.

use super::{endpoint::Endpoint, generation::Logprobs};

/// What is constant through one reply.
#[derive(Debug)]
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
    /// The name of what this is.
    pub(super) fn object(&self, streamed: bool) -> &'static str {
        match (self.endpoint, streamed) {
            (Endpoint::Completions, _) => "text_completion",
            (_, true) => "chat.completion.chunk",
            (_, false) => "chat.completion",
        }
    }
}
