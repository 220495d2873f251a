//! Rings for a berth when a notice about it comes into the worker's mailbox.
//!
//! A notice is the berth's key and nothing else: what has happened is looked up.
//! Whoever hangs up a bell takes it down by dropping it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{
    Notify,
    broadcast::{Receiver, error::RecvError},
};

use super::Berth;
use crate::redis::Notice;

/// The bells of a worker.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<Berth, Vec<Arc<Notify>>>>);

/// A bell that hangs.
#[derive(Debug)]
pub(super) struct Bell {
    bells: Arc<Bells>,
    berth: Berth,
    rung: Arc<Notify>,
}

impl Bells {
    /// Hangs up a bell.
    pub(super) fn hang(self: &Arc<Bells>, berth: Berth) -> Bell {
        let rung = Arc::new(Notify::new());
        self.lock().entry(berth).or_default().push(rung.clone());
        Bell { bells: self.clone(), berth, rung }
    }

    /// Rings as notices come, until the mailbox closes.
    pub(super) async fn ring(self: Arc<Bells>, mut notices: Receiver<Notice>) {
        loop {
            match notices.recv().await {
                Ok(notice) => {
                    if let Ok(key) = notice.as_ref().try_into() {
                        self.lock().get(&Berth(key)).into_iter().flatten().for_each(strike);
                    }
                }
                Err(RecvError::Lagged(_)) => self.lock().values().flatten().for_each(strike),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Berth, Vec<Arc<Notify>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn strike(bell: &Arc<Notify>) {
    bell.notify_one();
}

impl Bell {
    /// Resolves when it was rung since it was last heard. Cancel safe.
    pub(super) async fn heard(&self) {
        self.rung.notified().await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.bells.lock();
        if let Some(hung) = bells.get_mut(&self.berth) {
            hung.retain(|other| !Arc::ptr_eq(other, &self.rung));
            if hung.is_empty() {
                bells.remove(&self.berth);
            }
        }
    }
}
