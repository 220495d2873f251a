//! The leader's end of a flight: tells events, and lands the flight.

use std::{
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    Failure, Flight, FlightIdentity, FlightLog, FlightOutcome, FlightSource, Flights, LogReader,
    MirroredFlight, Stored,
};
use crate::{
    admission::Permit,
    error::Error,
    event::{Delta, Emit, Finish, Phase, Usage},
    recording::{FlightId, Gap, Joined, Key, Log, Recording, Subject},
    telemetry::SpanRef,
};

/// The only writer of a flight.
///
/// Dropped before [`land`](Publisher::land): the flight is lost (the leader's
/// task panicked or was aborted), and its listeners end in an error.
#[derive(Debug)]
pub struct Publisher {
    flight: Arc<Flight>,
    flights: Arc<Flights>,
    /// Told, and not yet shown.
    staged: Log,
    /// Since when a connection is being made.
    connecting_since: Option<Instant>,
    limit_bytes: usize,
    shown_bytes: usize,
    /// Whose memory the answer takes.
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

    /// Charges what is told from now on to the execution that leads.
    pub fn charge_to(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// The flight's name.
    pub fn id(&self) -> FlightId {
        self.flight.id()
    }

    /// What is executed.
    pub fn subject(&self) -> Arc<Subject> {
        self.flight.state().subject.clone()
    }

    /// What is executed, where the leader has to learn it first.
    pub fn is_about(&self, subject: Arc<Subject>) {
        self.flight.state().subject = subject;
    }

    /// Reads what was told, to pass it on.
    pub fn log_reader(&self) -> LogReader {
        LogReader::new(self.flight.clone())
    }

    /// The number of the last event that was shown.
    pub fn last(&self) -> u64 {
        self.flight.state().log.log().last()
    }

    /// Notes the span of the flight: what its listeners link to.
    pub fn traced_as(&self, span: SpanRef) {
        self.flight.state().span = Some(span);
    }

    /// Settles the flight's name and how it comes by its events; more than
    /// once, where the course changes on the way.
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
        self.flight.changed.notify_waiters();
    }

    /// Has identical executions join the flight from now on; or, where they have
    /// another already, gives an ear on that.
    pub fn share(&self, key: Key) -> Option<MirroredFlight> {
        self.flights.share(key, &self.flight)
    }

    /// The same as [`board`](Publisher::board) for a flight that tells what
    /// another one here tells.
    pub fn mirror(&mut self, identity: FlightIdentity) {
        self.flights.mirror(&self.flight, identity.flight);
        self.set_identity(identity);
    }

    /// How many have listened so far, those included that have left.
    pub fn audience(&self) -> u64 {
        self.flight.state().audience
    }

    /// Resolves when nobody wants the flight any more: its last listener has
    /// gone, or, where it drains, has been gone for `drain_limit`. Cancel safe.
    pub fn abandoned(&self, drain_limit: Duration) -> impl Future<Output = ()> + Send + 'static {
        let flight = self.flight.clone();
        async move {
            tokio::select! {
                () = flight.abandoned.cancelled() => {}
                () = flight.abandon_when_alone_for(drain_limit) => {}
            }
        }
    }

    /// What the flight is waiting for.
    pub fn current_phase(&self) -> Phase {
        self.flight.state().phase
    }

    /// Calls of the provider so far.
    pub fn attempts(&self) -> u32 {
        self.flight.state().attempts
    }

    /// Counts another call of the provider. What was told and not shown is
    /// forgotten.
    pub fn begin_attempt(&mut self) -> u32 {
        self.staged = Log::default();
        let mut state = self.flight.state();
        state.used = None;
        state.attempts += 1;
        state.attempts
    }

    /// What the provider has said of the use of the last attempt, so far.
    pub fn last_usage(&self) -> Option<Usage> {
        self.flight.state().used
    }

    /// Whether events have been shown that a new attempt would contradict.
    pub fn has_shown(&self) -> bool {
        !self.flight.state().log.log().is_empty()
    }

    /// Whether the flight may begin again: nothing has been shown, or somebody
    /// is left who can go on, or nobody listens and it drains.
    pub fn may_restart(&self) -> bool {
        let state = self.flight.state();
        state.log.log().is_empty()
            || state.subscribers > state.restart_intolerant
            || (state.subscribers == 0 && state.drains)
    }

    /// Voids what was told. Listeners who had deltas and did not allow it end
    /// there; the others go on.
    pub fn restart(&mut self, attempt: u32, reason: &'static str) {
        self.staged = Log::default();
        self.shown_bytes = 0;
        if let FlightLog::Growing(log) = &mut self.flight.state().log {
            log.restart(attempt, reason);
        }
        self.flight.changed.notify_waiters();
    }

    /// The same, and numbers go on from one that is beyond the last.
    pub fn restart_at(&mut self, number: u64, reason: &'static str) {
        self.staged = Log::default();
        self.shown_bytes = 0;
        {
            let mut state = self.flight.state();
            let attempt = state.attempts + 1;
            if let FlightLog::Growing(log) = &mut state.log {
                log.restart_at(number.max(log.last() + 1), attempt, reason);
            }
        }
        self.flight.changed.notify_waiters();
    }

    /// Shows events of another worker, under the numbers they have there.
    pub fn relay(&mut self, events: Log) -> Result<(), Gap> {
        let followed = match &mut self.flight.state().log {
            FlightLog::Growing(log) => log.follow(events),
            FlightLog::Recorded(_) => Ok(()),
        };
        self.flight.changed.notify_waiters();
        followed
    }

    /// Goes on with the recording of the flight that was echoed.
    pub fn record_mirrored(&mut self, recording: Arc<Recording>) {
        self.flight.state().log = FlightLog::Recorded(recording);
    }

    /// Puts the log of a relayed flight to rest, as `end` says it ended.
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

    /// The choices as told so far, joined.
    pub fn joined(&mut self, count: usize) -> Vec<Joined> {
        self.show();
        self.flight.state().log.log().join(count)
    }

    /// Puts the log to rest. Listeners read on from the recording; the flight
    /// has not landed yet.
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

    /// Ends the flight with an answer that somebody else has recorded in the
    /// meantime, `age` ago.
    pub fn complete_with(mut self, recording: Arc<Recording>, age: Duration) {
        {
            let mut state = self.flight.state();
            state.named = true;
            state.source = FlightSource::Recorded { age };
            state.log = FlightLog::Recorded(recording);
        }
        self.settle(FlightOutcome::Completed(Stored::Stored));
    }

    /// Ends the flight: tells the listeners, then takes it off the registry.
    pub fn complete(mut self, outcome: FlightOutcome) {
        self.show();
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: FlightOutcome) {
        self.completed = true;
        self.flight.state().outcome = Some(outcome);
        self.flight.changed.notify_waiters();
        self.flights.remove(&self.flight);
    }

    /// Moves what is staged into the log. Returns whether there was anything.
    fn show(&mut self) -> bool {
        if self.staged.is_empty() {
            return false;
        }
        if let FlightLog::Growing(log) = &mut self.flight.state().log {
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
            self.flight.changed.notify_waiters();
        }
    }

    fn used(&mut self, usage: &Usage) {
        self.flight.state().used = Some(*usage);
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
