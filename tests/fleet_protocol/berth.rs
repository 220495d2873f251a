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
}

/// One berth. Times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shared {
    pub flight: Option<Kept>,
    pub events: Vec<(Mark, Vec<u8>)>,
    pub followers: BTreeMap<String, u64>,
    pub recording: Option<Vec<u8>>,
    pub claim: Option<(Key, Berth)>,
    pub flaw: Option<Flaw>,
}

/// A flight as the shared memory has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub fence: Fence,
    pub state: State,
    pub lease: u64,
    pub mark: Mark,
    pub bytes: usize,
    pub landing: Vec<u8>,
    pub about: Vec<u8>,
}

impl Shared {
    /// Does one step at a time.
    pub fn take(&mut self, now: u64, step: &Step) -> Answer {
        match step {
            Step::Board { worker, wish, lease, about, .. } => {
                self.board(now, worker, wish, now + lease.as_millis() as u64, about)
            }
            Step::Append { fence, lease, most_bytes, batch, .. } => {
                let lease = lease.as_millis() as u64;
                self.append(now, fence, lease, *most_bytes, batch.as_ref())
            }
            Step::Land { fence, batch, state, landing, recording, .. } => {
                if !self.leads(fence) && !self.has(Flaw::LandsUnfenced) {
                    return Answer::Deposed;
                }
                self.add(batch.as_ref(), usize::MAX);
                let Some(kept) = &mut self.flight else { return Answer::Deposed };
                (kept.state, kept.landing) = (*state, landing.clone());
                if let Some((recording, _)) = recording {
                    self.recording = Some(recording.clone());
                }
                Answer::Kept(self.followers.len() as u64)
            }
            Step::Read { worker, flight, follows, after, most, most_bytes } => {
                self.read(now, worker, *flight, *follows, *after, (*most, *most_bytes))
            }
            Step::Leave { worker, flight } => {
                if self.flight.as_ref().map(|kept| kept.fence.flight) != Some(*flight) {
                    return Answer::Gone;
                }
                self.followers.remove(worker);
                Answer::Kept(self.followers.len() as u64)
            }
            Step::Claim { request, berth, .. } => match self.claim {
                None => {
                    self.claim = Some((*request, *berth));
                    Answer::Claimed
                }
                Some((kept, berth)) if kept == *request => Answer::Known(berth),
                Some(_) => Answer::Mismatch,
            },
            Step::Settle { request, retention } => {
                if self.claim.map(|(kept, _)| kept) != Some(*request) {
                    return Answer::Gone;
                }
                if retention.is_none() {
                    self.claim = None;
                }
                Answer::Settled
            }
        }
    }

    /// Whether a worker leads now, as the fence says it.
    pub fn leads(&self, fence: &Fence) -> bool {
        let current = self.flight.as_ref().filter(|kept| kept.state == State::Running);
        current.is_some_and(|kept| kept.fence == *fence)
    }

    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn board(&mut self, now: u64, worker: &str, wish: &Wish, lease: u64, about: &[u8]) -> Answer {
        if let Some(recording) = self.recording.clone().filter(|_| wish.may_read) {
            return Answer::Recorded(recording);
        }
        let Some(kept) = self.flight.clone() else {
            let (flight, epoch) = wish.known.unwrap_or((wish.fresh, 1));
            return self.lead(wish, worker, flight, epoch, lease, about);
        };
        let Fence { flight, epoch, .. } = kept.fence;
        let lives = kept.lease > now && !self.has(Flaw::TakesOverTheLiving);
        match kept.state {
            State::Running if lives => self.follow(now, worker, flight, epoch),
            State::Running | State::Released | State::Lost => {
                let next = if self.has(Flaw::KeepsTheEpoch) { epoch } else { epoch + 1 };
                self.lead(wish, worker, flight, next, lease, about)
            }
            _ if wish.known.is_some_and(|(known, _)| known == flight) => {
                self.follow(now, worker, flight, epoch)
            }
            State::Landed if wish.joins_landed => self.follow(now, worker, flight, epoch),
            State::Landed | State::Failed => self.lead(wish, worker, wish.fresh, 1, lease, about),
        }
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
        self.flight = Some(Kept {
            fence: Fence { flight, worker: worker.to_owned(), epoch },
            state: State::Running,
            lease,
            mark: Mark { last: 0, part: 0 },
            bytes: 0,
            landing: Vec::new(),
            about: about.to_vec(),
        });
        Answer::Lead(flight, epoch)
    }

    fn follow(&mut self, now: u64, worker: &str, flight: FlightId, epoch: u64) -> Answer {
        self.followers.insert(worker.to_owned(), now);
        Answer::Follow(flight, epoch)
    }

    fn append(
        &mut self,
        now: u64,
        fence: &Fence,
        lease: u64,
        most_bytes: usize,
        batch: Option<&Batch>,
    ) -> Answer {
        if !self.leads(fence) && !self.has(Flaw::AppendsUnfenced) {
            return Answer::Deposed;
        }
        if !self.add(batch, most_bytes) {
            return Answer::Full;
        }
        let Some(kept) = &mut self.flight else { return Answer::Deposed };
        kept.lease = now + lease;
        self.followers.retain(|_, sign| *sign > now.saturating_sub(lease));
        Answer::Kept(self.followers.len() as u64)
    }

    /// Adds events; false where they would take too much.
    fn add(&mut self, batch: Option<&Batch>, most_bytes: usize) -> bool {
        let trims = self.has(Flaw::TrimsTheStream);
        let (Some(batch), Some(kept)) = (batch, &mut self.flight) else { return true };
        if batch.mark <= kept.mark {
            return true;
        }
        let bytes = if batch.voids { 0 } else { kept.bytes } + batch.events.len();
        if bytes > most_bytes {
            return false;
        }
        if batch.voids {
            self.events.clear();
        }
        (kept.mark, kept.bytes) = (batch.mark, bytes);
        if trims {
            self.events.clear();
        }
        self.events.push((batch.mark, batch.events.clone()));
        true
    }

    fn read(
        &mut self,
        now: u64,
        worker: &str,
        flight: FlightId,
        follows: bool,
        after: Mark,
        (most, most_bytes): (usize, usize),
    ) -> Answer {
        let Some(kept) = self.flight.as_ref().filter(|kept| kept.fence.flight == flight) else {
            return Answer::Gone;
        };
        let lost = kept.state == State::Running && kept.lease <= now;
        let state = if lost { State::Lost } else { kept.state };
        if follows && state == State::Running {
            self.followers.insert(worker.to_owned(), now);
        }
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
            epoch: kept.fence.epoch,
            last: kept.mark.last,
            landing: kept.landing.clone(),
            about: kept.about.clone(),
            more,
            mark: new.last().map_or(after, |(mark, _)| *mark),
            batches: new.into_iter().map(|(_, events)| events.clone()).collect(),
        })
    }
}
