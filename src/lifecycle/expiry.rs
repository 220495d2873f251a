//! Expires values at their deadlines, all by one task: a task for each would cost an
//! open stream most of a KiB.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

/// A value that ends at a deadline, even while others hold it.
pub(crate) trait Expire: Send + Sync {
    /// Ends the value. Called at most once, at the deadline.
    fn expire(&self);
}

/// The values with a deadline. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub(super) struct Expiries(Arc<ExpiryState>);

#[derive(Default)]
struct ExpiryState {
    pending: Mutex<PendingExpiries>,
    /// Notified when the earliest deadline has changed.
    earlier: Notify,
}

/// Values by deadline, those of the same deadline by the order of their arrival.
#[derive(Default)]
struct PendingExpiries {
    values: BTreeMap<(Instant, u64), Arc<dyn Expire>>,
    number: u64,
    is_watched: bool,
}

/// Holds a value's deadline. Its drop cancels the deadline.
pub(crate) struct Expiry {
    expiries: Expiries,
    place: (Instant, u64),
}

impl Expiries {
    /// Expires `value` at `deadline`, provided that [`watch`](Expiries::watch) runs.
    pub(super) fn add(&self, deadline: Instant, value: Arc<dyn Expire>) -> Expiry {
        let mut pending = self.lock();
        pending.number += 1;
        let place = (deadline, pending.number);
        pending.values.insert(place, value);
        let is_earliest =
            pending.values.first_key_value().is_some_and(|(first, _)| *first == place);
        drop(pending);
        if is_earliest {
            self.0.earlier.notify_one();
        }
        Expiry { expiries: self.clone(), place }
    }

    /// Returns true for the first caller, who is to run [`watch`](Expiries::watch).
    pub(super) fn is_first(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_watched, true)
    }

    /// Expires values for as long as it is polled. Yields after each, since a value's end
    /// may take a while.
    pub(super) async fn watch(self) {
        loop {
            while let Some(value) = self.take_due() {
                // A panic is the value's own: the others still expire.
                let _ = catch_unwind(AssertUnwindSafe(|| value.expire()));
                yield_now().await;
            }
            let next = self.lock().values.first_key_value().map(|((deadline, _), _)| *deadline);
            let earlier = self.0.earlier.notified();
            match next {
                None => earlier.await,
                Some(deadline) => tokio::select! {
                    () = sleep_until(deadline) => {}
                    () = earlier => {}
                },
            }
        }
    }

    fn take_due(&self) -> Option<Arc<dyn Expire>> {
        let mut pending = self.lock();
        let first = pending.values.first_entry()?;
        let (deadline, _) = *first.key();
        (deadline <= Instant::now()).then(|| first.remove())
    }

    fn lock(&self) -> MutexGuard<'_, PendingExpiries> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Expiry {
    fn drop(&mut self) {
        // Dropped after the lock is released.
        let _value = self.expiries.lock().values.remove(&self.place);
    }
}

impl fmt::Debug for Expiries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.lock().values.len();
        formatter.debug_struct("Expiries").field("count", &count).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::lifecycle::Lifecycle;

    const SECOND: Duration = Duration::from_secs(1);

    /// Records when it expires; the one with number 0 panics.
    struct Watched(u64, Instant, Arc<Mutex<Vec<(u64, Duration)>>>);

    impl Expire for Watched {
        fn expire(&self) {
            assert!(self.0 > 0, "a value that panics");
            self.2.lock().expect("not poisoned").push((self.0, self.1.elapsed()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn values_expire_each_at_its_deadline() {
        let (lifecycle, began) = (Lifecycle::new(), Instant::now());
        let expired = Arc::new(Mutex::new(Vec::new()));
        let add = |number: u64, after: u32| {
            let value = Arc::new(Watched(number, began, expired.clone()));
            lifecycle.expire_at(began + after * SECOND, value)
        };
        let (_panics, _late) = (add(0, 1), add(3, 3));
        sleep(SECOND / 2).await;
        let (_early, cancelled) = (add(2, 2), add(4, 2));
        drop(cancelled);
        sleep(9 * SECOND).await;
        let _overdue = add(5, 1);
        sleep(SECOND / 2).await;
        let expected = [(2, 2 * SECOND), (3, 3 * SECOND), (5, SECOND * 19 / 2)];
        let expired = expired.lock().expect("not poisoned");
        for ((number, after), (expected, at)) in expired.iter().zip(expected) {
            assert_eq!(*number, expected);
            assert!(after.abs_diff(at) < SECOND / 100, "{number} after {after:?}");
        }
        assert_eq!(expired.len(), 3);
    }
}
