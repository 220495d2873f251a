//! The fleet half of flights: workers that share a Redis share the flights under
//! way, too.
//!
//! A flight lies at a [`Berth`]. The worker that comes first leads it: it holds a
//! [`Lease`] and tells the flight's events to a stream in Redis. Workers that come
//! later are [`Following`]: they hear the stream from its first event, then live.
//! When a leader is lost, one follower takes over, in the next *epoch*. Every step
//! is one script, and every step of a leader carries its [`Fence`](step::Fence): one
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
//! events between those and here. Redis trouble is a [`Boarding::Alone`] or an
//! [`Unavailable`], after a bounded time; nothing here retries.

mod bell;
mod berth;
mod courier;
mod following;
mod lease;
pub mod step;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use self::{
    bell::Bells,
    berth::Place,
    courier::Courier,
    step::{Answer, Fence, Step, Wish},
};
pub use self::{
    berth::{Berth, Place as BerthPlace},
    following::{Following, Hearing, News, Standing},
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
    bells: Arc<Bells>,
    courier: Courier,
    /// What the ticks are counted from.
    began: Instant,
}

/// What a worker finds at a berth.
#[derive(Debug)]
pub enum Boarding {
    /// The answer.
    Recorded(Box<Recording>),
    /// A flight that another worker leads.
    Follow(Following),
    /// Nobody: this worker leads.
    Lead(Lease),
    /// Nobody, and this worker may not lead.
    Nothing,
    /// Redis could not be asked.
    Alone,
}

/// What an idempotency key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing until now.
    New,
    /// The same request, whose flight lies there.
    Known(Berth),
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
        let bells = Arc::new(Bells::default());
        lifecycle.spawn(bells.clone().ring(redis.mailbox().subscribe()));
        let courier = Courier::new(redis.clone(), lifecycle);
        Fleet { redis, sealer, config, bells, courier, began: Instant::now() }
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
    pub async fn board(&self, berth: Berth, wish: Wish, subject: &Arc<Subject>) -> Boarding {
        let place = Place::of(berth);
        // Before the question, so that no notice is missed.
        let bell = self.bells.hang(berth);
        let about = self.about(&place, wish.fresh, subject);
        match self.take(&place, self.boarding(wish, about)).await {
            Ok(Answer::Recorded(sealed)) => match self.recording_of(&place, &sealed) {
                Some(recording) => Boarding::Recorded(Box::new(recording)),
                // Of another release, or another secret: as good as not there.
                None => {
                    let wish = Wish { may_read: false, ..wish };
                    Box::pin(self.board(berth, wish, subject)).await
                }
            },
            Ok(Answer::Lead(flight, epoch)) => {
                let fence = Fence { flight, epoch, run: wish.run };
                Boarding::Lead(Lease::new(self.clone(), place, bell, fence, subject.clone()))
            }
            Ok(Answer::Follow(fence)) => {
                let flight = fence.flight;
                Boarding::Follow(Following::new(self.clone(), place, bell, flight, Some(fence)))
            }
            Ok(_) => Boarding::Nothing,
            Err(_) => Boarding::Alone,
        }
    }

    /// Looks for a flight by its name, to hear it and never to lead it: what it
    /// executes, and its end to listen at.
    pub async fn find(&self, berth: Berth, flight: FlightId) -> Option<(Arc<Subject>, Following)> {
        let bell = self.bells.hang(berth);
        let mut following = Following::new(self.clone(), Place::of(berth), bell, flight, None);
        let subject = following.look().await.ok()??;
        Some((subject, following))
    }

    /// The recording at a berth, if there is one and it can be read.
    pub async fn recording(&self, berth: Berth) -> Result<Option<Recording>, Unavailable> {
        let place = Place::of(berth);
        let sealed = self.redis.get(&place.recording).await?;
        Ok(sealed.and_then(|sealed| self.recording_of(&place, &sealed)))
    }

    /// Uses an idempotency key for a request whose flight lies at `berth`. `owner`
    /// settles it, unless another has used it before.
    pub async fn claim(&self, key: Key, request: Key, berth: Berth, owner: FlightId) -> Claim {
        self.claim_as(key, request, berth, owner, false).await
    }

    /// Takes an idempotency key over from a worker that was lost.
    pub async fn take_claim_over(&self, key: Key, request: Key, berth: Berth, owner: FlightId) {
        self.claim_as(key, request, berth, owner, true).await;
    }

    async fn claim_as(
        &self,
        key: Key,
        request: Key,
        berth: Berth,
        owner: FlightId,
        takes_over: bool,
    ) -> Claim {
        let step = Step::Claim { request, berth, owner, takes_over, keep: self.keep() };
        match self.take(&Place::of(Berth(key)), step).await {
            Ok(Answer::Known(berth)) => Claim::Known(berth),
            Ok(Answer::Mismatch) => Claim::Mismatch,
            Ok(_) => Claim::New,
            Err(_) => Claim::Unknown,
        }
    }

    /// An idempotency key was used where the answer was known already. Nobody waits
    /// for that: where Redis cannot be told, a retry elsewhere runs again.
    pub async fn remember(&self, key: Key, request: Key, berth: Berth) {
        let owner = FlightId::random();
        if self.claim(key, request, berth, owner).await == Claim::New {
            self.settle(key, owner, true).await;
        }
    }

    /// What an idempotency key stood for has ended, for the one who owns it. Where
    /// Redis cannot be told, the key holds a while longer.
    pub async fn settle(&self, key: Key, owner: FlightId, has_answer: bool) {
        let retention = has_answer.then_some(self.config.retention);
        let _ = self.take(&Place::of(Berth(key)), Step::Settle { owner, retention }).await;
    }

    async fn take(&self, place: &Place, step: Step) -> Result<Answer, Unavailable> {
        let arguments = step.arguments(place);
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        Answer::read(self.redis.script(step.script(), &step.keys(place), &arguments).await?)
    }

    fn boarding(&self, wish: Wish, about: Vec<u8>) -> Step {
        Step::Board {
            worker: self.worker(),
            wish,
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
    fn hears(&self) -> bool {
        self.redis.mailbox().is_healthy()
    }

    fn keep(&self) -> Duration {
        self.config.max_flight + self.config.retention
    }

    fn about(&self, place: &Place, flight: FlightId, subject: &Arc<Subject>) -> Vec<u8> {
        let nothing_yet = Recording {
            flight,
            subject: subject.clone(),
            log: Log::default(),
            finish: Finish::default(),
            attempts: 0,
            recorded_at: std::time::SystemTime::UNIX_EPOCH,
            span: None,
        };
        self.sealer.seal(&place.seal_of("about"), &codec::encode_recording(&nothing_yet))
    }

    fn subject_of(&self, place: &Place, sealed: &[u8]) -> Option<Arc<Subject>> {
        let content = self.sealer.open(&place.seal_of("about"), sealed)?;
        codec::decode_recording(&content).ok().map(|recording| recording.subject)
    }

    fn recording_of(&self, place: &Place, sealed: &[u8]) -> Option<Recording> {
        let content = self.sealer.open(&place.seal_of("recording"), sealed)?;
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
