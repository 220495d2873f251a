//! What the worker tells an OpenTelemetry collector: traces. (Log lines are
//! `report`'s, figures are `metrics`'.)
//!
//! Stands beside everything and knows nothing of it: who has something to tell
//! brings plain values.

pub mod names;

/// Names a span, on every worker: what a link to it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanRef {
    /// The trace it belongs to.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}
