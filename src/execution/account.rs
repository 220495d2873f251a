//! What an execution adds to the worker's figures: that it is under way, how it
//! ended, and what it saved. (What a call of the provider spends is told by
//! `measured`: it is spent whoever still listens.)
//!
//! Opened by the executor when an execution comes in, closed by its session.

use std::time::Duration;

use tokio::time::Instant;

use super::outcome::{CacheStatus, Completed, Timing};
use crate::metrics::{Active, Ended, Metrics, Spending};

/// An execution in the worker's figures.
#[derive(Debug)]
pub(super) struct Account {
    metrics: Metrics,
    node_type: &'static str,
    arrived: Instant,
    _active: Active,
}

impl Account {
    /// The status of an execution that came to no look-up.
    const NOT_LOOKED_UP: &str = "none";

    /// An execution has come in; its node is none of this worker's where there
    /// is no name.
    pub(super) fn open(
        metrics: &Metrics,
        node_type: Option<&'static str>,
        arrived: Instant,
    ) -> Account {
        Account {
            metrics: metrics.clone(),
            node_type: node_type.unwrap_or(Ended::OTHER_NODE),
            arrived,
            _active: metrics.execution_began(),
        }
    }

    /// It was refused before it had a flight.
    pub(super) fn refused(self, reason: &'static str) {
        self.close(Account::NOT_LOOKED_UP, reason, self.arrived.elapsed(), None);
    }

    /// It ended well. Who does not pay for the answer has saved what it cost.
    pub(super) fn completed(self, status: CacheStatus, completed: &Completed) {
        let Timing { total, first_token, .. } = completed.timing;
        self.close(status.as_str(), Ended::OK, total, first_token);
        if status.pays() {
            return;
        }
        if let Some(usage) = &completed.usage {
            self.metrics.tokens(Spending::Saved, usage);
        }
        if let Some(cost) = &completed.cost {
            self.metrics.cost(Spending::Saved, cost.original);
        }
    }

    /// It ended in a failure, or its caller has left.
    pub(super) fn failed(self, status: CacheStatus, reason: &'static str, timing: &Timing) {
        self.close(status.as_str(), reason, timing.total, timing.first_token);
    }

    /// A panic ended it.
    pub(super) fn panicked(self, status: CacheStatus, reason: &'static str, timing: &Timing) {
        self.metrics.panicked();
        self.failed(status, reason, timing);
    }

    fn close(
        &self,
        cache_status: &'static str,
        reason: &'static str,
        took: Duration,
        first_token: Option<Duration>,
    ) {
        let node_type = self.node_type;
        self.metrics.execution_ended(Ended { node_type, cache_status, reason, took, first_token });
    }
}
