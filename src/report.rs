//! The log lines of calls that are refused before anything of them has begun.
//! What has begun tells its own story when it ends.
//!
//! Each error is logged once. Only the worker's own fault is an error; a
//! caller's mistake is not the operator's news. What the caller wrote stays
//! out. A fault that repeats is logged now and then.

use std::time::Duration;

use crate::{
    error::{Error, Fault},
    telemetry::Limiter,
};

/// Lines for one reason.
static REPEATS: Limiter = Limiter::new(20, Duration::from_secs(10));

/// A call was refused.
pub(crate) fn refused(error: &Error) {
    let reason = error.reason();
    let Some(suppressed) = REPEATS.pass(reason) else {
        return;
    };
    let suppressed = (suppressed > 0).then_some(suppressed);
    match error.fault() {
        Fault::Worker => tracing::error!(reason, suppressed, "call refused: {error}"),
        Fault::Provider | Fault::Limit => tracing::warn!(reason, suppressed, "call refused"),
        Fault::Caller | Fault::Model => tracing::info!(reason, suppressed, "call refused"),
    }
}
