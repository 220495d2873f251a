//! Log lines and metrics of calls without a call record: refused or abandoned
//! before their message was read, or RPCs that run no execution.
//!
//! Only the worker's own fault is logged as an error; a caller's mistake is not the
//! operator's concern. The caller's input is never logged. A recurring reason is
//! rate limited.

use std::time::Duration;

use crate::{
    metrics::{self, Metrics},
    telemetry::{CallEnd, Limiter},
};

/// Rate limit per reason.
static REPEATS: Limiter = Limiter::new(20, Duration::from_secs(10));

/// Logs a call that failed, and counts it if it would have run an execution.
pub(crate) fn record_unhandled_call(call: &CallEnd, metrics: &Metrics) {
    if call.status == "OK" {
        return;
    }
    let reason = reason(call);
    if let Some(node_type) = node_type(call.method) {
        metrics.execution_ended(metrics::ExecutionEnd {
            node_type,
            cache_status: metrics::ExecutionEnd::NOT_LOOKED_UP,
            reason,
            took: call.took,
            first_token: None,
        });
    }
    if let Some(suppressed) = REPEATS.pass(reason) {
        log(call, reason, Some(suppressed).filter(|count| *count > 0));
    }
}

/// Returns the reason; a caller that left has the same one as everywhere else.
fn reason(call: &CallEnd) -> &'static str {
    match (call.reason, call.status) {
        (Some(reason), _) => reason,
        (None, "CANCELLED") => "EXECUTION_CANCELLED",
        (None, status) => status,
    }
}

/// Returns the node type a call counts under, if it would have run an execution.
fn node_type(method: &str) -> Option<&'static str> {
    match method.rsplit('/').next()? {
        "ExecuteNode" => Some(metrics::ExecutionEnd::OTHER_NODE),
        "AttachExecution" => Some(metrics::ExecutionEnd::ATTACHED),
        _ => None,
    }
}

fn log(call: &CallEnd, reason: &'static str, suppressed: Option<u64>) {
    let (method, total_seconds) = (call.method, call.took.as_secs_f64());
    match call.status {
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" => {
            tracing::error!(reason, method, total_seconds, suppressed, "call refused");
        }
        "RESOURCE_EXHAUSTED" | "UNAVAILABLE" | "DEADLINE_EXCEEDED" => {
            tracing::warn!(reason, method, total_seconds, suppressed, "call refused");
        }
        _ => tracing::info!(reason, method, total_seconds, suppressed, "call refused"),
    }
}
