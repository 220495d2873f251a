//! The record of one call to execute a node or to resume an execution, written
//! exactly once when the call ends: one log line, the attributes of the call's
//! span, and the metrics.
//!
//! Opened as soon as the message is read, closed by the code that ends the call. A
//! record that is dropped unclosed reports that the caller left, or that a panic
//! ended the call.

use std::{sync::Arc, thread};

use tokio::time::Instant;

use crate::execution::{
    Services,
    observe::info::{CallInfo, FlightRole, dollars},
    observe::log::LogEntry,
    observe::metrics::CallMetrics,
    observe::spans::FlightSpans,
    prefixes::PromptPrefix,
    request::Context,
    response::{CacheStatus, Completed, Cost, Failed, Timing},
};
use crate::{
    error::{Error, MAX_LOGGED_BYTES, shorten},
    flight::Stored,
    metrics::ExecutionEnd,
    telemetry::{self, Recorder, Span, names::sparkler},
};

/// The record of a call.
#[derive(Debug)]
pub struct CallRecord {
    info: CallInfo,
    /// Taken when the call ends.
    metrics: Option<CallMetrics>,
}

impl CallRecord {
    /// Opens the record of an incoming call on the current span. `node_type` is
    /// `None` for a call that resumes an execution.
    pub(crate) fn open(
        services: &Services,
        node_type: Option<&str>,
        context: Arc<Context>,
        arrived: Instant,
    ) -> CallRecord {
        let metrics = match node_type {
            Some(name) => {
                let known = services.registry.name(name).unwrap_or(ExecutionEnd::OTHER_NODE);
                CallMetrics::open(&services.metrics, known, arrived)
            }
            None => CallMetrics::open_again(&services.metrics, arrived),
        };
        let node_type = shorten(node_type.unwrap_or_default(), MAX_LOGGED_BYTES).into_owned();
        let worker_id = services.settings.worker_id.clone();
        let info = CallInfo { span: telemetry::current(), node_type, context, worker_id };
        info.span.set_recorded();
        info.span.record(|span| info.introduce(span));
        CallRecord { info, metrics: Some(metrics) }
    }

    /// Passes a step's value on with the record; an error of the step ends the
    /// record.
    pub fn after<T>(self, step: Result<T, Error>) -> Result<(T, CallRecord), Error> {
        match step {
            Ok(value) => Ok((value, self)),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Ends the record of a call refused before it had an execution. Returns the
    /// error.
    pub fn refused(mut self, error: Error) -> Error {
        self.cut_off(&error);
        error
    }

    /// Marks the call as an execution in progress.
    pub(crate) fn under_way(&mut self) {
        if let Some(metrics) = &mut self.metrics {
            metrics.under_way();
        }
    }

    /// Returns the position of the call in its flow.
    pub fn context(&self) -> Arc<Context> {
        self.info.context.clone()
    }

    /// Returns the span of the call.
    pub(crate) fn span(&self) -> &Span {
        &self.info.span
    }

    /// Returns the spans of the flight that this call leads.
    pub(crate) fn spans(&self, flight: &Span, content_bytes: Option<usize>) -> FlightSpans {
        FlightSpans::new(flight.clone(), self.info.context.session_id.clone(), content_bytes)
    }

    /// Ends the record of a completed execution.
    pub(crate) fn completed(&mut self, flight_role: &FlightRole, completed: &Completed) {
        let Some(metrics) = self.metrics.take() else { return };
        metrics.completed(flight_role.status, completed);
        self.info.span.record(|span| {
            span.set_text(sparkler::MODEL, &completed.model);
            span.set_text(sparkler::CACHE_KEY, &completed.cache.key_fingerprint);
            span.set_some(sparkler::CACHE_AGE, completed.cache.age.map(|age| age.as_secs_f64()));
            span.set_some(sparkler::CACHE_STORED, completed.cache.stored.map(stored));
            prompt_prefix(span, completed.prefix);
            end(span, flight_role, &completed.timing, completed.cost.as_ref(), completed.attempts);
        });
        self.info.link(flight_role);
        LogEntry::completed(flight_role, completed).log(&self.info);
    }

    /// Ends the record of a failed execution.
    pub(crate) fn failed(&mut self, flight_role: &FlightRole, model: &str, failed: &Failed) {
        let Some(metrics) = self.metrics.take() else { return };
        let reason = failed.error.reason();
        metrics.failed(flight_role.status, reason, &failed.timing);
        self.info.span.reason(reason);
        self.info.span.record(|span| {
            span.set_text(sparkler::MODEL, &shorten(model, MAX_LOGGED_BYTES));
            span.set(sparkler::PHASE, failed.phase.as_str());
            end(span, flight_role, &failed.timing, failed.cost.as_ref(), failed.attempts);
        });
        self.info.link(flight_role);
        let line = LogEntry::failed(flight_role, model, failed);
        line.log_error("execution failed", &failed.error, &self.info);
    }

    /// Ends the record of a call without a known flight.
    pub(crate) fn cut_off(&mut self, error: &Error) {
        let Some(metrics) = self.metrics.take() else { return };
        let took = metrics.refused(error.reason());
        self.info.span.reason(error.reason());
        LogEntry::refused(error, took).log_error("execution refused", error, &self.info);
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.cut_off(if thread::panicking() { &Error::PANICKED } else { &Error::Cancelled });
    }
}

/// Sets the attributes common to every outcome.
fn end(
    span: &mut Recorder<'_>,
    flight_role: &FlightRole,
    timing: &Timing,
    cost: Option<&Cost>,
    attempts: u32,
) {
    span.set(sparkler::FLIGHT, flight_role.flight.to_string());
    span.set(sparkler::CACHE_STATUS, flight_role.status.as_str());
    span.set_some(sparkler::FLIGHT_ROLE, role(flight_role.status));
    span.set(sparkler::ATTEMPTS, i64::from(attempts));
    let first = timing.first_token.map(|first| first.as_secs_f64());
    span.set_some(sparkler::TIME_TO_FIRST_TOKEN, first);
    if let Some(cost) = cost {
        span.set(sparkler::COST_SPENT, dollars(cost.spent));
        span.set(sparkler::COST_SAVED, dollars(cost.original - cost.spent));
    }
}

/// Sets where the prompt departs from that of the session's last call.
fn prompt_prefix(span: &mut Recorder<'_>, prefix: Option<PromptPrefix>) {
    let Some(prefix) = prefix else { return };
    span.set(sparkler::PREVIOUS_MESSAGES, i64::from(prefix.previous_messages));
    span.set_some(sparkler::FIRST_CHANGED_MESSAGE, prefix.first_changed_message.map(i64::from));
    if prefix.tools_changed {
        span.set(sparkler::TOOLS_CHANGED, true);
    }
}

fn role(status: CacheStatus) -> Option<&'static str> {
    match status {
        CacheStatus::Hit => None,
        CacheStatus::Joined => Some("follower"),
        _ => Some("leader"),
    }
}

fn stored(stored: Stored) -> &'static str {
    match stored {
        Stored::Stored => "stored",
        Stored::NotStored(why) => why,
    }
}
