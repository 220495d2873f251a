//! What an execution tells of itself: its end, its look-up, its flight, what was
//! stored, and what was spent and saved.

use std::time::Duration;

use opentelemetry::KeyValue;

use super::{LookupResult, Metrics, Role, Spending, Store, Tier};
use crate::{
    event::Usage,
    telemetry::names::{otel, sparkler},
};

/// How an execution ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The registered name of its node; `_OTHER` where there is none such,
    /// `_ATTACHED` where an execution was picked up again.
    pub node_type: &'static str,
    /// What the look-up came to.
    pub cache_status: &'static str,
    /// `OK`, or the reason of its failure.
    pub reason: &'static str,
    /// From its arrival.
    pub took: Duration,
    /// From its arrival to its first output, where there was any.
    pub first_token: Option<Duration>,
}

impl Ended {
    /// The reason of a success.
    pub const OK: &str = "OK";

    /// The node type of an execution that names none of this worker's.
    pub const OTHER_NODE: &str = otel::OTHER;

    /// The node type of a call that picks an execution up again.
    pub const ATTACHED: &str = "_ATTACHED";

    /// The status of a call that came to no look-up.
    pub const NOT_LOOKED_UP: &str = "none";
}

/// An execution that counts as under way until this is dropped.
#[derive(Debug)]
pub struct Active(Metrics);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.instruments().executions_active.add(-1, &[]);
    }
}

impl Metrics {
    /// An execution is under way until what this returns is dropped.
    pub fn execution_began(&self) -> Active {
        self.instruments().executions_active.add(1, &[]);
        Active(self.clone())
    }

    /// An execution has ended, in whatever way.
    pub fn execution_ended(&self, ended: Ended) {
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

    /// A tier was asked for an answer.
    pub fn looked_up(&self, tier: Tier, came_to: LookupResult) {
        let attributes = [
            KeyValue::new(sparkler::CACHE_TIER, tier.as_str()),
            KeyValue::new(sparkler::CACHE_RESULT, came_to.as_str()),
        ];
        self.instruments().cache_lookups.add(1, &attributes);
    }

    /// An answer was to be stored in a tier.
    pub fn stored(&self, tier: Tier, store: Store) {
        let (result, reason) = match store {
            Store::Stored => ("stored", ""),
            Store::NotStored(reason) => ("not_stored", reason),
            Store::Failed => ("failed", ""),
        };
        let attributes = [
            KeyValue::new(sparkler::CACHE_TIER, tier.as_str()),
            KeyValue::new(sparkler::CACHE_RESULT, result),
            KeyValue::new(sparkler::CACHE_NOT_STORED, reason),
        ];
        self.instruments().cache_stores.add(1, &attributes);
    }

    /// An execution takes part in a flight.
    pub fn joined(&self, role: Role) {
        self.instruments().flights.add(1, &[KeyValue::new(sparkler::FLIGHT_ROLE, role.as_str())]);
    }

    /// `read` tells how many flights are under way.
    pub fn watch_flights(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.instruments().flights_active.with(read);
    }

    /// A flight has landed, which so many executions listened to.
    pub fn flight_completed(&self, listeners: u64) {
        self.instruments().flight_listeners.record(listeners, &[]);
    }

    /// A flight whose worker was lost goes on here.
    pub fn flight_taken_over(&self) {
        self.instruments().flight_takeovers.add(1, &[]);
    }

    /// A flight that was led here is led elsewhere now.
    pub fn flight_deposed(&self) {
        self.instruments().flight_deposed.add(1, &[]);
    }

    /// Tokens were used by a call of the provider, or would have been but for
    /// sharing or the cache. What the provider did not say is not counted.
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

    /// The same in money, in whole nano-dollars.
    pub fn cost(&self, spending: Spending, nanodollars: i64) {
        let kind = match spending {
            Spending::Spent => "spent",
            Spending::Saved => "saved",
        };
        let dollars = nanodollars as f64 / 1e9;
        self.instruments().cost.add(dollars, &[KeyValue::new(sparkler::COST_KIND, kind)]);
    }
}
