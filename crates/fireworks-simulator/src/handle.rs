//! The strings of a simulator in the same process: script faults, read and
//! await the report. For tests, the demo and benchmarks.

use std::{fmt, sync::Arc, time::Duration};

use crate::{report::Report, script::rule::Rule, world::World};

/// Controls a running simulator. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    world: Arc<World>,
}

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("not reached in {limit:?}; the report then was {report:#?}")]
pub struct NotReached {
    /// How long was waited.
    pub limit: Duration,
    /// The report at the end.
    pub report: Box<Report>,
}

impl Handle {
    pub(crate) fn new(world: Arc<World>) -> Handle {
        Handle { world }
    }

    /// Arms a rule, after those that are armed.
    pub fn script(&self, rule: Rule) {
        self.world.script.arm([rule]);
    }

    /// Disarms every rule.
    pub fn clear_script(&self) {
        self.world.script.clear();
    }

    /// The rules that can still hit.
    pub fn armed(&self) -> Vec<Rule> {
        self.world.script.armed()
    }

    /// The counts now.
    pub fn report(&self) -> Report {
        self.world.ledger.report().borrow().clone()
    }

    /// Counts from zero, the rules of the options, an empty prompt cache. Calls
    /// under way go on and stay counted as such.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Waits until the report is as wanted, and returns it.
    ///
    /// The condition is asked on every change, under the report's lock: it must
    /// be quick.
    ///
    /// # Errors
    /// It did not become so within the limit.
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
