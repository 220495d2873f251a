//! What the scripts do, as a pure state machine: one flight key of the shared memory.
//! Time is a number that the caller gives.
//!
//! [`Flaw`]s are mistakes that the scripts could have: the checks must catch each.

use std::collections::BTreeMap;

use sparkler::internals::{
    FlightId, FlightKey, Key,
    protocol::{
        AcquireOptions, Batch, FencingToken, LogPosition, ReadBatch, RemoteState, Step, StepResult,
    },
};

/// A mistake in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A leader's events are taken even if another leads now.
    AppendsUnfenced,
    /// A leader may end the flight even if another leads now.
    CompletesUnfenced,
    /// A takeover does not raise the epoch.
    KeepsTheEpoch,
    /// A lease that has run out is not looked at: the next worker takes over.
    TakesOverTheLiving,
    /// Only the newest events are kept.
    TrimsTheStream,
    /// Events that come with a notice are taken although some before are missing.
    OverlooksGaps,
    /// A worker that has shown events goes on with any run.
    MixesRuns,
    /// The end is believed, whatever was received before it.
    BelievesTheEnd,
    /// A flight that does not own an idempotency key settles it.
    SettlesForOthers,
    /// A leader whose flight is forgotten gives it up.
    NeverRestores,
    /// Events are added although some before them are missing.
    AppendsBehind,
}

/// One flight key. Times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shared {
    pub(crate) flight: Option<Kept>,
    pub(crate) events: Vec<(LogPosition, Vec<u8>)>,
    pub(crate) followers: BTreeMap<String, u64>,
    pub(crate) recording: Option<Vec<u8>>,
    pub(crate) claim: Option<(Key, FlightKey, FlightId)>,
    pub(crate) flaw: Option<Flaw>,
}

/// A flight as the shared memory has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) fencing_token: FencingToken,
    /// The worker that leads, by the name of its run.
    pub(crate) owner: String,
    pub(crate) state: RemoteState,
    /// Forgotten, and held for its leader.
    pub(crate) vacant: bool,
    pub(crate) suspected: Option<u64>,
    pub(crate) lease: u64,
    pub(crate) position: LogPosition,
    pub(crate) outcome: Vec<u8>,
    pub(crate) about: Vec<u8>,
}

impl Shared {
    /// Does one step at a time.
    pub(crate) fn take(&mut self, now: u64, step: &Step) -> StepResult {
        match step {
            Step::Acquire { worker, options, lease, grace, about, .. } => {
                let lease = now + lease.as_millis() as u64;
                self.acquire(now, worker, options, (lease, grace.as_millis() as u64), about)
            }
            Step::Append { fencing_token, lease, after, batch, .. } => {
                let lease = lease.as_millis() as u64;
                self.append(now, fencing_token, lease, *after, batch.as_ref())
            }
            Step::Restore { fencing_token, worker, lease, about, .. } => {
                self.restore(fencing_token, worker, now + lease.as_millis() as u64, about)
            }
            Step::Complete { fencing_token, after, batch, state, outcome, recording, .. } => {
                let Some(kept) = self.flight.as_ref() else { return StepResult::Forgotten };
                match self.rank(fencing_token) {
                    Rank::Leads if kept.state == *state => {
                        return StepResult::Kept(self.followers.len() as u64);
                    }
                    Rank::Leads if kept.state != RemoteState::Running => {
                        return StepResult::Deposed;
                    }
                    Rank::Leads => {}
                    _ if self.has(Flaw::CompletesUnfenced) => {}
                    Rank::Forgotten => return StepResult::Forgotten,
                    Rank::Deposed => return StepResult::Deposed,
                }
                if *state != RemoteState::Released
                    && let Some(last) = self.add(*after, batch.as_ref())
                {
                    return StepResult::Behind(last);
                }
                let Some(kept) = &mut self.flight else { return StepResult::Forgotten };
                (kept.state, kept.outcome) = (*state, outcome.clone());
                if let Some((recording, _)) = recording {
                    self.recording = Some(recording.clone());
                }
                StepResult::Kept(self.followers.len() as u64)
            }
            Step::Read { worker, flight, follows, after, most, most_bytes, grace } => {
                let bounds = (*most, *most_bytes, grace.as_millis() as u64);
                self.read(now, worker, *flight, *follows, *after, bounds)
            }
            Step::Leave { worker, flight } => {
                if self.flight.as_ref().map(|kept| kept.fencing_token.flight) != Some(*flight) {
                    return StepResult::Gone;
                }
                self.followers.remove(worker);
                StepResult::Kept(self.followers.len() as u64)
            }
            Step::Claim { request, flight_key, owner, takes_over, .. } => match self.claim {
                Some((kept, ..)) if kept != *request => StepResult::Mismatch,
                Some((_, flight_key, _)) if !takes_over => StepResult::Known(flight_key),
                _ => {
                    self.claim = Some((*request, *flight_key, *owner));
                    StepResult::Claimed
                }
            },
            Step::Settle { owner, retention } => {
                let owns = self.claim.is_some_and(|(.., kept)| kept == *owner);
                if !(owns || self.claim.is_some() && self.has(Flaw::SettlesForOthers)) {
                    return StepResult::Gone;
                }
                if retention.is_none() {
                    self.claim = None;
                }
                StepResult::Settled
            }
        }
    }

    /// Whether a leadership is in effect now.
    pub(crate) fn leads(&self, fencing_token: &FencingToken) -> bool {
        let running = |kept: &Kept| kept.state == RemoteState::Running;
        self.rank(fencing_token) == Rank::Leads && self.flight.as_ref().is_some_and(running)
    }

    fn rank(&self, fencing_token: &FencingToken) -> Rank {
        let Some(kept) = &self.flight else { return Rank::Forgotten };
        let epochs = (kept.fencing_token.epoch, fencing_token.epoch);
        if kept.fencing_token.flight != fencing_token.flight {
            Rank::Deposed
        } else if kept.fencing_token.run == fencing_token.run && !kept.vacant {
            Rank::Leads
        } else if epochs.0 < epochs.1 || (kept.vacant && epochs.0 == epochs.1) {
            Rank::Forgotten
        } else {
            Rank::Deposed
        }
    }

    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn acquire(
        &mut self,
        now: u64,
        worker: &str,
        options: &AcquireOptions,
        (lease, grace): (u64, u64),
        about: &[u8],
    ) -> StepResult {
        if let Some(recording) = self.recording.clone().filter(|_| options.may_read) {
            return StepResult::Recorded(recording);
        }
        let Some(kept) = &mut self.flight else {
            let Some(known) = options.known else {
                return self.lead(options, worker, options.fresh, 1, lease, about);
            };
            let kept = Kept { vacant: true, suspected: Some(now), ..Kept::of(known, "", 0, about) };
            self.flight = Some(kept);
            return self.follow(now, worker, known);
        };
        let known = options.known.filter(|known| known.flight == kept.fencing_token.flight);
        let later = known.is_some_and(|known| known.epoch > kept.fencing_token.epoch);
        if let Some(known) = known.filter(|_| kept.vacant && later) {
            kept.fencing_token = known;
        }
        let fencing_token = kept.fencing_token;
        match self.standing(now, grace) {
            RemoteState::Running | RemoteState::Suspected => {
                self.follow(now, worker, fencing_token)
            }
            RemoteState::Lost | RemoteState::Released => {
                let last = known.map_or(0, |known| known.epoch).max(fencing_token.epoch);
                let epoch = if self.has(Flaw::KeepsTheEpoch) { last } else { last + options.skip };
                self.lead(options, worker, fencing_token.flight, epoch, lease, about)
            }
            _ if known.is_some() => self.follow(now, worker, fencing_token),
            RemoteState::Completed if options.joins_completed => {
                self.follow(now, worker, fencing_token)
            }
            RemoteState::Completed | RemoteState::Failed => {
                self.lead(options, worker, options.fresh, 1, lease, about)
            }
        }
    }

    /// How the flight stands; a silent leader is suspected from now on.
    fn standing(&mut self, now: u64, grace: u64) -> RemoteState {
        let at_once = self.has(Flaw::TakesOverTheLiving);
        let kept = self.flight.as_mut().expect("there is a flight");
        if !kept.vacant && (kept.state != RemoteState::Running || kept.lease > now) {
            return if at_once && kept.state == RemoteState::Running {
                RemoteState::Lost
            } else {
                kept.state
            };
        }
        let suspected = *kept.suspected.get_or_insert(now);
        if suspected == now || suspected + grace > now {
            RemoteState::Suspected
        } else {
            RemoteState::Lost
        }
    }

    fn lead(
        &mut self,
        options: &AcquireOptions,
        worker: &str,
        flight: FlightId,
        epoch: u64,
        lease: u64,
        about: &[u8],
    ) -> StepResult {
        if !options.may_lead {
            return StepResult::Nothing;
        }
        self.events.clear();
        self.followers.clear();
        self.flight =
            Some(Kept::of(FencingToken { flight, epoch, run: options.run }, worker, lease, about));
        StepResult::Lead(flight, epoch)
    }

    fn follow(&mut self, now: u64, worker: &str, fencing_token: FencingToken) -> StepResult {
        self.followers.insert(worker.to_owned(), now);
        StepResult::Follow(fencing_token)
    }

    fn append(
        &mut self,
        now: u64,
        fencing_token: &FencingToken,
        lease: u64,
        after: u64,
        batch: Option<&Batch>,
    ) -> StepResult {
        let rank = self.rank(fencing_token);
        if !self.leads(fencing_token) && !self.has(Flaw::AppendsUnfenced) {
            let forgotten = rank == Rank::Forgotten && !self.has(Flaw::NeverRestores);
            return if forgotten { StepResult::Forgotten } else { StepResult::Deposed };
        }
        let Some(kept) = &mut self.flight else { return StepResult::Deposed };
        (kept.lease, kept.suspected) = (now + lease, None);
        if let Some(last) = self.add(after, batch) {
            return StepResult::Behind(last);
        }
        self.followers.retain(|_, sign| *sign > now.saturating_sub(2 * lease));
        StepResult::Kept(self.followers.len() as u64)
    }

    fn restore(
        &mut self,
        fencing_token: &FencingToken,
        worker: &str,
        lease: u64,
        about: &[u8],
    ) -> StepResult {
        match self.rank(fencing_token) {
            Rank::Leads if self.leads(fencing_token) => StepResult::Restored,
            Rank::Leads | Rank::Deposed => StepResult::Deposed,
            Rank::Forgotten => {
                self.events.clear();
                self.flight = Some(Kept::of(*fencing_token, worker, lease, about));
                StepResult::Restored
            }
        }
    }

    /// Adds events; the last that is there, where some before them are missing.
    fn add(&mut self, after: u64, batch: Option<&Batch>) -> Option<u64> {
        let overlooks = self.has(Flaw::AppendsBehind);
        let trims = self.has(Flaw::TrimsTheStream);
        let kept = self.flight.as_mut()?;
        let (position, voids) = batch.map_or((LogPosition { last: 0, part: 0 }, false), |batch| {
            (batch.position, batch.voids)
        });
        if !voids {
            if kept.position.last > 0 && self.events.is_empty() {
                kept.position = LogPosition { last: 0, part: 0 };
            }
            let lacks_parts = position.part > 0
                && (kept.position.last < position.last || kept.position.part + 1 < position.part);
            if (kept.position.last < after || lacks_parts) && !overlooks {
                return Some(kept.position.last);
            }
        }
        let batch = batch.filter(|batch| batch.position > kept.position)?;
        kept.position = batch.position;
        if trims || voids {
            self.events.clear();
        }
        self.events.push((batch.position, batch.events.clone()));
        None
    }

    fn read(
        &mut self,
        now: u64,
        worker: &str,
        flight: FlightId,
        follows: bool,
        after: LogPosition,
        (most, most_bytes, grace): (usize, usize, u64),
    ) -> StepResult {
        if self.flight.as_ref().is_none_or(|kept| kept.fencing_token.flight != flight) {
            return StepResult::Gone;
        }
        let state = self.standing(now, grace);
        if follows && matches!(state, RemoteState::Running | RemoteState::Suspected) {
            self.followers.insert(worker.to_owned(), now);
        }
        let kept = self.flight.as_ref().expect("there is a flight");
        let mut new: Vec<_> =
            self.events.iter().filter(|(position, _)| *position > after).collect();
        let mut bytes = 0;
        let fitting = new.iter().take(most).take_while(|(_, events)| {
            bytes += events.len();
            bytes <= most_bytes || bytes == events.len()
        });
        let fitting = fitting.count();
        let more = new.len() > fitting;
        new.truncate(fitting);
        StepResult::ReadBatch(ReadBatch {
            state,
            fencing_token: kept.fencing_token,
            last: kept.position.last,
            outcome: kept.outcome.clone(),
            about: kept.about.clone(),
            more,
            position: new.last().map_or(after, |(position, _)| *position),
            batches: new.into_iter().map(|(_, events)| events.clone()).collect(),
        })
    }
}

/// What a leadership is to the shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Leads,
    Forgotten,
    Deposed,
}

impl Kept {
    fn of(fencing_token: FencingToken, owner: &str, lease: u64, about: &[u8]) -> Kept {
        Kept {
            fencing_token,
            owner: owner.to_owned(),
            state: RemoteState::Running,
            vacant: false,
            suspected: None,
            lease,
            position: LogPosition { last: 0, part: 0 },
            outcome: Vec::new(),
            about: about.to_vec(),
        }
    }
}
