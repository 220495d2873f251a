//! The metrics of one call: executions in progress, their outcome, and their
//! savings. `upstream` counts the cost of provider requests: it is paid even if no
//! subscriber is left.

use std::time::Duration;

use tokio::time::Instant;

use crate::execution::response::{CacheStatus, Completed, Timing};
use crate::metrics::{Active, ExecutionEnd, Metrics, Spending};

/// The metrics of a call that has not ended.
#[derive(Debug)]
pub(crate) struct CallMetrics {
    metrics: Metrics,
    node_type: &'static str,
    arrived: Instant,
    active: Option<Active>,
}

impl CallMetrics {
    /// Starts measuring a call that executes a node.
    pub(crate) fn open(
        metrics: &Metrics,
        node_type: &'static str,
        arrived: Instant,
    ) -> CallMetrics {
        CallMetrics { metrics: metrics.clone(), node_type, arrived, active: None }
    }

    /// Starts measuring a call that resumes an execution.
    pub(crate) fn open_again(metrics: &Metrics, arrived: Instant) -> CallMetrics {
        CallMetrics::open(metrics, ExecutionEnd::ATTACHED, arrived)
    }

    /// Counts the call as an execution in progress.
    pub(crate) fn under_way(&mut self) {
        self.active = Some(self.metrics.execution_began());
    }

    /// Records a refusal before there was a flight. Returns the call's duration.
    pub(crate) fn refused(mut self, reason: &'static str) -> Duration {
        let took = self.arrived.elapsed();
        self.close(ExecutionEnd::NOT_LOOKED_UP, reason, took, None);
        took
    }

    /// Records a completed execution. One that does not pay for the answer saves
    /// its cost; a resumed execution has already counted its savings.
    pub(crate) fn completed(mut self, status: CacheStatus, completed: &Completed) {
        let Timing { total, first_token, .. } = completed.timing;
        self.close(status.as_str(), ExecutionEnd::OK, total, first_token);
        if self.node_type == ExecutionEnd::ATTACHED {
            return;
        }
        if let Some(usage) = &completed.saved {
            self.metrics.tokens(Spending::Saved, usage);
        }
        if let Some(cost) = completed.cost.as_ref().filter(|cost| cost.original > cost.spent) {
            self.metrics.cost(Spending::Saved, cost.original - cost.spent);
        }
    }

    /// Records an execution that failed, or whose caller has left.
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
        self.metrics.execution_ended(ExecutionEnd {
            node_type,
            cache_status,
            reason,
            took,
            first_token,
        });
    }
}
