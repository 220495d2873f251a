//! A follower's end of a flight that another worker leads: hears its events.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::{
    Fleet, Pace, RedisKeys,
    notifier::{Subscription, Wakeup},
    protocol::{Answer, FencingToken, LogPosition, ReadBatch, State, Step},
};
use crate::{
    error::Error,
    event::Usage,
    recording::{
        FlightId, Log, Recording, Subject,
        codec::{self, Parts},
    },
    redis::Unavailable,
};

/// An ear on a flight of another worker.
#[derive(Debug)]
pub struct Following {
    fleet: Fleet,
    keys: RedisKeys,
    subscription: Subscription,
    flight: FlightId,
    /// Whose events are heard; unknown before the first look at a flight that is
    /// known by its name only.
    fencing_token: Option<FencingToken>,
    /// Whether the leader is suspected: it is looked for more often.
    suspected: bool,
    /// The parts of an event that is too large for one look, and the last of them.
    parts: Parts,
    partly: Option<LogPosition>,
    /// When the leader was last looked for, and when it was last heard.
    last_look: Instant,
    last_received: Instant,
}

/// What a bell rang for.
#[derive(Debug)]
pub enum FleetUpdate {
    /// More events, as far as they can be gone on with.
    Events(Log),
    /// It is time to [hear](Following::hear) how the flight stands.
    Look,
}

/// What was heard.
#[derive(Debug)]
pub struct FleetRead {
    /// Events, in order.
    pub parts: Vec<Log>,
    /// How the flight stands after them.
    pub status: RemoteStatus,
}

/// How a flight of another worker stands.
#[derive(Debug)]
pub enum RemoteStatus {
    /// More is there already.
    More,
    /// More is to come.
    Running,
    /// Its leader is gone, or has given it up.
    Lost,
    /// It has an answer: all but its events, and their digest.
    Completed(Box<Recording>, [u8; 32]),
    /// It failed.
    Failed(Error, Option<Usage>),
    /// It is not there, or another run has taken its place.
    Gone,
    /// It is of another release or secret, and cannot be read here.
    Unreadable,
}

impl Following {
    /// Batches that are taken at once.
    const MOST_BATCHES: usize = 64;
    /// What they may weigh, but for one that is larger by itself.
    const MOST_BYTES: usize = 512 << 10;

    pub(super) fn new(
        fleet: Fleet,
        keys: RedisKeys,
        subscription: Subscription,
        flight: FlightId,
        fencing_token: Option<FencingToken>,
    ) -> Following {
        let now = Instant::now();
        Following {
            fleet,
            keys,
            subscription,
            flight,
            fencing_token,
            suspected: false,
            parts: Parts::default(),
            partly: None,
            last_look: now,
            last_received: now,
        }
    }

    /// The flight.
    pub fn flight(&self) -> FlightId {
        self.flight
    }

    /// The leadership whose events were heard last.
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.fencing_token
    }

    /// Where it lies.
    pub fn flight_key(&self) -> super::FlightKey {
        self.keys.flight_key
    }

    /// What the flight executes; `None` where there is no such flight.
    pub(super) async fn look(&mut self) -> Result<Option<Arc<Subject>>, Unavailable> {
        let received = self.ask(false, LogPosition::after(u64::MAX >> 16)).await?;
        Ok(received.and_then(|received| self.fleet.subject_of(&self.keys, &received.about)))
    }

    /// The events after number `after`, as far as they are there, and how the
    /// flight stands.
    pub async fn read(&mut self, after: u64) -> Result<FleetRead, Unavailable> {
        let nothing = |status| FleetRead { parts: Vec::new(), status };
        let after = self.partly.take().unwrap_or(LogPosition::after(after));
        let Some(received) = self.ask(true, after).await? else {
            return Ok(nothing(RemoteStatus::Gone));
        };
        // Nothing of another run may follow what was heard of this one.
        if self
            .fencing_token
            .is_some_and(|fencing_token| !fencing_token.continues_in(&received.fencing_token))
        {
            return Ok(nothing(RemoteStatus::Gone));
        }
        self.fencing_token = Some(received.fencing_token);
        self.suspected = received.state == State::Suspected;
        let Some(parts) = self.taken(&received.batches) else {
            return Ok(nothing(RemoteStatus::Unreadable));
        };
        self.partly = self.parts.is_waiting().then_some(received.position);
        let status = match received.state {
            _ if received.more => RemoteStatus::More,
            State::Running | State::Suspected => RemoteStatus::Running,
            State::Lost | State::Released => RemoteStatus::Lost,
            State::Completed => {
                self.completed(&received.outcome).unwrap_or(RemoteStatus::Unreadable)
            }
            State::Failed => self.failed(&received.outcome).unwrap_or(RemoteStatus::Unreadable),
        };
        Ok(FleetRead { parts, status })
    }

    /// Resolves when there is something new, or may be. Cancel safe.
    pub async fn next_update(&mut self) -> FleetUpdate {
        tokio::select! {
            biased;
            run = self.subscription.received() => match run {
                Wakeup::Events(sealed) => self.carried(&sealed),
                Wakeup::Something => FleetUpdate::Look,
            },
            () = sleep_until(self.look_due()) => FleetUpdate::Look,
        }
    }

    /// A leader that is heard is alive; but it must know from time to time that
    /// somebody follows.
    fn look_due(&self) -> Instant {
        if self.suspected {
            return self.last_look + self.fleet.grace() / 4;
        }
        if !self.fleet.is_notified() {
            return self.last_look + Pace::FOLLOWED;
        }
        let apart = self.fleet.look_every();
        (self.last_received.max(self.last_look) + apart).min(self.last_look + 2 * apart)
    }

    /// The events that came with a notice, unless they are another flight's.
    fn carried(&mut self, sealed: &[u8]) -> FleetUpdate {
        let Some(content) = self.opened(sealed) else { return FleetUpdate::Look };
        self.last_received = Instant::now();
        codec::decode_events(&content).map_or(FleetUpdate::Look, FleetUpdate::Events)
    }

    /// Follows no more, and lets the leader know.
    pub async fn leave(self) {
        let step = Step::Leave { worker: self.fleet.worker(), flight: self.flight };
        // Where Redis cannot be told, the leader finds out within the lease.
        let _ = self.fleet.take(&self.keys, step).await;
    }

    /// When a leader that was heard of just now counts as lost.
    pub fn patience(&self) -> Instant {
        Instant::now() + self.fleet.config.lease
    }

    async fn ask(
        &mut self,
        follows: bool,
        after: LogPosition,
    ) -> Result<Option<ReadBatch>, Unavailable> {
        self.last_look = Instant::now();
        let step = Step::Read {
            worker: self.fleet.worker(),
            flight: self.flight,
            follows,
            after,
            most: Following::MOST_BATCHES,
            most_bytes: Following::MOST_BYTES,
            grace: self.fleet.grace(),
        };
        match self.fleet.take(&self.keys, step).await? {
            Answer::ReadBatch(received) => Ok(Some(received)),
            _ => Ok(None),
        }
    }

    /// The events of batches, as far as they are whole; `None` where they cannot
    /// be read here.
    fn taken(&mut self, batches: &[Vec<u8>]) -> Option<Vec<Log>> {
        let mut taken = Vec::new();
        for sealed in batches {
            let content = self.opened(sealed)?;
            taken.extend(self.parts.take(&content).ok()?);
        }
        Some(taken)
    }

    fn opened(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.fleet.sealer.open(&self.keys.seal_of_events(self.fencing_token.as_ref()?), sealed)
    }

    fn completed(&self, sealed: &[u8]) -> Option<RemoteStatus> {
        let content = self.fleet.sealer.open(&self.keys.seal_of("landing"), sealed)?;
        let (digest, content) = content.split_first_chunk()?;
        let recording = codec::decode_recording(content).ok()?;
        Some(RemoteStatus::Completed(Box::new(recording), *digest))
    }

    fn failed(&self, sealed: &[u8]) -> Option<RemoteStatus> {
        let content = self.fleet.sealer.open(&self.keys.seal_of("landing"), sealed)?;
        let (error, usage) = codec::decode_failure(&content).ok()?;
        Some(RemoteStatus::Failed(error, usage))
    }
}
