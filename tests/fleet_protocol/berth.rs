//! What the scripts do, as a pure state machine: one berth of the shared memory.
//! Time is a number that the caller gives.
//!
//! [`Flaw`]s are mistakes that the scripts could have: the checks must catch each.

use std::collections::BTreeMap;

use sparkler::{
    fleet::{
        Berth,
        step::{Answer, Batch, Fence, Heard, Mark, State, Step, Wish},
    },
    recording::{FlightId, Key},
};

/// A mistake in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A leader's events are taken whoever leads now.
    AppendsUnfenced,
    /// A leader may end the flight whoever leads now.
    LandsUnfenced,
    /// Whoever takes over leads in the epoch of the one before.
    KeepsTheEpoch,
    /// A lease that has run out is not looked at: whoever comes takes over.
    TakesOverTheLiving,
    /// Only the newest events are kept.
    TrimsTheStream,
    /// Events that come with a notice are taken although some before are missing.
    OverlooksGaps,
    /// Whoever has shown events goes on with whatever run is there.
    MixesRuns,
    /// Whoever has shown events goes on with a recording.
    MixesRecordings,
    /// The end is believed, whatever was heard before it.
    BelievesTheEnd,
    /// Whoever does not own an idempotency key settles it.
    SettlesForOthers,
    /// A leader whose flight is forgotten gives it up.
    NeverRestores,
    /// Events are added although some before them are missing.
    AppendsBehind,
}

/// One berth. Times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shared {
    pub flight: Option<Kept>,
    pub events: Vec<(Mark, Vec<u8>)>,
    pub followers: BTreeMap<String, u64>,
    pub recording: Option<Vec<u8>>,
    pub claim: Option<(Key, Berth, FlightId)>,
    pub flaw: Option<Flaw>,
}

/// A flight as the shared memory has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub fence: Fence,
    /// The worker that leads, by the name of its run.
    pub owner: String,
    pub state: State,
    /// Forgotten, and held for its leader.
    pub vacant: bool,
    pub suspected: Option<u64>,
    pub lease: u64,
    pub mark: Mark,
    pub landing: Vec<u8>,
    pub about: Vec<u8>,
}

impl Shared {
    /// Does one step at a time.
    pub fn take(&mut self, now: u64, step: &Step) -> Answer {
        match step {
            Step::Board { worker, wish, lease, grace, about, .. } => {
                let lease = now + lease.as_millis() as u64;
                self.board(now, worker, wish, (lease, grace.as_millis() as u64), about)
            }
            Step::Append { fence, lease, after, batch, .. } => {
                let lease = lease.as_millis() as u64;
                self.append(now, fence, lease, *after, batch.as_ref())
            }
            Step::Restore { fence, worker, lease, about, .. } => {
                self.restore(fence, worker, now + lease.as_millis() as u64, about)
            }
            Step::Land { fence, after, batch, state, landing, recording, .. } => {
                let Some(kept) = self.flight.as_ref() else { return Answer::Forgotten };
                match self.rank(fence) {
                    Rank::Leads if kept.state == *state => {
                        return Answer::Kept(self.followers.len() as u64);
                    }
                    Rank::Leads if kept.state != State::Running => return Answer::Deposed,
                    Rank::Leads => {}
                    _ if self.has(Flaw::LandsUnfenced) => {}
                    Rank::Forgotten => return Answer::Forgotten,
                    Rank::Deposed => return Answer::Deposed,
                }
                if *state != State::Released
                    && let Some(last) = self.add(*after, batch.as_ref())
                {
                    return Answer::Behind(last);
                }
                let Some(kept) = &mut self.flight else { return Answer::Forgotten };
                (kept.state, kept.landing) = (*state, landing.clone());
                if let Some((recording, _)) = recording {
                    self.recording = Some(recording.clone());
                }
                Answer::Kept(self.followers.len() as u64)
            }
            Step::Read { worker, flight, follows, after, most, most_bytes, grace } => {
                let bounds = (*most, *most_bytes, grace.as_millis() as u64);
                self.read(now, worker, *flight, *follows, *after, bounds)
            }
            Step::Leave { worker, flight } => {
                if self.flight.as_ref().map(|kept| kept.fence.flight) != Some(*flight) {
                    return Answer::Gone;
                }
                self.followers.remove(worker);
                Answer::Kept(self.followers.len() as u64)
            }
            Step::Claim { request, berth, owner, takes_over, .. } => match self.claim {
                Some((kept, ..)) if kept != *request => Answer::Mismatch,
                Some((_, berth, _)) if !takes_over => Answer::Known(berth),
                _ => {
                    self.claim = Some((*request, *berth, *owner));
                    Answer::Claimed
                }
            },
            Step::Settle { owner, retention } => {
                let owns = self.claim.is_some_and(|(.., kept)| kept == *owner);
                if !owns && !(self.claim.is_some() && self.has(Flaw::SettlesForOthers)) {
                    return Answer::Gone;
                }
                if retention.is_none() {
                    self.claim = None;
                }
                Answer::Settled
            }
        }
    }

    /// Whether a leadership is in effect now.
    pub fn leads(&self, fence: &Fence) -> bool {
        let running = |kept: &Kept| kept.state == State::Running;
        self.rank(fence) == Rank::Leads && self.flight.as_ref().is_some_and(running)
    }

    fn rank(&self, fence: &Fence) -> Rank {
        let Some(kept) = &self.flight else { return Rank::Forgotten };
        let epochs = (kept.fence.epoch, fence.epoch);
        if kept.fence.flight != fence.flight {
            Rank::Deposed
        } else if kept.fence.run == fence.run && !kept.vacant {
            Rank::Leads
        } else if epochs.0 < epochs.1 || (kept.vacant && epochs.0 == epochs.1) {
            Rank::Forgotten
        } else {
            Rank::Deposed
        }
    }

    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn board(
        &mut self,
        now: u64,
        worker: &str,
        wish: &Wish,
        (lease, grace): (u64, u64),
        about: &[u8],
    ) -> Answer {
        if let Some(recording) = self.recording.clone().filter(|_| wish.may_read) {
            return Answer::Recorded(recording);
        }
        let Some(kept) = &mut self.flight else {
            let Some(known) = wish.known else {
                return self.lead(wish, worker, wish.fresh, 1, lease, about);
            };
            let kept = Kept { vacant: true, suspected: Some(now), ..Kept::of(known, "", 0, about) };
            self.flight = Some(kept);
            return self.follow(now, worker, known);
        };
        let known = wish.known.filter(|known| known.flight == kept.fence.flight);
        let later = known.is_some_and(|known| known.epoch > kept.fence.epoch);
        if let Some(known) = known.filter(|_| kept.vacant && later) {
            kept.fence = known;
        }
        let fence = kept.fence;
        match self.standing(now, grace) {
            State::Running | State::Suspected => self.follow(now, worker, fence),
            State::Lost | State::Released => {
                let last = known.map_or(0, |known| known.epoch).max(fence.epoch);
                let epoch = if self.has(Flaw::KeepsTheEpoch) { last } else { last + wish.skip };
                self.lead(wish, worker, fence.flight, epoch, lease, about)
            }
            _ if known.is_some() => self.follow(now, worker, fence),
            State::Landed if wish.joins_landed => self.follow(now, worker, fence),
            State::Landed | State::Failed => self.lead(wish, worker, wish.fresh, 1, lease, about),
        }
    }

    /// How the flight stands; a silent leader is suspected from now on.
    fn standing(&mut self, now: u64, grace: u64) -> State {
        let at_once = self.has(Flaw::TakesOverTheLiving);
        let kept = self.flight.as_mut().expect("there is a flight");
        if !kept.vacant && (kept.state != State::Running || kept.lease > now) {
            return if at_once && kept.state == State::Running { State::Lost } else { kept.state };
        }
        let suspected = *kept.suspected.get_or_insert(now);
        if suspected == now || suspected + grace > now { State::Suspected } else { State::Lost }
    }

    fn lead(
        &mut self,
        wish: &Wish,
        worker: &str,
        flight: FlightId,
        epoch: u64,
        lease: u64,
        about: &[u8],
    ) -> Answer {
        if !wish.may_lead {
            return Answer::Nothing;
        }
        self.events.clear();
        self.followers.clear();
        self.flight = Some(Kept::of(Fence { flight, epoch, run: wish.run }, worker, lease, about));
        Answer::Lead(flight, epoch)
    }

    fn follow(&mut self, now: u64, worker: &str, fence: Fence) -> Answer {
        self.followers.insert(worker.to_owned(), now);
        Answer::Follow(fence)
    }

    fn append(
        &mut self,
        now: u64,
        fence: &Fence,
        lease: u64,
        after: u64,
        batch: Option<&Batch>,
    ) -> Answer {
        let rank = self.rank(fence);
        if !self.leads(fence) && !self.has(Flaw::AppendsUnfenced) {
            let forgotten = rank == Rank::Forgotten && !self.has(Flaw::NeverRestores);
            return if forgotten { Answer::Forgotten } else { Answer::Deposed };
        }
        let Some(kept) = &mut self.flight else { return Answer::Deposed };
        (kept.lease, kept.suspected) = (now + lease, None);
        if let Some(last) = self.add(after, batch) {
            return Answer::Behind(last);
        }
        self.followers.retain(|_, sign| *sign > now.saturating_sub(2 * lease));
        Answer::Kept(self.followers.len() as u64)
    }

    fn restore(&mut self, fence: &Fence, worker: &str, lease: u64, about: &[u8]) -> Answer {
        match self.rank(fence) {
            Rank::Leads if self.leads(fence) => Answer::Restored,
            Rank::Leads | Rank::Deposed => Answer::Deposed,
            Rank::Forgotten => {
                self.events.clear();
                self.flight = Some(Kept::of(*fence, worker, lease, about));
                Answer::Restored
            }
        }
    }

    /// Adds events; the last that is there, where some before them are missing.
    fn add(&mut self, after: u64, batch: Option<&Batch>) -> Option<u64> {
        let overlooks = self.has(Flaw::AppendsBehind);
        let trims = self.has(Flaw::TrimsTheStream);
        let kept = self.flight.as_mut()?;
        let (mark, voids) =
            batch.map_or((Mark { last: 0, part: 0 }, false), |batch| (batch.mark, batch.voids));
        if !voids {
            if kept.mark.last > 0 && self.events.is_empty() {
                kept.mark = Mark { last: 0, part: 0 };
            }
            let lacks_parts =
                mark.part > 0 && (kept.mark.last < mark.last || kept.mark.part + 1 < mark.part);
            if (kept.mark.last < after || lacks_parts) && !overlooks {
                return Some(kept.mark.last);
            }
        }
        let batch = batch.filter(|batch| batch.mark > kept.mark)?;
        kept.mark = batch.mark;
        if trims || voids {
            self.events.clear();
        }
        self.events.push((batch.mark, batch.events.clone()));
        None
    }

    fn read(
        &mut self,
        now: u64,
        worker: &str,
        flight: FlightId,
        follows: bool,
        after: Mark,
        (most, most_bytes, grace): (usize, usize, u64),
    ) -> Answer {
        if self.flight.as_ref().is_none_or(|kept| kept.fence.flight != flight) {
            return Answer::Gone;
        }
        let state = self.standing(now, grace);
        if follows && matches!(state, State::Running | State::Suspected) {
            self.followers.insert(worker.to_owned(), now);
        }
        let kept = self.flight.as_ref().expect("there is a flight");
        let mut new: Vec<_> = self.events.iter().filter(|(mark, _)| *mark > after).collect();
        let mut bytes = 0;
        let fitting = new.iter().take(most).take_while(|(_, events)| {
            bytes += events.len();
            bytes <= most_bytes || bytes == events.len()
        });
        let fitting = fitting.count();
        let more = new.len() > fitting;
        new.truncate(fitting);
        Answer::Heard(Heard {
            state,
            fence: kept.fence,
            last: kept.mark.last,
            landing: kept.landing.clone(),
            about: kept.about.clone(),
            more,
            mark: new.last().map_or(after, |(mark, _)| *mark),
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
    fn of(fence: Fence, owner: &str, lease: u64, about: &[u8]) -> Kept {
        Kept {
            fence,
            owner: owner.to_owned(),
            state: State::Running,
            vacant: false,
            suspected: None,
            lease,
            mark: Mark { last: 0, part: 0 },
            landing: Vec::new(),
            about: about.to_vec(),
        }
    }
}
