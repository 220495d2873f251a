//! The metrics of an execution: its outcome, its look-up, its flight, what was
//! stored, and what was spent and saved.

use std::time::Duration;

use opentelemetry::KeyValue;

use super::{LookupResult, Metrics, Role, Spending, Store, Tier};
use crate::{
    event::Usage,
    telemetry::names::{otel, sparkler},
};

/// The outcome of an execution.
#[derive(Debug, Clone, Copy)]
pub struct ExecutionEnd {
    /// The registered name of its node; `_OTHER` for an unknown one, `_ATTACHED`
    /// for a call that attached to an execution.
    pub node_type: &'static str,
    /// The result of the cache look-up.
    pub cache_status: &'static str,
    /// `OK`, or the reason of the failure.
    pub reason: &'static str,
    /// Time from arrival to end.
    pub took: Duration,
    /// Time from arrival to the first output, if there was any.
    pub first_token: Option<Duration>,
}

impl ExecutionEnd {
    /// The reason of a success.
    pub const OK: &str = "OK";

    /// The node type of an execution whose node this worker does not have.
    pub const OTHER_NODE: &str = otel::OTHER;

    /// The node type of a call that attaches to an execution.
    pub const ATTACHED: &str = "_ATTACHED";

    /// The cache status of a call that ended before its look-up.
    pub const NOT_LOOKED_UP: &str = "none";
}

/// A guard that counts an execution as active until it is dropped.
#[derive(Debug)]
pub struct Active(Metrics);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.instruments().executions_active.add(-1, &[]);
    }
}

impl Store {
    /// Returns the attributes of its count.
    pub(super) fn attributes(self, tier: Tier) -> [KeyValue; 3] {
        let (result, reason) = match self {
            Store::Stored => ("stored", ""),
            Store::NotStored(reason) => ("not_stored", reason),
            Store::Failed => ("failed", ""),
        };
        [
            KeyValue::new(sparkler::CACHE_TIER, tier.as_str()),
            KeyValue::new(sparkler::CACHE_RESULT, result),
            KeyValue::new(sparkler::CACHE_NOT_STORED, reason),
        ]
    }
}

impl Metrics {
    /// Counts an execution as active until the returned guard is dropped.
    pub fn execution_began(&self) -> Active {
        self.instruments().executions_active.add(1, &[]);
        Active(self.clone())
    }

    /// Records the end of an execution, whatever its outcome.
    pub fn execution_ended(&self, ended: ExecutionEnd) {
        let all = [
            KeyValue::new(sparkler::NODE_TYPE, ended.node_type),
            KeyValue::new(sparkler::CACHE_STATUS, ended.cache_status),
            KeyValue::new(sparkler::REASON, ended.reason),
        ];
        let instruments = self.instruments();
        instruments.executions.add(1, &all);
        instruments.execution_duration.record(ended.took.as_secs_f64(), &all[..2]);
        if let Some(first_token) = ended.first_token {
            instruments.execution_first_token.record(first_token.as_secs_f64(), &all[..2]);
        }
    }

    /// Counts a look-up in a tier.
    pub fn looked_up(&self, tier: Tier, came_to: LookupResult) {
        let attributes = [
            KeyValue::new(sparkler::CACHE_TIER, tier.as_str()),
            KeyValue::new(sparkler::CACHE_RESULT, came_to.as_str()),
        ];
        self.instruments().cache_lookups.add(1, &attributes);
    }

    /// Counts an attempt to store an answer in a tier.
    pub fn stored(&self, tier: Tier, store: Store) {
        self.instruments().cache_stores.add(1, &store.attributes(tier));
    }

    /// Counts an execution that joined a flight.
    pub fn joined(&self, role: Role) {
        self.instruments().flights.add(1, &[KeyValue::new(sparkler::FLIGHT_ROLE, role.as_str())]);
    }

    /// Registers the gauge of active flights.
    pub fn watch_flights(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.instruments().flights_active.with(read);
    }

    /// Records the subscribers of a completed flight.
    pub fn flight_completed(&self, subscribers: u64) {
        self.instruments().flight_subscribers.record(subscribers, &[]);
    }

    /// Counts a flight that this worker took over from a lost one.
    pub fn flight_taken_over(&self) {
        self.instruments().flight_takeovers.add(1, &[]);
    }

    /// Counts a flight whose lease this worker lost to another.
    pub fn flight_deposed(&self) {
        self.instruments().flight_deposed.add(1, &[]);
    }

    /// Counts the tokens of a provider request, spent or saved by sharing or the
    /// cache. Counts that the provider did not report are left out.
    pub fn tokens(&self, spending: Spending, usage: &Usage) {
        let paid = spending == Spending::Spent;
        for (kind, count) in [
            ("input", usage.prompt_tokens),
            ("output", usage.completion_tokens),
            ("cached", usage.cached_tokens),
            ("reasoning", usage.reasoning_tokens),
        ] {
            let Some(count) = count else { continue };
            let attributes = [
                KeyValue::new(sparkler::TOKEN_TYPE, kind),
                KeyValue::new(sparkler::TOKEN_PAID, paid),
            ];
            self.instruments().tokens.add(count, &attributes);
        }
    }

    /// Counts the cost likewise, in nano-dollars.
    pub fn cost(&self, spending: Spending, nanodollars: i64) {
        let kind = match spending {
            Spending::Spent => "spent",
            Spending::Saved => "saved",
        };
        let dollars = nanodollars as f64 / 1e9;
        self.instruments().cost.add(dollars, &[KeyValue::new(sparkler::COST_KIND, kind)]);
    }
}
