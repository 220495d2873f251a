//! Creates series before their first event: a rate over a series that appears with
//! its first event misses that event. Covers the combinations of closed sets; a
//! reason or a model gets its series with its first event.

use opentelemetry::KeyValue;

use super::{Cooldown, Ended, Limit, LookupResult, Metrics, Role, Spending, Tier};
use crate::{event::Usage, telemetry::names::sparkler};

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
        let succeeded = [KeyValue::new(sparkler::REASON, Ended::OK)];
        instruments.upstream_attempts.add(0, &succeeded);
        self.start_cache();
        self.start_refusals();
        self.start_spending();
    }

    fn start_cache(&self) {
        let instruments = self.instruments();
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

    /// Starts the execution counts of a node type at zero, for each of these cache
    /// statuses.
    pub fn node_is_served(&self, name: &'static str, statuses: &[&'static str]) {
        for status in statuses {
            let attributes = [
                KeyValue::new(sparkler::NODE_TYPE, name),
                KeyValue::new(sparkler::CACHE_STATUS, *status),
                KeyValue::new(sparkler::REASON, Ended::OK),
            ];
            self.instruments().executions.add(0, &attributes);
        }
    }
}
