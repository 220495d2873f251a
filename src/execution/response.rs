//! An execution's events for its caller, as plain values.

use std::{sync::Arc, time::Duration};

use crate::execution::prefixes::PromptPrefix;
use crate::{
    error::Error,
    event::{Embeddings, FinishReason, Phase, ToolCallFragment, Usage},
    flight::Stored,
    price::{Nanodollars, Tier},
    recording::{FlightId, MergedDelta},
};

/// One event of an execution, with its sequence number.
#[derive(Debug)]
pub struct Output {
    /// The event's position in its flight's log.
    pub sequence: u64,
    /// The payload.
    pub event: ResponseEvent,
}

/// The payload of an event.
#[derive(Debug)]
pub enum ResponseEvent {
    /// Always first.
    Started(Started),
    /// Output of the model.
    Delta(MergedDelta),
    /// All earlier output is void.
    Restarted {
        /// The attempt that begins.
        attempt: u32,
        /// The machine-readable reason why the previous attempt failed.
        reason: &'static str,
    },
    /// No other event occurred within the progress interval.
    Progress {
        /// The step in progress.
        phase: Phase,
        /// Time since the call arrived.
        elapsed: Duration,
    },
    /// Always last.
    Completed(Box<Completed>),
}

/// The execution is in progress.
#[derive(Debug, Clone)]
pub struct Started {
    /// Resumes the execution through AttachExecution.
    pub execution_token: String,
    /// The worker's name.
    pub worker_id: String,
    /// The model named in the request.
    pub model: String,
    /// The result of the cache look-up so far.
    pub cache_status: CacheStatus,
}

/// The execution succeeded.
#[derive(Debug)]
pub struct Completed {
    /// The answers, by index.
    pub choices: Vec<Choice>,
    /// The vectors, if texts were embedded.
    pub embeddings: Option<Embeddings>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// The part of the tokens that this execution did not pay for.
    pub saved: Option<Usage>,
    /// Cost, if the price is known.
    pub cost: Option<Cost>,
    /// Timings, as this subscriber observed them.
    pub timing: Timing,
    /// Provider requests this answer took; zero for a hit.
    pub attempts: u32,
    /// The cache's part in the answer.
    pub cache: CacheOutcome,
    /// The provider's id of its request.
    pub provider_request_id: Option<String>,
    /// The model that answered.
    pub model: String,
    /// The prompt beside that of the session's last call.
    pub prefix: Option<PromptPrefix>,
    /// The service tier that served the request, if the provider says so.
    pub service_tier: Option<String>,
}

/// One answer.
#[derive(Debug)]
pub struct Choice {
    /// The text, without reasoning.
    pub text: String,
    /// The reasoning.
    pub reasoning: String,
    /// Set if JSON was requested: `text` is that JSON, validated.
    pub is_json: bool,
    /// It is JSON, but its check against the schema would have taken too long.
    pub is_unchecked: bool,
    /// The tool calls, by index.
    pub tool_calls: Vec<ToolCallFragment>,
    /// The reason generation ended.
    pub finish_reason: FinishReason,
    /// The provider's `logprobs` object, as JSON text.
    pub logprobs: String,
}

/// The execution failed.
#[derive(Debug)]
pub struct Failed {
    /// The cause.
    pub error: Error,
    /// Tokens used, as far as known.
    pub usage: Option<Usage>,
    /// Their cost, if the price is known.
    pub cost: Option<Cost>,
    /// Time until the failure.
    pub timing: Timing,
    /// Provider requests made.
    pub attempts: u32,
    /// The step that was in progress.
    pub phase: Phase,
    /// Resumes the execution, if it continues without this call.
    pub execution_token: Option<String>,
}

/// Cost in whole nano-dollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Paid by this execution.
    pub spent: Nanodollars,
    /// Paid by the flight that produced the answer.
    pub original: Nanodollars,
    /// The date of the price list.
    pub price_date: Arc<str>,
    /// The tier whose rate it is by.
    pub tier: Tier,
    /// True if the tier that was asked for has no rate.
    pub is_fallback: bool,
}

/// Durations as one subscriber observed them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Waiting for a slot.
    pub queue: Option<Duration>,
    /// Looking the answer up.
    pub cache: Option<Duration>,
    /// Establishing the connection, if one was made.
    pub connect: Option<Duration>,
    /// From arrival to the first output.
    pub first_token: Option<Duration>,
    /// From arrival to the end.
    pub total: Duration,
}

/// The cache's part in an answer.
#[derive(Debug, Clone)]
pub struct CacheOutcome {
    /// The result of the look-up.
    pub status: CacheStatus,
    /// The result of storing; `None` if storing was not requested.
    pub stored: Option<Stored>,
    /// The first characters of the cache key; empty without caching.
    pub key_fingerprint: String,
    /// The age of a hit.
    pub age: Option<Duration>,
    /// The flight that produced the answer.
    pub source_execution: FlightId,
}

/// The result of a cache look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// Caching was not requested.
    Disabled,
    /// The mode skips the look-up.
    Bypassed,
    /// Answered from the cache, or replayed for an idempotency key.
    Hit,
    /// Not in the cache.
    Miss,
    /// Shared the flight of an identical execution in progress.
    Joined,
    /// The cache could not be reached.
    LookupFailed,
}

impl CacheStatus {
    /// Every status.
    pub const ALL: [CacheStatus; 6] = [
        CacheStatus::Disabled,
        CacheStatus::Bypassed,
        CacheStatus::Hit,
        CacheStatus::Miss,
        CacheStatus::Joined,
        CacheStatus::LookupFailed,
    ];

    /// Returns the number that stands for it in an execution token.
    pub fn as_u8(self) -> u8 {
        self as u8
    }

    /// Returns the status for a number in an execution token.
    pub fn from_u8(number: u8) -> Option<CacheStatus> {
        CacheStatus::ALL.into_iter().find(|status| status.as_u8() == number)
    }

    /// Returns the label for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            CacheStatus::Disabled => "disabled",
            CacheStatus::Bypassed => "bypassed",
            CacheStatus::Hit => "hit",
            CacheStatus::Miss => "miss",
            CacheStatus::Joined => "joined",
            CacheStatus::LookupFailed => "lookup_failed",
        }
    }

    /// Returns true if this execution pays for the provider request.
    pub fn pays(self) -> bool {
        match self {
            CacheStatus::Disabled
            | CacheStatus::Bypassed
            | CacheStatus::Miss
            | CacheStatus::LookupFailed => true,
            CacheStatus::Hit | CacheStatus::Joined => false,
        }
    }
}
