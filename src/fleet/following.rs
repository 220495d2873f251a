//! A follower's end of a flight that another worker leads: hears its events.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::{
    Fleet, Pace, Place,
    bell::{Bell, Ring},
    step::{Answer, Fence, Heard, Mark, State, Step},
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
    place: Place,
    bell: Bell,
    flight: FlightId,
    /// Whose events are heard; unknown before the first look at a flight that is
    /// known by its name only.
    fence: Option<Fence>,
    /// Whether the leader is suspected: it is looked for more often.
    suspected: bool,
    /// The parts of an event that is too large for one look, and the last of them.
    parts: Parts,
    partly: Option<Mark>,
    /// When the leader was last looked for, and when it was last heard.
    last_look: Instant,
    last_heard: Instant,
}

/// What a bell rang for.
#[derive(Debug)]
pub enum News {
    /// More events, as far as they can be gone on with.
    Events(Log),
    /// It is time to [hear](Following::hear) how the flight stands.
    Look,
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
    /// It has an answer: all but its events, and their digest.
    Landed(Box<Recording>, [u8; 32]),
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
        place: Place,
        bell: Bell,
        flight: FlightId,
        fence: Option<Fence>,
    ) -> Following {
        let now = Instant::now();
        Following {
            fleet,
            place,
            bell,
            flight,
            fence,
            suspected: false,
            parts: Parts::default(),
            partly: None,
            last_look: now,
            last_heard: now,
        }
    }

    /// The flight.
    pub fn flight(&self) -> FlightId {
        self.flight
    }

    /// The leadership whose events were heard last.
    pub fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// Where it lies.
    pub fn berth(&self) -> super::Berth {
        self.place.berth
    }

    /// What the flight executes; `None` where there is no such flight.
    pub(super) async fn look(&mut self) -> Result<Option<Arc<Subject>>, Unavailable> {
        let heard = self.ask(false, Mark::after(u64::MAX >> 16)).await?;
        Ok(heard.and_then(|heard| self.fleet.subject_of(&self.place, &heard.about)))
    }

    /// The events after number `after`, as far as they are there, and how the
    /// flight stands.
    pub async fn hear(&mut self, after: u64) -> Result<Hearing, Unavailable> {
        let nothing = |standing| Hearing { parts: Vec::new(), standing };
        let after = self.partly.take().unwrap_or(Mark::after(after));
        let Some(heard) = self.ask(true, after).await? else {
            return Ok(nothing(Standing::Gone));
        };
        // Nothing of another run may follow what was heard of this one.
        if self.fence.is_some_and(|fence| !fence.continues_in(&heard.fence)) {
            return Ok(nothing(Standing::Gone));
        }
        self.fence = Some(heard.fence);
        self.suspected = heard.state == State::Suspected;
        let Some(parts) = self.taken(&heard.batches) else {
            return Ok(nothing(Standing::Unreadable));
        };
        self.partly = self.parts.is_waiting().then_some(heard.mark);
        let standing = match heard.state {
            _ if heard.more => Standing::More,
            State::Running | State::Suspected => Standing::Running,
            State::Lost | State::Released => Standing::Lost,
            State::Landed => self.landed(&heard.landing).unwrap_or(Standing::Unreadable),
            State::Failed => self.failed(&heard.landing).unwrap_or(Standing::Unreadable),
        };
        Ok(Hearing { parts, standing })
    }

    /// Resolves when there is something new, or may be. Cancel safe.
    pub async fn news(&mut self) -> News {
        tokio::select! {
            biased;
            ring = self.bell.heard() => match ring {
                Ring::Events(sealed) => self.carried(&sealed),
                Ring::Something => News::Look,
            },
            () = sleep_until(self.look_due()) => News::Look,
        }
    }

    /// A leader that is heard is alive; but it must know from time to time that
    /// somebody follows.
    fn look_due(&self) -> Instant {
        if self.suspected {
            return self.last_look + self.fleet.grace() / 4;
        }
        if !self.fleet.hears() {
            return self.last_look + Pace::FOLLOWED;
        }
        let apart = self.fleet.look_every();
        (self.last_heard.max(self.last_look) + apart).min(self.last_look + 2 * apart)
    }

    /// The events that came with a notice, unless they are another flight's.
    fn carried(&mut self, sealed: &[u8]) -> News {
        let Some(content) = self.opened(sealed) else { return News::Look };
        self.last_heard = Instant::now();
        codec::decode_events(&content).map_or(News::Look, News::Events)
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

    async fn ask(&mut self, follows: bool, after: Mark) -> Result<Option<Heard>, Unavailable> {
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
        match self.fleet.take(&self.place, step).await? {
            Answer::Heard(heard) => Ok(Some(heard)),
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
        self.fleet.sealer.open(&self.place.seal_of_events(self.fence.as_ref()?), sealed)
    }

    fn landed(&self, sealed: &[u8]) -> Option<Standing> {
        let content = self.fleet.sealer.open(&self.place.seal_of("landing"), sealed)?;
        let (digest, content) = content.split_first_chunk()?;
        let recording = codec::decode_recording(content).ok()?;
        Some(Standing::Landed(Box::new(recording), *digest))
    }

    fn failed(&self, sealed: &[u8]) -> Option<Standing> {
        let content = self.fleet.sealer.open(&self.place.seal_of("landing"), sealed)?;
        let (error, usage) = codec::decode_failure(&content).ok()?;
        Some(Standing::Failed(error, usage))
    }
}
