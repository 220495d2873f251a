//! The leader's end of a flight in the fleet: tells events, shows that the leader
//! is alive, and ends the flight.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Fleet, RedisKeys,
    notifier::Subscription,
    protocol::{Answer, Batch, FencingToken, LogPosition, State, Step},
};
use crate::{
    error::Error,
    event::Usage,
    recording::{FlightId, Log, Recording, Subject, codec},
    redis::{Cause, Connection, Unavailable},
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
    pub const UNFOLLOWED: Duration = Duration::from_millis(250);
}

/// What is told with one command, in bytes. Larger events go in several parts.
const MOST_BYTES: usize = 256 << 10;
/// How often something is sent at once while Redis turns out to lack more of it.
const MOST_ROUNDS: usize = 1024;

/// The right to lead a flight, until it is landed or lost. Dropping it without
/// landing leaves the flight to whoever finds the lease run out.
#[derive(Debug)]
pub struct Lease {
    fleet: Fleet,
    keys: RedisKeys,
    subscription: Subscription,
    fencing_token: FencingToken,
    subject: Arc<Subject>,
    /// The last event that is known to be there.
    acked: u64,
    followers: u64,
    /// When something was last told, or tried to.
    last_sign: Instant,
    /// When events were; the beginning, where none were yet.
    last_events: Instant,
    has_appended: bool,
    /// Whether somebody waits to be told at once.
    woken: bool,
    over: bool,
}

impl Lease {
    pub(super) fn new(
        fleet: Fleet,
        keys: RedisKeys,
        subscription: Subscription,
        fencing_token: FencingToken,
        subject: Arc<Subject>,
    ) -> Lease {
        Lease {
            fleet,
            keys,
            subscription,
            acked: first_of(fencing_token.epoch) - 1,
            fencing_token,
            subject,
            followers: 0,
            last_sign: Instant::now(),
            last_events: Instant::now(),
            has_appended: false,
            woken: false,
            over: false,
        }
    }

    /// The flight.
    pub fn flight(&self) -> FlightId {
        self.fencing_token.flight
    }

    /// Where it lies.
    pub fn flight_key(&self) -> super::FlightKey {
        self.keys.flight_key
    }

    /// Where it was taken over: the number that its events go on from.
    pub fn takes_over_at(&self) -> Option<u64> {
        (self.fencing_token.epoch > 1).then(|| first_of(self.fencing_token.epoch))
    }

    /// The last event that the fleet has.
    pub fn acked(&self) -> u64 {
        self.acked
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
        if has_events && self.woken {
            return;
        }
        let sign = self.last_sign + self.fleet.look_every();
        let at = if has_events { self.events_due().min(sign) } else { sign };
        tokio::select! {
            _ = self.subscription.received() => self.woken = true,
            () = sleep_until(at) => {}
        }
    }

    /// Resolves when Redis may answer again, after it has failed. Cancel safe.
    pub async fn reachable(&self) {
        if self.fleet.is_reachable() {
            // It refuses, and may well go on to.
            sleep(Fleet::AFTER_REFUSAL).await;
        }
        self.fleet.reachable().await;
    }

    /// Tells the events that the fleet does not have, of those `after` a number;
    /// where it has all, that the leader is there. What could not be told is told
    /// again with the next.
    pub async fn append_all(&mut self, after: impl Fn(u64) -> Log) -> Result<(), Unavailable> {
        self.woken = false;
        let mut events = after(self.acked);
        if events.is_empty() {
            return self.append(None).await.map(drop);
        }
        (self.last_events, self.has_appended) = (Instant::now(), true);
        // Bounded: whoever is behind again and again tells the rest with the next.
        for _ in 0..MOST_ROUNDS {
            if self.acked >= events.last() || self.over {
                break;
            }
            let next = events.after(self.acked).up_to(MOST_BYTES);
            let mut is_kept = true;
            for batch in self.batches(&next) {
                is_kept = is_kept && self.append(Some(batch)).await?;
            }
            if is_kept {
                self.acked = next.last();
            } else {
                events = after(self.acked);
            }
        }
        Ok(())
    }

    /// Whether the fleet has the batch; where not, what is missing comes first.
    async fn append(&mut self, batch: Option<Batch>) -> Result<bool, Unavailable> {
        if self.over {
            return Ok(false);
        }
        self.last_sign = Instant::now();
        let step = Step::Append {
            fencing_token: self.fencing_token,
            lease: self.fleet.held(),
            keep: self.fleet.keep(),
            after: self.acknowledged(),
            batch,
        };
        let answer = self.fleet.batcher.take(self.keys.clone(), step).await?;
        self.learn(answer).await
    }

    /// Whether a step had its effect. Else the leader is deposed; or Redis has lost
    /// some of the flight, and the leader knows from where on to send it again.
    async fn learn(&mut self, answer: Answer) -> Result<bool, Unavailable> {
        match answer {
            Answer::Kept(followers) => {
                self.followers = followers;
                return Ok(true);
            }
            Answer::Behind(last) => self.acked = last.max(first_of(self.fencing_token.epoch) - 1),
            Answer::Forgotten => self.restore().await?,
            _ => self.depose(),
        }
        Ok(false)
    }

    async fn restore(&mut self) -> Result<(), Unavailable> {
        let step = Step::Restore {
            fencing_token: self.fencing_token,
            worker: self.fleet.worker(),
            lease: self.fleet.held(),
            keep: self.fleet.keep(),
            about: self.fleet.about(&self.keys, self.fencing_token.flight, &self.subject),
        };
        match self.fleet.take(&self.keys, step).await? {
            Answer::Restored => self.acked = first_of(self.fencing_token.epoch) - 1,
            _ => self.depose(),
        }
        Ok(())
    }

    fn depose(&mut self) {
        self.over = true;
        self.followers = 0;
    }

    /// The last event that the fleet has, as the scripts count: 0 before the first.
    fn acknowledged(&self) -> u64 {
        if self.acked < first_of(self.fencing_token.epoch) { 0 } else { self.acked }
    }

    /// Ends the flight with its answer; `kept` says for how long the cache keeps it.
    pub fn complete(self, recording: Arc<Recording>, kept: Option<Duration>) -> Ending {
        let without_events = Recording {
            flight: recording.flight,
            subject: recording.subject.clone(),
            log: Log::default(),
            finish: recording.finish.clone(),
            attempts: recording.attempts,
            recorded_at: recording.recorded_at,
            span: recording.span,
        };
        let end = codec::encode_recording(&without_events);
        let outcome = [recording.log.digest().as_slice(), &end].concat();
        Ending {
            lease: self,
            state: State::Completed,
            outcome,
            acked: Told::Answer(recording),
            kept,
        }
    }

    /// Ends the flight for everybody who follows. Where the failure is only this
    /// worker's, it gives the flight up: whoever follows may take over at once.
    pub fn fail(self, events: Log, error: &Error, usage: Option<&Usage>) -> Ending {
        let (state, outcome) = match codec::encode_failure(error, usage) {
            Some(outcome) => (State::Failed, outcome),
            None => (State::Released, Vec::new()),
        };
        Ending { lease: self, state, outcome, acked: Told::Events(events), kept: None }
    }

    /// The events as one batch, or as the parts of one.
    fn batches(&self, events: &Log) -> Vec<Batch> {
        if events.is_empty() {
            return Vec::new();
        }
        let keys = self.keys.seal_of_events(&self.fencing_token);
        let parts = codec::encode_events_in_parts(events, MOST_BYTES).into_iter();
        parts
            .zip(0..)
            .map(|(content, part)| Batch {
                position: LogPosition { last: events.last(), part },
                voids: events.voids() && part == 0,
                events: self.fleet.sealer.seal(&keys, &content),
            })
            .collect()
    }

    /// When events are to be told: the first that somebody waits for at once.
    fn events_due(&self) -> Instant {
        match (self.followers > 0, self.has_appended) {
            (true, false) => Instant::now(),
            (true, true) => self.fleet.tick_after(self.last_events),
            (false, _) if self.fleet.is_notified() => self.last_events + self.fleet.look_every(),
            (false, _) => self.last_events + Pace::UNFOLLOWED,
        }
    }
}

/// The end of a flight that this worker has led, until the fleet has it. It may be
/// sent any number of times.
#[derive(Debug)]
pub struct Ending {
    lease: Lease,
    state: State,
    outcome: Vec<u8>,
    acked: Told,
    kept: Option<Duration>,
}

/// What the flight has told.
#[derive(Debug)]
enum Told {
    Answer(Arc<Recording>),
    Events(Log),
}

/// What became of an end that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The fleet has it; whether with the recording, where one was to be kept.
    Kept {
        /// False where the recording is too large for Redis.
        recording: bool,
    },
    /// Another worker leads: it ends the flight.
    Deposed,
}

impl Ending {
    /// Whether the cache was to keep the answer.
    pub fn is_recorded(&self) -> bool {
        self.kept.is_some()
    }

    /// Sends the end, and first what the fleet lacks. Dropped, or failed, it can be
    /// sent again.
    pub async fn send(&mut self) -> Result<Sent, Unavailable> {
        for _ in 0..MOST_ROUNDS {
            if let Some(sent) = self.send_once().await? {
                return Ok(sent);
            }
        }
        Err(Cause::Unforeseen.into())
    }

    /// Sends the end until the fleet has it; waits for Redis meanwhile. Cancel safe.
    pub async fn send_until_kept(&mut self) -> Sent {
        loop {
            self.lease.reachable().await;
            if let Ok(sent) = self.send().await {
                return sent;
            }
        }
    }

    /// How long it is worth being sent: as long as an ended flight can be heard.
    pub fn lasts(&self) -> Duration {
        self.lease.fleet.config.retention
    }

    async fn send_once(&mut self) -> Result<Option<Sent>, Unavailable> {
        let Ending { lease, state, outcome, acked, kept } = self;
        if lease.over {
            return Ok(Some(Sent::Deposed));
        }
        let events = match state {
            State::Released => Log::default(),
            _ => acked.after(lease.acked),
        };
        let mut batches = lease.batches(&events);
        if batches.len() > 1 || events.bytes() > MOST_BYTES {
            // What is too large for the last command goes before it.
            lease.append_all(|number| acked.after(number)).await?;
            return Ok(None);
        }
        let recording = kept.and_then(|time_to_live| lease.recorded(acked, time_to_live));
        let sent = Sent::Kept { recording: recording.is_some() };
        let step = Step::Complete {
            fencing_token: lease.fencing_token,
            retention: lease.fleet.config.retention,
            after: lease.acknowledged(),
            batch: batches.pop(),
            state: *state,
            outcome: lease.fleet.sealer.seal(&lease.keys.seal_of("landing"), outcome),
            recording,
        };
        let answer = lease.fleet.take(&lease.keys, step).await?;
        Ok(lease.learn(answer).await?.then_some(sent))
    }
}

impl Told {
    fn after(&self, number: u64) -> Log {
        match self {
            Told::Answer(recording) => recording.log.after(number),
            Told::Events(events) => events.after(number),
        }
    }
}

impl Lease {
    /// What the cache is to keep; `None` where it is too large for Redis.
    fn recorded(&self, acked: &Told, time_to_live: Duration) -> Option<(Vec<u8>, Duration)> {
        let Told::Answer(recording) = acked else { return None };
        let content = codec::encode_recording(recording);
        let sealed = self.fleet.sealer.seal(&self.keys.seal_of("recording"), &content);
        (sealed.len() <= MOST_RECORDED).then_some((sealed, time_to_live))
    }
}

/// A larger recording is not kept: it would hold everybody else up.
const MOST_RECORDED: usize = Connection::MAX_VALUE_BYTES - MOST_BYTES - (64 << 10);

/// The number of the first event of an epoch: above all that the epochs before
/// can have told.
fn first_of(epoch: u64) -> u64 {
    ((epoch - 1) << 32) + 1
}
