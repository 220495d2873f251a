//! The few fields of the worker's protocol that a measurement needs, with the
//! numbers they have in `worker.proto`.
//!
//! The floor serves them and the load reads them, so the same bytes drive the
//! floor and Sparkler, while neither floor nor load pays for decoding what it
//! does not use. Not a second schema: requests are made with the project's own
//! types, and an answer that does not decode counts as wrong.

use bytes::Bytes;

/// Where `ExecuteNode` is, at the floor and at Sparkler.
pub(crate) const EXECUTE_NODE: &str = "/sparkler.worker.v1.WorkerService/ExecuteNode";

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Request {
    #[prost(string, tag = "1")]
    pub(crate) node_type: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) config: Option<prost_types::Struct>,
    #[prost(string, tag = "3")]
    pub(crate) prompt: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) credential: Option<Credential>,
    #[prost(message, optional, tag = "7")]
    pub(crate) cache: Option<CachePolicy>,
    #[prost(message, optional, tag = "8")]
    pub(crate) output: Option<OutputOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Credential {
    #[prost(string, tag = "1")]
    pub(crate) api_key: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct CachePolicy {
    #[prost(int32, tag = "1")]
    pub(crate) mode: i32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct OutputOptions {
    #[prost(bool, optional, tag = "3")]
    pub(crate) deltas: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Response {
    #[prost(uint64, tag = "1")]
    pub(crate) sequence: u64,
    #[prost(message, optional, tag = "3")]
    pub(crate) delta: Option<Delta>,
    #[prost(message, optional, tag = "6")]
    pub(crate) completed: Option<Completed>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Delta {
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) text: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Completed {
    #[prost(message, repeated, tag = "1")]
    pub(crate) choices: Vec<Choice>,
    #[prost(message, optional, tag = "2")]
    pub(crate) usage: Option<Usage>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Choice {
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) text: Bytes,
    #[prost(string, tag = "6")]
    pub(crate) finish_reason: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Usage {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) prompt_tokens: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(crate) completion_tokens: Option<u64>,
}
