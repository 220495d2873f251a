//! Reads a flight's published events, to replicate them to other workers.

use std::sync::Arc;

use super::{Flight, SubscribeOptions, Subscriber};
use crate::recording::Log;

/// Reads a flight's events beside its subscribers. Is not counted as a subscriber: it
/// does not keep the flight from being abandoned.
#[derive(Debug, Clone)]
pub struct LogReader(Arc<Flight>);

impl LogReader {
    pub(super) fn new(flight: Arc<Flight>) -> LogReader {
        LogReader(flight)
    }

    /// Returns the number of the last event.
    pub fn last(&self) -> u64 {
        self.0.state().log.log().last()
    }

    /// Returns a copy of the events after `number`.
    pub fn after(&self, number: u64) -> Log {
        self.0.state().log.log().after(number)
    }

    /// Returns the digest of all events.
    pub fn digest(&self) -> [u8; 32] {
        self.0.state().log.log().digest()
    }

    /// Resolves when there are events after `number`. Cancel safe.
    pub async fn wait_past(&self, number: u64) {
        self.0.changes.wait_for(|| (self.last() > number).then_some(())).await;
    }

    /// Subscribes on behalf of another worker: keeps the flight running and allows
    /// restarts. Returns `None` if the flight has been abandoned.
    pub fn subscribe_remote(&self) -> Option<Subscriber> {
        self.0.subscribe(
            0,
            SubscribeOptions { deltas: true, prompt: true, allows_restart: true, drains: false },
        )
    }
}
