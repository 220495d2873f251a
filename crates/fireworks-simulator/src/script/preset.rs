//! Faults by name, with typical values: for flags and their help.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    refusal::{
        Refusal,
        body_form::BodyForm,
        foreign::{ErrorShape, ForeignError},
    },
    script::{dialect::Dialect, fault::Fault},
};

/// A fault with a name.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The name, such as `rate-limited`.
    pub name: &'static str,
    /// A description of a few words.
    pub about: &'static str,
    make: fn() -> Fault,
}

impl Preset {
    /// All presets.
    pub const ALL: &'static [Preset] = &[
        preset("bad-request", "400", || Fault::status(400)),
        preset("unauthorized", "401", || Fault::status(401)),
        preset("payment-required", "402", || Fault::status(402)),
        preset("forbidden", "403", || Fault::status(403)),
        preset("not-found", "404", || Fault::status(404)),
        preset("suspended", "412", || Fault::status(412)),
        preset("weight-swap", "425", || Fault::status(425)),
        preset("rate-limited", "429 with limit headers", || Fault::status(429)),
        preset("retry-after", "429 with Retry-After: 2", || {
            Refusal::rate_limited().header("retry-after", "2").into()
        }),
        preset("server-error", "500 in plain text", || Fault::status(500)),
        preset("bad-gateway", "502 with an HTML page", || Fault::status(502)),
        preset("overloaded", "503", || Fault::status(503)),
        preset("scaling-up", "503 DEPLOYMENT_SCALING_UP", || Refusal::scaling_up().into()),
        preset("empty-error", "504 without a body", || {
            Refusal::status(504).body(BodyForm::Empty).into()
        }),
        preset("hang-up", "no response at all", || Fault::HangUp),
        preset("slow-head", "the head 5s late", || Fault::SlowHead { delay: SLOW }),
        preset("slow-first-token", "the first delta 5s late", || Fault::SlowFirstToken {
            delay: SLOW,
        }),
        preset("slow-deltas", "1s between deltas", || Fault::SlowDeltas {
            delay: Duration::from_secs(1),
        }),
        preset("stall", "silence forever after 5 deltas", || Fault::stall(5)),
        preset("cut", "the connection breaks after 5 deltas", || Fault::Cut { after_deltas: 5 }),
        preset("cut-in-character", "the connection breaks inside a UTF-8 character", || {
            Fault::CutInCharacter
        }),
        preset("end-early", "the body ends after 5 deltas, without a finish", || Fault::EndEarly {
            after_deltas: Some(5),
        }),
        preset("done-early", "[DONE] after 5 deltas, without a finish", || Fault::DoneEarly {
            after_deltas: Some(5),
        }),
        preset("no-done", "no [DONE]", || Fault::NoDone),
        preset("failed-finish", "finish reason `error`", || finish("error")),
        preset("stream-error", "an error object with status 503 after 5 deltas", || {
            Fault::StreamError {
                after_deltas: Some(5),
                status: Some(503),
                code: Some("SERVICE_UNAVAILABLE".to_owned()),
                message: "The model server failed.".to_owned(),
            }
        }),
        preset("error-event", "an event named `error` after 5 deltas", || Fault::ErrorEvent {
            after_deltas: Some(5),
            data: "The model server failed.".to_owned(),
        }),
        preset("text-error", "`{\"error\":\"…\"}` after 5 deltas", || foreign(ErrorShape::Text)),
        preset("error-type", "`error_type` and `error_message` after 5 deltas", || {
            foreign(ErrorShape::TypeAndMessage)
        }),
        preset("error-object", "`{\"object\":\"error\"}` after 5 deltas", || {
            foreign(ErrorShape::TopLevel)
        }),
        preset("detail-error", "`detail` after 5 deltas", || foreign(ErrorShape::Detail)),
        preset("errors", "`errors` after 5 deltas", || foreign(ErrorShape::Errors)),
        preset("choice-error", "the error in a choice after 5 deltas", || {
            foreign(ErrorShape::Choice)
        }),
        preset("error-field", "the SSE field `error:` after 5 deltas", || {
            foreign(ErrorShape::Field)
        }),
        preset("refused-text-error", "500 with `{\"error\":\"…\"}`", || {
            refused(ErrorShape::Text)
        }),
        preset("refused-error-type", "500 with `error_type` and `error_message`", || {
            refused(ErrorShape::TypeAndMessage)
        }),
        preset("refused-error-object", "500 with `{\"object\":\"error\"}`", || {
            refused(ErrorShape::TopLevel)
        }),
        preset("refused-detail-error", "500 with `detail`", || refused(ErrorShape::Detail)),
        preset("refused-errors", "500 with `errors`", || refused(ErrorShape::Errors)),
        preset("comments", "comment lines between events", || Fault::Comments),
        preset("pings", "`ping` events between the others", || Fault::Pings),
        preset("crlf", "lines end in CR LF", || Fault::CrLf),
        preset("shred", "the body byte by byte", || Fault::Shred { bytes: 1 }),
        preset("garbage", "bytes that are no event after 5 deltas", || Fault::Garbage {
            after_deltas: 5,
        }),
        preset("endless-line", "a line that never ends", || Fault::EndlessLine { after_deltas: 5 }),
        preset("endless-stream", "deltas forever", || Fault::EndlessStream),
        preset("not-json", "prose where JSON was asked for", || Fault::NotJson),
        preset("no-usage", "no usage anywhere", || Fault::NoUsage),
        preset("calls-in-one-delta", "all tool calls in one delta, without an index", || {
            Fault::Dialect(Dialect::CallsInOneDelta)
        }),
        preset("call-per-delta", "a whole tool call per delta, without an index", || {
            Fault::Dialect(Dialect::CallPerDelta)
        }),
        preset("calls-at-one-index", "whole tool calls, all at index 0", || {
            Fault::Dialect(Dialect::CallsAtOneIndex)
        }),
        preset("late-call-names", "tool calls with an empty id and name at first", || {
            Fault::Dialect(Dialect::LateCallNames)
        }),
        preset("reasoning", "`reasoning` in place of `reasoning_content`", || {
            Fault::Dialect(Dialect::Reasoning)
        }),
        preset("refusal", "`refusal` in place of `content`", || Fault::Dialect(Dialect::Refusal)),
        preset("content-parts", "content as a list of parts", || {
            Fault::Dialect(Dialect::ContentParts)
        }),
        preset("content-filter", "finish reason `content_filter`", || finish("content_filter")),
        preset("eos", "finish reason `eos`", || finish("eos")),
        preset("end-turn", "finish reason `end_turn`", || finish("end_turn")),
        preset("max-tokens", "finish reason `max_tokens`", || finish("max_tokens")),
        preset("negative-count", "a negative token count", || odd_count(json!(-35))),
        preset("text-count", "a token count in words", || odd_count(json!("many"))),
        preset("fractional-count", "a token count with a fraction", || odd_count(json!(1.5))),
    ];

    /// Creates the fault.
    pub fn fault(self) -> Fault {
        (self.make)()
    }

    /// Returns the preset of that name.
    pub fn find(name: &str) -> Option<Preset> {
        Preset::ALL.iter().find(|preset| preset.name == name).copied()
    }
}

const SLOW: Duration = Duration::from_secs(5);

fn finish(reason: &str) -> Fault {
    Fault::FinishReason(reason.to_owned())
}

fn foreign(shape: ErrorShape) -> Fault {
    Fault::ForeignError { after_deltas: Some(5), error: foreign_error(shape) }
}

fn refused(shape: ErrorShape) -> Fault {
    Refusal::status(500).body(BodyForm::Foreign(foreign_error(shape))).into()
}

fn foreign_error(shape: ErrorShape) -> ForeignError {
    let message = "The model server failed.".to_owned();
    ForeignError { shape, status: Some(500), message }
}

/// Returns usage with one count that is odd and two that are not.
fn odd_count(reasoning_tokens: Value) -> Fault {
    Fault::Usage(json!({
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    }))
}

const fn preset(name: &'static str, about: &'static str, make: fn() -> Fault) -> Preset {
    Preset { name, about, make }
}
