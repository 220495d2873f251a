//! Rings for a berth when a notice about it comes into the worker's mailbox.
//!
//! A notice is the berth's key and, where they are few, the events it is about,
//! sealed. What does not come with it is looked up. Whoever hangs up a bell takes
//! it down by dropping it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{
    Notify,
    broadcast::{Receiver, error::RecvError},
};

use super::Berth;
use crate::{recording::Key, redis::Notice};

/// The bells of a worker.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<Berth, Vec<Arc<Hung>>>>);

/// A bell that hangs.
#[derive(Debug)]
pub(super) struct Bell {
    bells: Arc<Bells>,
    berth: Berth,
    hung: Arc<Hung>,
}

/// What a bell has rung for since it was last heard.
#[derive(Debug, Default)]
struct Hung {
    rung: Notify,
    unheard: Mutex<Unheard>,
}

#[derive(Debug, Default)]
struct Unheard {
    /// Batches of events, as they came.
    batches: VecDeque<Bytes>,
    /// Whether there is more to be known than they say.
    is_more: bool,
}

/// What a bell rings for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ring {
    /// These events, sealed.
    Events(Bytes),
    /// Something that is to be looked up.
    Something,
}

impl Bells {
    /// Hangs up a bell.
    pub(super) fn hang(self: &Arc<Bells>, berth: Berth) -> Bell {
        let hung = Arc::new(Hung::default());
        self.lock().entry(berth).or_default().push(hung.clone());
        Bell { bells: self.clone(), berth, hung }
    }

    /// Rings as notices come, until the mailbox closes.
    pub(super) async fn ring(self: Arc<Bells>, mut notices: Receiver<Notice>) {
        loop {
            match notices.recv().await {
                Ok(notice) => self.ring_for(&notice),
                Err(RecvError::Lagged(_)) => {
                    self.lock().values().flatten().for_each(|hung| hung.strike(Bytes::new()));
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn ring_for(&self, notice: &Notice) {
        let Some((berth, _)) = notice.split_first_chunk::<{ size_of::<Key>() }>() else {
            return;
        };
        let events = notice.slice(berth.len()..);
        let bells = self.lock();
        for hung in bells.get(&Berth(*berth)).into_iter().flatten() {
            hung.strike(events.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Berth, Vec<Arc<Hung>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hung {
    /// Batches that wait to be heard; whoever is slower looks them up.
    const MOST_UNHEARD: usize = 64;

    fn strike(&self, events: Bytes) {
        {
            let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
            if events.is_empty() || unheard.batches.len() == Hung::MOST_UNHEARD {
                unheard.is_more = true;
            } else {
                unheard.batches.push_back(events);
            }
        }
        self.rung.notify_one();
    }

    fn take(&self) -> Option<Ring> {
        let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = unheard.batches.pop_front() {
            return Some(Ring::Events(events));
        }
        std::mem::take(&mut unheard.is_more).then_some(Ring::Something)
    }
}

impl Bell {
    /// What it was rung for since it was last heard, one after the other.
    /// Cancel safe.
    pub(super) async fn heard(&self) -> Ring {
        loop {
            // Registered before the look, so that what comes between is not missed.
            let rung = self.hung.rung.notified();
            if let Some(ring) = self.hung.take() {
                return ring;
            }
            rung.await;
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.bells.lock();
        if let Some(hung) = bells.get_mut(&self.berth) {
            hung.retain(|other| !Arc::ptr_eq(other, &self.hung));
            if hung.is_empty() {
                bells.remove(&self.berth);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(berth: u8, events: &[u8]) -> Notice {
        [&[berth; size_of::<Key>()], events].concat().into()
    }

    #[tokio::test]
    async fn a_bell_rings_for_its_berth_with_what_came_and_in_order() {
        let bells = Arc::new(Bells::default());
        let bell = bells.hang(Berth([1; size_of::<Key>()]));
        bells.ring_for(&notice(2, b"another's"));
        bells.ring_for(&notice(1, b"a"));
        bells.ring_for(&notice(1, b""));
        bells.ring_for(&notice(1, b"b"));
        for expected in ["a", "b"] {
            assert_eq!(bell.heard().await, Ring::Events(expected.into()));
        }
        assert_eq!(bell.heard().await, Ring::Something);
        assert_eq!(bell.hung.take(), None);
    }

    #[tokio::test]
    async fn whoever_hears_nothing_for_long_is_told_to_look() {
        let bells = Arc::new(Bells::default());
        let bell = bells.hang(Berth([1; size_of::<Key>()]));
        for _ in 0..=Hung::MOST_UNHEARD {
            bells.ring_for(&notice(1, b"events"));
        }
        for _ in 0..Hung::MOST_UNHEARD {
            assert!(matches!(bell.heard().await, Ring::Events(_)));
        }
        assert_eq!(bell.heard().await, Ring::Something);
    }

    #[test]
    fn a_notice_that_makes_no_sense_rings_for_nobody() {
        let bells = Arc::new(Bells::default());
        let bell = bells.hang(Berth([0; size_of::<Key>()]));
        bells.ring_for(&Notice::from_static(b"short"));
        assert_eq!(bell.hung.take(), None);
    }
}
