//! The JSON that every reply of one call shares: id, time, model, and the names
//! that differ between chat and completions.

use crate::{answer::generation::Logprobs, endpoint::Endpoint};

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
}

impl Envelope {
    /// Returns the reply's `object`.
    pub(crate) fn object(&self, streamed: bool) -> &'static str {
        match (self.endpoint, streamed) {
            (Endpoint::Completions, _) => "text_completion",
            (_, true) => "chat.completion.chunk",
            (_, false) => "chat.completion",
        }
    }
}
