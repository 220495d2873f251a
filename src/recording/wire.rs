//! The protobuf messages of recordings, events and failures. Field numbers are the
//! format: a field never changes its meaning, and one that readers need raises the
//! format's version.

use bytes::Bytes;
use prost::{Message, Oneof};

/// The reason why bytes cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Another release wrote them, in another version of the format.
    #[error("the format is of another version")]
    Version,
    /// They are damaged, or of another kind.
    #[error("the content is not what it should be")]
    Content,
}

/// A completed flight.
#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct RecordingMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::recording) flight: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(in crate::recording) subject: Option<SubjectMessage>,
    #[prost(message, optional, tag = "3")]
    pub(in crate::recording) log: Option<LogMessage>,
    #[prost(message, optional, tag = "4")]
    pub(in crate::recording) finish: Option<FinishMessage>,
    #[prost(uint32, tag = "5")]
    pub(in crate::recording) attempts: u32,
    /// Milliseconds since 1970.
    #[prost(uint64, tag = "6")]
    pub(in crate::recording) recorded_at: u64,
    #[prost(message, optional, tag = "7")]
    pub(in crate::recording) span: Option<SpanRefMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct SpanRefMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::recording) trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(in crate::recording) span: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct SubjectMessage {
    #[prost(string, tag = "1")]
    pub(in crate::recording) model: String,
    /// For workers that do not read `tier`.
    #[prost(bool, tag = "2")]
    pub(in crate::recording) priority: bool,
    #[prost(bool, tag = "3")]
    pub(in crate::recording) json: bool,
    /// The provider's word, or `default`; absent from older workers.
    #[prost(string, optional, tag = "4")]
    pub(in crate::recording) tier: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct FinishMessage {
    /// Each as its word in the OpenAI-compatible API.
    #[prost(string, repeated, tag = "1")]
    pub(in crate::recording) finish_reasons: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub(in crate::recording) usage: Option<UsageMessage>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::recording) model: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(in crate::recording) provider_request_id: Option<String>,
    #[prost(uint32, repeated, tag = "5")]
    pub(in crate::recording) unchecked: Vec<u32>,
    #[prost(message, optional, tag = "6")]
    pub(in crate::recording) embeddings: Option<EmbeddingsMessage>,
    #[prost(string, optional, tag = "7")]
    pub(in crate::recording) service_tier: Option<String>,
}

/// The vectors of texts: 32-bit floats, little-endian.
#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct EmbeddingsMessage {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(in crate::recording) vectors: Vec<Bytes>,
    #[prost(uint32, tag = "2")]
    pub(in crate::recording) cached: u32,
    #[prost(uint32, tag = "3")]
    pub(in crate::recording) joined: u32,
    #[prost(uint32, tag = "4")]
    pub(in crate::recording) executed: u32,
    #[prost(uint32, tag = "5")]
    pub(in crate::recording) repeated: u32,
    #[prost(uint64, optional, tag = "6")]
    pub(in crate::recording) paid_tokens: Option<u64>,
    #[prost(bool, tag = "7")]
    pub(in crate::recording) estimated: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(in crate::recording) struct UsageMessage {
    #[prost(uint64, optional, tag = "1")]
    pub(in crate::recording) prompt_tokens: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(in crate::recording) completion_tokens: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(in crate::recording) total_tokens: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub(in crate::recording) cached_tokens: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub(in crate::recording) reasoning_tokens: Option<u64>,
}

/// Consecutive events of a log, or all of them.
#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct LogMessage {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::recording) entries: Vec<EntryMessage>,
    /// The number of the last event.
    #[prost(uint64, tag = "2")]
    pub(in crate::recording) last: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct EntryMessage {
    /// The number of the first event.
    #[prost(uint64, tag = "1")]
    pub(in crate::recording) first: u64,
    #[prost(uint32, tag = "2")]
    pub(in crate::recording) choice: u32,
    #[prost(oneof = "ContentMessage", tags = "3, 4, 5, 6, 7")]
    pub(in crate::recording) content: Option<ContentMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(in crate::recording) enum ContentMessage {
    #[prost(message, tag = "3")]
    Text(RunMessage),
    #[prost(message, tag = "4")]
    Reasoning(RunMessage),
    #[prost(message, tag = "5")]
    ToolCall(ToolCallMessage),
    #[prost(string, tag = "6")]
    Logprobs(String),
    #[prost(message, tag = "7")]
    Restarted(Restarted),
}

/// Consecutive pieces of text.
#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct RunMessage {
    #[prost(string, tag = "1")]
    pub(in crate::recording) text: String,
    /// The length of each piece, in bytes.
    #[prost(uint32, repeated, tag = "2")]
    pub(in crate::recording) lengths: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct ToolCallMessage {
    #[prost(uint32, tag = "1")]
    pub(in crate::recording) index: u32,
    #[prost(string, optional, tag = "2")]
    pub(in crate::recording) id: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::recording) name: Option<String>,
    #[prost(string, tag = "4")]
    pub(in crate::recording) arguments: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct Restarted {
    #[prost(uint32, tag = "1")]
    pub(in crate::recording) attempt: u32,
    #[prost(string, tag = "2")]
    pub(in crate::recording) reason: String,
}

/// A flight's end without an answer.
#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct FailureMessage {
    #[prost(message, optional, tag = "1")]
    pub(in crate::recording) usage: Option<UsageMessage>,
    #[prost(oneof = "FaultMessage", tags = "2, 3, 4, 5, 6")]
    pub(in crate::recording) fault: Option<FaultMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(in crate::recording) enum FaultMessage {
    #[prost(message, tag = "2")]
    Provider(ProviderMessage),
    #[prost(message, tag = "3")]
    Deadline(DeadlineMessage),
    #[prost(message, tag = "4")]
    OutputNotJson(OutputMessage),
    #[prost(message, tag = "5")]
    OutputSchemaMismatch(OutputMessage),
    /// The limit, in bytes.
    #[prost(uint64, tag = "6")]
    OutputTooLarge(u64),
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct ProviderMessage {
    /// The kind's reason, such as `MODEL_NOT_FOUND`.
    #[prost(string, tag = "1")]
    pub(in crate::recording) kind: String,
    #[prost(uint32, optional, tag = "2")]
    pub(in crate::recording) http_status: Option<u32>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::recording) code: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(in crate::recording) message: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(in crate::recording) request_id: Option<String>,
    /// Milliseconds.
    #[prost(uint64, optional, tag = "6")]
    pub(in crate::recording) retry_after: Option<u64>,
    #[prost(string, tag = "7")]
    pub(in crate::recording) phase: String,
    #[prost(string, optional, tag = "8")]
    pub(in crate::recording) successor: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct DeadlineMessage {
    /// The deadline's reason, such as `IDLE_TIMEOUT`.
    #[prost(string, tag = "1")]
    pub(in crate::recording) deadline: String,
    /// Milliseconds.
    #[prost(uint64, tag = "2")]
    pub(in crate::recording) limit: u64,
    #[prost(string, tag = "3")]
    pub(in crate::recording) phase: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::recording) struct OutputMessage {
    #[prost(string, tag = "1")]
    pub(in crate::recording) problem: String,
    #[prost(string, tag = "2")]
    pub(in crate::recording) text: String,
}
