//! What a running node tells, and what becomes of it: plain values, no I/O.
//!
//! A node tells piece by piece through [`Emit`]; the flight keeps what was told;
//! the service turns it into protobuf. Everybody here speaks of a *choice* by
//! its index, as the provider does.

use std::borrow::Cow;

use crate::error::Error;

/// Where a node's run tells what happens, as it happens.
///
/// The flight's publisher is one; tests collect into a vector. Nothing is
/// shown to anybody before [`flush`](Emit::flush), so that all that one network
/// read brought goes out together.
pub trait Emit: Send {
    /// The run now waits for something else.
    fn phase(&mut self, phase: Phase);

    /// A piece of output. Fails with [`Error::OutputTooLarge`] beyond the
    /// worker's bound; the run must then end with that error.
    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error>;

    /// Shows what was told since the last flush.
    fn flush(&mut self);

    /// What the provider says was used so far; the last word counts. It is told
    /// as it comes, since a run may be dropped at any time.
    fn used(&mut self, _usage: &Usage) {}
}

/// What an execution is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A place among the executions under way.
    Queued,
    /// A connection with the provider.
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

    /// The phase with this name.
    pub fn named(name: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.as_str() == name)
    }

    /// The phase as errors, logs and the API name it.
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

/// A piece of output of one choice. Borrowed from the network read it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta<'a> {
    /// The choice, from 0.
    pub choice: u32,
    /// What the piece is.
    pub piece: Piece<'a>,
}

/// What a piece of output is.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece<'a> {
    /// More text.
    Text(Cow<'a, str>),
    /// More reasoning.
    Reasoning(Cow<'a, str>),
    /// More of a tool call.
    ToolCall(ToolCallFragment),
    /// The provider's `logprobs` object for the text before it: JSON text.
    Logprobs(Cow<'a, str>),
}

/// A fragment of a tool call. Fragments are joined by `index`; id and name are on
/// the first fragment of a call and on no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCallFragment {
    /// Which call of the choice, from 0.
    pub index: u32,
    /// On the first fragment.
    pub id: Option<String>,
    /// On the first fragment.
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

/// How a run ended well: everything about the answer that is not in its deltas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finish {
    /// Why each choice ended, by index.
    pub finish_reasons: Vec<FinishReason>,
    /// Token counts, where the provider gave them.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// The provider's id of the call.
    pub provider_request_id: Option<String>,
}

/// Why a choice ended, where that is no failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model was done, or met a stop sequence.
    Stop,
    /// The token limit was met: the answer is cut.
    Length,
    /// The model asks for tools.
    ToolCalls,
    /// The model asks for a function, in the old form.
    FunctionCall,
    /// A filter of the provider cut the answer, or kept it back.
    ContentFilter,
    /// The model refused.
    Refusal,
}

impl FinishReason {
    /// The word of the OpenAI-compatible API.
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

    /// The reason that is so named, by [`as_str`](FinishReason::as_str).
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

    /// The reason behind a provider's word, in the spellings of servers and
    /// gateways; none where it is a failure, or not known.
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

    /// Whether the answer is whole, and so may be stored.
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

/// Token counts. What the provider did not say is absent, never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In the prompt, cached ones included.
    pub prompt_tokens: Option<u64>,
    /// In the answer, reasoning included.
    pub completion_tokens: Option<u64>,
    /// Both.
    pub total_tokens: Option<u64>,
    /// Of the prompt, read from the provider's own prompt cache.
    pub cached_tokens: Option<u64>,
    /// Of the answer, reasoning.
    pub reasoning_tokens: Option<u64>,
}
