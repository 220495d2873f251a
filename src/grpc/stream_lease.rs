//! A stream that is lent to its caller until its deadline, and a moment longer.
//!
//! Deadlines fire when a stream is polled, and the gRPC stack polls only while it
//! can send. A caller that keeps its connection but stops reading would therefore
//! hold its slot, and its flight, forever. The lease takes the stream back; a
//! caller that reads on after that receives the deadline's error.
//!
//! [`Loan`] is the part independent of streams; `server` lends response bodies with
//! it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use tokio::time::Instant;
use tonic::Status;

use super::Events;
use crate::{
    lifecycle::{Expire, Expiry, Lifecycle},
    proto::ExecuteNodeResponse,
};

/// Time after the deadline by which a reading caller has received its error.
const GRACE: Duration = Duration::from_secs(1);

/// A stream that is taken back at its deadline.
pub(super) struct StreamLease {
    events: Loan<Events>,
    /// Sent once, after the stream was taken back.
    overdue: Option<Box<dyn FnOnce() -> Status + Send>>,
}

impl StreamLease {
    /// Lends `events` until `deadline`; a late reader receives `overdue`.
    pub(super) fn new(
        events: Events,
        deadline: Instant,
        overdue: impl FnOnce() -> Status + Send + 'static,
        lifecycle: &Lifecycle,
    ) -> StreamLease {
        let events = Loan::new(events, deadline + GRACE, lifecycle);
        StreamLease { events, overdue: Some(Box::new(overdue)) }
    }
}

impl Stream for StreamLease {
    type Item = Result<ExecuteNodeResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let lease = self.get_mut();
        match lease.events.lock().as_mut() {
            Some(events) => events.as_mut().poll_next(context),
            None => Poll::Ready(lease.overdue.take().map(|overdue| Err(overdue()))),
        }
    }
}

/// A value that is dropped at a deadline, even while it is lent.
pub(crate) struct Loan<T> {
    value: Arc<LeasedStream<T>>,
    /// Cancels the deadline when the call ends, in whatever way.
    _expiry: Expiry,
}

/// Locked by the holder's task for each poll, and once at the deadline.
struct LeasedStream<T>(Mutex<Option<T>>);

impl<T: Send + 'static> Loan<T> {
    /// Lends `value` until `deadline`.
    pub(crate) fn new(value: T, deadline: Instant, lifecycle: &Lifecycle) -> Loan<T> {
        let value = Arc::new(LeasedStream(Mutex::new(Some(value))));
        let expiry = lifecycle.expire_at(deadline, value.clone());
        Loan { value, _expiry: expiry }
    }
}

impl<T> Loan<T> {
    /// Locks the value; `None` once it has been taken back.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.value.lock()
    }
}

impl<T: Send> Expire for LeasedStream<T> {
    fn expire(&self) {
        // Dropped after the lock is released.
        let _overdue = self.lock().take();
    }
}

impl<T> Drop for Loan<T> {
    /// Drops the value at once, even if its deadline is just expiring it.
    fn drop(&mut self) {
        let _gone = self.lock().take();
    }
}

impl<T> LeasedStream<T> {
    /// Ignores poisoning: a stream that panicked is not polled again.
    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
