//! One execution's view of a flight.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Failure, Flight, FlightLog, FlightOutcome, FlightSource};
use crate::{
    error::{Error, ProviderError},
    event::Phase,
    recording::{FlightId, Key, MergedDelta, Reading, Recording, Subject},
    telemetry::SpanRef,
};

/// Options of a subscription.
#[derive(Debug, Clone, Copy)]
pub struct SubscribeOptions {
    /// Receive deltas, not only the outcome.
    pub deltas: bool,
    /// Have output read as soon as it arrives, although no deltas are received: a
    /// deadline between two pieces is short.
    pub prompt: bool,
    /// Let the flight restart after this subscriber has received deltas.
    pub allows_restart: bool,
    /// Keep the flight running after its last subscriber leaves.
    pub drains: bool,
}

impl SubscribeOptions {
    /// Returns true if output must be read as soon as it arrives.
    pub(super) fn watches(&self) -> bool {
        self.deltas || self.prompt
    }
}

/// A cursor into a flight's log. Dropping it leaves the flight; the last subscriber to
/// leave stops the flight, unless one of them asked for a drain.
#[derive(Debug)]
pub struct Subscriber {
    flight: Arc<Flight>,
    cursor: u64,
    options: SubscribeOptions,
    /// True if it has received output, which a restart would void.
    had_deltas: bool,
    /// True if it has seen output, with or without receiving it.
    saw_output: bool,
    /// True if it is counted in the flight's `restart_intolerant`.
    restart_intolerant: bool,
}

/// The next item that a subscriber receives.
#[derive(Debug)]
pub enum Received {
    /// Output, with the number of its last event.
    Delta(u64, MergedDelta),
    /// All earlier output is void. Received only by subscribers that have had some of it.
    Restarted {
        /// The number of this event.
        sequence: u64,
        /// The number of the attempt that starts.
        attempt: u32,
        /// The reason for giving up the previous attempt.
        reason: &'static str,
    },
    /// The flight has ended, and every event has been received.
    Ended(FlightOutcome),
}

/// A snapshot of a flight's progress.
#[derive(Debug, Clone, Copy)]
pub struct FlightStatus {
    /// The phase that the flight is in.
    pub phase: Phase,
    /// Upstream requests so far.
    pub attempts: u32,
    /// Time the connection took, if one was made.
    pub connect: Option<Duration>,
}

impl Subscriber {
    /// Adjacent deltas are merged up to about this size, in bytes: large enough to empty
    /// a backlog quickly, small enough for any client's message limit.
    const MAX_DELTA_BYTES: usize = 64 * 1024;

    /// Creates a subscriber that the flight has already counted.
    pub(super) fn new(flight: Arc<Flight>, after: u64, options: SubscribeOptions) -> Subscriber {
        let mut subscriber = Subscriber {
            flight,
            cursor: after,
            options,
            had_deltas: false,
            saw_output: false,
            restart_intolerant: false,
        };
        if after > 0 {
            subscriber.has_had_deltas();
        }
        subscriber
    }

    /// Returns another subscriber with the same options, from the first event on; `None`
    /// if the flight has been abandoned.
    pub fn another(&self) -> Option<Subscriber> {
        self.flight.subscribe(0, self.options)
    }

    /// Returns the flight's id; final once [`named`](Subscriber::named) resolves.
    pub fn flight(&self) -> FlightId {
        self.flight.id()
    }

    /// Returns the key under which the fleet finds the flight, if it does.
    pub fn flight_key(&self) -> Option<Key> {
        self.flight.state().flight_key
    }

    /// Returns the source of the flight's events.
    pub fn source(&self) -> FlightSource {
        self.flight.state().source
    }

    /// Returns the request that the flight executes.
    pub fn subject(&self) -> Arc<Subject> {
        self.flight.state().subject.clone()
    }

    /// Keeps the flight running after its last subscriber leaves.
    pub fn run_on(&self) {
        self.flight.state().drains = true;
    }

    /// Returns the number of the last event received.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Returns the number of the last event published.
    pub fn last(&self) -> u64 {
        self.flight.state().log.log().last()
    }

    /// Returns true if an event of this number may have been published. While another
    /// worker leads the flight, it may have published more than has arrived here.
    pub fn may_have_published(&self, number: u64) -> bool {
        let state = self.flight.state();
        let under_way_elsewhere = state.source == FlightSource::Remote && state.outcome.is_none();
        under_way_elsewhere || number <= state.log.log().last()
    }

    /// Returns the instants of the flight's first and latest output on this worker;
    /// `None` if there was none, or the flight is a recording.
    pub fn output(&self) -> Option<(Instant, Instant)> {
        self.flight.state().output
    }

    /// Returns true if there was output beyond the cursor.
    pub fn has_output(&self) -> bool {
        self.last() > self.cursor
    }

    /// Returns a snapshot of the flight's progress.
    pub fn status(&self) -> FlightStatus {
        let state = self.flight.state();
        FlightStatus { phase: state.phase, attempts: state.attempts, connect: state.connect }
    }

    /// Returns the recording, once the flight has completed.
    pub fn recording(&self) -> Option<Arc<Recording>> {
        match &self.flight.state().log {
            FlightLog::Growing(_) => None,
            FlightLog::Recorded(recording) => Some(recording.clone()),
        }
    }

    /// Returns the span of the flight that produced the received events, if one was
    /// recorded.
    pub fn span(&self) -> Option<SpanRef> {
        let state = self.flight.state();
        match &state.log {
            // Another worker's span arrives with its recording.
            FlightLog::Growing(_) if state.source == FlightSource::Remote => None,
            FlightLog::Growing(_) => state.span,
            FlightLog::Recorded(recording) => recording.span,
        }
    }

    /// Returns the failure of a flight that failed before it published anything.
    pub fn failure_before_output(&self) -> Option<Failure> {
        let state = self.flight.state();
        match &state.outcome {
            Some(FlightOutcome::Failed(failure)) if state.log.log().is_empty() => {
                Some(failure.clone())
            }
            _ => None,
        }
    }

    /// Returns the next item; `None` if there is nothing new.
    ///
    /// # Errors
    ///
    /// An interrupted provider error if the flight restarted although this subscriber
    /// does not allow it. Nothing more can be received afterwards.
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
            None => Ok(outcome.map(Received::Ended)),
        }
    }

    /// Resolves when [`recv`](Subscriber::recv) may return something new: without deltas
    /// that is the outcome, and at the first output, which begins the idle deadline. Cancel
    /// safe: it consumes nothing.
    pub async fn changed(&self) {
        if !self.has_changed() {
            let Flight { changes, quiet_changes, .. } = &*self.flight;
            let changes = if self.options.deltas { changes } else { quiet_changes };
            changes.wait_for(|| self.has_changed().then_some(())).await;
        }
    }

    /// Resolves when the flight has its final id or has ended. Cancel safe.
    pub async fn named(&self) {
        let is_named = || {
            let state = self.flight.state();
            (state.named || state.outcome.is_some()).then_some(())
        };
        self.flight.changes.wait_for(is_named).await;
    }

    fn has_changed(&self) -> bool {
        let mut state = self.flight.state();
        let has_output = state.log.log().last() > self.cursor;
        if state.outcome.is_some() || (has_output && (self.options.deltas || !self.saw_output)) {
            return true;
        }
        state.expects_output |= !self.options.deltas && !self.saw_output;
        false
    }

    /// Returns the next events and, if there are none, the flight's outcome. Skips what
    /// this subscriber does not receive: everything if it wants no deltas, and a restart
    /// that voids nothing it has had.
    fn read(&mut self) -> (Option<(u64, Reading)>, Option<FlightOutcome>) {
        let state = self.flight.state();
        let log = state.log.log();
        if !self.options.deltas {
            self.saw_output |= log.last() > self.cursor;
            self.cursor = self.cursor.max(log.last());
            return (None, state.outcome.clone());
        }
        let mut reading = log.read(self.cursor, Subscriber::MAX_DELTA_BYTES);
        if let Some((sequence, Reading::Restarted { .. })) = reading
            && !self.had_deltas
        {
            // A log holds at most one restart: a restart clears the log.
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
        state.watchers -= usize::from(self.options.watches());
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

/// Returns the error for a flight whose worker is gone and whose output cannot be voided.
pub(crate) fn worker_lost() -> Error {
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
            "the execution started again after this caller had output; set limits.allow_restart to \
             go on"
                .to_owned(),
        ),
        ..ProviderError::interrupted(Phase::Streaming)
    })
}
