//! The leader's work: runs the node, again where that helps, and lands the
//! flight. Its own task, owned by the lifecycle, never by a caller's future.
//!
//! What if it is dropped? Only at shutdown, by the lifecycle: the publisher's
//! drop then loses the flight and its listeners are told. When nobody listens
//! any more, `run` drops the attempt under way, and with it the stream from
//! the provider.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    Executor,
    inference::{Trail, Watched},
    inspection,
    measured::Measured,
    passage::{Aboard, Passage},
    storage::Storage,
};
use crate::{
    admission::Permit,
    cache::key::Fingerprint,
    cooldown::{Advice, Cooldowns},
    credentials::ApiKey,
    error::{Deadline, Error},
    event::{Emit, Finish, Phase},
    fireworks::{Attempt, Interrupted, RetryPolicy},
    flight::{Failure, Landing, Publisher, Stored},
    lifecycle::Stage,
    node::Plan,
    output::OutputFormat,
    recording::{FlightId, Recording},
};

/// What the leader is to do.
#[derive(Debug)]
pub(super) struct Mission {
    /// The node's work.
    pub(super) plan: Plan,
    /// Who pays.
    pub(super) credential: ApiKey,
    /// Names the credential.
    pub(super) fingerprint: Fingerprint,
    /// What form the answer must have.
    pub(super) output: OutputFormat,
    /// How the answer is stored, if caching was asked for.
    pub(super) storage: Option<Storage>,
    /// The place of the execution that leads: taken until the flight has
    /// landed, also when its caller has gone.
    pub(super) permit: Permit,
    /// To an established connection, for each attempt.
    pub(super) connect: Duration,
    /// When to retry.
    pub(super) retry: RetryPolicy,
    /// The spans of the flight.
    pub(super) trail: Trail,
    /// What the flight wants of the fleet, if others may share it.
    pub(super) passage: Option<Passage>,
    /// The name under which it has claimed its idempotency key, once it has.
    pub(super) owner: Option<FlightId>,
}

/// How a flight came by its answer.
#[derive(Debug)]
pub(super) enum Flown {
    /// The node has run here.
    Ran(Finish),
    /// It ran elsewhere: how it ended.
    Relayed(Box<Recording>),
    /// It ran in another flight of this worker.
    Echoed(Stored, Arc<Recording>),
    /// It was recorded before.
    Found(Box<Recording>),
}

impl Flown {
    /// The word on the flight's span.
    fn course(&self) -> &'static str {
        match self {
            Flown::Ran(_) => "led",
            Flown::Relayed(_) | Flown::Echoed(..) => "relayed",
            Flown::Found(_) => "recorded",
        }
    }
}

impl Mission {
    /// Runs the flight to its landing. A panic loses it: its publisher's drop
    /// tells the listeners.
    pub(super) async fn fly(self, executor: Arc<Executor>, publisher: Publisher) {
        let flown = AssertUnwindSafe(self.fly_on(&executor, publisher)).catch_unwind().await;
        if flown.is_err() {
            executor.metrics.panicked();
        }
    }

    async fn fly_on(mut self, executor: &Arc<Executor>, mut publisher: Publisher) {
        publisher.charge_to(self.permit.clone());
        let abandoned = publisher.abandoned(executor.settings.drain_limit);
        let mut aboard = Aboard::default();
        let flown = tokio::select! {
            biased;
            flown = self.travel(executor, &mut publisher, &mut aboard) => flown,
            () = abandoned => Err(cut_short(&publisher, stopped(executor))),
            () = tokio::time::sleep(executor.settings.max_total) => {
                let error = outlasted(&publisher, executor.settings.max_total);
                Err(cut_short(&publisher, error))
            }
        };
        let flown = match flown {
            Ok(Flown::Ran(finish)) => self.checked(&mut publisher, finish).await.map(Flown::Ran),
            flown => flown,
        };
        executor.metrics.flight_landed(publisher.audience());
        if let Ok(flown) = &flown {
            self.trail.came_by(flown.course());
        }
        self.trail.end(flown.as_ref().err());
        let has_answer = flown.is_ok();
        match flown {
            Ok(Flown::Ran(finish)) => self.land(executor, publisher, aboard, finish).await,
            Ok(Flown::Relayed(end)) => {
                let recording = publisher.record_relayed(*end);
                let stored = self.store(executor, &recording);
                publisher.land(Landing::Completed(stored));
            }
            Ok(Flown::Echoed(stored, recording)) => {
                publisher.record_echoed(recording);
                publisher.land(Landing::Completed(stored));
            }
            Ok(Flown::Found(recording)) => self.land_with(executor, publisher, *recording),
            Err(failure) => {
                aboard.fail(executor, &publisher, &failure).await;
                publisher.land(Landing::Failed(failure));
            }
        }
        self.settle(executor, has_answer).await;
        executor.allowances.settle(self.permit.tenant()).await;
    }

    /// Stores the answer here and in the fleet, then tells the listeners.
    async fn land(
        &self,
        executor: &Arc<Executor>,
        mut publisher: Publisher,
        aboard: Aboard,
        finish: Finish,
    ) {
        let recording = publisher.record(finish);
        let stored = self.store(executor, &recording);
        if let Some(lease) = aboard.into_lease() {
            let kept = self.storage.filter(|_| stored == Stored::Stored);
            let ending = lease.complete(recording, kept.map(|storage| storage.ttl));
            executor.send_ending(ending).await;
        }
        publisher.land(Landing::Completed(stored));
    }

    /// Lands with what the fleet had recorded; this worker has it from then on.
    fn land_with(&self, executor: &Executor, publisher: Publisher, recording: Recording) {
        let age = recording.recorded_at.elapsed().unwrap_or_default();
        let recording = Arc::new(recording);
        if let Some(storage) = &self.storage {
            let left = storage.ttl.saturating_sub(age);
            executor.memory.insert(storage.key, recording.clone(), left);
        }
        publisher.land_with(recording, age);
    }

    fn store(&self, executor: &Executor, recording: &Arc<Recording>) -> Stored {
        match &self.storage {
            Some(storage) => executor.store(storage, recording),
            None => Stored::NotStored(Storage::NOT_WANTED),
        }
    }

    /// Lets the idempotency key hold for the retention time from now on, or no
    /// longer.
    async fn settle(&self, executor: &Executor, has_answer: bool) {
        let claim = self.passage.and_then(|passage| passage.claim);
        if let (Some(claim), Some(owner), Some(fleet)) = (claim, self.owner, &executor.fleet) {
            fleet.settle(claim.key, owner, has_answer).await;
        }
    }

    pub(super) async fn run(
        &mut self,
        executor: &Executor,
        publisher: &mut Publisher,
    ) -> Result<Finish, Failure> {
        let began = Instant::now();
        let mut retry = self.retry.clone();
        loop {
            self.cool_down(&executor.cooldowns, began, publisher).await?;
            let attempt = publisher.begin_attempt();
            let call = Attempt { credential: &self.credential, connect: self.connect };
            self.trail.call(&self.plan, &self.credential, attempt);
            let mut measured =
                Measured::begin(executor, &self.plan, self.permit.tenant(), publisher);
            let ended =
                self.plan.run(call, &mut Watched::new(&mut measured, &mut self.trail)).await;
            measured.ended(&ended);
            let interrupted = match ended {
                Ok(finish) => {
                    let choices = || publisher.joined(finish.finish_reasons.len());
                    self.trail.answered(&finish, &self.credential, choices);
                    return Ok(finish);
                }
                Err(interrupted) => interrupted,
            };
            self.trail.interrupted(&interrupted);
            executor.cooldowns.learn(
                self.fingerprint.as_bytes(),
                &self.plan.model,
                &interrupted.error,
            );
            let wait = retry.next(attempt, began.elapsed(), &interrupted.error);
            let Some(wait) = wait.filter(|_| publisher.may_restart()) else {
                return Err(interrupted.into());
            };
            self.trail.retries(attempt, &interrupted.error, wait);
            publisher.phase(Phase::Retrying);
            tokio::time::sleep(wait).await;
            if publisher.has_shown() {
                if !publisher.may_restart() {
                    return Err(interrupted.into());
                }
                publisher.restart(attempt + 1, interrupted.error.reason());
                self.trail.restarted(attempt + 1, interrupted.error.reason());
            }
        }
    }

    /// Waits while the provider wants no calls with this credential, if that is
    /// within reason; what it has refused a moment ago is told again instead.
    async fn cool_down(
        &self,
        cooldowns: &Cooldowns,
        began: Instant,
        publisher: &mut Publisher,
    ) -> Result<(), Failure> {
        let longest = self.patience(publisher);
        loop {
            match cooldowns.advice(self.fingerprint.as_bytes(), &self.plan.model) {
                Advice::Ask => return Ok(()),
                Advice::Refuse(error) => return Err(error.into()),
                Advice::Wait(left, error) => {
                    // Not all at once when it is over.
                    let wait = left + self.retry.base.mul_f64(fastrand::f64());
                    if began.elapsed() + wait >= longest {
                        return Err(error.into());
                    }
                    publisher.phase(Phase::Retrying);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// One that has not asked yet waits no longer than a retry of our own would,
    /// and is told the wait beyond that: it holds a place meanwhile.
    fn patience(&self, publisher: &Publisher) -> Duration {
        let total = self.retry.total.unwrap_or(Duration::MAX);
        if publisher.attempts() == 0 { total.min(self.retry.cap) } else { total }
    }

    /// An answer that is not what was asked for is a failure that was paid for.
    async fn checked(&self, publisher: &mut Publisher, finish: Finish) -> Result<Finish, Failure> {
        if matches!(self.output, OutputFormat::Text) {
            return Ok(finish);
        }
        for choice in publisher.joined(finish.finish_reasons.len()) {
            // A model that calls a tool has not answered yet, whatever it says before.
            if !choice.tool_calls.is_empty() {
                continue;
            }
            let tenant = self.permit.tenant();
            if let Err(error) = inspection::inspect(&self.output, choice.text, tenant).await {
                return Err(Failure { error, usage: finish.usage });
            }
        }
        Ok(finish)
    }
}

impl From<Interrupted> for Failure {
    fn from(Interrupted { error, usage }: Interrupted) -> Failure {
        Failure { error, usage }
    }
}

/// A failure that drops the attempt under way: what that has used was paid.
fn cut_short(publisher: &Publisher, error: Error) -> Failure {
    Failure { error, usage: publisher.last_usage() }
}

/// No caller's deadline is longer, but a late one's may end later.
fn outlasted(publisher: &Publisher, limit: Duration) -> Error {
    Error::Deadline { deadline: Deadline::Total, limit, phase: publisher.current_phase() }
}

/// Why an abandoned flight ends: its listeners have gone, or the worker goes.
pub(super) fn stopped(executor: &Executor) -> Error {
    if executor.lifecycle.stage() >= Stage::Draining {
        Executor::draining()
    } else {
        Error::Cancelled
    }
}
