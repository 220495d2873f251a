//! A fleet in which anything happens at any time: workers that run, follow, take
//! over, fall asleep and die, callers that move from one to another, and a shared
//! memory that is emptied. Each action is one indivisible step; which comes next
//! is decided from outside, so that all orders can be tried.
//!
//! Events are kept in the worker's own [`Log`]s, so that its numbering is tried
//! too. What a run publishes names the run: an answer made of two runs is seen.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use sparkler::internals::{
    Delta, FlightId, Log, Piece, Reading, WORKER_LOST, codec,
    protocol::{
        AcquireOptions, Batch, FencingToken, LogPosition, ReadBatch, RemoteState, RunId, Step,
        StepResult,
    },
};

use super::model::{Flaw, Kept, Shared};

pub(crate) const WORKERS: usize = 3;
/// Pieces of a whole answer.
const PIECES: u64 = 3;
const LEASE: u64 = 4;

/// What happens next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// A worker does its next step in the shared memory.
    Step(usize),
    /// A step's answer is lost on its way: the worker does not know of it.
    LoseAnswer(usize),
    /// A worker receives the events of a notification.
    Receive(usize),
    /// A notification is lost on its way to a worker.
    LoseNotification(usize),
    /// A worker's node emits a piece, or ends.
    Run(usize),
    /// A worker's callers read what is there.
    Read(usize),
    /// A worker dies; its callers move to the next.
    Die(usize),
    /// A worker that had died is back, with nothing.
    Return(usize),
    /// A caller comes to a worker.
    Call(usize),
    /// Time passes, a part of the lease.
    Wait,
    /// The shared memory forgets everything. That, or a failover, happens once.
    Empty,
    /// The shared memory forgets the events of the flight, and keeps the rest.
    Evict,
    /// A replica of the shared memory learns what is there now.
    Replicate,
    /// The replica takes the place of the shared memory.
    FailOver,
}

/// Somebody who calls, and allows restarts.
#[derive(Debug, Clone, Default)]
struct Caller {
    at: usize,
    /// Whether it has come from another worker, and received nothing here yet.
    moved: bool,
    cursor: u64,
    /// What its token names, once it has received something.
    flight: Option<FlightId>,
    text: String,
    /// The answer, or that it ended in a named error.
    end: Option<Result<String, ()>>,
}

#[derive(Debug, Clone)]
enum Role {
    /// Has yet to acquire the flight. It may know of a flight.
    Acquired(Option<FencingToken>),
    Leading {
        leadership: Leadership,
        run: u64,
        pieces: u64,
    },
    Following(FencingToken),
    /// Its flight is complete here; in the fleet too, unless it is still ending.
    Completed,
    Failed,
}

/// What a leader knows of what the fleet has.
#[derive(Debug, Clone, Copy)]
struct Leadership {
    fencing_token: FencingToken,
    acked: u64,
    deposed: bool,
    restores: bool,
}

#[derive(Debug)]
struct Worker {
    name: String,
    alive: bool,
    role: Role,
    log: Log,
    flight: Option<FlightId>,
    /// The leadership whose end the fleet does not have yet, after completion here.
    ending: Option<Leadership>,
    /// Events that have come with notifications, and of which run they are.
    notifications: VecDeque<(FencingToken, Vec<u8>)>,
}

/// The fleet.
pub(crate) struct World {
    now: u64,
    pub(crate) shared: Shared,
    replica: Shared,
    workers: Vec<Worker>,
    callers: Vec<Caller>,
    runs: u64,
    incarnations: u64,
    emptied: bool,
    /// Who has led a flight in an epoch.
    leaders: HashMap<(FlightId, u64), String>,
}

impl World {
    pub(crate) fn new(flaw: Option<Flaw>) -> World {
        let mut world = World {
            now: 1000,
            shared: Shared { flaw, ..Shared::default() },
            replica: Shared { flaw, ..Shared::default() },
            workers: Vec::new(),
            callers: Vec::new(),
            runs: 0,
            incarnations: 0,
            emptied: false,
            leaders: HashMap::new(),
        };
        for _ in 0..WORKERS {
            let worker = world.worker();
            world.workers.push(worker);
        }
        world
    }

    /// Does what happens next; an objection, where it broke a promise.
    pub(crate) fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Step(at) => self.step(at, true),
            Action::LoseAnswer(at) => self.step(at, false),
            Action::Receive(at) => self.recv(at),
            Action::LoseNotification(at) => {
                self.workers[at].notifications.pop_front();
                Ok(())
            }
            Action::Run(at) => {
                self.run(at);
                Ok(())
            }
            Action::Read(at) => self.subscribe(at),
            Action::Die(at) => {
                self.die(at);
                Ok(())
            }
            Action::Return(at) => {
                if !self.workers[at].alive {
                    self.workers[at] = self.worker();
                }
                Ok(())
            }
            Action::Call(at) => {
                if self.workers[at].alive && self.callers.len() < 6 {
                    self.callers.push(Caller { at, ..Caller::default() });
                }
                Ok(())
            }
            Action::Wait => {
                self.now += LEASE / 2;
                Ok(())
            }
            Action::Empty => {
                let flaw = self.shared.flaw;
                self.falls_back_to(Shared { flaw, ..Shared::default() });
                Ok(())
            }
            Action::Evict => {
                self.shared.events.clear();
                Ok(())
            }
            Action::Replicate => {
                self.replica = self.shared.clone();
                Ok(())
            }
            Action::FailOver => {
                self.falls_back_to(self.replica.clone());
                Ok(())
            }
        }
    }

    /// Lets everything come to its end, in order: whatever has happened, nobody
    /// may hang.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..200 {
            for at in 0..WORKERS {
                self.act(Action::Return(at))?;
                self.act(Action::Step(at))?;
                self.act(Action::Run(at))?;
                self.act(Action::Read(at))?;
            }
            self.act(Action::Wait)?;
        }
        match self.callers.iter().find(|caller| caller.end.is_none()) {
            Some(caller) => Err(format!("a caller hangs: {caller:?}")),
            None => Ok(()),
        }
    }

    fn falls_back_to(&mut self, shared: Shared) {
        if !self.emptied {
            self.emptied = true;
            self.shared = shared;
        }
    }

    fn worker(&mut self) -> Worker {
        self.incarnations += 1;
        Worker {
            name: format!("worker {}", self.incarnations),
            alive: true,
            role: Role::Acquired(None),
            log: Log::default(),
            flight: None,
            ending: None,
            notifications: VecDeque::new(),
        }
    }

    fn die(&mut self, at: usize) {
        if !self.workers[at].alive {
            return;
        }
        self.workers[at].alive = false;
        let next = (1..WORKERS).map(|by| (at + by) % WORKERS).find(|at| self.workers[*at].alive);
        for caller in &mut self.callers {
            if caller.at == at && caller.end.is_none() {
                match next {
                    Some(next) => (caller.at, caller.moved) = (next, true),
                    None => caller.end = Some(Err(())),
                }
            }
        }
    }

    fn is_wanted(&self, at: usize) -> bool {
        self.callers.iter().any(|caller| caller.at == at && caller.end.is_none())
    }

    /// A worker's next step in the shared memory.
    fn step(&mut self, at: usize, received: bool) -> Result<(), String> {
        if !self.workers[at].alive {
            return Ok(());
        }
        let Some(step) = self.next_step(at) else { return Ok(()) };
        let before = self.shared.clone();
        let answer = self.shared.take(self.now, &step);
        self.check_fencing(&step, &before)?;
        self.publish(&step, &before);
        if let StepResult::Lead(flight, epoch) = answer {
            self.check_leader(at, flight, epoch, &before)?;
        }
        if answer == StepResult::Deposed && self.shared.flight.is_none() {
            return Err("a leader that lives is given up".to_owned());
        }
        if received {
            self.received(at, &step, answer)?;
        }
        Ok(())
    }

    /// Events that were added go to all who follow, with the notice.
    fn publish(&mut self, step: &Step, before: &Shared) {
        let Step::Append { fencing_token, batch: Some(batch), .. } = step else { return };
        if self.shared.events == before.events {
            return;
        }
        for worker in &mut self.workers {
            if worker.alive && self.shared.followers.contains_key(&worker.name) {
                worker.notifications.push_back((*fencing_token, batch.events.clone()));
            }
        }
    }

    /// What comes too early or too late is as good as lost.
    fn recv(&mut self, at: usize) -> Result<(), String> {
        let overlooks_gaps = self.shared.has(Flaw::OverlooksGaps);
        let mixes_runs = self.shared.has(Flaw::MixesRuns);
        let worker = &mut self.workers[at];
        let Role::Following(fencing_token) = worker.role else { return Ok(()) };
        let Some((of, events)) = worker.notifications.pop_front().filter(|_| worker.alive) else {
            return Ok(());
        };
        // They are sealed under the run's name.
        if of.flight != fencing_token.flight || (of.run != fencing_token.run && !mixes_runs) {
            return Ok(());
        }
        let part = || codec::decode_events(&events).map_err(|error| error.to_string());
        if worker.log.follow(part()?).is_err() && overlooks_gaps {
            worker.log = part()?;
        }
        Ok(())
    }

    fn next_step(&mut self, at: usize) -> Option<Step> {
        let wanted = self.is_wanted(at);
        let same = self.shared.has(Flaw::MixesRuns);
        self.runs += 1;
        let skip = if same { 1 } else { 10 + self.runs };
        let worker = &self.workers[at];
        let lease = Duration::from_millis(LEASE);
        let keep = Duration::from_secs(1);
        if let Some(leadership) = &worker.ending {
            return Some(worker.complete(leadership));
        }
        match &worker.role {
            Role::Acquired(known) if wanted => Some(Step::Acquire {
                worker: worker.name.clone(),
                options: AcquireOptions {
                    may_read: worker.log.is_empty(),
                    joins_completed: false,
                    may_lead: true,
                    fresh: FlightId::random(),
                    run: RunId::random(),
                    known: *known,
                    skip,
                },
                lease,
                keep,
                grace: lease,
                about: Vec::new(),
            }),
            Role::Leading { leadership: Leadership { deposed: true, .. }, .. } => None,
            Role::Leading { leadership, .. } if leadership.restores => {
                Some(worker.restore(leadership))
            }
            Role::Leading { leadership, .. } => Some(Step::Append {
                fencing_token: leadership.fencing_token,
                lease,
                keep,
                after: leadership.acknowledged(),
                batch: batch(&worker.log.after(leadership.acked)),
            }),
            Role::Following(fencing_token) => Some(Step::Read {
                worker: worker.name.clone(),
                flight: fencing_token.flight,
                follows: true,
                after: LogPosition::after(worker.log.last()),
                most: 2,
                most_bytes: usize::MAX >> 16,
                grace: lease,
            }),
            Role::Acquired(_) | Role::Completed | Role::Failed => None,
        }
    }

    /// A step of a worker that does not lead changes nothing.
    fn check_fencing(&self, step: &Step, before: &Shared) -> Result<(), String> {
        let (Step::Append { fencing_token, .. } | Step::Complete { fencing_token, .. }) = step
        else {
            return Ok(());
        };
        let unsuspected = |shared: &Shared| {
            let mut shared = shared.clone();
            shared.flight.iter_mut().for_each(|kept| kept.suspected = None);
            shared
        };
        if before.leads(fencing_token) || unsuspected(before) == unsuspected(&self.shared) {
            return Ok(());
        }
        Err(format!("{fencing_token:?} does not lead, and has changed something"))
    }

    /// One leader an epoch; and nobody takes over from one who is alive.
    fn check_leader(
        &mut self,
        at: usize,
        flight: FlightId,
        epoch: u64,
        before: &Shared,
    ) -> Result<(), String> {
        let name = self.workers[at].name.clone();
        let alive = |kept: &&Kept| kept.state == RemoteState::Running && kept.lease > self.now;
        if let Some(kept) = before.flight.as_ref().filter(alive) {
            return Err(format!("{name} takes over from {:?}, who is alive", kept.fencing_token));
        }
        match self.leaders.insert((flight, epoch), name.clone()) {
            // A replica may not have learnt what was granted.
            Some(other) if other != name && !self.emptied => {
                Err(format!("{other} and {name} both lead epoch {epoch}"))
            }
            _ => Ok(()),
        }
    }

    fn received(&mut self, at: usize, step: &Step, answer: StepResult) -> Result<(), String> {
        self.runs += 1;
        let run = self.runs;
        let mixes_runs = self.shared.has(Flaw::MixesRuns);
        let worker = &mut self.workers[at];
        match answer {
            StepResult::Recorded(recording) => {
                let (flight, events) = recording.split_first_chunk().expect("a flight");
                let recorded = codec::decode_events(events).map_err(|error| error.to_string())?;
                // What its callers have had is the beginning of the answer.
                if !text_of(&recorded).starts_with(&text_of(&worker.log)) {
                    return Err("an answer is put together from two runs".to_owned());
                }
                worker.log = recorded;
                worker.flight = Some(FlightId::from_bytes(*flight));
                worker.role = Role::Completed;
            }
            StepResult::Lead(flight, epoch) => {
                let Step::Acquire { options, .. } = step else { return Ok(()) };
                worker.flight = Some(flight);
                let first = first_of(epoch);
                if epoch > 1 || !worker.log.is_empty() {
                    worker.log.restart_at(first.max(worker.log.last() + 1), 1, WORKER_LOST);
                }
                let fencing_token = FencingToken { flight, epoch, run: options.run };
                let leadership =
                    Leadership { fencing_token, acked: first - 1, deposed: false, restores: false };
                worker.role = Role::Leading { leadership, run, pieces: 0 };
            }
            StepResult::Follow(fencing_token) => {
                let Step::Acquire { options, .. } = step else { return Ok(()) };
                // Another run than the one whose events it has: they cannot be
                // gone on with.
                worker.flight = Some(fencing_token.flight);
                let goes_on = match options.known {
                    Some(known) if mixes_runs => known.flight == fencing_token.flight,
                    Some(known) => known.continues_in(&fencing_token),
                    None => false,
                };
                let goes_on = goes_on || worker.log.is_empty();
                worker.role = if goes_on { Role::Following(fencing_token) } else { Role::Failed };
            }
            StepResult::Kept(_)
            | StepResult::Deposed
            | StepResult::Forgotten
            | StepResult::Behind(_)
            | StepResult::Restored => worker.learn(&answer),
            StepResult::ReadBatch(received) => self.follow(at, received)?,
            StepResult::Gone => {
                if let Role::Following(fencing_token) = worker.role {
                    worker.role = Role::Acquired(Some(fencing_token));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn follow(&mut self, at: usize, received: ReadBatch) -> Result<(), String> {
        let mixes_runs = self.shared.has(Flaw::MixesRuns);
        let believes = mixes_runs || self.shared.has(Flaw::BelievesTheEnd);
        let worker = &mut self.workers[at];
        let Role::Following(fencing_token) = &mut worker.role else { return Ok(()) };
        if !mixes_runs && !fencing_token.continues_in(&received.fencing_token) {
            worker.role = Role::Acquired(Some(*fencing_token));
            return Ok(());
        }
        *fencing_token = received.fencing_token;
        let fencing_token = *fencing_token;
        let more = received.more;
        for events in received.batches {
            let part = codec::decode_events(&events).map_err(|error| error.to_string())?;
            worker.log.follow(part).map_err(|gap| format!("an event is lost: {gap}"))?;
        }
        match received.state {
            _ if more => {}
            RemoteState::Completed if believes || received.outcome == worker.log.digest() => {
                worker.role = Role::Completed;
            }
            RemoteState::Completed | RemoteState::Failed => worker.role = Role::Failed,
            RemoteState::Lost | RemoteState::Released => {
                worker.role = Role::Acquired(Some(fencing_token));
            }
            RemoteState::Running | RemoteState::Suspected => {}
        }
        Ok(())
    }

    /// The node emits a piece, or ends the answer.
    fn run(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let Role::Leading { leadership, run, pieces } = &mut worker.role else { return };
        if !worker.alive {
            return;
        }
        if *pieces < PIECES {
            let piece = Piece::Text(format!("{run}.{pieces} ").into());
            worker.log.append(Delta { choice: 0, piece });
            *pieces += 1;
            return;
        }
        worker.ending = Some(*leadership);
        worker.role = Role::Completed;
    }

    /// The callers of a worker read what it has.
    fn subscribe(&mut self, at: usize) -> Result<(), String> {
        let worker = &self.workers[at];
        if !worker.alive {
            return Ok(());
        }
        for caller in self.callers.iter_mut().filter(|caller| caller.at == at) {
            if caller.end.is_some() {
                continue;
            }
            let is_another = caller.flight.is_some()
                && worker.flight.is_some()
                && caller.flight != worker.flight;
            if caller.moved && is_another {
                // Its token names a flight that nobody knows any more.
                caller.end = Some(Err(()));
                continue;
            }
            while let Some((number, reading)) = worker.log.read(caller.cursor, 1) {
                (caller.cursor, caller.moved) = (number, false);
                caller.flight = worker.flight;
                match reading {
                    Reading::Delta(delta) => caller.text.push_str(&delta.text),
                    Reading::Restarted { .. } => caller.text.clear(),
                }
            }
            match worker.role {
                // It has seen a later epoch than this worker knows, and
                // cannot go on here.
                Role::Completed if caller.cursor > worker.log.last() => caller.end = Some(Err(())),
                Role::Completed => {
                    caller.end = Some(Ok(caller.text.clone()));
                    check_answer(&caller.text)?;
                }
                Role::Failed => caller.end = Some(Err(())),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Every piece of one run, in order, once.
fn check_answer(text: &str) -> Result<(), String> {
    let run = text.split('.').next().unwrap_or_default();
    let whole: String = (0..PIECES).map(|piece| format!("{run}.{piece} ")).collect();
    if text == whole { Ok(()) } else { Err(format!("a caller has received {text:?}")) }
}

fn batch(events: &Log) -> Option<Batch> {
    (!events.is_empty()).then(|| Batch {
        position: LogPosition { last: events.last(), part: 0 },
        voids: events.voids(),
        events: codec::encode_events(events),
    })
}

fn first_of(epoch: u64) -> u64 {
    ((epoch - 1) << 32) + 1
}

impl Leadership {
    fn acknowledged(&self) -> u64 {
        if self.acked < first_of(self.fencing_token.epoch) { 0 } else { self.acked }
    }
}

impl Worker {
    fn restore(&self, leadership: &Leadership) -> Step {
        Step::Restore {
            fencing_token: leadership.fencing_token,
            worker: self.name.clone(),
            lease: Duration::from_millis(LEASE),
            keep: Duration::from_secs(1),
            about: Vec::new(),
        }
    }

    fn complete(&self, leadership: &Leadership) -> Step {
        if leadership.restores {
            return self.restore(leadership);
        }
        let flight = leadership.fencing_token.flight;
        let recording = [flight.as_bytes(), &*codec::encode_events(&self.log)].concat();
        Step::Complete {
            fencing_token: leadership.fencing_token,
            retention: Duration::from_secs(1),
            after: leadership.acknowledged(),
            batch: batch(&self.log.after(leadership.acked)),
            state: RemoteState::Completed,
            outcome: self.log.digest().to_vec(),
            recording: Some((recording, Duration::from_secs(1))),
        }
    }

    /// What a leader makes of an answer, while its flight runs and when it ends.
    fn learn(&mut self, answer: &StepResult) {
        let last = self.log.last();
        let is_ending = self.ending.is_some();
        let leadership = match (&mut self.ending, &mut self.role) {
            (Some(leadership), _) | (None, Role::Leading { leadership, .. }) => leadership,
            _ => return,
        };
        match answer {
            StepResult::Kept(_) => leadership.acked = last,
            StepResult::Behind(kept) => {
                leadership.acked = (*kept).max(first_of(leadership.fencing_token.epoch) - 1);
            }
            StepResult::Forgotten => leadership.restores = true,
            StepResult::Restored => {
                (leadership.acked, leadership.restores) =
                    (first_of(leadership.fencing_token.epoch) - 1, false);
            }
            _ => leadership.deposed = true,
        }
        let is_over = leadership.deposed || matches!(answer, StepResult::Kept(_));
        if is_ending && is_over {
            self.ending = None;
        }
    }
}

/// The text of a log's one choice.
fn text_of(log: &Log) -> String {
    log.join(1).pop().map(|joined| joined.text).unwrap_or_default()
}
