//! Everything that can go wrong with a call on purpose: a closed set.
//!
//! Here is only what the faults are; `effects` says what each does to a call.
//! As JSON a fault is `"hang_up"` or `{"stall": {"after_deltas": 3}}`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{gate::refusal::Refusal, script::time};

/// One thing that goes wrong, or that is scripted, in a call.
///
/// `after_deltas` counts deltas that carry tokens, over all choices; a place
/// after the last one is just before the finish. Left out it is the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error instead of an answer.
    Refuse(Refusal),
    /// The connection closes without a response head.
    HangUp,
    /// The response head, and everything after, comes later by this much.
    SlowHead {
        /// By how much.
        #[serde(with = "time")]
        delay: Duration,
    },
    /// The head comes at once and the first delta late.
    SlowFirstToken {
        /// How late.
        #[serde(with = "time")]
        delay: Duration,
    },
    /// A wait before every delta but the first.
    SlowDeltas {
        /// How long.
        #[serde(with = "time")]
        delay: Duration,
    },
    /// The stream falls silent.
    Stall {
        /// After how many deltas.
        after_deltas: u32,
        /// For how long; left out, for ever.
        #[serde(default, with = "time::optional")]
        lasting: Option<Duration>,
    },
    /// The connection breaks (HTTP/2: the stream is reset).
    Cut {
        /// After how many deltas.
        after_deltas: u32,
    },
    /// The connection breaks, wherever that is.
    CutAfterBytes {
        /// After how many bytes of the body.
        bytes: usize,
    },
    /// The connection breaks inside a character of several bytes, in a delta
    /// after the first.
    CutInCharacter,
    /// The body ends as if whole: no finish reason, no usage, no `[DONE]`.
    EndEarly {
        /// After how many deltas.
        #[serde(default)]
        after_deltas: Option<u32>,
    },
    /// `[DONE]` without a finish reason before it.
    DoneEarly {
        /// After how many deltas.
        #[serde(default)]
        after_deltas: Option<u32>,
    },
    /// Everything but `[DONE]`.
    NoDone,
    /// A finish reason of the script's choice, such as `error`, `cancelled`,
    /// `content_filter`.
    FinishReason(String),
    /// An `error` object in the stream; the body then ends.
    StreamError {
        /// After how many deltas.
        #[serde(default)]
        after_deltas: Option<u32>,
        /// `error.status`, where it is told.
        #[serde(default)]
        status: Option<u16>,
        /// `error.code`.
        #[serde(default)]
        code: Option<String>,
        /// `error.message`.
        message: String,
    },
    /// An event named `error`; the body then ends.
    ErrorEvent {
        /// After how many deltas.
        #[serde(default)]
        after_deltas: Option<u32>,
        /// Its data: JSON, text or nothing.
        data: String,
    },
    /// An error object after an answer that is complete, before `[DONE]`.
    LateError {
        /// `error.message`.
        message: String,
    },
    /// Comment lines (`: heartbeat`) between the events.
    Comments,
    /// Events named `ping`, with data that is no JSON, between the others.
    Pings,
    /// Lines end in CR LF.
    CrLf,
    /// Lines end in CR alone.
    BareCr,
    /// The body starts with a byte order mark.
    ByteOrderMark,
    /// The data of each event is spread over several `data:` lines.
    SeveralDataLines,
    /// The body goes out in pieces of so many bytes, each on its own.
    Shred {
        /// The size of a piece, at least 1.
        bytes: usize,
    },
    /// Another event after `[DONE]`.
    DataAfterDone,
    /// An event whose data is no JSON.
    NotJsonEvent {
        /// After how many deltas.
        after_deltas: u32,
    },
    /// Bytes that are no UTF-8 and no event.
    Garbage {
        /// After how many deltas.
        after_deltas: u32,
    },
    /// A line that never ends.
    EndlessLine {
        /// After how many deltas.
        after_deltas: u32,
    },
    /// Deltas for ever, as fast as they are read.
    EndlessStream,
    /// One delta with so much text.
    HugeEvent {
        /// After how many deltas.
        after_deltas: u32,
        /// How much.
        bytes: usize,
    },
    /// What is said, word for word, in place of the usual text.
    Answer {
        /// The content, one delta each.
        #[serde(default)]
        deltas: Vec<String>,
        /// The reasoning before it, one delta each.
        #[serde(default)]
        reasoning: Vec<String>,
        /// The tool calls after it.
        #[serde(default)]
        tool_calls: Vec<ScriptedToolCall>,
    },
    /// Prose where JSON was asked for.
    NotJson,
    /// No usage anywhere.
    NoUsage,
    /// This as `usage`, whatever it is.
    Usage(Value),
}

/// A tool call, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedToolCall {
    /// The function.
    pub name: String,
    /// Its arguments, one fragment each.
    pub arguments: Vec<String>,
}

impl Fault {
    /// An answer of these deltas.
    pub fn answer<Text: Into<String>>(deltas: impl IntoIterator<Item = Text>) -> Fault {
        Fault::Answer {
            deltas: deltas.into_iter().map(Into::into).collect(),
            reasoning: Vec::new(),
            tool_calls: Vec::new(),
        }
    }

    /// The error of a status, as the real service words it.
    pub fn status(status: u16) -> Fault {
        Fault::Refuse(match status {
            429 => Refusal::rate_limited(),
            status => Refusal::status(status),
        })
    }

    /// Silence for ever after so many deltas.
    pub fn stall(after_deltas: u32) -> Fault {
        Fault::Stall { after_deltas, lasting: None }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refuse(refusal)
    }
}
