//! What a call adds to the worker's figures: that an execution is under way, how
//! it ended, and what it saved. (What a call of the provider spends is told by
//! `measured`: it is spent whoever still listens.)
//!
//! Opened and closed by the call's story.

use std::time::Duration;

use tokio::time::Instant;

use crate::execution::response::{CacheStatus, Completed, Timing};
use crate::metrics::{Active, Ended, Metrics, Spending};

/// A call in the worker's figures.
#[derive(Debug)]
pub(crate) struct CallMetrics {
    metrics: Metrics,
    node_type: &'static str,
    arrived: Instant,
    active: Option<Active>,
}

impl CallMetrics {
    /// A call has come in that executes a node.
    pub(crate) fn open(
        metrics: &Metrics,
        node_type: &'static str,
        arrived: Instant,
    ) -> CallMetrics {
        CallMetrics { metrics: metrics.clone(), node_type, arrived, active: None }
    }

    /// A call has come in that picks an execution up again.
    pub(crate) fn open_again(metrics: &Metrics, arrived: Instant) -> CallMetrics {
        CallMetrics::open(metrics, Ended::ATTACHED, arrived)
    }

    /// It is an execution from here on.
    pub(crate) fn under_way(&mut self) {
        self.active = Some(self.metrics.execution_began());
    }

    /// It was refused before it had a flight; says when.
    pub(crate) fn refused(mut self, reason: &'static str) -> Duration {
        let took = self.arrived.elapsed();
        self.close(Ended::NOT_LOOKED_UP, reason, took, None);
        took
    }

    /// It ended well. Who does not pay for the answer has saved what it cost;
    /// an execution that was picked up again has saved it once.
    pub(crate) fn completed(mut self, status: CacheStatus, completed: &Completed) {
        let Timing { total, first_token, .. } = completed.timing;
        self.close(status.as_str(), Ended::OK, total, first_token);
        if status.pays() || self.node_type == Ended::ATTACHED {
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
    pub(crate) fn failed(mut self, status: CacheStatus, reason: &'static str, timing: &Timing) {
        self.close(status.as_str(), reason, timing.total, timing.first_token);
    }

    fn close(
        &mut self,
        cache_status: &'static str,
        reason: &'static str,
        took: Duration,
        first_token: Option<Duration>,
    ) {
        self.active = None;
        let node_type = self.node_type;
        self.metrics.execution_ended(Ended { node_type, cache_status, reason, took, first_token });
    }
}
