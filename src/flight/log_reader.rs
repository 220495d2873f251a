//! What a flight has told, for whoever passes it on to other workers.

use std::sync::Arc;

use super::{Flight, SubscribeOptions, Subscriber};
use crate::recording::Log;

/// Reads a flight's events beside its listeners. Counts as nobody: the flight
/// is abandoned all the same.
#[derive(Debug, Clone)]
pub struct LogReader(Arc<Flight>);

impl LogReader {
    pub(super) fn new(flight: Arc<Flight>) -> LogReader {
        LogReader(flight)
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.0.state().log.log().last()
    }

    /// A copy of the events after a number.
    pub fn after(&self, number: u64) -> Log {
        self.0.state().log.log().after(number)
    }

    /// The digest of all events.
    pub fn digest(&self) -> [u8; 32] {
        self.0.state().log.log().digest()
    }

    /// Resolves when there are events after a number. Cancel safe.
    pub async fn wait_past(&self, number: u64) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.last() > number {
                return;
            }
            changed.await;
        }
    }

    /// Somebody who listens elsewhere: while this lives the flight goes on, and
    /// may begin anew. `None` where it is on the way out.
    pub fn subscribe_remote(&self) -> Option<Subscriber> {
        self.0.subscribe(0, SubscribeOptions { deltas: true, allows_restart: true, drains: false })
    }
}
