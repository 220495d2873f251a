//! The fleet half of flights: workers that share a Redis share the flights under
//! way, too.
//!
//! A flight lies at a [`Berth`]. The worker that comes first leads it: it holds a
//! [`Lease`] and tells the flight's events to a stream in Redis. Workers that come
//! later are [`Following`]: they hear the stream from its first event, then live.
//! When a leader is lost, one follower takes over, in the next *epoch*. Every step
//! is one script, and every step of a leader names its epoch: one that was deposed
//! while it slept changes nothing. (`tests/fleet_protocol` proves that.)
//!
//! Numbers of events begin anew in each epoch, above all that the one before can
//! have told, also to those who heard it from the deposed leader itself.
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

use tokio::time::Instant;

use self::{
    bell::Bells,
    berth::Place,
    courier::Courier,
    step::{Answer, Step, Wish},
};
pub use self::{
    berth::{Berth, Place as BerthPlace},
    following::{Following, Hearing, News, Standing},
    lease::{Lease, Pace},
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
    /// What the events of one flight may take, in bytes.
    pub max_flight_bytes: usize,
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

    /// Resolves when Redis would be asked. Cancel safe.
    pub async fn reachable(&self) {
        self.redis.reachable().await;
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
                Boarding::Lead(Lease::new(self.clone(), place, bell, flight, epoch))
            }
            Ok(Answer::Follow(flight, epoch)) => {
                Boarding::Follow(Following::new(self.clone(), place, bell, flight, epoch))
            }
            Ok(_) => Boarding::Nothing,
            Err(_) => Boarding::Alone,
        }
    }

    /// Looks for a flight by its name, to hear it and never to lead it: what it
    /// executes, and its end to listen at.
    pub async fn find(&self, berth: Berth, flight: FlightId) -> Option<(Arc<Subject>, Following)> {
        let bell = self.bells.hang(berth);
        let mut following = Following::new(self.clone(), Place::of(berth), bell, flight, 0);
        let subject = following.look().await.ok()??;
        Some((subject, following))
    }

    /// The recording at a berth, if there is one and it can be read.
    pub async fn recording(&self, berth: Berth) -> Option<Recording> {
        let place = Place::of(berth);
        let sealed = self.redis.get(&place.recording).await.ok()??;
        self.recording_of(&place, &sealed)
    }

    /// Uses an idempotency key for a request whose flight lies at `berth`.
    pub async fn claim(&self, key: Key, request: Key, berth: Berth) -> Claim {
        let keep = self.keep();
        match self.take(&Place::of(Berth(key)), Step::Claim { request, berth, keep }).await {
            Ok(Answer::Known(berth)) => Claim::Known(berth),
            Ok(Answer::Mismatch) => Claim::Mismatch,
            Ok(_) => Claim::New,
            Err(_) => Claim::Unknown,
        }
    }

    /// An idempotency key was used where the answer was known already. Nobody waits
    /// for that: where Redis cannot be told, a retry elsewhere runs again.
    pub async fn remember(&self, key: Key, request: Key, berth: Berth) {
        if self.claim(key, request, berth).await == Claim::New {
            self.settle(key, request, true).await;
        }
    }

    /// What an idempotency key stood for has ended. Where Redis cannot be told,
    /// the key holds a while longer.
    pub async fn settle(&self, key: Key, request: Key, has_answer: bool) {
        let retention = has_answer.then_some(self.config.retention);
        let _ = self.take(&Place::of(Berth(key)), Step::Settle { request, retention }).await;
    }

    async fn take(&self, place: &Place, step: Step) -> Result<Answer, Unavailable> {
        let arguments = step.arguments(place);
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        Answer::read(self.redis.script(step.script(), &step.keys(place), &arguments).await?)
    }

    fn boarding(&self, wish: Wish, about: Vec<u8>) -> Step {
        Step::Board { worker: self.worker(), wish, lease: self.held(), keep: self.keep(), about }
    }

    fn worker(&self) -> String {
        self.redis.instance().to_owned()
    }

    /// How long Redis takes a silent leader for alive: so long that followers,
    /// who look every fifth of the lease, notice within the lease.
    fn held(&self) -> Duration {
        self.config.lease * 4 / 5
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
