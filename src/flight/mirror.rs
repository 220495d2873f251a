//! An ear on another flight of this worker, for a flight that tells the same.
//!
//! An execution with an idempotency key first has the fleet say what the key
//! stands for. Meanwhile it is in a flight of its own, which nobody else joins:
//! the answer may be a refusal that concerns nobody else. Once the key is its own,
//! it goes the way of all identical executions; where they are in a flight
//! already, its own becomes an echo of that.

use std::sync::Arc;

use super::{
    Flight, FlightIdentity, FlightLog, FlightOutcome, FlightSource, SubscribeOptions, Subscriber,
};
use crate::recording::{Log, Recording};

/// The flight that is echoed. It goes on for its echo as for any listener.
#[derive(Debug)]
pub struct MirroredFlight {
    flight: Arc<Flight>,
    subscriber: Subscriber,
}

/// What comes next from there.
#[derive(Debug)]
pub enum MirrorEvent {
    /// Events, with their numbers.
    Events(Log),
    /// Everything was told, and it has landed so.
    Ended(FlightOutcome, Option<Arc<Recording>>),
}

impl MirroredFlight {
    /// `None` where the flight is on its way out, or had better be run anew.
    pub(super) fn of(flight: &Arc<Flight>, drains: bool) -> Option<MirroredFlight> {
        let options = SubscribeOptions { deltas: true, allows_restart: true, drains };
        let subscriber = flight.join(options)?;
        Some(MirroredFlight { flight: flight.clone(), subscriber })
    }

    /// The flight's name and place, once they are known.
    pub async fn identity(&self) -> FlightIdentity {
        self.subscriber.named().await;
        let state = self.flight.state();
        FlightIdentity {
            flight: state.id,
            flight_key: state.flight_key,
            source: FlightSource::Relayed,
        }
    }

    /// What comes after the event of a number. Cancel safe.
    pub async fn next(&self, after: u64) -> MirrorEvent {
        loop {
            let changed = self.flight.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that what comes between is not missed.
            changed.as_mut().enable();
            if let Some(next_event) = self.next_event(after) {
                return next_event;
            }
            changed.await;
        }
    }

    fn next_event(&self, after: u64) -> Option<MirrorEvent> {
        let state = self.flight.state();
        let log = state.log.log();
        if log.last() > after {
            return Some(MirrorEvent::Events(log.after(after)));
        }
        let recording = match &state.log {
            FlightLog::Growing(_) => None,
            FlightLog::Recorded(recording) => Some(recording.clone()),
        };
        state.outcome.clone().map(|outcome| MirrorEvent::Ended(outcome, recording))
    }
}
