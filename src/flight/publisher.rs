//! The leader's end of a flight: publishes events and completes the flight.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Flight, FlightIdentity, FlightLog, FlightOutcome, FlightSource, Flights, LogReader,
    MirroredFlight, Stored,
};
use crate::{
    admission::Permit,
    emit::Emit,
    error::Error,
    event::{Delta, Finish, Phase, Usage},
    recording::{FlightId, Gap, Joined, Key, Log, Recording, Subject},
    telemetry::SpanRef,
};

/// The only writer of a flight.
///
/// Dropping it before [`complete`](Publisher::complete) marks the flight as lost (the
/// leader's task panicked or was aborted), and its subscribers receive an error.
#[derive(Debug)]
pub struct Publisher {
    flight: Arc<Flight>,
    flights: Arc<Flights>,
    /// Appended but not yet flushed to subscribers.
    staged: Log,
    /// The instant at which the current connection attempt started.
    connecting_since: Option<Instant>,
    limit_bytes: usize,
    shown_bytes: usize,
    /// The permit that the answer's memory is charged to.
    permit: Option<Permit>,
    completed: bool,
}

impl Publisher {
    pub(super) fn new(flight: Arc<Flight>, flights: Arc<Flights>, limit_bytes: usize) -> Publisher {
        Publisher {
            flight,
            flights,
            staged: Log::default(),
            connecting_since: None,
            limit_bytes,
            shown_bytes: 0,
            permit: None,
            completed: false,
        }
    }

    /// Charges all further output to the permit of the leading execution.
    pub fn charge_to(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Returns the flight's id.
    pub fn id(&self) -> FlightId {
        self.flight.id()
    }

    /// Returns the request that the flight executes.
    pub fn subject(&self) -> Arc<Subject> {
        self.flight.state().subject.clone()
    }

    /// Sets the request, if the leader learns it only from the fleet.
    pub fn is_about(&self, subject: Arc<Subject>) {
        self.flight.state().subject = subject;
    }

    /// Returns a reader of the published events, for replication.
    pub fn log_reader(&self) -> LogReader {
        LogReader::new(self.flight.clone())
    }

    /// Returns the number of the last event flushed to subscribers.
    pub fn last(&self) -> u64 {
        self.flight.state().log.log().last()
    }

    /// Sets the flight's span, which its subscribers link to.
    pub fn traced_as(&self, span: SpanRef) {
        self.flight.state().span = Some(span);
    }

    /// Sets the flight's id, flight key and source; again if the source changes during
    /// the flight.
    pub fn identify(&mut self, identity: FlightIdentity) {
        self.flights.rename(&self.flight, identity.flight);
        self.set_identity(identity);
    }

    fn set_identity(&self, identity: FlightIdentity) {
        {
            let mut state = self.flight.state();
            state.named = true;
            state.flight_key = identity.flight_key;
            state.source = identity.source;
        }
        self.flight.changes.notify();
    }

    /// Lets identical executions join the flight from now on; if they already have
    /// another flight, returns a mirror of that one.
    pub fn share(&self, key: Key) -> Option<MirroredFlight> {
        self.flights.share(key, &self.flight)
    }

    /// Sets the identity like [`identify`](Publisher::identify), for a flight that
    /// mirrors another flight of this worker.
    pub fn mirror(&mut self, identity: FlightIdentity) {
        self.flights.mirror(&self.flight, identity.flight);
        self.set_identity(identity);
    }

    /// Returns the number of subscribers so far, including those that have left.
    pub fn audience(&self) -> u64 {
        self.flight.state().audience
    }

    /// Resolves when nobody needs the flight any more: its last subscriber has left or,
    /// if the flight drains, left `drain_limit` ago. Cancel safe.
    pub fn abandoned(&self, drain_limit: Duration) -> impl Future<Output = ()> + Send + 'static {
        let flight = self.flight.clone();
        async move {
            tokio::select! {
                () = flight.abandoned().cancelled() => {}
                () = flight.abandon_when_alone_for(drain_limit) => {}
            }
        }
    }

    /// Returns a token that is cancelled when nobody needs the flight any more. Unlike
    /// [`abandoned`](Publisher::abandoned) it ends no flight that drains.
    pub fn abandonment(&self) -> CancellationToken {
        self.flight.abandoned().clone()
    }

    /// Returns the phase that the flight is in.
    pub fn current_phase(&self) -> Phase {
        self.flight.state().phase
    }

    /// Returns the maximum size of the answer, in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Sets the number of upstream requests, if other flights made them for this one.
    pub fn took(&self, attempts: u32) {
        self.flight.state().attempts = attempts;
    }

    /// Returns the number of upstream requests so far.
    pub fn attempts(&self) -> u32 {
        self.flight.state().attempts
    }

    /// Counts another upstream request and returns its number. Discards output that was
    /// not flushed.
    pub fn begin_attempt(&mut self) -> u32 {
        self.staged = Log::default();
        let mut state = self.flight.state();
        state.used = None;
        state.attempts += 1;
        state.attempts
    }

    /// Returns the provider's latest usage report for the current attempt.
    pub fn last_usage(&self) -> Option<Usage> {
        self.flight.state().used
    }

    /// Returns true if events have been flushed that a new attempt would contradict.
    pub fn has_shown(&self) -> bool {
        !self.flight.state().log.log().is_empty()
    }

    /// Returns true if the flight may restart: nothing has been flushed, or a subscriber
    /// can continue, or the flight drains without subscribers.
    pub fn may_restart(&self) -> bool {
        let state = self.flight.state();
        state.log.log().is_empty()
            || state.subscribers > state.restart_intolerant
            || (state.subscribers == 0 && state.drains)
    }

    /// Voids all output. Subscribers that have had deltas and do not allow a restart
    /// receive an error; the others continue.
    pub fn restart(&mut self, attempt: u32, reason: &'static str) {
        self.staged = Log::default();
        self.shown_bytes = 0;
        {
            let mut state = self.flight.state();
            state.output_now();
            if let FlightLog::Growing(log) = &mut state.log {
                log.restart(attempt, reason);
            }
        }
        self.flight.notify_output();
    }

    /// Voids all output, and numbers further events from `number` or the next free one.
    pub fn restart_at(&mut self, number: u64, reason: &'static str) {
        self.staged = Log::default();
        self.shown_bytes = 0;
        {
            let mut state = self.flight.state();
            let attempt = state.attempts + 1;
            state.output_now();
            if let FlightLog::Growing(log) = &mut state.log {
                log.restart_at(number.max(log.last() + 1), attempt, reason);
            }
        }
        self.flight.notify_output();
    }

    /// Publishes events of another worker under the numbers they have there.
    ///
    /// # Errors
    ///
    /// [`Gap`] if events before these are missing.
    pub fn relay(&mut self, events: Log) -> Result<(), Gap> {
        let followed = {
            let mut state = self.flight.state();
            state.output_now();
            match &mut state.log {
                FlightLog::Growing(log) => log.follow(events),
                FlightLog::Recorded(_) => Ok(()),
            }
        };
        self.flight.notify_output();
        followed
    }

    /// Replaces the log with the recording of the mirrored flight.
    pub fn record_mirrored(&mut self, recording: Arc<Recording>) {
        self.flight.state().log = FlightLog::Recorded(recording);
    }

    /// Turns the log of a relayed flight into a recording that ends like `end`.
    pub fn record_relayed(&mut self, end: Recording) -> Arc<Recording> {
        let mut state = self.flight.state();
        let log = match &mut state.log {
            FlightLog::Growing(log) => mem::take(log),
            FlightLog::Recorded(recording) => return recording.clone(),
        };
        let recording = Arc::new(Recording { log, ..end });
        state.attempts = recording.attempts;
        state.log = FlightLog::Recorded(recording.clone());
        recording
    }

    /// Flushes, and returns the choices so far, each with its deltas joined.
    pub fn joined(&mut self, count: usize) -> Vec<Joined> {
        self.show();
        self.flight.state().log.log().join(count)
    }

    /// Turns the log into a recording, which subscribers read from now on. The flight has
    /// not completed yet.
    pub fn record(&mut self, finish: Finish) -> Arc<Recording> {
        self.show();
        let mut state = self.flight.state();
        let log = match &mut state.log {
            FlightLog::Growing(log) => mem::take(log),
            FlightLog::Recorded(recording) => return recording.clone(),
        };
        let recording = Arc::new(Recording {
            flight: state.id,
            subject: state.subject.clone(),
            log,
            finish,
            attempts: state.attempts,
            recorded_at: SystemTime::now(),
            span: state.span,
        });
        state.log = FlightLog::Recorded(recording.clone());
        recording
    }

    /// Completes the flight with an answer that another execution recorded `age` ago.
    pub fn complete_with(mut self, recording: Arc<Recording>, age: Duration) {
        {
            let mut state = self.flight.state();
            state.named = true;
            state.source = FlightSource::Cached { age };
            state.log = FlightLog::Recorded(recording);
        }
        self.settle(FlightOutcome::Completed(Stored::Stored));
    }

    /// Ends the flight: publishes the outcome, then removes the flight from the registry.
    pub fn complete(mut self, outcome: FlightOutcome) {
        self.show();
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: FlightOutcome) {
        self.completed = true;
        self.flight.state().outcome = Some(outcome);
        self.flight.changes.notify();
        self.flight.quiet_changes.notify();
        self.flights.remove(&self.flight);
    }

    /// Moves staged events into the log. Returns false if there were none.
    fn show(&mut self) -> bool {
        if self.staged.is_empty() {
            return false;
        }
        let mut state = self.flight.state();
        state.output_now();
        if let FlightLog::Growing(log) = &mut state.log {
            log.absorb(&mut self.staged);
            self.shown_bytes = log.bytes();
        }
        true
    }
}

impl Emit for Publisher {
    fn phase(&mut self, phase: Phase) {
        let mut state = self.flight.state();
        match phase {
            Phase::Connecting => self.connecting_since = Some(Instant::now()),
            Phase::Waiting => {
                let connect = self.connecting_since.take().map(|since| since.elapsed());
                state.connect = connect.or(state.connect);
            }
            Phase::Queued | Phase::Streaming | Phase::Retrying => {}
        }
        state.phase = phase;
    }

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        self.staged.append(delta);
        let bytes = self.shown_bytes + self.staged.bytes();
        if bytes > self.limit_bytes {
            return Err(Error::OutputTooLarge { limit_bytes: self.limit_bytes });
        }
        self.permit.as_ref().map_or(Ok(()), |permit| permit.afford(bytes))
    }

    fn flush(&mut self) {
        if self.show() {
            self.flight.notify_output();
        }
    }

    fn used(&mut self, usage: &Usage) {
        self.flight.state().used = Some(*usage);
    }

    fn poll_watched(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.flight.state().poll_watched(context)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if !self.completed {
            let lost = Error::Internal("the execution was lost before it had ended");
            self.settle(FlightOutcome::Failed(Failure::from(lost)));
        }
    }
}
