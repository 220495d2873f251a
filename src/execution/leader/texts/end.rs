//! Subscribes to a flight for its end alone.

use std::sync::Arc;

use crate::{
    error::Error,
    flight::{Failure, FlightOutcome, Received, Stored, SubscribeOptions, Subscriber},
    recording::Recording,
};

/// Subscribers of a text want its vector alone, and nothing runs for nobody.
pub(super) const SUBSCRIBE: SubscribeOptions =
    SubscribeOptions { deltas: false, prompt: false, allows_restart: true, drains: false };

/// Waits for the end of a flight, and returns its recording. Cancel safe.
pub(super) async fn end_of(
    subscriber: &mut Subscriber,
) -> Result<(Arc<Recording>, Stored), Failure> {
    loop {
        match subscriber.recv()? {
            Some(Received::Ended(FlightOutcome::Failed(failure))) => return Err(failure),
            Some(Received::Ended(FlightOutcome::Completed(stored))) => {
                let without = Error::Internal("a flight completed without a recording");
                let recording = subscriber.recording().ok_or(Failure::from(without))?;
                return Ok((recording, stored));
            }
            Some(Received::Delta(..) | Received::Restarted { .. }) => {}
            None => subscriber.changed().await,
        }
    }
}
