//! The endpoints that count: what a rule can be limited to and a report names.

use serde::{Deserialize, Serialize};

/// One of the inference API's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST …/chat/completions`.
    ChatCompletions,
    /// `POST …/completions`.
    Completions,
    /// `GET …/models`.
    Models,
}

impl Endpoint {
    /// What a reply's `id` and `x-request-id` start with.
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions | Endpoint::Models => "chatcmpl-",
            Endpoint::Completions => "cmpl-",
        }
    }

    /// Whether tokens come out of it.
    pub(crate) fn generates(self) -> bool {
        match self {
            Endpoint::ChatCompletions | Endpoint::Completions => true,
            Endpoint::Models => false,
        }
    }
}
