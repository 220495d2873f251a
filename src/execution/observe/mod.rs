//! The record of a call and of its flight: one log line, the metrics, the spans.

pub(super) mod call;
pub(super) mod content;
pub(super) mod info;
pub(super) mod log;
pub(super) mod metrics;
pub(super) mod refusal;
pub(super) mod spans;
pub(super) mod upstream;
