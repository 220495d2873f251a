//! Replicates a flight's events to the fleet, and renews its lease.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use crate::execution::Services;
use crate::{
    fleet::{Ending, Lease, Sent},
    flight::{LogReader, Subscriber},
    lifecycle::Stage,
    metrics::{Metrics, Store, Tier},
};

/// Longest time a draining worker waits for Redis to accept an ending.
const AFTER_DRAINING: Duration = Duration::from_secs(2);

/// Replicates events for as long as it is polled. Cancel safe at every await: an
/// event sent twice counts once.
///
/// Remote followers count as one subscriber here: the flight continues for them,
/// and may restart.
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
        // A reachable Redis must learn at once that the leader is alive.
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
    if !lease.is_presumed() {
        metrics.flight_deposed();
    }
    // Deposed: only local subscribers receive the rest.
    pending().await
}

/// Sends the ending of a flight to the fleet. If Redis is unavailable, followers must
/// not take the leader for lost: a separate task keeps the ending and sends it once
/// Redis answers. Draining waits briefly for that task.
pub(crate) async fn send_ending(services: &Arc<Services>, mut ending: Ending) {
    match ending.send().await {
        Ok(sent) => count_ending(&services.metrics, &ending, Some(sent)),
        Err(_unavailable) => {
            let kept = services.clone();
            services.lifecycle.spawn(async move { send_later(&kept, ending).await });
        }
    }
}

async fn send_later(services: &Services, mut ending: Ending) {
    let lasts = ending.lasts();
    let drained = async {
        services.lifecycle.reached(Stage::Draining).await;
        sleep(AFTER_DRAINING).await;
    };
    let sent = tokio::select! {
        sent = timeout(lasts, ending.send_until_kept()) => sent.ok(),
        () = drained => None,
    };
    count_ending(&services.metrics, &ending, sent);
}

fn count_ending(metrics: &Metrics, ending: &Ending, sent: Option<Sent>) {
    if ending.is_recorded() {
        let store = match sent {
            Some(Sent::Kept { recording: true }) => Store::Stored,
            Some(Sent::Kept { recording: false }) => Store::NotStored("too_large"),
            Some(Sent::Deposed) | None => Store::Failed,
        };
        metrics.stored(Tier::Redis, store);
    }
}
