//! Who gets a place: one an execution, held until both its caller's stream and
//! the flight it leads have ended.
//!
//! Limits of the gRPC stack end at the response head; this one does not.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::error::Error;

/// The places of a worker. Clones are one.
#[derive(Debug, Clone)]
pub struct Admission {
    limit: usize,
    taken: watch::Sender<usize>,
}

/// A place, given back when its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Permit {
    _place: Arc<Place>,
}

#[derive(Debug)]
struct Place(watch::Sender<usize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.send_modify(|taken| *taken -= 1);
    }
}

impl Admission {
    /// How soon a refused caller may come again.
    const RETRY_AFTER: Duration = Duration::from_secs(1);

    /// A worker with `limit` places.
    pub fn new(limit: usize) -> Admission {
        Admission { limit, taken: watch::Sender::new(0) }
    }

    /// Takes a place, or says that there is none.
    pub fn admit(&self) -> Result<Permit, Error> {
        let admitted = self.taken.send_if_modified(|taken| {
            let free = *taken < self.limit;
            *taken += usize::from(free);
            free
        });
        if !admitted {
            return Err(Error::Saturated { retry_after: Admission::RETRY_AFTER });
        }
        Ok(Permit { _place: Arc::new(Place(self.taken.clone())) })
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        *self.taken.borrow()
    }

    /// Resolves when no place is taken. Cancel safe.
    pub async fn idle(&self) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_held_until_its_last_clone_is_dropped() {
        let admission = Admission::new(1);
        let permit = admission.admit().expect("a place");
        let of_the_flight = permit.clone();
        drop(permit);
        assert_eq!(admission.admit().expect_err("full").reason(), "WORKER_SATURATED");
        assert_eq!(admission.taken(), 1);
        let idle = admission.idle();
        tokio::pin!(idle);
        assert!(futures_util::poll!(&mut idle).is_pending());
        drop(of_the_flight);
        idle.await;
        admission.admit().expect("a place again");
    }
}
