//! Everything that can go wrong with a call on purpose: a closed set.
//!
//! This file only declares the faults; `effects` applies them to a call. As
//! JSON a fault is `"hang_up"` or `{"stall": {"after_deltas": 3}}`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    refusal::{Refusal, foreign::ForeignError},
    script::{dialect::Dialect, time},
};

/// One fault, or one scripted property, of a call.
///
/// `after_deltas` counts deltas that carry tokens, over all choices; a position
/// after the last one is just before the finish. Left out, it is the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error instead of an answer.
    Refuse(Refusal),
    /// The connection closes without a response head.
    HangUp,
    /// The response head, and everything after it, is delayed.
    SlowHead {
        /// The delay.
        #[serde(with = "time")]
        delay: Duration,
    },
    /// The head comes at once and the first delta late.
    SlowFirstToken {
        /// The delay.
        #[serde(with = "time")]
        delay: Duration,
    },
    /// A delay before every delta but the first.
    SlowDeltas {
        /// The delay.
        #[serde(with = "time")]
        delay: Duration,
    },
    /// The stream falls silent.
    Stall {
        /// Deltas before it.
        after_deltas: u32,
        /// The duration; left out, forever.
        #[serde(default, with = "time::optional")]
        lasting: Option<Duration>,
    },
    /// The connection breaks (HTTP/2: the stream is reset).
    Cut {
        /// Deltas before it.
        after_deltas: u32,
    },
    /// The connection breaks after a number of bytes.
    CutAfterBytes {
        /// Bytes of the body before it.
        bytes: usize,
    },
    /// The connection breaks inside a multi-byte character, in a delta after the first.
    CutInCharacter,
    /// The body ends as if complete: no finish reason, no usage, no `[DONE]`.
    EndEarly {
        /// Deltas before it.
        #[serde(default)]
        after_deltas: Option<u32>,
    },
    /// `[DONE]` without a finish reason before it.
    DoneEarly {
        /// Deltas before it.
        #[serde(default)]
        after_deltas: Option<u32>,
    },
    /// Everything but `[DONE]`.
    NoDone,
    /// A scripted finish reason, such as `error`, `cancelled`,
    /// `content_filter`.
    FinishReason(String),
    /// An `error` object in the stream; the body then ends.
    StreamError {
        /// Deltas before it.
        #[serde(default)]
        after_deltas: Option<u32>,
        /// The value of `error.status`, if any.
        #[serde(default)]
        status: Option<u16>,
        /// The value of `error.code`, if any.
        #[serde(default)]
        code: Option<String>,
        /// The value of `error.message`.
        message: String,
    },
    /// An event named `error`; the body then ends.
    ErrorEvent {
        /// Deltas before it.
        #[serde(default)]
        after_deltas: Option<u32>,
        /// The event's data: JSON, text or nothing.
        data: String,
    },
    /// An error in the form of another server; the body then ends.
    ForeignError {
        /// Deltas before it.
        #[serde(default)]
        after_deltas: Option<u32>,
        /// The error.
        error: ForeignError,
    },
    /// An error object after a complete answer, before `[DONE]`.
    LateError {
        /// The value of `error.message`.
        message: String,
    },
    /// Comment lines (`: heartbeat`) between the events.
    Comments,
    /// Events named `ping`, with data that is not JSON, between the others.
    Pings,
    /// Lines end in CR LF.
    CrLf,
    /// Lines end in CR alone.
    BareCr,
    /// The body starts with a byte order mark.
    ByteOrderMark,
    /// The data of each event is spread over several `data:` lines.
    SeveralDataLines,
    /// The body is sent in small pieces, each on its own.
    Shred {
        /// The size of a piece, at least 1.
        bytes: usize,
    },
    /// Another event after `[DONE]`.
    DataAfterDone,
    /// An event whose data is not JSON.
    NotJsonEvent {
        /// Deltas before it.
        after_deltas: u32,
    },
    /// Bytes that are neither UTF-8 nor an event.
    Garbage {
        /// Deltas before them.
        after_deltas: u32,
    },
    /// A line that never ends.
    EndlessLine {
        /// Deltas before it.
        after_deltas: u32,
    },
    /// Endless deltas, as fast as they are read.
    EndlessStream,
    /// One oversized delta.
    HugeEvent {
        /// Deltas before it.
        after_deltas: u32,
        /// The size of its text, in bytes.
        bytes: usize,
    },
    /// A scripted answer in place of the usual text.
    Answer {
        /// The content, one text per delta.
        #[serde(default)]
        deltas: Vec<String>,
        /// The reasoning before it, one text per delta.
        #[serde(default)]
        reasoning: Vec<String>,
        /// The tool calls after it.
        #[serde(default)]
        tool_calls: Vec<ScriptedToolCall>,
    },
    /// An answer in the form of another provider.
    Dialect(Dialect),
    /// Prose although JSON was requested.
    NotJson,
    /// No usage anywhere.
    NoUsage,
    /// This value as `usage`, whatever it is.
    Usage(Value),
}

/// A scripted tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedToolCall {
    /// The function's name.
    pub name: String,
    /// The arguments, one text per fragment.
    pub arguments: Vec<String>,
}

impl Fault {
    /// Creates an answer of these deltas.
    pub fn answer<Text: Into<String>>(deltas: impl IntoIterator<Item = Text>) -> Fault {
        Fault::Answer {
            deltas: deltas.into_iter().map(Into::into).collect(),
            reasoning: Vec::new(),
            tool_calls: Vec::new(),
        }
    }

    /// Creates the error of a status, as the real service words it.
    pub fn status(status: u16) -> Fault {
        Fault::Refuse(match status {
            429 => Refusal::rate_limited(),
            status => Refusal::status(status),
        })
    }

    /// Creates an endless stall after a number of deltas.
    pub fn stall(after_deltas: u32) -> Fault {
        Fault::Stall { after_deltas, lasting: None }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refuse(refusal)
    }
}
