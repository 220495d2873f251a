//! Flights shared by a fleet: workers that use the same Redis also share the flights in
//! progress.
//!
//! A flight is found by its [`FlightKey`]. The first worker to acquire the key leads: it
//! holds a [`Lease`] and appends the flight's events to a stream in Redis. Later workers
//! are [`Follower`]s: they read the stream from its first event, then live. When a leader
//! is lost, one follower takes over in the next *epoch*. Every step is one script, and
//! every step of a leader carries its [`FencingToken`]: a leader
//! that was deposed while it was paused changes nothing (`tests/it/fleet_protocol` checks
//! that).
//!
//! ```text
//!               acquire                  complete, fail
//! (nothing) ───────────────► running ───────────────────► completed, failed
//!    ▲  │                   ▲  │  ▲ │
//!    │  │           renewed │  │  │ └─ give up ─► released ─┐
//!    │  │                   │  ▼  │                         │ take over:
//!    │  │   a follower  suspected │ restored                │ next epoch,
//!    │  └── comes ───► vacant ────┘    by its leader        │ new run
//!    │ emptied,        │    │                              ▼
//!    └ evicted         └────┴── no answer in the grace ─► lost ─► running
//! ```
//!
//! *Suspected*: the lease has expired by Redis's clock. That alone proves nothing: Redis
//! may have stalled, or its clock stepped. So the leader is notified, and counts as lost
//! only if it has not answered within a grace period that starts then. *Vacant*: Redis
//! has lost the flight, but a follower knows it. The flight key is reserved for the same
//! grace period. A leader never stops because Redis is unreachable: it renews its lease
//! as soon as it can, restores a lost flight under the same fencing token, sends missing
//! events again, and retries its completion until Redis has it. If two leaders restore
//! the same flight, the later epoch wins.
//!
//! *Presumed*: Redis has not answered an acquisition in time, and may have granted it. The
//! worker leads, and appends as soon as it can: then it leads in Redis too, or restores the
//! flight, or learns that another flight has the key and runs on by itself.
//!
//! Each epoch numbers its events from above anything that the previous one can have
//! published, including events that followers received from a deposed leader. A server
//! that loses its memory may grant an epoch twice, so each leadership also has a random
//! *run* that its events are sealed under, and a worker that has published events of one
//! run never continues with another run of the same epoch. At the end, a digest of the
//! leader's events is compared with the follower's.
//!
//! This module knows neither nodes nor this worker's flights: `execution` carries events
//! between them and here. Redis failures surface as [`Acquired::Unavailable`] or
//! [`Unavailable`] after a bounded time; nothing here retries except
//! [`Ending::send_until_kept`].

mod batcher;
mod fencing;
mod follower;
mod key;
mod lease;
mod notifier;
pub mod protocol;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

pub use self::key::{FlightKey, RedisKeys};
use self::{
    batcher::AppendBatcher,
    notifier::Notifier,
    protocol::{AcquireOptions, FencingToken, Step, StepResult},
};
pub(crate) use self::{
    follower::{FleetRead, FleetUpdate, Follower, RemoteStatus},
    lease::{Ending, Lease, Pace, Sent},
};
use crate::{
    event::Finish,
    lifecycle::Lifecycle,
    recording::{FlightId, Key, Log, Recording, Subject, codec},
    redis::{Connection, Unavailable},
    seal::Sealer,
};

/// Limits of the fleet's shared state.
#[derive(Debug, Clone, Copy)]
pub struct FleetConfig {
    /// Maximum silence of a leader before another worker takes over.
    pub lease: Duration,
    /// Time for which a flight can be read after its end.
    pub retention: Duration,
    /// Maximum duration of any flight.
    pub max_flight: Duration,
}

/// This worker's membership in the fleet. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct Fleet {
    redis: Connection,
    sealer: Sealer,
    config: FleetConfig,
    notifier: Arc<Notifier>,
    batcher: AppendBatcher,
    /// The origin of the append ticks.
    began: Instant,
}

/// The result of acquiring a flight key.
#[derive(Debug)]
pub enum Acquired {
    /// The recorded answer.
    Cached(Box<Recording>),
    /// Another worker leads the flight.
    Follower(Follower),
    /// This worker leads the flight.
    Leader(Lease),
    /// Redis did not answer in time, and may have granted the lead: this worker leads, and
    /// its lease settles with the first append.
    Presumed(Lease),
    /// There is no flight, and this worker may not lead one.
    Absent,
    /// Redis is unavailable.
    Unavailable,
}

/// The result of claiming an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The key was unused.
    New,
    /// The key stands for the same request, whose flight has this key.
    Known(FlightKey),
    /// The key stands for another request.
    Mismatch,
    /// Redis is unavailable.
    Unknown,
}

impl Fleet {
    /// Time for which followers wait for an unreachable Redis, in leases.
    const LEASES_WITHOUT_REDIS: u32 = 9;
    /// Delay before retrying a Redis that refused a command.
    const AFTER_REFUSAL: Duration = Duration::from_millis(250);

    /// Joins the fleet, and spawns the tasks that receive notifications and send appends.
    pub fn new(
        redis: Connection,
        sealer: Sealer,
        config: FleetConfig,
        lifecycle: &Lifecycle,
    ) -> Fleet {
        let notifier = Arc::new(Notifier::default());
        lifecycle.spawn(notifier.clone().run(redis.notifications().subscribe()));
        let batcher = AppendBatcher::new(redis.clone(), lifecycle);
        Fleet { redis, sealer, config, notifier, batcher, began: Instant::now() }
    }

    /// Returns the time for which a flight can be read after its end.
    pub fn retention(&self) -> Duration {
        self.config.retention
    }

    /// Returns true if a command would be sent to Redis now.
    pub fn is_reachable(&self) -> bool {
        self.redis.is_reachable()
    }

    /// Resolves when a command would be sent to Redis. Cancel safe.
    pub async fn reachable(&self) {
        self.redis.reachable().await;
    }

    /// Waits, for a follower, until Redis may answer again. Returns false once it has
    /// failed for so long that the flight is given up; `since` is the first failure.
    ///
    /// The leader may still be running, and its tokens are paid for, so an unreachable
    /// Redis is waited for longer than one that refuses commands. Cancel safe.
    pub async fn reachable_again(&self, since: Instant) -> bool {
        if self.is_reachable() {
            sleep(Fleet::AFTER_REFUSAL).await;
            return since.elapsed() < self.config.lease;
        }
        let until = since + Fleet::LEASES_WITHOUT_REDIS * self.config.lease;
        timeout_at(until, self.reachable()).await.is_ok()
    }

    /// Acquires a flight key: one round trip, two if a recording cannot be read.
    pub async fn acquire(
        &self,
        flight_key: FlightKey,
        options: AcquireOptions,
        subject: &Arc<Subject>,
    ) -> Acquired {
        let keys = RedisKeys::of(flight_key);
        // Subscribed before the request, so that no notification is missed.
        let subscription = self.notifier.subscribe(flight_key);
        let about = self.about(&keys, options.fresh, subject);
        match self.take(&keys, self.acquire_step(options, about)).await {
            Ok(StepResult::Recorded(sealed)) => match self.recording_of(&keys, &sealed) {
                Some(recording) => Acquired::Cached(Box::new(recording)),
                // Written by another release or under another secret: treated as absent.
                None => {
                    let options = AcquireOptions { may_read: false, ..options };
                    Box::pin(self.acquire(flight_key, options, subject)).await
                }
            },
            Ok(StepResult::Lead(flight, epoch)) => {
                let fencing_token = FencingToken { flight, epoch, run: options.run };
                Acquired::Leader(Lease::new(
                    self.clone(),
                    keys,
                    subscription,
                    fencing_token,
                    subject.clone(),
                ))
            }
            Ok(StepResult::Follow(fencing_token)) => {
                let flight = fencing_token.flight;
                Acquired::Follower(Follower::new(
                    self.clone(),
                    keys,
                    subscription,
                    flight,
                    Some(fencing_token),
                ))
            }
            Ok(_) => Acquired::Absent,
            Err(error) if error.may_have_run() && options.begins() => {
                let fencing_token =
                    FencingToken { flight: options.fresh, epoch: 1, run: options.run };
                let lease =
                    Lease::new(self.clone(), keys, subscription, fencing_token, subject.clone());
                Acquired::Presumed(lease.presumed())
            }
            Err(_) => Acquired::Unavailable,
        }
    }

    /// Finds a flight by its id, to read it and never to lead it. Returns its subject and
    /// a reader of its events.
    pub async fn find(
        &self,
        flight_key: FlightKey,
        flight: FlightId,
    ) -> Option<(Arc<Subject>, Follower)> {
        let subscription = self.notifier.subscribe(flight_key);
        let mut follower =
            Follower::new(self.clone(), RedisKeys::of(flight_key), subscription, flight, None);
        let subject = follower.look().await.ok()??;
        Some((subject, follower))
    }

    /// Returns the recording under a flight key, if there is a readable one.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if Redis did not answer.
    pub async fn recording(&self, flight_key: FlightKey) -> Result<Option<Recording>, Unavailable> {
        let keys = RedisKeys::of(flight_key);
        let sealed = self.redis.get(&keys.recording).await?;
        Ok(sealed.and_then(|sealed| self.recording_of(&keys, &sealed)))
    }

    /// Claims an idempotency key for a request whose flight is at `flight_key`. The claim
    /// is `owner`'s to settle, unless the key was claimed before.
    pub async fn claim(
        &self,
        key: Key,
        request: Key,
        flight_key: FlightKey,
        owner: FlightId,
    ) -> Claim {
        self.claim_as(key, request, flight_key, owner, false).await
    }

    /// Takes a claimed idempotency key over from a lost worker.
    pub async fn take_claim_over(
        &self,
        key: Key,
        request: Key,
        flight_key: FlightKey,
        owner: FlightId,
    ) {
        self.claim_as(key, request, flight_key, owner, true).await;
    }

    async fn claim_as(
        &self,
        key: Key,
        request: Key,
        flight_key: FlightKey,
        owner: FlightId,
        takes_over: bool,
    ) -> Claim {
        let step = Step::Claim { request, flight_key, owner, takes_over, keep: self.keep() };
        match self.take(&RedisKeys::of(FlightKey(key)), step).await {
            Ok(StepResult::Known(flight_key)) => Claim::Known(flight_key),
            Ok(StepResult::Mismatch) => Claim::Mismatch,
            Ok(_) => Claim::New,
            Err(_) => Claim::Unknown,
        }
    }

    /// Claims and settles an idempotency key whose answer is already known. Best effort:
    /// if Redis is unavailable, a retry on another worker runs again.
    pub async fn remember(&self, key: Key, request: Key, flight_key: FlightKey) {
        let owner = FlightId::random();
        if self.claim(key, request, flight_key, owner).await == Claim::New {
            self.settle(key, owner, true).await;
        }
    }

    /// Settles `owner`'s claim on an idempotency key once its flight has ended. Best
    /// effort: if Redis is unavailable, the claim lasts until it expires.
    pub async fn settle(&self, key: Key, owner: FlightId, has_answer: bool) {
        let retention = has_answer.then_some(self.config.retention);
        let _ = self.take(&RedisKeys::of(FlightKey(key)), Step::Settle { owner, retention }).await;
    }

    async fn take(&self, keys: &RedisKeys, step: Step) -> Result<StepResult, Unavailable> {
        let arguments = step.arguments(keys);
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        StepResult::read(self.redis.script(step.script(), &step.keys(keys), &arguments).await?)
    }

    fn acquire_step(&self, options: AcquireOptions, about: Vec<u8>) -> Step {
        Step::Acquire {
            worker: self.worker(),
            options,
            lease: self.held(),
            keep: self.keep(),
            grace: self.grace(),
            about,
        }
    }

    fn worker(&self) -> String {
        self.redis.instance().to_owned()
    }

    /// Returns the lease as Redis counts it: shorter than the configured one, so that
    /// followers, which check every fifth of the lease and then wait for the grace period, take over
    /// within about one lease.
    fn held(&self) -> Duration {
        self.config.lease * 2 / 5
    }

    /// Returns the time for a suspected leader to answer: longer than a worker takes to
    /// notice that Redis is back, whatever the lease.
    fn grace(&self) -> Duration {
        (self.config.lease / 5).max(Duration::from_millis(1500))
    }

    /// Returns the interval at which both ends of a flight check Redis without a notification.
    fn look_every(&self) -> Duration {
        self.config.lease / 5
    }

    /// Returns the next tick: at ticks the events of all followed flights are sent
    /// together.
    fn tick_after(&self, instant: Instant) -> Instant {
        let since = instant.saturating_duration_since(self.began).as_micros();
        let ticks = since / Pace::FOLLOWED.as_micros() + 1;
        self.began + Pace::FOLLOWED * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Returns true if notifications of other workers arrive.
    fn is_notified(&self) -> bool {
        self.redis.notifications().is_healthy()
    }

    fn keep(&self) -> Duration {
        self.config.max_flight + self.config.retention
    }

    fn about(&self, keys: &RedisKeys, flight: FlightId, subject: &Arc<Subject>) -> Vec<u8> {
        let nothing_yet = Recording {
            flight,
            subject: subject.clone(),
            log: Log::default(),
            finish: Finish::default(),
            attempts: 0,
            recorded_at: std::time::SystemTime::UNIX_EPOCH,
            span: None,
        };
        self.sealer.seal(&keys.seal_of("about"), &codec::encode_recording(&nothing_yet))
    }

    fn subject_of(&self, keys: &RedisKeys, sealed: &[u8]) -> Option<Arc<Subject>> {
        let content = self.sealer.open(&keys.seal_of("about"), sealed)?;
        codec::decode_recording(&content).ok().map(|recording| recording.subject)
    }

    fn recording_of(&self, keys: &RedisKeys, sealed: &[u8]) -> Option<Recording> {
        let content = self.sealer.open(&keys.seal_of("recording"), sealed)?;
        codec::decode_recording(&content).ok()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Fleet")
            .field("redis", &self.redis)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
