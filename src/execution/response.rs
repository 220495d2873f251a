//! What an execution tells its caller, as plain values.

use std::{sync::Arc, time::Duration};

use crate::{
    error::Error,
    event::{FinishReason, Phase, ToolCallFragment, Usage},
    flight::Stored,
    price::Nanodollars,
    recording::{FlightId, MergedDelta},
};

/// One event of an execution, with its sequence number.
#[derive(Debug)]
pub struct Output {
    /// The event's place in its flight's log.
    pub sequence: u64,
    /// What happened.
    pub event: ResponseEvent,
}

/// What happened.
#[derive(Debug)]
pub enum ResponseEvent {
    /// Always first.
    Started(Started),
    /// Output.
    Delta(MergedDelta),
    /// What came before is void.
    Restarted {
        /// The attempt that begins.
        attempt: u32,
        /// Why the one before was given up: a reason.
        reason: &'static str,
    },
    /// Nothing else happened for a while.
    Progress {
        /// What is waited for.
        phase: Phase,
        /// Since the call arrived.
        elapsed: Duration,
    },
    /// Always last.
    Completed(Box<Completed>),
}

/// The execution is under way.
#[derive(Debug, Clone)]
pub struct Started {
    /// Names the execution to AttachExecution.
    pub execution_token: String,
    /// The worker's name.
    pub worker_id: String,
    /// The model that is asked.
    pub model: String,
    /// What the cache has done so far.
    pub cache_status: CacheStatus,
}

/// The execution succeeded.
#[derive(Debug)]
pub struct Completed {
    /// The answers, by index.
    pub choices: Vec<Choice>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// Money, where the price is known.
    pub cost: Option<Cost>,
    /// Time, as this listener saw it.
    pub timing: Timing,
    /// Calls of the provider this answer took; 0 for a hit.
    pub attempts: u32,
    /// What the cache did.
    pub cache: CacheOutcome,
    /// The provider's id of the call.
    pub provider_request_id: Option<String>,
    /// The model that answered.
    pub model: String,
}

/// One answer.
#[derive(Debug)]
pub struct Choice {
    /// The text, without reasoning.
    pub text: String,
    /// The reasoning.
    pub reasoning: String,
    /// Where JSON was asked for: the text is it, checked.
    pub is_json: bool,
    /// The tool calls, by index.
    pub tool_calls: Vec<ToolCallFragment>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// The provider's `logprobs` object, as JSON text.
    pub logprobs: String,
}

/// The execution failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// Tokens used, as far as known.
    pub usage: Option<Usage>,
    /// What they cost, where that is known.
    pub cost: Option<Cost>,
    /// Time until the failure.
    pub timing: Timing,
    /// Calls of the provider.
    pub attempts: u32,
    /// What it was waiting for.
    pub phase: Phase,
    /// Picks the execution up again, where it goes on without this call.
    pub execution_token: Option<String>,
}

/// Money in whole nano-dollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// By this execution, now.
    pub spent: Nanodollars,
    /// By the flight that produced the answer.
    pub original: Nanodollars,
    /// The date of the prices.
    pub price_date: Arc<str>,
}

/// Durations as one listener saw them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Waiting for admission.
    pub queue: Option<Duration>,
    /// Looking the answer up.
    pub cache: Option<Duration>,
    /// Establishing the connection, where one was made.
    pub connect: Option<Duration>,
    /// From the call's arrival to the first output.
    pub first_token: Option<Duration>,
    /// From the call's arrival to the end.
    pub total: Duration,
}

/// What the cache did, in full.
#[derive(Debug, Clone)]
pub struct CacheOutcome {
    /// The look-up.
    pub status: CacheStatus,
    /// The store; `None` when nobody asked for it.
    pub stored: Option<Stored>,
    /// The key's beginning; empty without caching.
    pub key_fingerprint: String,
    /// How old a hit is.
    pub age: Option<Duration>,
    /// The flight that produced the answer.
    pub source_execution: FlightId,
}

/// What the look-up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// Nobody asked for caching.
    Disabled,
    /// Not looked up, because of the mode.
    Bypassed,
    /// Answered from the cache, or replayed for an idempotency key.
    Hit,
    /// Not in the cache.
    Miss,
    /// Shared the flight of an identical execution under way.
    Joined,
    /// The cache could not be asked.
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

    /// Its number in an execution token.
    pub fn as_u8(self) -> u8 {
        self as u8
    }

    /// The status behind a number in an execution token.
    pub fn from_u8(number: u8) -> Option<CacheStatus> {
        CacheStatus::ALL.into_iter().find(|status| status.as_u8() == number)
    }

    /// The word for logs and metrics.
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

    /// Whether this execution pays for the provider's call.
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
