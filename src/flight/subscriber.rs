//! One execution's ear on a flight.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Failure, Flight, FlightLog, FlightOutcome, FlightSource};
use crate::{
    error::{Error, ProviderError},
    event::Phase,
    recording::{FlightId, Key, MergedDelta, Reading, Recording, Subject},
    telemetry::SpanRef,
};

/// How an execution listens.
#[derive(Debug, Clone, Copy)]
pub struct SubscribeOptions {
    /// Whether it wants deltas.
    pub deltas: bool,
    /// Whether the flight may start again after it has had deltas.
    pub allows_restart: bool,
    /// Whether the flight runs on when its last listener has gone.
    pub drains: bool,
}

/// A cursor into a flight's log. Dropping it leaves the flight; the last one to
/// leave stops the flight, unless somebody asked to drain.
#[derive(Debug)]
pub struct Subscriber {
    flight: Arc<Flight>,
    cursor: u64,
    options: SubscribeOptions,
    /// Whether it has been told output, which a restart would void.
    had_deltas: bool,
    /// Whether it counts among the flight's unforgiving listeners.
    restart_intolerant: bool,
}

/// What a listener is told next.
#[derive(Debug)]
pub enum Received {
    /// Output, with the number of its last event.
    Delta(u64, MergedDelta),
    /// What came before is void. Told only to who has had some of it.
    Restarted {
        /// The event's number.
        sequence: u64,
        /// The attempt that begins.
        attempt: u32,
        /// Why the one before was given up: a reason.
        reason: &'static str,
    },
    /// The flight has landed, and everything was told.
    Landed(FlightOutcome),
}

/// What can be known of a flight at any time.
#[derive(Debug, Clone, Copy)]
pub struct FlightStatus {
    /// What it is waiting for.
    pub phase: Phase,
    /// Calls of the provider so far.
    pub attempts: u32,
    /// How long the connection took, where one was made.
    pub connect: Option<Duration>,
}

impl Subscriber {
    /// Deltas that are ready together are told as one, up to about this size:
    /// large enough to empty a backlog quickly, small enough for any client's
    /// message limit.
    const MAX_DELTA_BYTES: usize = 64 * 1024;

    /// The flight counts it already.
    pub(super) fn new(flight: Arc<Flight>, after: u64, options: SubscribeOptions) -> Subscriber {
        let mut subscriber = Subscriber {
            flight,
            cursor: after,
            options,
            had_deltas: false,
            restart_intolerant: false,
        };
        if after > 0 {
            subscriber.has_had_deltas();
        }
        subscriber
    }

    /// The flight's name; final once [`named`](Subscriber::named).
    pub fn flight(&self) -> FlightId {
        self.flight.id()
    }

    /// What the fleet finds the flight by, where it does.
    pub fn flight_key(&self) -> Option<Key> {
        self.flight.state().flight_key
    }

    /// How the flight comes by its events.
    pub fn source(&self) -> FlightSource {
        self.flight.state().source
    }

    /// What it executes.
    pub fn subject(&self) -> Arc<Subject> {
        self.flight.state().subject.clone()
    }

    /// Has the flight run on when its last listener has gone.
    pub fn run_on(&self) {
        self.flight.state().drains = true;
    }

    /// The number of the last event that was heard.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The number of the last event that was told.
    pub fn last(&self) -> u64 {
        self.flight.state().log.log().last()
    }

    /// Whether an event of this number can have been told: of a flight that
    /// another worker leads, more than has come here.
    pub fn may_have_published(&self, number: u64) -> bool {
        let state = self.flight.state();
        let under_way_elsewhere = state.source == FlightSource::Relayed && state.outcome.is_none();
        under_way_elsewhere || number <= state.log.log().last()
    }

    /// How the flight stands.
    pub fn status(&self) -> FlightStatus {
        let state = self.flight.state();
        FlightStatus { phase: state.phase, attempts: state.attempts, connect: state.connect }
    }

    /// The recording, once the flight has completed.
    pub fn recording(&self) -> Option<Arc<Recording>> {
        match &self.flight.state().log {
            FlightLog::Growing(_) => None,
            FlightLog::Recorded(recording) => Some(recording.clone()),
        }
    }

    /// The span of the flight that produced what is heard, where one was
    /// recorded.
    pub fn span(&self) -> Option<SpanRef> {
        let state = self.flight.state();
        match &state.log {
            // That of another worker comes with its recording.
            FlightLog::Growing(_) if state.source == FlightSource::Relayed => None,
            FlightLog::Growing(_) => state.span,
            FlightLog::Recorded(recording) => recording.span,
        }
    }

    /// Why the flight failed, where it did before it had told anything.
    pub fn failure_before_output(&self) -> Option<Failure> {
        let state = self.flight.state();
        match &state.outcome {
            Some(FlightOutcome::Failed(failure)) if state.log.log().is_empty() => {
                Some(failure.clone())
            }
            _ => None,
        }
    }

    /// What is there now; `None` when there is nothing new. After an error the
    /// listener hears no more.
    pub fn recv(&mut self) -> Result<Option<Received>, Error> {
        let (reading, outcome) = self.read();
        match reading {
            Some((sequence, Reading::Delta(delta))) => {
                self.cursor = sequence;
                self.has_had_deltas();
                Ok(Some(Received::Delta(sequence, delta)))
            }
            Some((_, Reading::Restarted { .. })) if self.restart_intolerant => {
                Err(restarted_without_leave())
            }
            Some((sequence, Reading::Restarted { attempt, reason })) => {
                self.cursor = sequence;
                Ok(Some(Received::Restarted { sequence, attempt, reason }))
            }
            None => Ok(outcome.map(Received::Landed)),
        }
    }

    /// Resolves when there may be something new to [`hear`](Subscriber::hear).
    /// Cancel safe: nothing is taken here.
    pub async fn changed(&self) {
        if self.has_changed() {
            return;
        }
        let changed = self.flight.changed.notified();
        tokio::pin!(changed);
        // Registered before the look, so that what comes between is not missed.
        changed.as_mut().enable();
        if self.has_changed() {
            return;
        }
        changed.await;
    }

    /// Resolves when the flight has its final name, or has landed. Cancel safe.
    pub async fn named(&self) {
        let is_named = || {
            let state = self.flight.state();
            state.named || state.outcome.is_some()
        };
        loop {
            let changed = self.flight.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_named() {
                return;
            }
            changed.await;
        }
    }

    fn has_changed(&self) -> bool {
        let state = self.flight.state();
        state.outcome.is_some() || state.log.log().last() > self.cursor
    }

    /// The next events and, where there are none, how the flight landed. Skips
    /// what this listener does not hear of: everything where it wants no deltas,
    /// and the restart of what it never had.
    fn read(&mut self) -> (Option<(u64, Reading)>, Option<FlightOutcome>) {
        let state = self.flight.state();
        let log = state.log.log();
        if !self.options.deltas {
            self.cursor = self.cursor.max(log.last());
            return (None, state.outcome.clone());
        }
        let mut reading = log.read(self.cursor, Subscriber::MAX_DELTA_BYTES);
        if let Some((sequence, Reading::Restarted { .. })) = reading
            && !self.had_deltas
        {
            // A log has one restart at most: the last one cleared it.
            self.cursor = sequence;
            reading = log.read(self.cursor, Subscriber::MAX_DELTA_BYTES);
        }
        let outcome = if reading.is_none() { state.outcome.clone() } else { None };
        (reading, outcome)
    }

    fn has_had_deltas(&mut self) {
        if self.had_deltas || !self.options.deltas {
            return;
        }
        self.had_deltas = true;
        if !self.options.allows_restart {
            self.restart_intolerant = true;
            self.flight.state().restart_intolerant += 1;
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let mut state = self.flight.state();
        state.subscribers -= 1;
        state.restart_intolerant -= usize::from(self.restart_intolerant);
        if state.subscribers > 0 || state.outcome.is_some() {
            return;
        }
        if state.drains {
            state.alone_since = Some(Instant::now());
            self.flight.left_alone.notify_one();
        } else {
            self.flight.abandon();
        }
    }
}

/// The worker that ran a flight is gone, and its output cannot be taken back.
pub fn worker_lost() -> Error {
    Error::from(ProviderError {
        message: Some(
            "the worker that ran the execution was lost; set limits.allow_restart to go on"
                .to_owned(),
        ),
        ..ProviderError::interrupted(Phase::Streaming)
    })
}

fn restarted_without_leave() -> Error {
    Error::from(ProviderError {
        message: Some(
            "the execution began anew after this caller had output; set limits.allow_restart to \
             go on"
                .to_owned(),
        ),
        ..ProviderError::interrupted(Phase::Streaming)
    })
}
