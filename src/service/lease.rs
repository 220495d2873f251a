//! A stream on loan to its caller until its deadline, and a moment longer.
//!
//! Deadlines ring when a stream is polled, and the gRPC stack polls only while
//! there is room to send. A caller that keeps its connection and reads no more
//! would therefore hold its place, and its flight, for ever. The lease takes
//! the stream back; should the caller read on after all, it is told.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use super::Events;
use crate::{lifecycle::Lifecycle, proto::ExecuteNodeResponse};

/// A caller that reads has heard of its deadline by then.
const GRACE: Duration = Duration::from_secs(1);

/// A stream that is taken back when its time is over.
pub(super) struct Lease {
    events: Arc<Slot>,
    /// Told once, after the stream was taken back.
    overdue: Option<Box<dyn FnOnce() -> Status + Send>>,
    /// Ends the watch when the call ends, in whatever way.
    _ended: DropGuard,
}

/// Locked by the caller's task for a poll, and once by the watch.
struct Slot(Mutex<Option<Events>>);

impl Lease {
    /// Lends `events` until `deadline`; `overdue` is what a late reader is told.
    pub(super) fn new(
        events: Events,
        deadline: Instant,
        overdue: impl FnOnce() -> Status + Send + 'static,
        lifecycle: &Lifecycle,
    ) -> Lease {
        let events = Arc::new(Slot(Mutex::new(Some(events))));
        let ended = CancellationToken::new();
        lifecycle.spawn(watch(events.clone(), deadline + GRACE, ended.clone()));
        Lease { events, overdue: Some(Box::new(overdue)), _ended: ended.drop_guard() }
    }
}

/// Dropped only at shutdown, when everything is taken back anyway.
async fn watch(events: Arc<Slot>, deadline: Instant, ended: CancellationToken) {
    tokio::select! {
        () = ended.cancelled() => {}
        () = sleep_until(deadline) => {
            // Dropped here, with the lock given back.
            let _overdue = events.lock().take();
        }
    }
}

impl Stream for Lease {
    type Item = Result<ExecuteNodeResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let lease = self.get_mut();
        match lease.events.lock().as_mut() {
            Some(events) => events.as_mut().poll_next(context),
            None => Poll::Ready(lease.overdue.take().map(|overdue| Err(overdue()))),
        }
    }
}

impl Drop for Lease {
    /// What is on loan goes with its caller, at once: the watch would let go of
    /// it only when it comes to run.
    fn drop(&mut self) {
        let _gone = self.events.lock().take();
    }
}

impl Slot {
    /// A stream that panicked is not polled again.
    fn lock(&self) -> MutexGuard<'_, Option<Events>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
