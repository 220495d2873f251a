//! The worker's lifecycle from serving to stopped, and the owner of its tasks.
//! Depends on no other module.
//!
//! Every task of the worker is spawned here, so that draining can wait for it and
//! nothing outlives the worker by accident.

mod expiry;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::expiry::Expiries;
pub(crate) use self::expiry::{Expire, Expiry};

/// The stages of a worker's life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Accepts every call.
    Serving,
    /// Reports unhealthy so that load balancers turn away, and still accepts calls.
    Leaving,
    /// Accepts nothing new; running executions may finish.
    Draining,
    /// Aborts whatever is still running.
    Stopping,
}

/// The time limits of a graceful stop.
#[derive(Debug, Clone, Copy)]
pub struct DrainLimits {
    /// The time for which the worker still accepts calls, so that load balancers
    /// can stop sending them.
    pub pre_drain_delay: Duration,
    /// The time that executions then have to finish before they are aborted.
    pub drain_limit: Duration,
}

impl Default for DrainLimits {
    fn default() -> DrainLimits {
        DrainLimits { pre_drain_delay: Duration::ZERO, drain_limit: Duration::from_secs(60) }
    }
}

/// The worker's lifecycle. Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    stage: watch::Sender<Stage>,
    tasks: TaskTracker,
    aborted: CancellationToken,
    expiries: Expiries,
}

impl Lifecycle {
    /// Creates the lifecycle of a worker that is serving.
    pub fn new() -> Lifecycle {
        Lifecycle {
            stage: watch::Sender::new(Stage::Serving),
            tasks: TaskTracker::new(),
            aborted: CancellationToken::new(),
            expiries: Expiries::default(),
        }
    }

    /// Returns the current stage.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Advances to a later stage; an earlier one is ignored.
    pub fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = to > *stage;
            *stage = to.max(*stage);
            later
        });
    }

    /// Resolves when the worker has reached `stage` or a later one. Cancel safe.
    pub async fn reached(&self, stage: Stage) {
        let mut changes = self.stage.subscribe();
        // The sender is in `self`, so waiting cannot fail.
        let _ = changes.wait_for(|current| *current >= stage).await;
    }

    /// Spawns a task that draining waits for. After [`abort`](Lifecycle::abort) the
    /// task is dropped at its next await.
    #[expect(clippy::disallowed_methods, reason = "this is the place that spawns")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let aborted = self.aborted.clone();
        // Boxed before it is wrapped, so that the wrappers move a pointer, not the
        // future.
        let task = Box::pin(task);
        let task = async move {
            tokio::select! {
                () = task => {}
                () = aborted.cancelled_owned() => {}
            }
        };
        tokio::spawn(self.tasks.track_future(task));
    }

    /// Expires `value` at `deadline`, unless the returned guard is dropped earlier or the
    /// worker stops.
    pub(crate) fn expire_at(&self, deadline: Instant, value: Arc<dyn Expire>) -> Expiry {
        if self.expiries.is_first() {
            self.spawn(self.expiries.clone().watch());
        }
        self.expiries.add(deadline, value)
    }

    /// Resolves when every task has ended. Closes the tracker first.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Drops every task at its next await.
    pub fn abort(&self) {
        self.aborted.cancel();
    }
}

impl Default for Lifecycle {
    fn default() -> Lifecycle {
        Lifecycle::new()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn stages_only_go_forward() {
        let lifecycle = Lifecycle::new();
        lifecycle.advance(Stage::Draining);
        lifecycle.advance(Stage::Leaving);
        assert_eq!(lifecycle.stage(), Stage::Draining);
        lifecycle.reached(Stage::Leaving).await;
    }

    #[tokio::test]
    async fn idle_waits_for_tasks_and_abort_ends_them() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn(pending());
        let idle = lifecycle.idle();
        tokio::pin!(idle);
        assert!(futures_util::poll!(&mut idle).is_pending());
        lifecycle.abort();
        idle.await;
    }
}
