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
    Executor,
    observe::log::{LogEntry, MAX_TEXT_BYTES},
    observe::metrics::CallMetrics,
    observe::spans::FlightSpans,
    request::Context,
    response::{CacheStatus, Completed, Cost, Failed, Timing},
};
use crate::{
    error::{Error, shorten},
    flight::Stored,
    metrics::Ended,
    recording::FlightId,
    telemetry::{
        self, Recorder, Span, SpanRef,
        names::{otel, sparkler},
    },
};

/// The record of a call.
#[derive(Debug)]
pub struct CallRecord {
    info: CallInfo,
    /// Taken when the call ends.
    metrics: Option<CallMetrics>,
}

/// The identity of a call.
#[derive(Debug)]
pub(crate) struct CallInfo {
    pub(crate) span: Span,
    pub(crate) node_type: String,
    pub(crate) context: Arc<Context>,
    pub(crate) worker_id: String,
}

/// The relation of an execution to its flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlightRole {
    /// The flight's id.
    pub(crate) flight: FlightId,
    /// The flight's span, if one was recorded.
    pub(crate) span: Option<SpanRef>,
    /// The result of the cache look-up.
    pub(crate) status: CacheStatus,
}

impl Executor {
    /// Opens the record of an incoming call on the current span. `node_type` is
    /// `None` for a call that resumes an execution.
    pub fn record(
        &self,
        node_type: Option<&str>,
        context: Arc<Context>,
        arrived: Instant,
    ) -> CallRecord {
        let metrics = match node_type {
            Some(name) => {
                let known = self.registry.name(name).unwrap_or(Ended::OTHER_NODE);
                CallMetrics::open(&self.metrics, known, arrived)
            }
            None => CallMetrics::open_again(&self.metrics, arrived),
        };
        let node_type = shorten(node_type.unwrap_or_default(), MAX_TEXT_BYTES).into_owned();
        let worker_id = self.settings.worker_id.clone();
        let info = CallInfo { span: telemetry::current(), node_type, context, worker_id };
        info.span.set_recorded();
        info.span.record(|span| info.introduce(span));
        CallRecord { info, metrics: Some(metrics) }
    }
}

impl CallRecord {
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
            span.set_text(sparkler::MODEL, &shorten(model, MAX_TEXT_BYTES));
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

impl CallInfo {
    /// Sets the identity of the call and its position in the flow.
    fn introduce(&self, span: &mut Recorder<'_>) {
        let Context { flow_id, run_id, node_id, session_id, tenant, attempt, labels } =
            &*self.context;
        span.set_text(sparkler::NODE_TYPE, &self.node_type);
        span.set_text(sparkler::FLOW, flow_id);
        span.set_text(sparkler::RUN, run_id);
        span.set_text(sparkler::NODE, node_id);
        span.set_text(sparkler::TENANT, tenant);
        span.set_text(otel::CONVERSATION, session_id);
        if *attempt > 0 {
            span.set(sparkler::ORCHESTRATOR_ATTEMPT, i64::from(*attempt));
        }
        for (label, value) in labels {
            span.set(format!("{}{label}", sparkler::LABEL_PREFIX), value.clone());
        }
    }

    /// Links a call that did not run the flight to the span that produced the
    /// answer.
    fn link(&self, flight_role: &FlightRole) {
        if let Some(span) = flight_role.span
            && !flight_role.status.pays()
        {
            self.span.link(span, |link| link.set(sparkler::LINK, "producer"));
        }
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

pub(crate) fn dollars(nanodollars: crate::price::Nanodollars) -> f64 {
    nanodollars as f64 / 1e9
}
