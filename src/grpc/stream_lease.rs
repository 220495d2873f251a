//! A stream on loan to its caller until its deadline, and a moment longer.
//!
//! Deadlines ring when a stream is polled, and the gRPC stack polls only while
//! there is room to send. A caller that keeps its connection and reads no more
//! would therefore hold its place, and its flight, for ever. The lease takes
//! the stream back; should the caller read on after all, it is told.
//!
//! [`Loan`] is the part that knows no stream; `server` lends response bodies by it.

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
    events: Loan<Events>,
    /// Told once, after the stream was taken back.
    overdue: Option<Box<dyn FnOnce() -> Status + Send>>,
}

impl Lease {
    /// Lends `events` until `deadline`; `overdue` is what a late reader is told.
    pub(super) fn new(
        events: Events,
        deadline: Instant,
        overdue: impl FnOnce() -> Status + Send + 'static,
        lifecycle: &Lifecycle,
    ) -> Lease {
        let events = Loan::new(events, deadline + GRACE, lifecycle);
        Lease { events, overdue: Some(Box::new(overdue)) }
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

/// A value that is dropped at a deadline, whoever holds the loan.
pub(crate) struct Loan<T> {
    value: Arc<Slot<T>>,
    /// Ends the watch when the call ends, in whatever way.
    _ended: DropGuard,
}

/// Locked by the holder's task for a poll, and once by the watch.
struct Slot<T>(Mutex<Option<T>>);

impl<T: Send + 'static> Loan<T> {
    /// Lends `value` until `deadline`.
    pub(crate) fn new(value: T, deadline: Instant, lifecycle: &Lifecycle) -> Loan<T> {
        let value = Arc::new(Slot(Mutex::new(Some(value))));
        let ended = CancellationToken::new();
        lifecycle.spawn(watch(value.clone(), deadline, ended.clone()));
        Loan { value, _ended: ended.drop_guard() }
    }
}

impl<T> Loan<T> {
    /// The value, while it is on loan.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.value.lock()
    }
}

/// Dropped only at shutdown, when everything is taken back anyway.
async fn watch<T>(value: Arc<Slot<T>>, deadline: Instant, ended: CancellationToken) {
    tokio::select! {
        () = ended.cancelled() => {}
        () = sleep_until(deadline) => {
            // Dropped here, with the lock given back.
            let _overdue = value.lock().take();
        }
    }
}

impl<T> Drop for Loan<T> {
    /// What is on loan goes with its holder, at once: the watch would let go of
    /// it only when it comes to run.
    fn drop(&mut self) {
        let _gone = self.lock().take();
    }
}

impl<T> Slot<T> {
    /// A stream that panicked is not polled again.
    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
