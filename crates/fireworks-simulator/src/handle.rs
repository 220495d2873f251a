//! The control of a simulator in the same process: scripts faults, reads and
//! awaits the report. For tests, the demo and benchmarks.

use std::{fmt, sync::Arc, time::Duration};

use crate::{report::Report, script::rule::Rule, world::World};

/// Controls a running simulator. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    world: Arc<World>,
}

/// The awaited condition was not met in time.
#[derive(Debug, thiserror::Error)]
#[error("not reached in {limit:?}; the report then was {report:#?}")]
pub struct NotReached {
    /// The time limit.
    pub limit: Duration,
    /// The report at the end.
    pub report: Box<Report>,
}

impl Handle {
    pub(crate) fn new(world: Arc<World>) -> Handle {
        Handle { world }
    }

    /// Arms a rule, after those already armed.
    pub fn script(&self, rule: Rule) {
        self.world.script.arm([rule]);
    }

    /// Disarms every rule.
    pub fn clear_script(&self) {
        self.world.script.clear();
    }

    /// Returns the rules that can still match.
    pub fn armed(&self) -> Vec<Rule> {
        self.world.script.armed()
    }

    /// Returns the current counts.
    pub fn report(&self) -> Report {
        self.world.ledger.report().borrow().clone()
    }

    /// Sets the day, from 0 at the start: models are announced to end, and end, by
    /// it.
    pub fn set_day(&self, day: i64) {
        self.world.set_day(day);
    }

    /// Resets the counts, the rules to those of the options, the day and the prompt
    /// cache. Calls under way continue and stay counted.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Waits until the report meets a condition, and returns it.
    ///
    /// The condition is evaluated on every change, under the report's lock: it
    /// must be fast.
    ///
    /// # Errors
    /// The condition was not met within the limit.
    pub async fn wait_until(
        &self,
        wanted: impl FnMut(&Report) -> bool,
        limit: Duration,
    ) -> Result<Report, NotReached> {
        let mut report = self.world.ledger.report();
        let reached = tokio::time::timeout(limit, report.wait_for(wanted)).await;
        match reached {
            Ok(Ok(report)) => Ok(report.clone()),
            // The sender is in `self.world`, so only the time can run out.
            Ok(Err(_)) | Err(_) => Err(NotReached { limit, report: Box::new(self.report()) }),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").finish_non_exhaustive()
    }
}
