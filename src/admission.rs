//! Who gets a place: one permit an execution, held as long as its stream.
//!
//! Limits of the gRPC stack end at the response head; this one does not.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The places of a worker.
#[derive(Debug, Clone)]
pub struct Admission {
    places: Arc<Semaphore>,
    limit: u32,
}

/// A place. Given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    /// How soon a refused caller may come again.
    const RETRY_AFTER: Duration = Duration::from_secs(1);

    /// A worker with `limit` places.
    pub fn new(limit: u32) -> Admission {
        Admission { places: Arc::new(Semaphore::new(limit as usize)), limit }
    }

    /// Takes a place, or says that there is none.
    pub fn admit(&self) -> Result<Permit, Error> {
        match self.places.clone().try_acquire_owned() {
            Ok(permit) => Ok(Permit { _permit: permit }),
            Err(_) => Err(Error::Saturated { retry_after: Admission::RETRY_AFTER }),
        }
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.limit as usize - self.places.available_permits()
    }

    /// Resolves when no place is taken. Cancel safe.
    pub async fn idle(&self) {
        // Given back at once; and the semaphore is never closed.
        let _ = self.places.acquire_many(self.limit).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_held_until_it_is_dropped() {
        let admission = Admission::new(1);
        let permit = admission.admit().expect("a place");
        assert_eq!(admission.admit().expect_err("full").reason(), "WORKER_SATURATED");
        assert_eq!(admission.taken(), 1);
        drop(permit);
        admission.admit().expect("a place again");
    }
}
