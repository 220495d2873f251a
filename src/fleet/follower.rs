//! A follower's end of a flight that another worker leads: reads its events.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::{
    Fleet, Pace, RedisKeys,
    notifier::{Subscription, Wakeup},
    protocol::{FencingToken, LogPosition, ReadBatch, RemoteState, Step, StepResult},
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

/// A subscription to a flight of another worker.
#[derive(Debug)]
pub struct Follower {
    fleet: Fleet,
    keys: RedisKeys,
    subscription: Subscription,
    flight: FlightId,
    /// The leadership whose events are read; unknown until the first read of a flight
    /// that was found by its id.
    fencing_token: Option<FencingToken>,
    /// True if the leader is suspected: it is then checked more often.
    suspected: bool,
    /// The parts so far of an event that is too large for one read, and the last part's
    /// position.
    parts: Parts,
    partly: Option<LogPosition>,
    /// The last read of the flight, and the last events received by notification.
    last_look: Instant,
    last_received: Instant,
}

/// The next thing to do for a follower.
#[derive(Debug)]
pub enum FleetUpdate {
    /// Events arrived with a notification.
    Events(Log),
    /// It is time to [read](Follower::read) the flight's events and status.
    Look,
}

/// The result of one read.
#[derive(Debug)]
pub struct FleetRead {
    /// Events, in order.
    pub parts: Vec<Log>,
    /// The flight's status after these events.
    pub status: RemoteStatus,
}

/// The status of another worker's flight.
#[derive(Debug)]
pub enum RemoteStatus {
    /// More events can be read at once.
    More,
    /// The flight is running.
    Running,
    /// The leader is lost, or has released the flight.
    Lost,
    /// The flight completed: its recording without events, and the digest of its events.
    Completed(Box<Recording>, [u8; 32]),
    /// The flight failed.
    Failed(Error, Option<Usage>),
    /// The flight does not exist, or another run has replaced it.
    Gone,
    /// Written by another release or under another secret, and unreadable here.
    Unreadable,
}

impl Follower {
    /// Maximum number of batches in one read.
    const MOST_BATCHES: usize = 64;
    /// Maximum size of these batches, in bytes, unless a single one is larger.
    const MOST_BYTES: usize = 512 << 10;

    pub(super) fn new(
        fleet: Fleet,
        keys: RedisKeys,
        subscription: Subscription,
        flight: FlightId,
        fencing_token: Option<FencingToken>,
    ) -> Follower {
        let now = Instant::now();
        Follower {
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

    /// Returns the flight's id.
    pub fn flight(&self) -> FlightId {
        self.flight
    }

    /// Returns the leadership whose events were read last.
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.fencing_token
    }

    /// Returns the key under which the fleet finds the flight.
    pub fn flight_key(&self) -> super::FlightKey {
        self.keys.flight_key
    }

    /// Returns the flight's subject; `None` if there is no such flight.
    pub(super) async fn look(&mut self) -> Result<Option<Arc<Subject>>, Unavailable> {
        let received = self.ask(false, LogPosition::after(u64::MAX >> 16)).await?;
        Ok(received.and_then(|received| self.fleet.subject_of(&self.keys, &received.about)))
    }

    /// Reads the events after number `after` and the flight's status.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if Redis did not answer.
    pub async fn read(&mut self, after: u64) -> Result<FleetRead, Unavailable> {
        let nothing = |status| FleetRead { parts: Vec::new(), status };
        let after = self.partly.take().unwrap_or(LogPosition::after(after));
        let Some(received) = self.ask(true, after).await? else {
            return Ok(nothing(RemoteStatus::Gone));
        };
        // Events of another run must not follow those already read.
        if self
            .fencing_token
            .is_some_and(|fencing_token| !fencing_token.continues_in(&received.fencing_token))
        {
            return Ok(nothing(RemoteStatus::Gone));
        }
        self.fencing_token = Some(received.fencing_token);
        self.suspected = received.state == RemoteState::Suspected;
        let Some(parts) = self.taken(&received.batches) else {
            return Ok(nothing(RemoteStatus::Unreadable));
        };
        self.partly = self.parts.is_waiting().then_some(received.position);
        let status = match received.state {
            _ if received.more => RemoteStatus::More,
            RemoteState::Running | RemoteState::Suspected => RemoteStatus::Running,
            RemoteState::Lost | RemoteState::Released => RemoteStatus::Lost,
            RemoteState::Completed => {
                self.completed(&received.outcome).unwrap_or(RemoteStatus::Unreadable)
            }
            RemoteState::Failed => {
                self.failed(&received.outcome).unwrap_or(RemoteStatus::Unreadable)
            }
        };
        Ok(FleetRead { parts, status })
    }

    /// Resolves when there may be something new. Cancel safe.
    pub async fn next_update(&mut self) -> FleetUpdate {
        tokio::select! {
            biased;
            wakeup = self.subscription.received() => match wakeup {
                Wakeup::Events(sealed) => self.carried(&sealed),
                Wakeup::Something => FleetUpdate::Look,
            },
            () = sleep_until(self.look_due()) => FleetUpdate::Look,
        }
    }

    /// Returns the time of the next read. Events prove that the leader is alive, but it
    /// must also learn from time to time that it has followers.
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

    /// Decodes the events of a notification; falls back to a read if they are another
    /// run's.
    fn carried(&mut self, sealed: &[u8]) -> FleetUpdate {
        let Some(content) = self.opened(sealed) else { return FleetUpdate::Look };
        self.last_received = Instant::now();
        codec::decode_events(&content).map_or(FleetUpdate::Look, FleetUpdate::Events)
    }

    /// Stops following, and notifies the leader.
    pub async fn leave(self) {
        let step = Step::Leave { worker: self.fleet.worker(), flight: self.flight };
        // If Redis is unavailable, the leader notices within one lease.
        let _ = self.fleet.take(&self.keys, step).await;
    }

    /// Returns the time at which a leader that answers just now counts as lost.
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
            most: Follower::MOST_BATCHES,
            most_bytes: Follower::MOST_BYTES,
            grace: self.fleet.grace(),
        };
        match self.fleet.take(&self.keys, step).await? {
            StepResult::ReadBatch(received) => Ok(Some(received)),
            _ => Ok(None),
        }
    }

    /// Decodes batches into events, as far as these are complete; `None` if a batch
    /// cannot be read here.
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
        let content = self.fleet.sealer.open(&self.keys.seal_of("outcome"), sealed)?;
        let (digest, content) = content.split_first_chunk()?;
        let recording = codec::decode_recording(content).ok()?;
        Some(RemoteStatus::Completed(Box::new(recording), *digest))
    }

    fn failed(&self, sealed: &[u8]) -> Option<RemoteStatus> {
        let content = self.fleet.sealer.open(&self.keys.seal_of("outcome"), sealed)?;
        let (error, usage) = codec::decode_failure(&content).ok()?;
        Some(RemoteStatus::Failed(error, usage))
    }
}
