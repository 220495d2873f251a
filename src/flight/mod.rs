//! Flights: real invocations under way that several executions may listen to.
//!
//! A [`Flight`] is an append-only log and how it ended; [`Subscriber`]s each have
//! a cursor into it, so a slow one slows nobody and loses nothing. The
//! [`Publisher`] is the leader's end; dropped before it has landed the flight,
//! the flight is lost and its listeners are told. [`Flights`] finds the flight
//! of an identical execution, of an idempotency key, or of an execution token.
//!
//! States: running, landed (completed or failed), lost. Nothing here awaits
//! with a lock or a map guard held; [`Subscriber::changed`] is the only await.
//!
//! The flight belongs to the worker. It is abandoned, and its leader told to
//! stop, when the last listener has gone and none of them asked to drain.

mod log_reader;
mod mirror;
mod publisher;
mod registry;
mod subscriber;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

pub use self::{
    log_reader::LogReader,
    mirror::{MirrorEvent, MirroredFlight},
    publisher::Publisher,
    registry::{Flights, FlightsConfig, Idempotency, Join, JoinRequest},
    subscriber::{FlightStatus, Received, SubscribeOptions, Subscriber, worker_lost},
};
use crate::{
    error::Error,
    event::{Phase, Usage},
    recording::{FlightId, Key, Log, Recording, Subject},
    telemetry::SpanRef,
};

/// How a flight ended without an answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// The tokens that were used, as far as known.
    pub usage: Option<Usage>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, usage: None }
    }
}

/// How a flight's answer fared with the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is in the cache.
    Stored,
    /// It is not; in a word, why.
    NotStored(&'static str),
}

/// How a flight landed.
#[derive(Debug, Clone)]
pub enum FlightOutcome {
    /// With an answer.
    Completed(Stored),
    /// Without.
    Failed(Failure),
}

/// How a flight comes by its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlightSource {
    /// This worker runs the node, after whatever look-up was due.
    Local,
    /// The same, and the look-up failed.
    LocalUnchecked,
    /// Another worker runs it; its events are passed on.
    Relayed,
    /// Nothing runs: the answer was recorded this long ago.
    Recorded {
        /// Since it was stored.
        age: Duration,
    },
}

/// What is known of a flight once its leader has found its place.
#[derive(Debug, Clone, Copy)]
pub struct FlightIdentity {
    /// The flight's name, on every worker.
    pub flight: FlightId,
    /// What the fleet finds it by; `None` where only this worker knows it.
    pub flight_key: Option<Key>,
    /// How it comes by its events.
    pub source: FlightSource,
}

/// One real invocation.
pub struct Flight {
    state: Mutex<State>,
    /// Rung whenever `state` has something new for listeners.
    changed: Notify,
    /// Rung when the last listener has left a flight that drains.
    left_alone: Notify,
    /// Cancelled when nobody wants the flight any more.
    abandoned: CancellationToken,
}

struct State {
    /// What identical executions find it by.
    shared: Option<Key>,
    /// Its name; a stopgap until `named`.
    id: FlightId,
    /// Whether the name is that of another flight here, which it echoes.
    mirrors: bool,
    /// Whether the name is final: the leader may yet find that the flight runs
    /// elsewhere, under a name that it has there.
    named: bool,
    subject: Arc<Subject>,
    flight_key: Option<Key>,
    source: FlightSource,
    log: FlightLog,
    outcome: Option<FlightOutcome>,
    phase: Phase,
    attempts: u32,
    connect: Option<Duration>,
    /// What the provider has said of the use of the last attempt, so far.
    used: Option<Usage>,
    subscribers: usize,
    /// All that ever listened.
    audience: u64,
    /// Listeners that have had deltas and do not allow a restart.
    restart_intolerant: usize,
    /// Whether it runs on when the last listener has gone.
    drains: bool,
    /// Since when nobody listens.
    alone_since: Option<Instant>,
    /// The span of the flight, where one is recorded.
    span: Option<SpanRef>,
    /// The idempotency keys it is registered under.
    replayed_for: Vec<Idempotency>,
}

/// Where the events are: growing, or at rest.
enum FlightLog {
    Growing(Log),
    Recorded(Arc<Recording>),
}

impl FlightLog {
    fn log(&self) -> &Log {
        match self {
            FlightLog::Growing(log) => log,
            FlightLog::Recorded(recording) => &recording.log,
        }
    }
}

impl Flight {
    fn new(subject: Arc<Subject>, shared: Option<Key>, named: bool) -> Arc<Flight> {
        let log = FlightLog::Growing(Log::default());
        let flight = Flight::with(FlightId::random(), subject, shared, log, None);
        flight.state().named = named;
        flight
    }

    /// A flight that has landed already: how a recording is listened to.
    pub fn replay(recording: Arc<Recording>) -> Arc<Flight> {
        let outcome = FlightOutcome::Completed(Stored::Stored);
        let subject = recording.subject.clone();
        Flight::with(recording.flight, subject, None, FlightLog::Recorded(recording), Some(outcome))
    }

    fn with(
        id: FlightId,
        subject: Arc<Subject>,
        shared: Option<Key>,
        log: FlightLog,
        outcome: Option<FlightOutcome>,
    ) -> Arc<Flight> {
        Arc::new(Flight {
            state: Mutex::new(State {
                shared,
                id,
                mirrors: false,
                named: true,
                subject,
                flight_key: None,
                source: FlightSource::Local,
                log,
                outcome,
                phase: Phase::Queued,
                attempts: 0,
                connect: None,
                used: None,
                subscribers: 0,
                audience: 0,
                restart_intolerant: 0,
                drains: false,
                alone_since: None,
                span: None,
                replayed_for: Vec::new(),
            }),
            changed: Notify::new(),
            left_alone: Notify::new(),
            abandoned: CancellationToken::new(),
        })
    }

    /// Its name; a stopgap until its leader has found its place.
    pub fn id(&self) -> FlightId {
        self.state().id
    }

    /// Begins to listen after event number `after`, also to a flight that has
    /// failed. `None` when it has been abandoned: its leader is on the way out.
    pub fn subscribe(
        self: &Arc<Flight>,
        after: u64,
        options: SubscribeOptions,
    ) -> Option<Subscriber> {
        {
            let mut state = self.state();
            if self.abandoned.is_cancelled() && state.outcome.is_none() {
                return None;
            }
            state.subscribers += 1;
            state.audience += 1;
            state.drains |= options.drains;
            state.alone_since = None;
        }
        Some(Subscriber::new(self.clone(), after, options))
    }

    /// Begins to listen from the first event, unless an execution that comes
    /// now had better run anew.
    fn join(self: &Arc<Flight>, options: SubscribeOptions) -> Option<Subscriber> {
        let failed = matches!(self.state().outcome, Some(FlightOutcome::Failed(_)));
        if failed { None } else { self.subscribe(0, options) }
    }

    fn has_completed(&self) -> bool {
        matches!(self.state().outcome, Some(FlightOutcome::Completed(_)))
    }

    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize {
        size_of::<Flight>() + self.state().log.log().bytes()
    }

    /// Abandons the flight when nobody has listened for `limit`. Cancel safe.
    async fn abandon_when_alone_for(&self, limit: Duration) {
        while !self.abandon_if_alone_for(limit) {
            let alone_since = self.state().alone_since;
            match alone_since {
                Some(since) => tokio::time::sleep_until(since + limit).await,
                None => self.left_alone.notified().await,
            }
        }
    }

    /// Looks and decides under one lock: somebody who comes back is either
    /// seen here, or refused.
    fn abandon_if_alone_for(&self, limit: Duration) -> bool {
        let state = self.state();
        let alone = state.alone_since.is_some_and(|since| since.elapsed() >= limit);
        if alone {
            self.abandon();
        }
        alone
    }

    /// Stops the flight whether somebody listens or not.
    fn abandon(&self) {
        self.abandoned.cancel();
    }

    /// The lock is never held across an await or a panic of foreign code, so a
    /// poisoned state is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Flight").field("id", &self.id()).finish_non_exhaustive()
    }
}
