//! Who may start work, and what runs: the worker's life from serving to
//! stopped. Stands beside everything and knows nothing of it.
//!
//! Every task of the worker is spawned here, so that draining can wait for it
//! and nothing outlives the worker by accident.

use std::{future::Future, time::Duration};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Where the worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Takes everything.
    Serving,
    /// Tells balancers to go elsewhere, and still takes what comes.
    Leaving,
    /// Takes nothing new; what runs may end.
    Draining,
    /// Whatever still runs is being ended.
    Stopping,
}

/// How long stopping may take.
#[derive(Debug, Clone, Copy)]
pub struct DrainLimits {
    /// How long the worker still takes calls, so that balancers can look away.
    pub pre_drain_delay: Duration,
    /// How long executions may then run on before they are ended.
    pub drain_limit: Duration,
}

impl Default for DrainLimits {
    fn default() -> DrainLimits {
        DrainLimits { pre_drain_delay: Duration::ZERO, drain_limit: Duration::from_secs(60) }
    }
}

/// The worker's life. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    stage: watch::Sender<Stage>,
    tasks: TaskTracker,
    aborted: CancellationToken,
}

impl Lifecycle {
    /// A worker that serves.
    pub fn new() -> Lifecycle {
        Lifecycle {
            stage: watch::Sender::new(Stage::Serving),
            tasks: TaskTracker::new(),
            aborted: CancellationToken::new(),
        }
    }

    /// Where the worker stands.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Moves on to a later stage; an earlier one is ignored.
    pub fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = to > *stage;
            *stage = to.max(*stage);
            later
        });
    }

    /// Resolves when the worker has come to `stage` or beyond. Cancel safe.
    pub async fn reached(&self, stage: Stage) {
        let mut changes = self.stage.subscribe();
        // The sender is in `self`, so waiting cannot fail.
        let _ = changes.wait_for(|current| *current >= stage).await;
    }

    /// Runs a task that draining waits for. After [`abort`](Lifecycle::abort)
    /// it is dropped at its next await.
    #[expect(clippy::disallowed_methods, reason = "this is the place that spawns")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let aborted = self.aborted.clone();
        // On the heap at once: what wraps it is then moved without it.
        let task = Box::pin(task);
        let task = async move {
            tokio::select! {
                () = task => {}
                () = aborted.cancelled_owned() => {}
            }
        };
        tokio::spawn(self.tasks.track_future(task));
    }

    /// Resolves when every task has ended and none can follow.
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
