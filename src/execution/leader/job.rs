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

use crate::execution::{
    Executor,
    leader::{
        fleet::{FleetRequest, FleetRole},
        store::Storage,
        validate,
    },
    observe::spans::{FlightSpans, SpanEmit},
    observe::upstream::UpstreamMetrics,
};
use crate::{
    admission::Permit,
    cache::key::Fingerprint,
    cooldown::{Advice, Cooldowns},
    credentials::ApiKey,
    error::{Deadline, Error},
    event::{Emit, Finish, Phase},
    fireworks::{Attempt, Interrupted, RetryPolicy},
    flight::{Failure, FlightOutcome, Publisher, Stored},
    lifecycle::Stage,
    node::Plan,
    output::OutputFormat,
    recording::{FlightId, Recording},
};

/// What the leader is to do.
#[derive(Debug)]
pub(crate) struct LeaderJob {
    /// The node's work.
    pub(crate) plan: Plan,
    /// Who pays.
    pub(crate) credential: ApiKey,
    /// Names the credential.
    pub(crate) fingerprint: Fingerprint,
    /// What form the answer must have.
    pub(crate) output: OutputFormat,
    /// How the answer is stored, if caching was asked for.
    pub(crate) storage: Option<Storage>,
    /// The place of the execution that leads: taken until the flight has
    /// landed, also when its caller has gone.
    pub(crate) permit: Permit,
    /// To an established connection, for each attempt.
    pub(crate) connect: Duration,
    /// When to retry.
    pub(crate) retry: RetryPolicy,
    /// The spans of the flight.
    pub(crate) spans: FlightSpans,
    /// What the flight wants of the fleet, if others may share it.
    pub(crate) fleet_request: Option<FleetRequest>,
    /// The name under which it has claimed its idempotency key, once it has.
    pub(crate) owner: Option<FlightId>,
}

/// How a flight came by its answer.
#[derive(Debug)]
pub(crate) enum LeaderOutcome {
    /// The node has run here.
    Ran(Finish),
    /// It ran elsewhere: how it ended.
    Relayed(Box<Recording>),
    /// It ran in another flight of this worker.
    Mirrored(Stored, Arc<Recording>),
    /// It was recorded before.
    Found(Box<Recording>),
}

impl LeaderOutcome {
    /// The word on the flight's span.
    fn source(&self) -> &'static str {
        match self {
            LeaderOutcome::Ran(_) => "led",
            LeaderOutcome::Relayed(_) | LeaderOutcome::Mirrored(..) => "relayed",
            LeaderOutcome::Found(_) => "recorded",
        }
    }
}

impl LeaderJob {
    /// Runs the flight to its landing. A panic loses it: its publisher's drop
    /// tells the listeners.
    pub(crate) async fn run(self, executor: Arc<Executor>, publisher: Publisher) {
        let outcome = AssertUnwindSafe(self.run_guarded(&executor, publisher)).catch_unwind().await;
        if outcome.is_err() {
            executor.metrics.panicked();
        }
    }

    async fn run_guarded(mut self, executor: &Arc<Executor>, mut publisher: Publisher) {
        publisher.charge_to(self.permit.clone());
        let abandoned = publisher.abandoned(executor.settings.drain_limit);
        let mut role = FleetRole::default();
        let outcome = tokio::select! {
            biased;
            outcome = self.run_in_fleet(executor, &mut publisher, &mut role) => outcome,
            () = abandoned => Err(cut_short(&publisher, stopped(executor))),
            () = tokio::time::sleep(executor.settings.max_total) => {
                let error = outlasted(&publisher, executor.settings.max_total);
                Err(cut_short(&publisher, error))
            }
        };
        let outcome = match outcome {
            Ok(LeaderOutcome::Ran(finish)) => {
                self.checked(&mut publisher, finish).await.map(LeaderOutcome::Ran)
            }
            outcome => outcome,
        };
        executor.metrics.flight_completed(publisher.audience());
        if let Ok(outcome) = &outcome {
            self.spans.came_by(outcome.source());
        }
        self.spans.end(outcome.as_ref().err());
        let has_answer = outcome.is_ok();
        match outcome {
            Ok(LeaderOutcome::Ran(finish)) => {
                self.complete(executor, publisher, role, finish).await;
            }
            Ok(LeaderOutcome::Relayed(end)) => {
                let recording = publisher.record_relayed(*end);
                let stored = self.store(executor, &recording);
                publisher.complete(FlightOutcome::Completed(stored));
            }
            Ok(LeaderOutcome::Mirrored(stored, recording)) => {
                publisher.record_mirrored(recording);
                publisher.complete(FlightOutcome::Completed(stored));
            }
            Ok(LeaderOutcome::Found(recording)) => {
                self.complete_with(executor, publisher, *recording);
            }
            Err(failure) => {
                role.fail(executor, &publisher, &failure).await;
                publisher.complete(FlightOutcome::Failed(failure));
            }
        }
        self.settle(executor, has_answer).await;
        executor.quotas.settle(self.permit.tenant()).await;
    }

    /// Stores the answer here and in the fleet, then tells the listeners.
    async fn complete(
        &self,
        executor: &Arc<Executor>,
        mut publisher: Publisher,
        role: FleetRole,
        finish: Finish,
    ) {
        let recording = publisher.record(finish);
        let stored = self.store(executor, &recording);
        if let Some(lease) = role.into_lease() {
            let kept = self.storage.filter(|_| stored == Stored::Stored);
            let ending = lease.complete(recording, kept.map(|storage| storage.ttl));
            executor.send_ending(ending).await;
        }
        publisher.complete(FlightOutcome::Completed(stored));
    }

    /// Lands with what the fleet had recorded; this worker has it from then on.
    fn complete_with(&self, executor: &Executor, publisher: Publisher, recording: Recording) {
        let age = recording.recorded_at.elapsed().unwrap_or_default();
        let recording = Arc::new(recording);
        if let Some(storage) = &self.storage {
            let left = storage.ttl.saturating_sub(age);
            executor.memory.insert(storage.key, recording.clone(), left);
        }
        publisher.complete_with(recording, age);
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
        let claim = self.fleet_request.and_then(|fleet_request| fleet_request.claim);
        if let (Some(claim), Some(owner), Some(fleet)) = (claim, self.owner, &executor.fleet) {
            fleet.settle(claim.key, owner, has_answer).await;
        }
    }

    pub(crate) async fn run_attempts(
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
            self.spans.call(&self.plan, &self.credential, attempt);
            let mut metrics =
                UpstreamMetrics::begin(executor, &self.plan, self.permit.tenant(), publisher);
            let ended =
                self.plan.run(call, &mut SpanEmit::new(&mut metrics, &mut self.spans)).await;
            metrics.ended(&ended);
            let interrupted = match ended {
                Ok(finish) => {
                    let choices = || publisher.joined(finish.finish_reasons.len());
                    self.spans.answered(&finish, &self.credential, choices);
                    return Ok(finish);
                }
                Err(interrupted) => interrupted,
            };
            self.spans.interrupted(&interrupted);
            executor.cooldowns.learn(
                self.fingerprint.as_bytes(),
                &self.plan.model,
                &interrupted.error,
            );
            let wait = retry.next(attempt, began.elapsed(), &interrupted.error);
            let Some(wait) = wait.filter(|_| publisher.may_restart()) else {
                return Err(interrupted.into());
            };
            self.spans.retries(attempt, &interrupted.error, wait);
            publisher.phase(Phase::Retrying);
            tokio::time::sleep(wait).await;
            if publisher.has_shown() {
                if !publisher.may_restart() {
                    return Err(interrupted.into());
                }
                publisher.restart(attempt + 1, interrupted.error.reason());
                self.spans.restarted(attempt + 1, interrupted.error.reason());
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
            if let Err(error) = validate::inspect(&self.output, choice.text, tenant).await {
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
pub(crate) fn stopped(executor: &Executor) -> Error {
    if executor.lifecycle.stage() >= Stage::Draining {
        Executor::draining()
    } else {
        Error::Cancelled
    }
}
