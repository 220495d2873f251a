//! The events of a running node, and how a run ends: plain values, no I/O.
//!
//! A node emits piece by piece through [`Emit`](crate::emit::Emit); the flight keeps the events;
//! `grpc` converts them to protobuf. A *choice* is identified everywhere by its
//! index, as the provider does.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

/// The thing an execution is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A slot among the concurrent executions.
    Queued,
    /// A connection to the provider.
    Connecting,
    /// The model's first token.
    Waiting,
    /// More of a stream that has begun.
    Streaming,
    /// The next attempt, after a failed one.
    Retrying,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 5] =
        [Phase::Queued, Phase::Connecting, Phase::Waiting, Phase::Streaming, Phase::Retrying];

    /// Returns the phase with this name.
    pub fn named(name: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.as_str() == name)
    }

    /// Returns the name used in errors, logs and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Connecting => "connecting",
            Phase::Waiting => "waiting",
            Phase::Streaming => "streaming",
            Phase::Retrying => "retrying",
        }
    }
}

/// A piece of output of one choice, borrowed from the network read it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta<'a> {
    /// The choice, from 0.
    pub choice: u32,
    /// The contents.
    pub piece: Piece<'a>,
}

/// The contents of a piece of output.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece<'a> {
    /// More text.
    Text(Cow<'a, str>),
    /// More reasoning.
    Reasoning(Cow<'a, str>),
    /// More of a tool call.
    ToolCall(ToolCallFragment),
    /// The provider's `logprobs` object for the preceding text: JSON text.
    Logprobs(Cow<'a, str>),
}

/// A fragment of a tool call. Fragments are joined by `index`; id and name are
/// on the first fragment of a call only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCallFragment {
    /// The call's index within the choice, from 0.
    pub index: u32,
    /// The id, on the first fragment only.
    pub id: Option<String>,
    /// The function's name, on the first fragment only.
    pub name: Option<String>,
    /// More of the arguments, possibly empty.
    pub arguments: String,
}

impl ToolCallFragment {
    /// Appends a later fragment of the same call.
    pub fn extend(&mut self, later: &ToolCallFragment) {
        self.arguments.push_str(&later.arguments);
        self.id = self.id.take().or_else(|| later.id.clone());
        self.name = self.name.take().or_else(|| later.name.clone());
    }
}

/// The result of a successful run: everything about the answer that is not in
/// its deltas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finish {
    /// The finish reason of each choice, by index.
    pub finish_reasons: Vec<FinishReason>,
    /// Token counts, if the provider gave them.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// The provider's request id.
    pub provider_request_id: Option<String>,
    /// The choices whose check against their schema would have taken too long.
    pub unchecked: Vec<u32>,
    /// The vectors, if texts were embedded.
    pub embeddings: Option<Embeddings>,
    /// The service tier that served the request, if the provider says so.
    pub service_tier: Option<String>,
}

/// The vectors of texts. Their tokens are the usage's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Embeddings {
    /// The vector of each text, in order: 32-bit floats, little-endian.
    pub vectors: Vec<Bytes>,
    /// The texts, by the source of their vectors.
    pub sources: TextSources,
    /// The tokens that the execution itself paid for, if the provider counted them.
    pub paid_tokens: Option<u64>,
    /// True if a token count is estimated: a text's share of the tokens that were
    /// counted for several texts together.
    pub estimated: bool,
}

impl Embeddings {
    /// Returns the size of all vectors, in bytes.
    pub fn bytes(&self) -> usize {
        self.vectors.iter().map(Bytes::len).sum()
    }
}

impl fmt::Debug for Embeddings {
    /// Counts the vectors instead of printing them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Embeddings")
            .field("vectors", &self.vectors.len())
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

/// The texts of an execution, counted by the source of their vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextSources {
    /// Found in the cache.
    pub cached: u32,
    /// Requested by another execution in progress.
    pub joined: u32,
    /// Requested by this execution.
    pub executed: u32,
    /// Equal to an earlier text of the same execution.
    pub repeated: u32,
}

/// The reason a choice ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model finished, or reached a stop sequence.
    Stop,
    /// The token limit was reached: the answer is cut.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// The model calls a function, in the legacy form.
    FunctionCall,
    /// A filter of the provider cut or withheld the answer.
    ContentFilter,
    /// The model refused.
    Refusal,
}

impl FinishReason {
    /// Returns the word of the OpenAI-compatible API.
    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::FunctionCall => "function_call",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::Refusal => "refusal",
        }
    }

    /// Parses the word that [`as_str`](FinishReason::as_str) returns.
    pub fn parse(word: &str) -> Option<FinishReason> {
        match word {
            "stop" => Some(FinishReason::Stop),
            "length" => Some(FinishReason::Length),
            "tool_calls" => Some(FinishReason::ToolCalls),
            "function_call" => Some(FinishReason::FunctionCall),
            "content_filter" => Some(FinishReason::ContentFilter),
            "refusal" => Some(FinishReason::Refusal),
            _ => None,
        }
    }

    /// Parses a provider's word, in the spellings of servers and gateways;
    /// `None` if it is a failure or unknown.
    pub fn from_provider(word: &str) -> Option<FinishReason> {
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "eos" | "eos_token" | "end_turn" | "stop_sequence" | "end_of_turn" | "complete"
            | "completed" => Some(FinishReason::Stop),
            "max_tokens"
            | "model_length"
            | "max_output_tokens"
            | "model_context_window_exceeded" => Some(FinishReason::Length),
            "tool_use" | "tool_call" => Some(FinishReason::ToolCalls),
            "content_filtered" | "safety" => Some(FinishReason::ContentFilter),
            "refused" => Some(FinishReason::Refusal),
            word => FinishReason::parse(word),
        }
    }

    /// Returns true if the answer is complete, and so may be stored.
    pub fn is_whole(self) -> bool {
        match self {
            FinishReason::Stop | FinishReason::ToolCalls => true,
            FinishReason::Length
            | FinishReason::FunctionCall
            | FinishReason::ContentFilter
            | FinishReason::Refusal => false,
        }
    }
}

/// Token counts. A count the provider did not give is absent, never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: Option<u64>,
    /// The sum of both.
    pub total_tokens: Option<u64>,
    /// Prompt tokens read from the provider's own prompt cache.
    pub cached_tokens: Option<u64>,
    /// Answer tokens spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Returns the usage of a prompt of this many tokens.
    pub(crate) fn of_prompt(tokens: u64) -> Usage {
        Usage { prompt_tokens: Some(tokens), total_tokens: Some(tokens), ..Usage::default() }
    }

    /// Returns the share of the prompt that came from the provider's own prompt cache,
    /// from 0 to 1.
    pub fn cached_share(&self) -> Option<f64> {
        let prompt = self.prompt_tokens.filter(|prompt| *prompt > 0)?;
        Some(self.cached_tokens?.min(prompt) as f64 / prompt as f64)
    }
}
