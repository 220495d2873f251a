//! An ear on another flight of this worker, for a flight that tells the same.
//!
//! An execution with an idempotency key first has the fleet say what the key
//! stands for. Meanwhile it is in a flight of its own, which nobody else joins:
//! the answer may be a refusal that concerns nobody else. Once the key is its own,
//! it goes the way of all identical executions; where they are in a flight
//! already, its own becomes an echo of that.

use std::sync::Arc;

use super::{Boarded, Course, Flight, Landing, Listener, ListenerOptions, Told};
use crate::recording::{Log, Recording};

/// The flight that is echoed. It goes on for its echo as for any listener.
#[derive(Debug)]
pub struct Original {
    flight: Arc<Flight>,
    listener: Listener,
}

/// What comes next from there.
#[derive(Debug)]
pub enum Sound {
    /// Events, with their numbers.
    Events(Log),
    /// Everything was told, and it has landed so.
    Landed(Landing, Option<Arc<Recording>>),
}

impl Original {
    /// `None` where the flight is on its way out, or had better be run anew.
    pub(super) fn of(flight: &Arc<Flight>, drains: bool) -> Option<Original> {
        let options = ListenerOptions { deltas: true, allows_restart: true, drains };
        let listener = flight.join(options)?;
        Some(Original { flight: flight.clone(), listener })
    }

    /// The flight's name and place, once they are known.
    pub async fn boarded(&self) -> Boarded {
        self.listener.named().await;
        let state = self.flight.state();
        Boarded { flight: state.id, berth: state.berth, course: Course::Relayed }
    }

    /// What comes after the event of a number. Cancel safe.
    pub async fn next(&self, after: u64) -> Sound {
        loop {
            let changed = self.flight.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that what comes between is not missed.
            changed.as_mut().enable();
            if let Some(sound) = self.sound(after) {
                return sound;
            }
            changed.await;
        }
    }

    fn sound(&self, after: u64) -> Option<Sound> {
        let state = self.flight.state();
        let log = state.told.log();
        if log.last() > after {
            return Some(Sound::Events(log.after(after)));
        }
        let recording = match &state.told {
            Told::Growing(_) => None,
            Told::Recorded(recording) => Some(recording.clone()),
        };
        state.landing.clone().map(|landing| Sound::Landed(landing, recording))
    }
}
