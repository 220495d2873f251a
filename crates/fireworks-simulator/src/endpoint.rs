//! The endpoints that rules can be limited to and that a report names.

use serde::{Deserialize, Serialize};

/// An endpoint of the inference API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST …/chat/completions`.
    ChatCompletions,
    /// `POST …/completions`.
    Completions,
    /// `POST …/embeddings`.
    Embeddings,
    /// `GET …/models`.
    Models,
}

impl Endpoint {
    /// Returns the prefix of a reply's `id` and `x-request-id`.
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions | Endpoint::Models => "chatcmpl-",
            Endpoint::Completions => "cmpl-",
            Endpoint::Embeddings => "embd-",
        }
    }

    /// Returns true if the endpoint runs a model.
    pub(crate) fn runs_a_model(self) -> bool {
        match self {
            Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings => true,
            Endpoint::Models => false,
        }
    }
}
