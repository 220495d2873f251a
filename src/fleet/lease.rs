//! The leader's end of a flight in the fleet: tells events, shows that the leader
//! is alive, and ends the flight.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    Fleet, Place,
    bell::Bell,
    step::{Answer, Batch, Fence, Mark, State, Step},
};
use crate::{
    error::Error,
    event::Usage,
    recording::{FlightId, Log, Recording, codec},
    redis::{Connection, Unavailable},
};

/// How far apart events are told at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace;

impl Pace {
    /// While somebody follows: no reader notices. All flights of a worker are
    /// told of at the same ticks, and so with the same commands.
    pub const FOLLOWED: Duration = Duration::from_millis(18);
    /// While nobody does and nobody's coming would be heard. Where it would, the
    /// signs of life are enough: whoever comes rings, and is then told at once.
    pub const UNHEARD: Duration = Duration::from_millis(250);
}

/// What is told with one command, in bytes. Larger events go in several parts.
const MOST_BYTES: usize = 256 << 10;

/// The right to lead a flight, until it is landed or lost. Dropping it without
/// landing leaves the flight to whoever finds the lease run out.
#[derive(Debug)]
pub struct Lease {
    fleet: Fleet,
    place: Place,
    bell: Bell,
    fence: Fence,
    /// The last event that is known to be there.
    told: u64,
    followers: u64,
    /// When something was last told, or tried to.
    last_sign: Instant,
    /// When events were; the beginning, where none were yet.
    last_events: Instant,
    has_told: bool,
    /// Whether somebody waits to be told at once.
    rung: bool,
    over: bool,
}

impl Lease {
    pub(super) fn new(
        fleet: Fleet,
        place: Place,
        bell: Bell,
        flight: FlightId,
        epoch: u64,
    ) -> Lease {
        let fence = Fence { flight, worker: fleet.worker(), epoch };
        Lease {
            fleet,
            place,
            bell,
            told: first_of(epoch) - 1,
            fence,
            followers: 0,
            last_sign: Instant::now(),
            last_events: Instant::now(),
            has_told: false,
            rung: false,
            over: false,
        }
    }

    /// The flight.
    pub fn flight(&self) -> FlightId {
        self.fence.flight
    }

    /// Where it lies.
    pub fn berth(&self) -> super::Berth {
        self.place.berth
    }

    /// Where it was taken over: the number that its events go on from.
    pub fn takes_over_at(&self) -> Option<u64> {
        (self.fence.epoch > 1).then(|| first_of(self.fence.epoch))
    }

    /// The last event that the fleet has.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Workers that follow, as of the last sign.
    pub fn followers(&self) -> u64 {
        self.followers
    }

    /// Whether this worker has been deposed: nothing it tells counts any more.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Resolves when the fleet is to be told: events soon, and that the leader
    /// is alive every now and then. Cancel safe.
    pub async fn due(&mut self, has_events: bool) {
        if has_events && self.rung {
            return;
        }
        let sign = self.last_sign + self.fleet.look_every();
        let at = if has_events { self.events_due().min(sign) } else { sign };
        tokio::select! {
            _ = self.bell.heard() => self.rung = true,
            () = sleep_until(at) => {}
        }
    }

    /// Tells events, or with none that the leader is there. What could not be
    /// told is told again with the next.
    pub async fn tell(&mut self, events: &Log) -> Result<(), Unavailable> {
        self.rung = false;
        if events.is_empty() {
            return self.append(None).await;
        }
        (self.last_events, self.has_told) = (Instant::now(), true);
        while self.told < events.last() && !self.over {
            let next = events.after(self.told).up_to(MOST_BYTES);
            for batch in self.batches(&next) {
                self.append(Some(batch)).await?;
            }
            self.told = next.last();
        }
        Ok(())
    }

    async fn append(&mut self, batch: Option<Batch>) -> Result<(), Unavailable> {
        if self.over {
            return Ok(());
        }
        self.last_sign = Instant::now();
        let step = Step::Append {
            fence: self.fence.clone(),
            lease: self.fleet.held(),
            keep: self.fleet.keep(),
            most_bytes: self.fleet.config.max_flight_bytes,
            batch,
        };
        match self.fleet.courier.take(self.place.clone(), step).await? {
            Answer::Kept(followers) => self.followers = followers,
            _ => {
                self.over = true;
                self.followers = 0;
            }
        }
        Ok(())
    }

    /// Ends the flight with its answer; `kept` says for how long the cache keeps
    /// it. Whether the fleet has it now.
    pub async fn complete(
        self,
        events: &Log,
        recording: &Recording,
        kept: Option<Duration>,
    ) -> bool {
        let without_events = Recording {
            flight: recording.flight,
            subject: recording.subject.clone(),
            log: recording.log.after(u64::MAX),
            finish: recording.finish.clone(),
            attempts: recording.attempts,
            recorded_at: recording.recorded_at,
            span: recording.span,
        };
        let landing = codec::encode_recording(&without_events);
        let recording = kept.map(|time_to_live| {
            let content = codec::encode_recording(recording);
            (self.fleet.sealer.seal(&self.place.seal_of("recording"), &content), time_to_live)
        });
        self.land(events, State::Landed, &landing, recording).await
    }

    /// Ends the flight for everybody who follows. Where the failure is only this
    /// worker's, it gives the flight up: whoever follows may take over at once.
    pub async fn fail(self, events: &Log, error: &Error, usage: Option<&Usage>) {
        match codec::encode_failure(error, usage) {
            Some(landing) => self.land(events, State::Failed, &landing, None).await,
            None => self.land(&Log::default(), State::Released, &[], None).await,
        };
    }

    async fn land(
        mut self,
        events: &Log,
        state: State,
        landing: &[u8],
        recording: Option<(Vec<u8>, Duration)>,
    ) -> bool {
        let mut batches = self.batches(events);
        if batches.len() > 1 {
            // What is too large for the last command goes before it.
            batches.clear();
            if self.tell(events).await.is_err() {
                return false;
            }
        }
        if self.over {
            return false;
        }
        let recording = recording.filter(|(sealed, _)| sealed.len() <= MOST_RECORDED);
        let landing = self.fleet.sealer.seal(&self.place.seal_of("landing"), landing);
        let step = Step::Land {
            fence: self.fence.clone(),
            retention: self.fleet.config.retention,
            batch: batches.pop(),
            state,
            landing,
            recording,
        };
        matches!(self.fleet.take(&self.place, step).await, Ok(Answer::Kept(_)))
    }

    /// The events as one batch, or as the parts of one.
    fn batches(&self, events: &Log) -> Vec<Batch> {
        if events.is_empty() {
            return Vec::new();
        }
        let place = self.place.seal_of_events(self.fence.flight);
        let parts = codec::encode_events_in_parts(events, MOST_BYTES).into_iter();
        parts
            .zip(0..)
            .map(|(content, part)| Batch {
                mark: Mark { last: events.last(), part },
                voids: events.voids() && part == 0,
                events: self.fleet.sealer.seal(&place, &content),
            })
            .collect()
    }

    /// When events are to be told: the first that somebody waits for at once.
    fn events_due(&self) -> Instant {
        match (self.followers > 0, self.has_told) {
            (true, false) => Instant::now(),
            (true, true) => self.fleet.tick_after(self.last_events),
            (false, _) if self.fleet.hears() => self.last_events + self.fleet.look_every(),
            (false, _) => self.last_events + Pace::UNHEARD,
        }
    }
}

/// A larger recording is not kept: it would hold everybody else up.
const MOST_RECORDED: usize = Connection::MAX_VALUE_BYTES - MOST_BYTES - (64 << 10);

/// The number of the first event of an epoch: above all that the epochs before
/// can have told.
fn first_of(epoch: u64) -> u64 {
    ((epoch - 1) << 32) + 1
}
