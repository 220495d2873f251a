//! A follower's end of a flight that another worker leads: hears its events.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{
    Fleet, Pace, Place,
    bell::Bell,
    step::{Answer, Heard, State, Step},
};
use crate::{
    error::Error,
    event::Usage,
    recording::{FlightId, Log, Recording, Subject, codec},
    redis::Unavailable,
};

/// An ear on a flight of another worker.
#[derive(Debug)]
pub struct Following {
    fleet: Fleet,
    place: Place,
    bell: Bell,
    flight: FlightId,
    epoch: u64,
}

/// What was heard.
#[derive(Debug)]
pub struct Hearing {
    /// Events, in order.
    pub parts: Vec<Log>,
    /// How the flight stands after them.
    pub standing: Standing,
}

/// How a flight of another worker stands.
#[derive(Debug)]
pub enum Standing {
    /// More is there already.
    More,
    /// More is to come.
    Running,
    /// Its leader is gone, or has given it up.
    Lost,
    /// It has an answer: all but its events.
    Landed(Box<Recording>),
    /// It failed.
    Failed(Error, Option<Usage>),
    /// It is not there, or cannot be read here.
    Gone,
}

impl Following {
    /// Batches that are taken at once.
    const MOST_BATCHES: usize = 64;

    pub(super) fn new(
        fleet: Fleet,
        place: Place,
        bell: Bell,
        flight: FlightId,
        epoch: u64,
    ) -> Following {
        Following { fleet, place, bell, flight, epoch }
    }

    /// The flight.
    pub fn flight(&self) -> FlightId {
        self.flight
    }

    /// Its epoch, as last heard.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where it lies.
    pub fn berth(&self) -> super::Berth {
        self.place.berth
    }

    /// What the flight executes; `None` where there is no such flight.
    pub(super) async fn look(&mut self) -> Result<Option<Arc<Subject>>, Unavailable> {
        let heard = self.ask(false, u64::MAX >> 16).await?;
        Ok(heard.and_then(|heard| self.fleet.subject_of(&self.place, &heard.about)))
    }

    /// The events after number `after`, as far as they are there.
    pub async fn hear(&mut self, after: u64) -> Result<Hearing, Unavailable> {
        let gone = Hearing { parts: Vec::new(), standing: Standing::Gone };
        let Some(heard) = self.ask(true, after).await? else {
            return Ok(gone);
        };
        let Some(parts) = heard.batches.iter().map(|sealed| self.part(sealed)).collect() else {
            return Ok(gone);
        };
        let standing = match heard.state {
            _ if heard.batches.len() == Following::MOST_BATCHES => Standing::More,
            State::Running => Standing::Running,
            State::Lost | State::Released => Standing::Lost,
            State::Landed => self.landed(&heard.landing).unwrap_or(Standing::Gone),
            State::Failed => self.failed(&heard.landing).unwrap_or(Standing::Gone),
        };
        Ok(Hearing { parts, standing })
    }

    /// Resolves when there may be something new to hear. Cancel safe.
    pub async fn news(&self) {
        let apart = if self.fleet.redis.mailbox().is_healthy() {
            self.fleet.look_every()
        } else {
            Pace::FOLLOWED
        };
        tokio::select! {
            () = self.bell.heard() => {}
            () = sleep(apart) => {}
        }
    }

    /// Follows no more, and lets the leader know.
    pub async fn leave(self) {
        let step = Step::Leave { worker: self.fleet.worker(), flight: self.flight };
        // Where Redis cannot be told, the leader finds out within the lease.
        let _ = self.fleet.take(&self.place, step).await;
    }

    /// When a leader that was heard of just now counts as lost.
    pub fn patience(&self) -> Instant {
        Instant::now() + self.fleet.config.lease
    }

    async fn ask(&mut self, follows: bool, after: u64) -> Result<Option<Heard>, Unavailable> {
        let step = Step::Read {
            worker: self.fleet.worker(),
            flight: self.flight,
            follows,
            after,
            most: Following::MOST_BATCHES,
        };
        match self.fleet.take(&self.place, step).await? {
            Answer::Heard(heard) => {
                self.epoch = heard.epoch;
                Ok(Some(heard))
            }
            _ => Ok(None),
        }
    }

    fn part(&self, sealed: &[u8]) -> Option<Log> {
        let content = self.fleet.sealer.open(&self.place.seal_of("events"), sealed)?;
        codec::decode_events(&content).ok()
    }

    fn landed(&self, sealed: &[u8]) -> Option<Standing> {
        let content = self.fleet.sealer.open(&self.place.seal_of("landing"), sealed)?;
        let recording = codec::decode_recording(&content).ok()?;
        Some(Standing::Landed(Box::new(recording)))
    }

    fn failed(&self, sealed: &[u8]) -> Option<Standing> {
        let content = self.fleet.sealer.open(&self.place.seal_of("landing"), sealed)?;
        let (error, usage) = codec::decode_failure(&content).ok()?;
        Some(Standing::Failed(error, usage))
    }
}
