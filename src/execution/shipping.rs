//! Tells the fleet what a flight tells here, and that its leader is alive.

use std::{convert::Infallible, future::pending, time::Duration};

use crate::{
    fleet::Lease,
    flight::{Listener, Tap},
    metrics::Metrics,
};

/// How long after a failure Redis is tried again.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// Ships events for as long as it is polled. Dropped between any two steps, it
/// leaves what was told as it is: what was sent twice counts once.
///
/// While workers follow, they count as one listener here: the flight goes on for
/// them, and may begin anew.
pub(super) async fn ship(lease: &mut Lease, tap: &Tap, metrics: &Metrics) -> Infallible {
    let mut elsewhere: Option<Listener> = None;
    while !lease.is_over() {
        let told = lease.told();
        let has_events = tap.last() > told;
        tokio::select! {
            () = lease.due(has_events) => {}
            () = tap.told_after(told), if !has_events => continue,
        }
        if lease.tell(&tap.after(told)).await.is_err() {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        if lease.followers() == 0 {
            elsewhere = None;
        } else if elsewhere.is_none() {
            elsewhere = tap.listener_elsewhere();
        }
    }
    drop(elsewhere);
    metrics.flight_deposed();
    // Deposed: its own listeners hear it to the end, and nobody else.
    pending().await
}
