//! The fleet half of flights: workers that share a Redis share the flights under
//! way, too.
//!
//! A flight lies at a [`FlightKey`]. The worker that comes first leads it: it holds a
//! [`Lease`] and tells the flight's events to a stream in Redis. Workers that come
//! later are [`Following`]: they hear the stream from its first event, then live.
//! When a leader is lost, one follower takes over, in the next *epoch*. Every step
//! is one script, and every step of a leader carries its [`FencingToken`](step::FencingToken): one
//! that was deposed while it slept changes nothing. (`tests/fleet_protocol` proves
//! that.)
//!
//! ```text
//!               acquire                 complete, fail
//! (nothing) ───────────────► running ───────────────────► landed, failed
//!    ▲  │                   ▲  │  ▲ │
//!    │  │           renewed │  │  │ └─ give up ─► released ─┐
//!    │  │                   │  ▼  │                         │ take over:
//!    │  │   a follower  suspected │ restored                │ next epoch,
//!    │  └── comes ───► vacant ────┘    by its leader        │ new run
//!    │ emptied,        │    │                              ▼
//!    └ evicted         └────┴── no answer in the grace ─► lost ─► running
//! ```
//!
//! *Suspected*: the lease has run out as Redis counts it. That alone proves nothing:
//! Redis may have stood still, or its clock stepped. So the leader is notified, and
//! taken for lost only when it has not answered within a grace that starts then.
//! *Vacant*: Redis has lost the flight, and a follower knows it. Its place is held
//! for as long a grace. A leader never stops because Redis is away: it renews its
//! lease as soon as it can, restores a flight that was lost under the same fence,
//! sends again what is missing, and keeps its completion until Redis has it. Among
//! two that both restore one flight the later epoch wins.
//!
//! Numbers of events begin anew in each epoch, above all that the one before can
//! have told, also to those who heard it from the deposed leader itself. A server
//! that loses its memory may grant an epoch twice: so each leadership also has a
//! random *run*, under which its events are sealed, and nobody who has shown events
//! of one run goes on with another of the same epoch. At the end, a digest of what
//! the leader published is compared with what the follower has.
//!
//! Knows nothing of nodes, nor of the flights of this worker: `execution` carries
//! events between those and here. Redis trouble is a [`Acquired::Unavailable`] or an
//! [`Unavailable`], after a bounded time; nothing here retries.

mod batcher;
mod follower;
mod key;
mod lease;
mod notifier;
pub mod protocol;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use self::{
    batcher::AppendBatcher,
    notifier::Notifier,
    protocol::{AcquireOptions, Answer, FencingToken, Step},
};
pub use self::{
    follower::{FleetRead, FleetUpdate, Following, RemoteStatus},
    key::{FlightKey, RedisKeys},
    lease::{Ending, Lease, Pace, Sent},
};
use crate::{
    event::Finish,
    lifecycle::Lifecycle,
    recording::{FlightId, Key, Log, Recording, Subject, codec},
    redis::{Connection, Unavailable},
    seal::Sealer,
};

/// Bounds of what the fleet remembers.
#[derive(Debug, Clone, Copy)]
pub struct FleetConfig {
    /// How long a leader may be silent before another takes over.
    pub lease: Duration,
    /// How long a flight can be heard after its end.
    pub retention: Duration,
    /// No flight lasts longer.
    pub max_flight: Duration,
}

/// This worker's part in the fleet. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Fleet {
    redis: Connection,
    sealer: Sealer,
    config: FleetConfig,
    notifier: Arc<Notifier>,
    batcher: AppendBatcher,
    /// What the ticks are counted from.
    began: Instant,
}

/// What a worker finds at a berth.
#[derive(Debug)]
pub enum Acquired {
    /// The answer.
    Cached(Box<Recording>),
    /// A flight that another worker leads.
    Follower(Following),
    /// Nobody: this worker leads.
    Leader(Lease),
    /// Nobody, and this worker may not lead.
    Absent,
    /// Redis could not be asked.
    Unavailable,
}

/// What an idempotency key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing until now.
    New,
    /// The same request, whose flight lies there.
    Known(FlightKey),
    /// Another request.
    Mismatch,
    /// Redis could not be asked.
    Unknown,
}

impl Fleet {
    /// How long followers wait for a Redis that is away, in leases.
    const LEASES_WITHOUT_REDIS: u32 = 9;
    /// How soon a Redis that has refused is asked again.
    const AFTER_REFUSAL: Duration = Duration::from_millis(250);

    /// Takes part from now on.
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

    /// Whether Redis would be asked now.
    pub fn is_reachable(&self) -> bool {
        self.redis.is_reachable()
    }

    /// Resolves when Redis would be asked. Cancel safe.
    pub async fn reachable(&self) {
        self.redis.reachable().await;
    }

    /// Waits, for a follower, until Redis may answer again; false once it has
    /// not for so long that the flight is given up. `since` is when it began to fail.
    ///
    /// Its leader may well live meanwhile, and has been paid: so a Redis that is
    /// away is waited for longer than one that refuses. Cancel safe.
    pub async fn reachable_again(&self, since: Instant) -> bool {
        if self.is_reachable() {
            sleep(Fleet::AFTER_REFUSAL).await;
            return since.elapsed() < self.config.lease;
        }
        let until = since + Fleet::LEASES_WITHOUT_REDIS * self.config.lease;
        timeout_at(until, self.reachable()).await.is_ok()
    }

    /// Comes to a berth. One round trip, two where a recording cannot be read.
    pub async fn acquire(
        &self,
        flight_key: FlightKey,
        options: AcquireOptions,
        subject: &Arc<Subject>,
    ) -> Acquired {
        let keys = RedisKeys::of(flight_key);
        // Before the question, so that no notice is missed.
        let subscription = self.notifier.subscribe(flight_key);
        let about = self.about(&keys, options.fresh, subject);
        match self.take(&keys, self.acquire_step(options, about)).await {
            Ok(Answer::Recorded(sealed)) => match self.recording_of(&keys, &sealed) {
                Some(recording) => Acquired::Cached(Box::new(recording)),
                // Of another release, or another secret: as good as not there.
                None => {
                    let options = AcquireOptions { may_read: false, ..options };
                    Box::pin(self.acquire(flight_key, options, subject)).await
                }
            },
            Ok(Answer::Lead(flight, epoch)) => {
                let fencing_token = FencingToken { flight, epoch, run: options.run };
                Acquired::Leader(Lease::new(
                    self.clone(),
                    keys,
                    subscription,
                    fencing_token,
                    subject.clone(),
                ))
            }
            Ok(Answer::Follow(fencing_token)) => {
                let flight = fencing_token.flight;
                Acquired::Follower(Following::new(
                    self.clone(),
                    keys,
                    subscription,
                    flight,
                    Some(fencing_token),
                ))
            }
            Ok(_) => Acquired::Absent,
            Err(_) => Acquired::Unavailable,
        }
    }

    /// Looks for a flight by its name, to hear it and never to lead it: what it
    /// executes, and its end to listen at.
    pub async fn find(
        &self,
        flight_key: FlightKey,
        flight: FlightId,
    ) -> Option<(Arc<Subject>, Following)> {
        let subscription = self.notifier.subscribe(flight_key);
        let mut following =
            Following::new(self.clone(), RedisKeys::of(flight_key), subscription, flight, None);
        let subject = following.look().await.ok()??;
        Some((subject, following))
    }

    /// The recording at a berth, if there is one and it can be read.
    pub async fn recording(&self, flight_key: FlightKey) -> Result<Option<Recording>, Unavailable> {
        let keys = RedisKeys::of(flight_key);
        let sealed = self.redis.get(&keys.recording).await?;
        Ok(sealed.and_then(|sealed| self.recording_of(&keys, &sealed)))
    }

    /// Uses an idempotency key for a request whose flight lies at `berth`. `owner`
    /// settles it, unless another has used it before.
    pub async fn claim(
        &self,
        key: Key,
        request: Key,
        flight_key: FlightKey,
        owner: FlightId,
    ) -> Claim {
        self.claim_as(key, request, flight_key, owner, false).await
    }

    /// Takes an idempotency key over from a worker that was lost.
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
            Ok(Answer::Known(flight_key)) => Claim::Known(flight_key),
            Ok(Answer::Mismatch) => Claim::Mismatch,
            Ok(_) => Claim::New,
            Err(_) => Claim::Unknown,
        }
    }

    /// An idempotency key was used where the answer was known already. Nobody waits
    /// for that: where Redis cannot be told, a retry elsewhere runs again.
    pub async fn remember(&self, key: Key, request: Key, flight_key: FlightKey) {
        let owner = FlightId::random();
        if self.claim(key, request, flight_key, owner).await == Claim::New {
            self.settle(key, owner, true).await;
        }
    }

    /// What an idempotency key stood for has ended, for the one who owns it. Where
    /// Redis cannot be told, the key holds a while longer.
    pub async fn settle(&self, key: Key, owner: FlightId, has_answer: bool) {
        let retention = has_answer.then_some(self.config.retention);
        let _ = self.take(&RedisKeys::of(FlightKey(key)), Step::Settle { owner, retention }).await;
    }

    async fn take(&self, keys: &RedisKeys, step: Step) -> Result<Answer, Unavailable> {
        let arguments = step.arguments(keys);
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        Answer::read(self.redis.script(step.script(), &step.keys(keys), &arguments).await?)
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

    /// How long Redis takes a silent leader for alive: so long that followers, who
    /// look every fifth of the lease, and then give it the grace, have one that
    /// takes over within about the lease.
    fn held(&self) -> Duration {
        self.config.lease * 2 / 5
    }

    /// How long a suspected leader has to answer: longer than it takes a worker to
    /// find a Redis that is back, whatever the lease.
    fn grace(&self) -> Duration {
        (self.config.lease / 5).max(Duration::from_millis(1500))
    }

    /// How often each end of a flight looks, should no notice come.
    fn look_every(&self) -> Duration {
        self.config.lease / 5
    }

    /// The next of the moments at which all flights are told of together.
    fn tick_after(&self, instant: Instant) -> Instant {
        let since = instant.saturating_duration_since(self.began).as_micros();
        let ticks = since / Pace::FOLLOWED.as_micros() + 1;
        self.began + Pace::FOLLOWED * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Whether notices of other workers arrive.
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
