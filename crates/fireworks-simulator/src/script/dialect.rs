//! The wire forms of other providers and gateways: answers and errors that mean
//! the usual and are spelled otherwise.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::choice::{Choice, Part};

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

/// A failure as other servers report it, with a status or inside a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignError {
    /// The form.
    pub shape: ErrorShape,
    /// The status that the text itself names, in the forms that have a place for it.
    #[serde(default)]
    pub status: Option<u16>,
    /// The message.
    pub message: String,
}

/// The form of a [`ForeignError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorShape {
    /// `{"error":"…"}`.
    Text,
    /// `{"error_type","error_message","status_code"}`.
    TypeAndMessage,
    /// `{"object":"error","message","type","code"}`.
    TopLevel,
    /// `{"detail":"…"}`.
    Detail,
    /// `{"errors":[{"message"}]}`.
    Errors,
    /// `{"choices":[{"finish_reason":"error","error":{"message","code"}}]}`.
    Choice,
    /// The SSE field `error:`, outside of any event; with a status, its value alone.
    Field,
}

impl Dialect {
    /// Rewrites the tool calls of a choice, if the dialect is about them.
    pub(crate) fn rewrite_calls(self, choice: &mut Choice) {
        let spell: fn(&SpelledCall) -> Vec<Value> = match self {
            Dialect::CallsInOneDelta | Dialect::CallPerDelta => |call| vec![call.json(None)],
            Dialect::CallsAtOneIndex => |call| vec![call.json(Some(0))],
            Dialect::LateCallNames => |call| vec![call.nameless(), call.json(Some(call.index))],
            Dialect::Reasoning | Dialect::Refusal | Dialect::ContentParts => return,
        };
        let calls = take_calls(&mut choice.parts);
        if self == Dialect::CallsInOneDelta && !calls.is_empty() {
            let spelled = calls.iter().flat_map(spell).collect();
            let tokens = calls.into_iter().flat_map(|call| call.tokens).collect();
            choice.parts.push(Part::Calls { calls: spelled, tokens });
            return;
        }
        for mut call in calls {
            let mut spelled = spell(&call);
            let last = spelled.split_off(spelled.len() - 1);
            let part = |calls, tokens| Part::Calls { calls, tokens };
            choice.parts.extend(spelled.into_iter().map(|call| part(vec![call], Vec::new())));
            choice.parts.push(part(last, std::mem::take(&mut call.tokens)));
        }
    }
}

/// A tool call put together from its deltas.
struct SpelledCall {
    index: u32,
    id: String,
    name: String,
    tokens: Vec<String>,
}

impl SpelledCall {
    fn json(&self, index: Option<u32>) -> Value {
        let function = json!({"name": self.name, "arguments": self.tokens.concat()});
        let mut call = json!({"id": self.id, "type": "function", "function": function});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        call
    }

    fn nameless(&self) -> Value {
        let function = json!({"name": "", "arguments": ""});
        json!({"index": self.index, "id": "", "type": "function", "function": function})
    }
}

/// Removes the tool calls from the parts.
fn take_calls(parts: &mut Vec<Part>) -> Vec<SpelledCall> {
    let mut calls: Vec<SpelledCall> = Vec::new();
    for part in std::mem::take(parts) {
        match part {
            Part::Call { call: index, id, name } => {
                calls.push(SpelledCall { index, id, name, tokens: Vec::new() });
            }
            Part::Arguments { call: of, tokens } => {
                let call = calls.iter_mut().find(|call| call.index == of);
                call.into_iter().for_each(|call| call.tokens.extend_from_slice(&tokens));
            }
            other => parts.push(other),
        }
    }
    calls
}

impl ForeignError {
    /// Returns the error's JSON.
    pub(crate) fn json(&self) -> Value {
        let ForeignError { shape, status, message } = self;
        match shape {
            ErrorShape::Text => json!({"error": message}),
            ErrorShape::TypeAndMessage => json!({
                "choices": null,
                "error_type": "ServerError",
                "error_message": message,
                "status_code": status,
            }),
            ErrorShape::TopLevel => json!({
                "object": "error",
                "message": message,
                "type": "ServerError",
                "param": null,
                "code": status,
            }),
            ErrorShape::Detail => json!({"detail": message}),
            ErrorShape::Errors => json!({"errors": [{"message": message}]}),
            ErrorShape::Choice => json!({"choices": [{
                "index": 0,
                "delta": {},
                "finish_reason": "error",
                "error": {"message": message, "code": status},
            }]}),
            ErrorShape::Field => json!({"message": message, "code": status}),
        }
    }
}
