//! A view of another flight of this worker, for a flight that republishes its events.
//!
//! An execution with an idempotency key first claims the key in the fleet. Meanwhile it
//! has a flight of its own that no other execution joins, because the claim may end in an
//! error that concerns only this execution. Once the claim succeeds, the flight is shared
//! under its content like any other; if identical executions already have a flight, this
//! one mirrors that.

use std::sync::Arc;

use super::{
    Flight, FlightIdentity, FlightLog, FlightOutcome, FlightSource, SubscribeOptions, Subscriber,
};
use crate::recording::{Log, Recording};

/// The mirrored flight, kept running by the mirror like by any subscriber.
#[derive(Debug)]
pub struct MirroredFlight {
    flight: Arc<Flight>,
    subscriber: Subscriber,
}

/// The next item from a mirrored flight.
#[derive(Debug)]
pub enum MirrorEvent {
    /// Events with their numbers.
    Events(Log),
    /// Every event has been read, and the flight ended with this outcome.
    Ended(FlightOutcome, Option<Arc<Recording>>),
}

impl MirroredFlight {
    /// Returns `None` if the flight was abandoned or has failed.
    pub(super) fn of(flight: &Arc<Flight>, drains: bool) -> Option<MirroredFlight> {
        let options = SubscribeOptions { deltas: true, prompt: true, allows_restart: true, drains };
        let subscriber = flight.join(options)?;
        Some(MirroredFlight { flight: flight.clone(), subscriber })
    }

    /// Returns the flight's identity, once it is final.
    pub async fn identity(&self) -> FlightIdentity {
        self.subscriber.named().await;
        let state = self.flight.state();
        FlightIdentity {
            flight: state.id,
            flight_key: state.flight_key,
            source: FlightSource::Remote,
        }
    }

    /// Returns the next item after event number `after`. Cancel safe.
    pub async fn next(&self, after: u64) -> MirrorEvent {
        self.flight.changes.wait_for(|| self.next_event(after)).await
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
