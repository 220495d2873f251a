//! Creates series before their first event: a rate over a series that appears with
//! its first event misses that event. Covers the combinations of closed sets. A
//! failure of an execution has its series from the start if alerts count it, and with
//! its first event if it is the caller's mistake; a model always has with its first.

use opentelemetry::KeyValue;

use super::{
    Command, Cooldown, ExecutionEnd, Handshake, Limit, LookupResult, Metrics, Role, Spending,
    Store, Tier,
};
use crate::{
    error::{Deadline, Error, ProviderErrorKind},
    event::Usage,
    telemetry::names::sparkler,
};

impl Metrics {
    pub(super) fn start_series(&self) {
        let instruments = self.instruments();
        instruments.executions_active.add(0, &[]);
        for counter in [
            &instruments.flight_takeovers,
            &instruments.flight_deposed,
            &instruments.drain_cut_executions,
            &instruments.panics,
        ] {
            counter.add(0, &[]);
        }
        self.start_attempts();
        self.start_cache();
        self.start_refusals();
        self.start_spending();
    }

    fn start_attempts(&self) {
        let refused = ProviderErrorKind::ALL.map(ProviderErrorKind::reason);
        let overdue = Deadline::ALL.map(Deadline::reason);
        let others = [ExecutionEnd::OK, Error::Cancelled.reason()];
        for reason in refused.into_iter().chain(overdue).chain(others) {
            let attributes = [KeyValue::new(sparkler::REASON, reason)];
            self.instruments().upstream_attempts.add(0, &attributes);
        }
    }

    fn start_cache(&self) {
        let instruments = self.instruments();
        for tier in [Tier::Memory, Tier::Redis] {
            for store in [Store::Stored, Store::Failed] {
                instruments.cache_stores.add(0, &store.attributes(tier));
            }
        }
        for tier in Tier::ALL {
            for result in LookupResult::ALL {
                let attributes = [
                    KeyValue::new(sparkler::CACHE_TIER, tier.as_str()),
                    KeyValue::new(sparkler::CACHE_RESULT, result.as_str()),
                ];
                instruments.cache_lookups.add(0, &attributes);
            }
        }
        for role in Role::ALL {
            instruments.flights.add(0, &[KeyValue::new(sparkler::FLIGHT_ROLE, role.as_str())]);
        }
    }

    fn start_refusals(&self) {
        let instruments = self.instruments();
        for limit in Limit::ALL {
            let attributes = [KeyValue::new(sparkler::ADMISSION_LIMIT, limit.as_str())];
            instruments.admission_refusals.add(0, &attributes);
        }
        for kind in Cooldown::ALL {
            let attributes = [KeyValue::new(sparkler::COOLDOWN_KIND, kind.as_str())];
            instruments.cooldowns.add(0, &attributes);
        }
        for cause in Handshake::ALL {
            let attributes = [KeyValue::new(sparkler::HANDSHAKE_CAUSE, cause.as_str())];
            instruments.handshakes_failed.add(0, &attributes);
        }
    }

    fn start_spending(&self) {
        let none = Usage {
            prompt_tokens: Some(0),
            completion_tokens: Some(0),
            total_tokens: Some(0),
            cached_tokens: Some(0),
            reasoning_tokens: Some(0),
        };
        for spending in [Spending::Spent, Spending::Saved] {
            self.tokens(spending, &none);
            self.cost(spending, 0);
        }
    }

    /// Starts the counts of a worker that uses Redis at zero; `causes` are those of
    /// [`redis_refused`](Metrics::redis_refused).
    pub fn redis_is_used(&self, causes: impl IntoIterator<Item = &'static str>) {
        self.redis_reachable(false);
        let instruments = self.instruments();
        for result in Command::ALL {
            let attributes = [KeyValue::new(sparkler::REDIS_RESULT, result.as_str())];
            instruments.redis_commands.add(0, &attributes);
        }
        for cause in causes {
            instruments.redis_refusals.add(0, &[KeyValue::new(sparkler::REDIS_CAUSE, cause)]);
        }
    }

    /// Starts the execution counts of a node type at zero: the successes of each of
    /// these cache statuses, and the failures of those and of calls that end before
    /// their look-up.
    pub fn node_is_served(&self, name: &'static str, statuses: &[&'static str]) {
        let start = |status: &'static str, reason: &'static str| {
            let attributes = [
                KeyValue::new(sparkler::NODE_TYPE, name),
                KeyValue::new(sparkler::CACHE_STATUS, status),
                KeyValue::new(sparkler::REASON, reason),
            ];
            self.instruments().executions.add(0, &attributes);
        };
        for status in statuses {
            start(status, ExecutionEnd::OK);
        }
        for status in statuses.iter().chain([&ExecutionEnd::NOT_LOOKED_UP]) {
            for reason in Error::NOT_THE_CALLERS {
                start(status, reason);
            }
        }
    }
}
