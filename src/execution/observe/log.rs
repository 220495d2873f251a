//! The log line that describes a whole call once it has ended.
//!
//! Each failure is logged here once. A recurring reason is rate limited, with a
//! count of the suppressed lines. Only the worker's own fault is logged as an
//! error; a caller's mistake is not the operator's concern. The caller's input and
//! the text of the model or the provider are never logged.

use std::time::Duration;

use tracing::Level;

use crate::execution::{
    observe::info::{CallInfo, FlightRole, dollars},
    prefixes::PromptPrefix,
    response::{Completed, Cost, Failed, Timing},
};
use crate::{
    error::{Error, Fault, MAX_LOGGED_BYTES, shorten},
    event::Usage,
    telemetry::Limiter,
};

/// Rate limit per reason.
static REPEATS: Limiter = Limiter::new(20, Duration::from_secs(10));

/// The outcome fields of a log line, beside the identity of its call.
#[derive(Default)]
pub(crate) struct LogEntry<'a> {
    model: &'a str,
    flight_role: Option<&'a FlightRole>,
    reason: &'static str,
    timing: Timing,
    usage: Usage,
    cost: Option<&'a Cost>,
    attempts: u32,
    http_status: Option<u16>,
    prefix: Option<PromptPrefix>,
}

impl<'a> LogEntry<'a> {
    /// Describes a completed execution.
    pub(crate) fn completed(flight_role: &'a FlightRole, completed: &'a Completed) -> LogEntry<'a> {
        LogEntry {
            model: &completed.model,
            flight_role: Some(flight_role),
            reason: "OK",
            timing: completed.timing,
            usage: completed.usage.unwrap_or_default(),
            cost: completed.cost.as_ref(),
            attempts: completed.attempts,
            http_status: None,
            prefix: completed.prefix,
        }
    }

    /// Describes a failed execution.
    pub(crate) fn failed(
        flight_role: &'a FlightRole,
        model: &'a str,
        failed: &'a Failed,
    ) -> LogEntry<'a> {
        LogEntry {
            model,
            flight_role: Some(flight_role),
            reason: failed.error.reason(),
            timing: failed.timing,
            usage: failed.usage.unwrap_or_default(),
            cost: failed.cost.as_ref(),
            attempts: failed.attempts,
            http_status: http_status(&failed.error),
            prefix: None,
        }
    }

    /// Describes a call refused before it had an execution.
    pub(crate) fn refused(error: &Error, total: Duration) -> LogEntry<'a> {
        let timing = Timing { total, ..Timing::default() };
        LogEntry { reason: error.reason(), timing, ..LogEntry::default() }
    }

    /// Logs a success.
    pub(crate) fn log(&self, info: &CallInfo) {
        self.write(Level::INFO, "execution completed", info, None);
    }

    /// Logs a failure, unless its reason is over the rate limit.
    pub(crate) fn log_error(&self, message: &str, error: &Error, info: &CallInfo) {
        let Some(suppressed) = REPEATS.pass(self.reason) else {
            return;
        };
        let suppressed = Some(suppressed).filter(|count| *count > 0);
        match error.fault() {
            Fault::Worker => {
                self.write(Level::ERROR, &format!("{message}: {error}"), info, suppressed);
            }
            Fault::Provider | Fault::Limit => self.write(Level::WARN, message, info, suppressed),
            Fault::Caller | Fault::Model => self.write(Level::INFO, message, info, suppressed),
        }
    }

    fn write(&self, level: Level, message: &str, info: &CallInfo, suppressed: Option<u64>) {
        let CallInfo { node_type, context, worker_id, .. } = info;
        /// `tracing` needs the level as a constant.
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    reason = self.reason,
                    node_type = some(node_type),
                    model = some(&shorten(self.model, MAX_LOGGED_BYTES)),
                    flow_id = some(&shorten(&context.flow_id, MAX_LOGGED_BYTES)),
                    run_id = some(&shorten(&context.run_id, MAX_LOGGED_BYTES)),
                    node_id = some(&shorten(&context.node_id, MAX_LOGGED_BYTES)),
                    tenant = some(&shorten(&context.tenant, MAX_LOGGED_BYTES)),
                    worker_id,
                    flight_id = self
                        .flight_role
                        .map(|flight_role| tracing::field::display(flight_role.flight)),
                    cache_status = self.flight_role.map(|flight_role| flight_role.status.as_str()),
                    queue_seconds = self.timing.queue.map(|queue| queue.as_secs_f64()),
                    first_token_seconds = self.timing.first_token.map(|first| first.as_secs_f64()),
                    total_seconds = self.timing.total.as_secs_f64(),
                    input_tokens = self.usage.prompt_tokens,
                    output_tokens = self.usage.completion_tokens,
                    cached_tokens = self.usage.cached_tokens,
                    cached_share = self.usage.cached_share(),
                    first_changed_message =
                        self.prefix.and_then(|prefix| prefix.first_changed_message),
                    tools_changed =
                        self.prefix.map(|prefix| prefix.tools_changed).filter(|changed| *changed),
                    cost_spent_usd = self.cost.map(|cost| dollars(cost.spent)),
                    cost_saved_usd = self.cost.map(|cost| dollars(cost.original - cost.spent)),
                    attempts = self.attempts,
                    http_status = self.http_status,
                    suppressed,
                    "{message}"
                )
            };
        }
        info.span.within(|| match level {
            Level::ERROR => log!(error),
            Level::WARN => log!(warn),
            _ => log!(info),
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
