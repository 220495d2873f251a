//! What is told of a call that wants an execution, or to pick one up: when it
//! has ended, once, whatever ended it. One line of the log with the whole story,
//! the same on the span of the call, and the worker's figures.
//!
//! Opened by the service as soon as there is a message, closed by whoever ends
//! the call; a story that nobody closed tells by its drop that the caller has
//! gone, or that a panic ended it.

use std::{sync::Arc, thread};

use tokio::time::Instant;

use super::{
    Executor,
    account::Account,
    inference::Trail,
    line::{Line, MAX_TEXT_BYTES},
    order::Context,
    outcome::{CacheStatus, Completed, Cost, Failed, Timing},
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

/// A call, as far as telling of it goes.
#[derive(Debug)]
pub struct Story {
    teller: Teller,
    /// Open until it is told.
    account: Option<Account>,
}

/// Whose call it is.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) span: Span,
    pub(super) node_type: String,
    pub(super) context: Arc<Context>,
    pub(super) worker_id: String,
}

/// How an execution stood to its flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Which flight.
    pub(super) flight: FlightId,
    /// Its span, where one was recorded.
    pub(super) span: Option<SpanRef>,
    /// What the cache has done.
    pub(super) status: CacheStatus,
}

impl Executor {
    /// The story of a call that has come in, told by the span of the work at
    /// hand: of one that executes a node of this type, or else picks an
    /// execution up.
    pub fn story(&self, node_type: Option<&str>, context: Arc<Context>, arrived: Instant) -> Story {
        let account = match node_type {
            Some(name) => {
                let known = self.registry.name(name).unwrap_or(Ended::OTHER_NODE);
                Account::open(&self.metrics, known, arrived)
            }
            None => Account::open_again(&self.metrics, arrived),
        };
        let node_type = shorten(node_type.unwrap_or_default(), MAX_TEXT_BYTES).into_owned();
        let worker_id = self.settings.worker_id.clone();
        let teller = Teller { span: telemetry::current(), node_type, context, worker_id };
        teller.span.has_story();
        teller.span.record(|span| teller.introduce(span));
        Story { teller, account: Some(account) }
    }
}

impl Story {
    /// Goes on with what a step came to; an error of it ends the story.
    pub fn after<T>(self, step: Result<T, Error>) -> Result<(T, Story), Error> {
        match step {
            Ok(value) => Ok((value, self)),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// It was refused before it came to an execution. Gives the error back.
    pub fn refused(mut self, error: Error) -> Error {
        self.cut_off(&error);
        error
    }

    /// It has come to an execution, which is under way from here on.
    pub(super) fn under_way(&mut self) {
        if let Some(account) = &mut self.account {
            account.under_way();
        }
    }

    /// Where in which flow the call stands.
    pub fn context(&self) -> Arc<Context> {
        self.teller.context.clone()
    }

    /// The span of the call.
    pub(super) fn span(&self) -> &Span {
        &self.teller.span
    }

    /// What the leader of the flight tells, whose span is this.
    pub(super) fn trail(&self, flight: &Span, content_bytes: Option<usize>) -> Trail {
        Trail::new(flight.clone(), self.teller.context.session_id.clone(), content_bytes)
    }

    /// It ended well.
    pub(super) fn completed(&mut self, part: &Part, completed: &Completed) {
        let Some(account) = self.account.take() else { return };
        account.completed(part.status, completed);
        self.teller.span.record(|span| {
            span.set_text(sparkler::MODEL, &completed.model);
            span.set_text(sparkler::CACHE_KEY, &completed.cache.key_fingerprint);
            span.set_some(sparkler::CACHE_AGE, completed.cache.age.map(|age| age.as_secs_f64()));
            span.set_some(sparkler::CACHE_STORED, completed.cache.stored.map(stored));
            end(span, part, &completed.timing, completed.cost.as_ref(), completed.attempts);
        });
        self.teller.link(part);
        Line::completed(part, completed).tell(&self.teller);
    }

    /// It failed.
    pub(super) fn failed(&mut self, part: &Part, model: &str, failed: &Failed) {
        let Some(account) = self.account.take() else { return };
        let reason = failed.error.reason();
        account.failed(part.status, reason, &failed.timing);
        self.teller.span.reason(reason);
        self.teller.span.record(|span| {
            span.set_text(sparkler::MODEL, &shorten(model, MAX_TEXT_BYTES));
            span.set(sparkler::PHASE, failed.phase.as_str());
            end(span, part, &failed.timing, failed.cost.as_ref(), failed.attempts);
        });
        self.teller.link(part);
        let line = Line::failed(part, model, failed);
        line.tell_error("execution failed", &failed.error, &self.teller);
    }

    /// It ended where nothing is known of its flight.
    pub(super) fn cut_off(&mut self, error: &Error) {
        let Some(account) = self.account.take() else { return };
        let took = account.refused(error.reason());
        self.teller.span.reason(error.reason());
        Line::refused(error, took).tell_error("execution refused", error, &self.teller);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.cut_off(if thread::panicking() { &Error::PANICKED } else { &Error::Cancelled });
    }
}

impl Teller {
    /// Who it is for, and where in which flow it stands.
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

    /// Who did not run the flight points to where the answer came from.
    fn link(&self, part: &Part) {
        if let Some(span) = part.span
            && !part.status.pays()
        {
            self.span.link(span, |link| link.set(sparkler::LINK, "producer"));
        }
    }
}

/// What every end has.
fn end(span: &mut Recorder<'_>, part: &Part, timing: &Timing, cost: Option<&Cost>, attempts: u32) {
    span.set(sparkler::FLIGHT, part.flight.to_string());
    span.set(sparkler::CACHE_STATUS, part.status.as_str());
    span.set_some(sparkler::FLIGHT_ROLE, role(part.status));
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

pub(super) fn dollars(nanodollars: crate::price::Nanodollars) -> f64 {
    nanodollars as f64 / 1e9
}
