//! The line of the log that tells the whole story of a call, once it has ended.
//!
//! Each failure is logged here once; a fault that repeats is logged now and
//! then, with how many lines were left out. Only the worker's own fault is an
//! error; a caller's mistake is not the operator's news. What the caller asked
//! and what the model or the provider wrote stays out.

use std::time::Duration;

use tracing::Level;

use super::{
    outcome::{Completed, Cost, Failed, Timing},
    story::{Part, Teller, dollars},
};
use crate::{
    error::{Error, Fault, shorten},
    event::Usage,
    telemetry::Limiter,
};

/// Callers' words are not longer in a line.
pub(super) const MAX_TEXT_BYTES: usize = 128;

/// Lines for one reason.
static REPEATS: Limiter = Limiter::new(20, Duration::from_secs(10));

/// What a line tells beside whose call it was.
#[derive(Default)]
pub(super) struct Line<'a> {
    model: &'a str,
    part: Option<&'a Part>,
    reason: &'static str,
    timing: Timing,
    usage: Usage,
    cost: Option<&'a Cost>,
    attempts: u32,
    http_status: Option<u16>,
}

impl<'a> Line<'a> {
    /// An execution that ended well.
    pub(super) fn completed(part: &'a Part, completed: &'a Completed) -> Line<'a> {
        Line {
            model: &completed.model,
            part: Some(part),
            reason: "OK",
            timing: completed.timing,
            usage: completed.usage.unwrap_or_default(),
            cost: completed.cost.as_ref(),
            attempts: completed.attempts,
            http_status: None,
        }
    }

    /// An execution that failed.
    pub(super) fn failed(part: &'a Part, model: &'a str, failed: &'a Failed) -> Line<'a> {
        Line {
            model,
            part: Some(part),
            reason: failed.error.reason(),
            timing: failed.timing,
            usage: failed.usage.unwrap_or_default(),
            cost: failed.cost.as_ref(),
            attempts: failed.attempts,
            http_status: http_status(&failed.error),
        }
    }

    /// A call that came to no execution.
    pub(super) fn refused(error: &Error, total: Duration) -> Line<'a> {
        let timing = Timing { total, ..Timing::default() };
        Line { reason: error.reason(), timing, ..Line::default() }
    }

    /// Tells that it went well.
    pub(super) fn tell(&self, teller: &Teller) {
        self.write(Level::INFO, "execution completed", teller, None);
    }

    /// Tells why it did not, unless that was told often enough lately.
    pub(super) fn tell_error(&self, message: &str, error: &Error, teller: &Teller) {
        let Some(suppressed) = REPEATS.pass(self.reason) else {
            return;
        };
        let suppressed = Some(suppressed).filter(|count| *count > 0);
        match error.fault() {
            Fault::Worker => {
                self.write(Level::ERROR, &format!("{message}: {error}"), teller, suppressed);
            }
            Fault::Provider | Fault::Limit => self.write(Level::WARN, message, teller, suppressed),
            Fault::Caller | Fault::Model => self.write(Level::INFO, message, teller, suppressed),
        }
    }

    fn write(&self, level: Level, message: &str, teller: &Teller, suppressed: Option<u64>) {
        let Teller { node_type, context, worker_id, .. } = teller;
        /// A level is part of a line's place in the program.
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    reason = self.reason,
                    node_type = some(node_type),
                    model = some(&shorten(self.model, MAX_TEXT_BYTES)),
                    flow_id = some(&shorten(&context.flow_id, MAX_TEXT_BYTES)),
                    run_id = some(&shorten(&context.run_id, MAX_TEXT_BYTES)),
                    node_id = some(&shorten(&context.node_id, MAX_TEXT_BYTES)),
                    tenant = some(&shorten(&context.tenant, MAX_TEXT_BYTES)),
                    worker_id,
                    execution = self.part.map(|part| tracing::field::display(part.flight)),
                    cache = self.part.map(|part| part.status.as_str()),
                    queue_seconds = self.timing.queue.map(|queue| queue.as_secs_f64()),
                    first_token_seconds = self.timing.first_token.map(|first| first.as_secs_f64()),
                    total_seconds = self.timing.total.as_secs_f64(),
                    input_tokens = self.usage.prompt_tokens,
                    output_tokens = self.usage.completion_tokens,
                    cached_tokens = self.usage.cached_tokens,
                    cost_spent_usd = self.cost.map(|cost| dollars(cost.spent)),
                    cost_saved_usd = self.cost.map(|cost| dollars(cost.original - cost.spent)),
                    attempts = self.attempts,
                    http_status = self.http_status,
                    suppressed,
                    "{message}"
                )
            };
        }
        teller.span.within(|| match level {
            Level::ERROR => tell!(error),
            Level::WARN => tell!(warn),
            _ => tell!(info),
        });
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
