//! The wire forms of other providers and gateways: answers that mean the usual and are
//! spelled otherwise.

use serde::{Deserialize, Serialize};

/// One deviation from Fireworks' form of an answer; a call can have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Whole tool calls without an `index`, all in one delta.
    CallsInOneDelta,
    /// Whole tool calls without an `index`, a delta each.
    CallPerDelta,
    /// Whole tool calls, a delta each, all at index 0.
    CallsAtOneIndex,
    /// Tool calls that begin with an empty id and name, filled by a later delta.
    LateCallNames,
    /// `reasoning` in place of `reasoning_content`.
    Reasoning,
    /// `refusal` in place of `content`.
    Refusal,
    /// Content as a list of parts.
    ContentParts,
}
