//! What is told of an execution when it has ended: one line of the log with the
//! whole story, and the same on the span of its call.
//!
//! Each failure is logged here once; a fault that repeats is logged now and
//! then, with how many lines were left out. Only the worker's own fault is an
//! error; a caller's mistake is not the operator's news. What the caller asked
//! and what the model or the provider wrote stays out.

use std::time::Duration;

use super::{
    inference::Trail,
    order::{Context, Order},
    outcome::{CacheStatus, Completed, Cost, Failed, Timing},
};
use crate::{
    error::{Error, Fault, shorten},
    event::Usage,
    flight::Stored,
    recording::FlightId,
    telemetry::{
        self, Limiter, Recorder, Span, SpanRef,
        names::{otel, sparkler},
    },
};

/// Callers' words are not longer in a line.
const MAX_TEXT_BYTES: usize = 128;

/// Lines for one reason.
static REPEATS: Limiter = Limiter::new(20, Duration::from_secs(10));

/// An execution, as far as telling of it goes.
#[derive(Debug)]
pub(super) struct Story {
    span: Span,
    node_type: String,
    context: Context,
    worker_id: String,
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

/// What a line tells beside whose execution it was.
struct Line<'a> {
    model: &'a str,
    part: &'a Part,
    reason: &'static str,
    timing: &'a Timing,
    usage: Usage,
    cost: Option<&'a Cost>,
    attempts: u32,
    http_status: Option<u16>,
}

impl Story {
    /// The story of an order, told by the span of the work at hand.
    pub(super) fn begin(order: &Order, worker_id: &str) -> Story {
        Story::of(&order.node_type, order.context.clone(), worker_id)
    }

    /// The same of somebody who listens again.
    pub(super) fn again(context: Context, worker_id: &str) -> Story {
        Story::of("", context, worker_id)
    }

    fn of(node_type: &str, context: Context, worker_id: &str) -> Story {
        let span = telemetry::current();
        let node_type = shorten(node_type, MAX_TEXT_BYTES);
        let story = Story { span, node_type, context, worker_id: worker_id.to_owned() };
        story.span.record(|span| story.introduce(span));
        story
    }

    /// The span of the call.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// What the leader of the flight tells, whose span is this.
    pub(super) fn trail(&self, flight: &Span, content_bytes: Option<usize>) -> Trail {
        Trail::new(flight.clone(), self.context.session_id.clone(), content_bytes)
    }

    /// It ended well.
    pub(super) fn completed(&self, part: &Part, completed: &Completed) {
        self.span.record(|span| {
            span.set_text(sparkler::MODEL, &completed.model);
            span.set_text(sparkler::CACHE_KEY, &completed.cache.key_fingerprint);
            span.set_some(sparkler::CACHE_AGE, completed.cache.age.map(|age| age.as_secs_f64()));
            span.set_some(sparkler::CACHE_STORED, completed.cache.stored.map(stored));
            end(span, part, &completed.timing, completed.cost.as_ref(), completed.attempts);
        });
        self.link(part);
        let line = Line {
            model: &completed.model,
            part,
            reason: "OK",
            timing: &completed.timing,
            usage: completed.usage.unwrap_or_default(),
            cost: completed.cost.as_ref(),
            attempts: completed.attempts,
            http_status: None,
        };
        self.line(tracing::Level::INFO, "execution completed", &line, None);
    }

    /// It failed.
    pub(super) fn failed(&self, part: &Part, model: &str, failed: &Failed) {
        let reason = failed.error.reason();
        self.span.reason(reason);
        self.span.record(|span| {
            span.set_text(sparkler::MODEL, &shorten(model, MAX_TEXT_BYTES));
            span.set(sparkler::PHASE, failed.phase.as_str());
            end(span, part, &failed.timing, failed.cost.as_ref(), failed.attempts);
        });
        self.link(part);
        let line = Line {
            model,
            part,
            reason,
            timing: &failed.timing,
            usage: failed.usage.unwrap_or_default(),
            cost: failed.cost.as_ref(),
            attempts: failed.attempts,
            http_status: http_status(&failed.error),
        };
        let Some(suppressed) = REPEATS.pass(reason) else {
            return;
        };
        match failed.error.fault() {
            Fault::Worker => {
                let message = format!("execution failed: {}", failed.error);
                self.line(tracing::Level::ERROR, &message, &line, Some(suppressed));
            }
            Fault::Provider | Fault::Limit => {
                self.line(tracing::Level::WARN, "execution failed", &line, Some(suppressed));
            }
            Fault::Caller | Fault::Model => {
                self.line(tracing::Level::INFO, "execution failed", &line, Some(suppressed));
            }
        }
    }

    /// Who it is for, and where in which flow it stands.
    fn introduce(&self, span: &mut Recorder) {
        let Context { flow_id, run_id, node_id, session_id, tenant, attempt, labels } =
            &self.context;
        span.set_text(sparkler::NODE_TYPE, &self.node_type);
        span.set_text(sparkler::WORKER, &self.worker_id);
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

    fn line(&self, level: tracing::Level, message: &str, line: &Line<'_>, suppressed: Option<u64>) {
        /// A level is part of a line's place in the program.
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    reason = line.reason,
                    node_type = some(&self.node_type),
                    model = some(&shorten(line.model, MAX_TEXT_BYTES)),
                    flow_id = some(&shorten(&self.context.flow_id, MAX_TEXT_BYTES)),
                    run_id = some(&shorten(&self.context.run_id, MAX_TEXT_BYTES)),
                    node_id = some(&shorten(&self.context.node_id, MAX_TEXT_BYTES)),
                    tenant = some(&shorten(&self.context.tenant, MAX_TEXT_BYTES)),
                    worker_id = self.worker_id,
                    execution = %line.part.flight,
                    cache = line.part.status.as_str(),
                    queue_seconds = line.timing.queue.map(|queue| queue.as_secs_f64()),
                    first_token_seconds = line.timing.first_token.map(|first| first.as_secs_f64()),
                    total_seconds = line.timing.total.as_secs_f64(),
                    input_tokens = line.usage.prompt_tokens,
                    output_tokens = line.usage.completion_tokens,
                    cached_tokens = line.usage.cached_tokens,
                    cost_spent_usd = line.cost.map(|cost| dollars(cost.spent)),
                    cost_saved_usd = line.cost.map(|cost| dollars(cost.original - cost.spent)),
                    attempts = line.attempts,
                    http_status = line.http_status,
                    suppressed = suppressed.filter(|count| *count > 0),
                    "{message}"
                )
            };
        }
        self.span.within(|| match level {
            tracing::Level::ERROR => tell!(error),
            tracing::Level::WARN => tell!(warn),
            _ => tell!(info),
        });
    }
}

/// What every end has.
fn end(span: &mut Recorder, part: &Part, timing: &Timing, cost: Option<&Cost>, attempts: u32) {
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

fn http_status(error: &Error) -> Option<u16> {
    match error {
        Error::Provider(provider) => provider.http_status,
        _ => None,
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn dollars(nanodollars: crate::price::Nanodollars) -> f64 {
    nanodollars as f64 / 1e9
}
