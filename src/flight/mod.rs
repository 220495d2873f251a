//! Flights: provider requests in progress that several executions may share.
//!
//! A [`Flight`] is an append-only log with an outcome. Each [`Subscriber`] reads the log
//! through its own cursor, so a slow subscriber delays nobody and misses nothing. The
//! [`Publisher`] is the leader's end; dropping it before the flight has completed marks
//! the flight as lost and fails its subscribers. [`Flights`] finds the flight of an
//! identical execution, of an idempotency key, or of an execution token.
//!
//! States: running, ended (completed or failed), lost. Nothing here awaits while it holds
//! a lock or a map guard: the state is locked only between awaits.
//!
//! A flight belongs to the worker. It is abandoned, and its leader stopped, when the last
//! subscriber leaves and none of them asked for a drain.

mod log_reader;
mod mirror;
mod publisher;
mod registry;
mod subscriber;
#[cfg(test)]
mod tests;

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    log_reader::LogReader,
    mirror::{MirrorEvent, MirroredFlight},
    registry::Idempotency,
    subscriber::worker_lost,
};
pub use self::{
    publisher::Publisher,
    registry::{Flights, FlightsConfig, Join, JoinRequest},
    subscriber::{Received, SubscribeOptions, Subscriber},
};
use crate::{
    changes::Changes,
    error::Error,
    event::{Phase, Usage},
    recording::{FlightId, Key, Log, Recording, Subject},
    telemetry::SpanRef,
};

/// A flight's end without an answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error reported to every subscriber.
    pub error: Error,
    /// The tokens used, as far as known.
    pub usage: Option<Usage>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, usage: None }
    }
}

/// The state of a flight's answer in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The answer is in the cache.
    Stored,
    /// The answer is not in the cache, for this one-word reason.
    NotStored(&'static str),
}

/// A flight's final state.
#[derive(Debug, Clone)]
pub enum FlightOutcome {
    /// The flight ended with an answer.
    Completed(Stored),
    /// The flight ended with an error.
    Failed(Failure),
}

/// The source of a flight's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlightSource {
    /// This worker runs the node, after any cache lookup that was due.
    Local,
    /// This worker runs the node although the cache lookup failed.
    LocalUnchecked,
    /// Another worker runs the node and this one relays its events.
    Remote,
    /// The answer comes from a recording; nothing runs.
    Cached {
        /// Time since the recording was stored.
        age: Duration,
    },
}

/// A flight's identity, settled once its leader has acquired the flight key.
#[derive(Debug, Clone, Copy)]
pub struct FlightIdentity {
    /// The flight's id, the same on every worker.
    pub flight: FlightId,
    /// The key under which the fleet finds the flight; `None` if only this worker knows
    /// it.
    pub flight_key: Option<Key>,
    /// The source of its events.
    pub source: FlightSource,
}

/// One shared run of a node.
pub(crate) struct Flight {
    state: Mutex<State>,
    /// Notified whenever `state` has something new for subscribers.
    changes: Changes,
    /// The same for subscribers without deltas: notified at the first output that one of
    /// them has not seen, and at the end.
    quiet_changes: Changes,
    /// Notified when the last subscriber leaves a flight that drains.
    left_alone: Notify,
    /// Cancelled when nobody needs the flight any more. Created on first use: a
    /// recording needs none.
    abandoned: OnceLock<CancellationToken>,
}

struct State {
    /// The key under which identical executions find it.
    shared: Option<Key>,
    /// Its id; provisional until `named`.
    id: FlightId,
    /// True if the id belongs to another local flight, which this one mirrors.
    mirrors: bool,
    /// True if the id is final. Until then the leader may find that the flight already
    /// runs on another worker, under the id it has there.
    named: bool,
    subject: Arc<Subject>,
    flight_key: Option<Key>,
    source: FlightSource,
    log: FlightLog,
    outcome: Option<FlightOutcome>,
    phase: Phase,
    attempts: u32,
    connect: Option<Duration>,
    /// The provider's latest usage report for the current attempt.
    used: Option<Usage>,
    subscribers: usize,
    /// Current subscribers that want each event as soon as it arrives.
    watchers: usize,
    /// Woken when there is a watcher again.
    unwatched: Option<Waker>,
    /// The instants of the first and of the latest output here.
    output: Option<(Instant, Instant)>,
    /// True if a subscriber without deltas waits for its first output.
    expects_output: bool,
    /// The number of subscribers so far, including those that have left.
    audience: u64,
    /// Current subscribers that have received deltas and do not allow a restart.
    restart_intolerant: usize,
    /// True if it is retained after its end, to be attached to.
    attachable: bool,
    /// True if it keeps running after the last subscriber leaves.
    drains: bool,
    /// The instant at which the last subscriber left.
    alone_since: Option<Instant>,
    /// The flight's span, if one is recorded.
    span: Option<SpanRef>,
    /// The idempotency keys it is registered under.
    replayed_for: Vec<Idempotency>,
}

impl State {
    fn has_completed(&self) -> bool {
        matches!(self.outcome, Some(FlightOutcome::Completed(_)))
    }
}

/// The flight's events: still growing, or part of a recording.
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

impl State {
    /// Counts a subscriber that wants each event as soon as it arrives.
    fn watched(&mut self, options: &SubscribeOptions) {
        if options.watches() {
            self.watchers += 1;
            if let Some(waker) = self.unwatched.take() {
                waker.wake();
            }
        }
    }

    /// Resolves once there is a watcher.
    fn poll_watched(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.watchers > 0 {
            return Poll::Ready(());
        }
        self.unwatched = Some(context.waker().clone());
        Poll::Pending
    }

    /// Records that output arrives now.
    fn output_now(&mut self) {
        let now = Instant::now();
        self.output.get_or_insert((now, now)).1 = now;
    }
}

impl Flight {
    fn new(subject: Arc<Subject>, shared: Option<Key>, named: bool) -> Arc<Flight> {
        let log = FlightLog::Growing(Log::default());
        let flight = Flight::with(FlightId::random(), subject, shared, log, None);
        flight.state().named = named;
        flight
    }

    /// Returns a flight that has already completed, so that subscribers can read
    /// `recording`.
    pub(crate) fn replay(recording: Arc<Recording>) -> Arc<Flight> {
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
                watchers: 0,
                unwatched: None,
                output: None,
                expects_output: false,
                audience: 0,
                restart_intolerant: 0,
                attachable: true,
                drains: false,
                alone_since: None,
                span: None,
                replayed_for: Vec::new(),
            }),
            changes: Changes::default(),
            quiet_changes: Changes::default(),
            left_alone: Notify::new(),
            abandoned: OnceLock::new(),
        })
    }

    /// Returns the flight's id; provisional until its leader has acquired the flight key.
    pub(crate) fn id(&self) -> FlightId {
        self.state().id
    }

    /// Subscribes to the events after number `after`, also of a flight that has failed.
    /// Returns `None` if the flight has been abandoned: its leader is stopping.
    pub(crate) fn subscribe(
        self: &Arc<Flight>,
        after: u64,
        options: SubscribeOptions,
    ) -> Option<Subscriber> {
        {
            let mut state = self.state();
            if state.outcome.is_none() && self.abandoned().is_cancelled() {
                return None;
            }
            state.subscribers += 1;
            state.audience += 1;
            state.watched(&options);
            state.drains |= options.drains;
            state.alone_since = None;
        }
        Some(Subscriber::new(self.clone(), after, options))
    }

    /// Subscribes from the first event. Returns `None` if the flight failed or was
    /// abandoned: a new execution should then run again.
    fn join(self: &Arc<Flight>, options: SubscribeOptions) -> Option<Subscriber> {
        let failed = matches!(self.state().outcome, Some(FlightOutcome::Failed(_)));
        if failed { None } else { self.subscribe(0, options) }
    }

    fn has_completed(&self) -> bool {
        self.state().has_completed()
    }

    /// Returns its approximate memory use in bytes.
    fn bytes(&self) -> usize {
        let content = match &self.state().log {
            FlightLog::Growing(log) => log.bytes(),
            FlightLog::Recorded(recording) => recording.bytes(),
        };
        size_of::<Flight>() + content
    }

    /// Abandons the flight once it has had no subscriber for `limit`. Cancel safe.
    async fn abandon_when_alone_for(&self, limit: Duration) {
        while !self.abandon_if_alone_for(limit) {
            let alone_since = self.state().alone_since;
            match alone_since {
                Some(since) => tokio::time::sleep_until(since + limit).await,
                None => self.left_alone.notified().await,
            }
        }
    }

    /// Checks and decides under one lock, so that a returning subscriber is either
    /// counted here or refused.
    fn abandon_if_alone_for(&self, limit: Duration) -> bool {
        let state = self.state();
        let alone = state.alone_since.is_some_and(|since| since.elapsed() >= limit);
        if alone {
            self.abandon();
        }
        alone
    }

    /// Stops the flight, with or without subscribers.
    fn abandon(&self) {
        self.abandoned().cancel();
    }

    /// Notifies the subscribers of output.
    fn notify_output(&self) {
        self.changes.notify();
        if mem::take(&mut self.state().expects_output) {
            self.quiet_changes.notify();
        }
    }

    fn abandoned(&self) -> &CancellationToken {
        self.abandoned.get_or_init(CancellationToken::new)
    }

    /// Locks the state. The lock is never held across an await or a call that may panic,
    /// so a poisoned state is still consistent.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Flight").field("id", &self.id()).finish_non_exhaustive()
    }
}
