//! Errors in the forms of other providers and gateways.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
