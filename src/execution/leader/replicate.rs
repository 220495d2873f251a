//! Tells the fleet what a flight tells here, and that its leader is alive.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use crate::execution::Executor;
use crate::{
    fleet::{Ending, Lease, Sent},
    flight::{LogReader, Subscriber},
    lifecycle::Stage,
    metrics::{Metrics, Store, Tier},
};

/// How long a worker that drains still waits for Redis to take an end.
const AFTER_DRAINING: Duration = Duration::from_secs(2);

/// Ships events for as long as it is polled. Dropped between any two steps, it
/// leaves what was told as it is: what was sent twice counts once.
///
/// While workers follow, they count as one listener here: the flight goes on for
/// them, and may begin anew.
pub(crate) async fn replicate(
    lease: &mut Lease,
    log_reader: &LogReader,
    metrics: &Metrics,
) -> Infallible {
    let mut remote: Option<Subscriber> = None;
    while !lease.is_over() {
        let acked = lease.acked();
        let has_events = log_reader.last() > acked;
        tokio::select! {
            () = lease.due(has_events) => {}
            () = log_reader.wait_past(acked), if !has_events => continue,
        }
        // A Redis that is back learns at once that the leader lives.
        while lease.append_all(|number| log_reader.after(number)).await.is_err() {
            lease.reachable().await;
        }
        if lease.followers() == 0 {
            remote = None;
        } else if remote.is_none() {
            remote = log_reader.subscribe_remote();
        }
    }
    drop(remote);
    metrics.flight_deposed();
    // Deposed: its own listeners hear it to the end, and nobody else.
    pending().await
}

impl Executor {
    /// Sends the end of a flight to the fleet. Where Redis cannot take it now, its
    /// followers must not take their leader for lost: it is kept, in a task of its
    /// own that draining waits for a moment, and sent again once Redis answers.
    pub(crate) async fn send_ending(self: &Arc<Executor>, mut ending: Ending) {
        match ending.send().await {
            Ok(sent) => self.count_ending(&ending, Some(sent)),
            Err(_unavailable) => {
                let executor = self.clone();
                self.lifecycle.spawn(async move { executor.send_later(ending).await });
            }
        }
    }

    async fn send_later(&self, mut ending: Ending) {
        let lasts = ending.lasts();
        let drained = async {
            self.lifecycle.reached(Stage::Draining).await;
            sleep(AFTER_DRAINING).await;
        };
        let sent = tokio::select! {
            sent = timeout(lasts, ending.send_until_kept()) => sent.ok(),
            () = drained => None,
        };
        self.count_ending(&ending, sent);
    }

    fn count_ending(&self, ending: &Ending, sent: Option<Sent>) {
        if ending.is_recorded() {
            let store = match sent {
                Some(Sent::Kept { recording: true }) => Store::Stored,
                Some(Sent::Kept { recording: false }) => Store::NotStored("too_large"),
                Some(Sent::Deposed) | None => Store::Failed,
            };
            self.metrics.stored(Tier::Redis, store);
        }
    }
}
