//! Wakes the readers of a flight when a notification about it arrives on the worker's
//! channel.
//!
//! A notification is the flight key and, if they are small, the sealed events it
//! announces; anything else is read from Redis. Dropping a [`Subscription`] ends it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::FlightKey;
use crate::{changes::Changes, recording::Key, redis::Notification};

/// A worker's subscriptions, by flight key.
#[derive(Debug, Default)]
pub(super) struct Notifier(Mutex<HashMap<FlightKey, Vec<Arc<Inbox>>>>);

/// A subscription to the notifications about one flight.
#[derive(Debug)]
pub(super) struct Subscription {
    notifier: Arc<Notifier>,
    flight_key: FlightKey,
    inbox: Arc<Inbox>,
}

/// Notifications that the subscription has not received yet.
#[derive(Debug, Default)]
struct Inbox {
    changes: Changes,
    unread: Mutex<Unread>,
}

#[derive(Debug, Default)]
struct Unread {
    /// Batches of events, in order of arrival.
    batches: VecDeque<Bytes>,
    /// True if Redis holds events that the batches do not.
    is_more: bool,
}

/// One item received from a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wakeup {
    /// Sealed events.
    Events(Bytes),
    /// A change without its events: read them from Redis.
    Something,
}

impl Notifier {
    /// Subscribes to notifications about a flight.
    pub(super) fn subscribe(self: &Arc<Notifier>, flight_key: FlightKey) -> Subscription {
        let inbox = Arc::new(Inbox::default());
        self.lock().entry(flight_key).or_default().push(inbox.clone());
        Subscription { notifier: self.clone(), flight_key, inbox }
    }

    /// Dispatches notifications until the channel closes.
    pub(super) async fn run(self: Arc<Notifier>, mut notifications: Receiver<Notification>) {
        loop {
            match notifications.recv().await {
                Ok(notification) => self.notify(&notification),
                Err(RecvError::Lagged(_)) => {
                    self.lock().values().flatten().for_each(|inbox| inbox.push(Bytes::new()));
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn notify(&self, notification: &Notification) {
        let Some((flight_key, _)) = notification.split_first_chunk::<{ size_of::<Key>() }>() else {
            return;
        };
        let events = notification.slice(flight_key.len()..);
        let notifier = self.lock();
        for inbox in notifier.get(&FlightKey(*flight_key)).into_iter().flatten() {
            inbox.push(events.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FlightKey, Vec<Arc<Inbox>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Maximum number of unread batches; beyond it a slow reader reads from Redis
    /// instead.
    const MAX_UNREAD: usize = 64;

    fn push(&self, events: Bytes) {
        {
            let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
            if events.is_empty() || unread.batches.len() == Inbox::MAX_UNREAD {
                unread.is_more = true;
            } else {
                unread.batches.push_back(events);
            }
        }
        self.changes.notify();
    }

    fn take(&self) -> Option<Wakeup> {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = unread.batches.pop_front() {
            return Some(Wakeup::Events(events));
        }
        std::mem::take(&mut unread.is_more).then_some(Wakeup::Something)
    }
}

impl Subscription {
    /// Resolves with the next item, in order of arrival. Cancel safe.
    pub(super) async fn received(&self) -> Wakeup {
        self.inbox.changes.wait_for(|| self.inbox.take()).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut notifier = self.notifier.lock();
        if let Some(inbox) = notifier.get_mut(&self.flight_key) {
            inbox.retain(|other| !Arc::ptr_eq(other, &self.inbox));
            if inbox.is_empty() {
                notifier.remove(&self.flight_key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(flight_key: u8, events: &[u8]) -> Notification {
        [&[flight_key; size_of::<Key>()], events].concat().into()
    }

    #[tokio::test]
    async fn a_subscription_receives_its_flights_batches_in_order() {
        let notifier = Arc::new(Notifier::default());
        let subscription = notifier.subscribe(FlightKey([1; size_of::<Key>()]));
        notifier.notify(&notification(2, b"another's"));
        notifier.notify(&notification(1, b"a"));
        notifier.notify(&notification(1, b""));
        notifier.notify(&notification(1, b"b"));
        for expected in ["a", "b"] {
            assert_eq!(subscription.received().await, Wakeup::Events(expected.into()));
        }
        assert_eq!(subscription.received().await, Wakeup::Something);
        assert_eq!(subscription.inbox.take(), None);
    }

    #[tokio::test]
    async fn a_slow_reader_is_sent_to_redis() {
        let notifier = Arc::new(Notifier::default());
        let subscription = notifier.subscribe(FlightKey([1; size_of::<Key>()]));
        for _ in 0..=Inbox::MAX_UNREAD {
            notifier.notify(&notification(1, b"events"));
        }
        for _ in 0..Inbox::MAX_UNREAD {
            assert!(matches!(subscription.received().await, Wakeup::Events(_)));
        }
        assert_eq!(subscription.received().await, Wakeup::Something);
    }

    #[test]
    fn a_malformed_notification_wakes_no_subscription() {
        let notifier = Arc::new(Notifier::default());
        let subscription = notifier.subscribe(FlightKey([0; size_of::<Key>()]));
        notifier.notify(&Notification::from_static(b"short"));
        assert_eq!(subscription.inbox.take(), None);
    }
}
