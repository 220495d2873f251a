//! The leader's end of a flight in the fleet: appends events, renews the lease, and ends
//! the flight.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Fleet, RedisKeys,
    notifier::Subscription,
    protocol::{Batch, FencingToken, LogPosition, RemoteState, Step, StepResult},
};
use crate::{
    error::Error,
    event::Usage,
    recording::{FlightId, Log, Recording, Subject, codec},
    redis::{Cause, Connection, Unavailable},
};

/// Minimum intervals between appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace;

impl Pace {
    /// With followers: too short to notice. All of a worker's flights append at the same
    /// ticks, and so in the same commands.
    pub(crate) const FOLLOWED: Duration = Duration::from_millis(18);
    /// Without followers while notifications do not arrive. If they do, appending with
    /// each lease renewal suffices: a new follower wakes the leader, which then appends
    /// at once.
    pub(crate) const UNFOLLOWED: Duration = Duration::from_millis(250);
}

/// Maximum size of one append, in bytes. Larger events are sent in several parts.
const MOST_BYTES: usize = 256 << 10;
/// Maximum rounds of one send while Redis keeps turning out to lack more events.
const MOST_ROUNDS: usize = 1024;

/// The right to lead a flight until it has ended or is lost. Dropping it without
/// completing leaves the flight to the follower that finds the lease expired.
#[derive(Debug)]
pub struct Lease {
    fleet: Fleet,
    keys: RedisKeys,
    subscription: Subscription,
    fencing_token: FencingToken,
    subject: Arc<Subject>,
    /// The last event known to be in Redis.
    acked: u64,
    followers: u64,
    /// The last append or lease renewal, successful or not.
    last_sign: Instant,
    /// The last append with events; initially the time of creation.
    last_events: Instant,
    has_appended: bool,
    /// True if a follower is waiting for an immediate append.
    woken: bool,
    /// True until Redis has confirmed a lease whose grant was not answered in time.
    presumed: bool,
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
            presumed: false,
            over: false,
        }
    }

    /// Returns the lease as one that Redis may not have granted.
    pub(super) fn presumed(self) -> Lease {
        Lease { presumed: true, ..self }
    }

    /// Returns true while Redis may not have granted the lease, also if it never does.
    pub fn is_presumed(&self) -> bool {
        self.presumed
    }

    /// Returns the flight's id.
    pub fn flight(&self) -> FlightId {
        self.fencing_token.flight
    }

    /// Returns the key under which the fleet finds the flight.
    pub fn flight_key(&self) -> super::FlightKey {
        self.keys.flight_key
    }

    /// Returns the number of the first event of this epoch, if the flight was taken over.
    pub fn takes_over_at(&self) -> Option<u64> {
        (self.fencing_token.epoch > 1).then(|| first_of(self.fencing_token.epoch))
    }

    /// Returns the number of the last event known to be in Redis.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Returns the number of following workers, as of the last append.
    pub fn followers(&self) -> u64 {
        self.followers
    }

    /// Returns true if this worker has been deposed: its appends no longer have any
    /// effect.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Resolves when an append is due: at once for a presumed lease, soon for events,
    /// otherwise at the next lease renewal. Cancel safe.
    pub async fn due(&mut self, has_events: bool) {
        if self.presumed || (has_events && self.woken) {
            return;
        }
        let sign = self.last_sign + self.fleet.look_every();
        let at = if has_events { self.events_due().min(sign) } else { sign };
        tokio::select! {
            _ = self.subscription.received() => self.woken = true,
            () = sleep_until(at) => {}
        }
    }

    /// Resolves when Redis may answer again after a failure. Cancel safe.
    pub async fn reachable(&self) {
        if self.fleet.is_reachable() {
            // Redis is reachable but refused, and may refuse again.
            sleep(Fleet::AFTER_REFUSAL).await;
        }
        self.fleet.reachable().await;
    }

    /// Appends the events that Redis lacks, of those `after` a number; renews the lease
    /// if it lacks none. Events that could not be appended are sent again with the next
    /// call.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if Redis did not take an append.
    pub async fn append_all(&mut self, after: impl Fn(u64) -> Log) -> Result<(), Unavailable> {
        self.woken = false;
        let mut events = after(self.acked);
        if events.is_empty() {
            return self.append(None).await.map(drop);
        }
        (self.last_events, self.has_appended) = (Instant::now(), true);
        // Bounded: a leader that keeps falling behind sends the rest with the next call.
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

    /// Returns true if Redis has the batch; otherwise earlier events must be sent first.
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

    /// Returns true if the step took effect. If not, the leader is deposed, or Redis has
    /// lost part of the flight and `acked` says where to resume.
    async fn learn(&mut self, answer: StepResult) -> Result<bool, Unavailable> {
        match answer {
            StepResult::Kept(followers) => {
                (self.followers, self.presumed) = (followers, false);
                return Ok(true);
            }
            StepResult::Behind(last) => {
                self.presumed = false;
                self.acked = last.max(first_of(self.fencing_token.epoch) - 1);
            }
            StepResult::Forgotten => self.restore().await?,
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
            StepResult::Restored => {
                self.presumed = false;
                self.acked = first_of(self.fencing_token.epoch) - 1;
            }
            _ => self.depose(),
        }
        Ok(())
    }

    fn depose(&mut self) {
        self.over = true;
        self.followers = 0;
    }

    /// Returns the last acked event as the scripts count it: 0 before the first.
    fn acknowledged(&self) -> u64 {
        if self.acked < first_of(self.fencing_token.epoch) { 0 } else { self.acked }
    }

    /// Ends the flight with its answer, which the cache keeps for `kept`, if given.
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
            state: RemoteState::Completed,
            outcome,
            acked: Acked::Answer(recording),
            kept,
        }
    }

    /// Ends the flight for all followers. If the failure concerns only this worker,
    /// releases the flight instead, so that a follower can take over at once.
    pub fn fail(self, events: Log, error: &Error, usage: Option<&Usage>) -> Ending {
        let (state, outcome) = match codec::encode_failure(error, usage) {
            Some(outcome) => (RemoteState::Failed, outcome),
            None => (RemoteState::Released, Vec::new()),
        };
        Ending { lease: self, state, outcome, acked: Acked::Events(events), kept: None }
    }

    /// Returns the events as one sealed batch, or as the parts of one.
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

    /// Returns the time of the next append: now for the first events that a follower
    /// awaits.
    fn events_due(&self) -> Instant {
        match (self.followers > 0, self.has_appended) {
            (true, false) => Instant::now(),
            (true, true) => self.fleet.tick_after(self.last_events),
            (false, _) if self.fleet.is_notified() => self.last_events + self.fleet.look_every(),
            (false, _) => self.last_events + Pace::UNFOLLOWED,
        }
    }
}

/// The end of a flight that this worker led, until Redis has it. Can be sent any number
/// of times.
#[derive(Debug)]
pub struct Ending {
    lease: Lease,
    state: RemoteState,
    outcome: Vec<u8>,
    acked: Acked,
    kept: Option<Duration>,
}

/// The flight's events, from which the missing ones are sent.
#[derive(Debug)]
enum Acked {
    Answer(Arc<Recording>),
    Events(Log),
}

/// The result of sending an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Redis has the end, and the recording if one was to be cached.
    Kept {
        /// False if there is none, or it is too large for Redis.
        recording: bool,
    },
    /// Another worker leads, and ends the flight.
    Deposed,
}

impl Ending {
    /// Returns true if the cache was to keep the answer.
    pub fn is_recorded(&self) -> bool {
        self.kept.is_some()
    }

    /// Sends the events that Redis lacks, then the end. Can be sent again after a failure
    /// or when dropped.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if Redis did not take it.
    pub async fn send(&mut self) -> Result<Sent, Unavailable> {
        for _ in 0..MOST_ROUNDS {
            if let Some(sent) = self.send_once().await? {
                return Ok(sent);
            }
        }
        Err(Cause::Unforeseen.into())
    }

    /// Sends the end until Redis has it, waiting while Redis is unavailable. Cancel safe.
    pub async fn send_until_kept(&mut self) -> Sent {
        loop {
            self.lease.reachable().await;
            if let Ok(sent) = self.send().await {
                return sent;
            }
        }
    }

    /// Returns the time for which sending is worthwhile: as long as an ended flight can be read.
    pub fn lasts(&self) -> Duration {
        self.lease.fleet.config.retention
    }

    async fn send_once(&mut self) -> Result<Option<Sent>, Unavailable> {
        let Ending { lease, state, outcome, acked, kept } = self;
        if lease.over {
            return Ok(Some(Sent::Deposed));
        }
        let events = match state {
            RemoteState::Released => Log::default(),
            _ => acked.after(lease.acked),
        };
        let mut batches = lease.batches(&events);
        if batches.len() > 1 || events.bytes() > MOST_BYTES {
            // Events too large for the final command are sent before it.
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
            outcome: lease.fleet.sealer.seal(&lease.keys.seal_of("outcome"), outcome),
            recording,
        };
        let answer = lease.fleet.take(&lease.keys, step).await?;
        Ok(lease.learn(answer).await?.then_some(sent))
    }
}

impl Acked {
    fn after(&self, number: u64) -> Log {
        match self {
            Acked::Answer(recording) => recording.log.after(number),
            Acked::Events(events) => events.after(number),
        }
    }
}

impl Lease {
    /// Returns the sealed recording for the cache; `None` if it is too large for Redis.
    fn recorded(&self, acked: &Acked, time_to_live: Duration) -> Option<(Vec<u8>, Duration)> {
        let Acked::Answer(recording) = acked else { return None };
        let content = codec::encode_recording(recording);
        let sealed = self.fleet.sealer.seal(&self.keys.seal_of("recording"), &content);
        (sealed.len() <= MOST_RECORDED).then_some((sealed, time_to_live))
    }
}

/// Maximum size of a recording in Redis, in bytes: a larger one would delay every worker.
const MOST_RECORDED: usize = Connection::MAX_VALUE_BYTES - MOST_BYTES - (64 << 10);

/// Returns the number of an epoch's first event: above any that earlier epochs can have
/// published.
fn first_of(epoch: u64) -> u64 {
    ((epoch - 1) << 32) + 1
}
