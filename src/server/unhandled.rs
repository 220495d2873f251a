//! The log lines and counts of calls that nobody told the story of: they were
//! refused, or their callers left, before anything was known of them; or they
//! asked for no execution. Called by `server`, once such a call has ended.
//!
//! Only the worker's own fault is an error; a caller's mistake is not the
//! operator's news. What the caller wrote stays out. A fault that repeats is
//! logged now and then.

use std::time::Duration;

use crate::{
    metrics::{self, Metrics},
    telemetry::{Ended, Limiter},
};

/// Lines for one reason.
static REPEATS: Limiter = Limiter::new(20, Duration::from_secs(10));

/// Counts a call that wanted an execution, and logs one that failed.
pub(crate) fn record_unhandled_call(call: &Ended, metrics: &Metrics) {
    if call.status == "OK" {
        return;
    }
    let reason = reason(call);
    if let Some(node_type) = node_type(call.method) {
        metrics.execution_ended(metrics::Ended {
            node_type,
            cache_status: metrics::Ended::NOT_LOOKED_UP,
            reason,
            took: call.took,
            first_token: None,
        });
    }
    if let Some(suppressed) = REPEATS.pass(reason) {
        log(call, reason, Some(suppressed).filter(|count| *count > 0));
    }
}

/// A caller that has gone is told of as everywhere.
fn reason(call: &Ended) -> &'static str {
    match (call.reason, call.status) {
        (Some(reason), _) => reason,
        (None, "CANCELLED") => "EXECUTION_CANCELLED",
        (None, status) => status,
    }
}

/// What a call that wanted an execution counts as.
fn node_type(method: &str) -> Option<&'static str> {
    match method.rsplit('/').next()? {
        "ExecuteNode" => Some(metrics::Ended::OTHER_NODE),
        "AttachExecution" => Some(metrics::Ended::ATTACHED),
        _ => None,
    }
}

fn log(call: &Ended, reason: &'static str, suppressed: Option<u64>) {
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
