//! The leader's job: runs the node, retries where that helps, and completes the
//! flight. It is a task of its own, owned by the lifecycle, never by a caller's
//! future.
//!
//! Cancellation: only the lifecycle drops the task, at shutdown; dropping the
//! publisher then fails the flight and notifies its subscribers. When the last
//! subscriber leaves, `run` drops the attempt in progress, and with it the upstream
//! stream.
//!
//! Size: the job's future is part of every open stream. What few flights await, or only
//! for a moment, is boxed there.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::execution::{
    Services,
    leader::{
        replicate::send_ending,
        role::{FleetRequest, FleetRole},
        store::Storage,
        texts::TextWork,
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
    emit::Emit,
    error::{Deadline, Error},
    event::{Finish, Phase},
    fireworks::{Affinity, Attempt, Interrupted, RetryPolicy},
    flight::{Failure, FlightOutcome, Publisher, Stored},
    lifecycle::{Lifecycle, Stage},
    node::Plan,
    output::{OutputFormat, Verdict},
    recording::{FlightId, Recording, Subject},
    telemetry::Span,
};

/// The leader's job.
#[derive(Debug)]
pub(crate) struct LeaderJob {
    /// The node's plan.
    pub(crate) plan: Arc<Plan>,
    /// The request of the flight.
    pub(crate) subject: Arc<Subject>,
    /// The work with texts that are answered each by itself; `None` to run the node.
    pub(crate) texts: Option<TextWork>,
    /// The result of storing those texts.
    pub(crate) stored: Option<Stored>,
    /// The credential that pays.
    pub(crate) credential: ApiKey,
    /// Identifies the credential.
    pub(crate) fingerprint: Fingerprint,
    /// The required form of the answer.
    pub(crate) output: OutputFormat,
    /// Storage settings for the answer, if caching was requested.
    pub(crate) storage: Option<Storage>,
    /// The slot of the leading execution, held until the flight completes, even
    /// after its caller has gone.
    pub(crate) permit: Permit,
    /// Limit for establishing a connection, per attempt.
    pub(crate) connect: Duration,
    /// The retry policy.
    pub(crate) retry: RetryPolicy,
    /// The names of the conversation to the provider's prompt caches.
    pub(crate) affinity: Affinity,
    /// The spans of the flight.
    pub(crate) spans: FlightSpans,
    /// The terms in the fleet, if others may share the flight.
    pub(crate) fleet_request: Option<FleetRequest>,
    /// The owner name under which the idempotency key was claimed, once it has
    /// been.
    pub(crate) owner: Option<FlightId>,
}

/// The source of a flight's answer.
#[derive(Debug)]
pub(crate) enum LeaderOutcome {
    /// The node ran here.
    Ran(Box<Finish>),
    /// It ran on another worker; holds the relayed end.
    Relayed(Box<Recording>),
    /// It ran in another flight of this worker.
    Mirrored(Stored, Arc<Recording>),
    /// It was recorded earlier.
    Found(Box<Recording>),
}

impl LeaderOutcome {
    /// Returns the outcome of a run with this finish.
    pub(crate) fn ran(finish: Finish) -> LeaderOutcome {
        LeaderOutcome::Ran(Box::new(finish))
    }

    /// Returns the label on the flight's span.
    fn source(&self) -> &'static str {
        match self {
            LeaderOutcome::Ran(_) => "local",
            LeaderOutcome::Relayed(_) | LeaderOutcome::Mirrored(..) => "remote",
            LeaderOutcome::Found(_) => "cached",
        }
    }
}

impl LeaderJob {
    /// Returns a job for another flight of the same execution, which runs the node and
    /// stores nothing.
    pub(crate) fn another(&self) -> LeaderJob {
        LeaderJob {
            plan: self.plan.clone(),
            subject: self.subject.clone(),
            texts: None,
            stored: None,
            credential: self.credential.clone(),
            fingerprint: self.fingerprint,
            output: OutputFormat::Text,
            storage: None,
            permit: self.permit.clone(),
            connect: self.connect,
            retry: self.retry.clone(),
            affinity: self.affinity.clone(),
            spans: self.spans.of(&Span::default()),
            fleet_request: None,
            owner: None,
        }
    }

    /// Runs the flight to completion. A panic fails it: dropping the publisher
    /// notifies the subscribers.
    pub(crate) async fn run(self: Box<Self>, services: Arc<Services>, publisher: Publisher) {
        let outcome = AssertUnwindSafe(self.run_guarded(&services, publisher)).catch_unwind().await;
        if outcome.is_err() {
            services.metrics.panicked();
        }
    }

    async fn run_guarded(mut self: Box<Self>, services: &Arc<Services>, mut publisher: Publisher) {
        publisher.charge_to(self.permit.clone());
        let abandoned = publisher.abandoned(services.settings.drain_limit);
        let mut role = FleetRole::default();
        let outcome = tokio::select! {
            biased;
            outcome = self.run_in_fleet(services, &mut publisher, &mut role) => outcome,
            () = abandoned => Err(cut_short(&publisher, stopped(&services.lifecycle))),
            () = tokio::time::sleep(services.settings.max_total) => {
                let error = outlasted(&publisher, services.settings.max_total);
                Err(cut_short(&publisher, error))
            }
        };
        let outcome = match outcome {
            Ok(LeaderOutcome::Ran(finish)) => {
                let checked = Box::pin(self.checked(&mut publisher, *finish)).await;
                checked.map(LeaderOutcome::ran)
            }
            outcome => outcome,
        };
        services.metrics.flight_completed(publisher.audience());
        if let Ok(outcome) = &outcome {
            self.spans.came_by(outcome.source());
        }
        self.spans.end(outcome.as_ref().err());
        let has_answer = outcome.is_ok();
        match outcome {
            Ok(LeaderOutcome::Ran(finish)) => {
                if self.texts.is_none() {
                    services.notices.answered(&self.plan.model, &self.credential, self.fingerprint);
                }
                self.complete(services, publisher, role, *finish).await;
            }
            Ok(LeaderOutcome::Relayed(end)) => {
                let recording = publisher.record_relayed(*end);
                let stored = self.store(services, &recording);
                publisher.complete(FlightOutcome::Completed(stored));
            }
            Ok(LeaderOutcome::Mirrored(stored, recording)) => {
                publisher.record_mirrored(recording);
                publisher.complete(FlightOutcome::Completed(stored));
            }
            Ok(LeaderOutcome::Found(recording)) => {
                self.complete_with(services, publisher, *recording);
            }
            Err(failure) => {
                Box::pin(role.fail(services, &publisher, &failure)).await;
                publisher.complete(FlightOutcome::Failed(failure));
            }
        }
        self.settle(services, has_answer).await;
        if self.texts.is_none() {
            services.quotas.settle(self.permit.tenant()).await;
        }
    }

    /// Stores the answer here and in the fleet, then notifies the subscribers.
    async fn complete(
        &self,
        services: &Arc<Services>,
        mut publisher: Publisher,
        role: FleetRole,
        finish: Finish,
    ) {
        let recording = publisher.record(finish);
        let stored = self.stored.unwrap_or_else(|| self.store(services, &recording));
        if let Some(lease) = role.into_lease() {
            let _turn = self.redis_turn().await;
            let kept = self.storage.filter(|_| stored == Stored::Stored);
            let ending = lease.complete(recording, kept.map(|storage| storage.ttl));
            Box::pin(send_ending(services, ending)).await;
        }
        publisher.complete(FlightOutcome::Completed(stored));
    }

    /// Completes with a recording from the fleet, and keeps it in this worker's
    /// memory.
    fn complete_with(&self, services: &Services, publisher: Publisher, recording: Recording) {
        let age = recording.recorded_at.elapsed().unwrap_or_default();
        let recording = Arc::new(recording);
        if let Some(storage) = &self.storage {
            let left = storage.ttl.saturating_sub(age);
            services.memory.insert(storage.key, recording.clone(), left);
        }
        publisher.complete_with(recording, age);
    }

    fn store(&self, services: &Services, recording: &Arc<Recording>) -> Stored {
        match &self.storage {
            Some(storage) => storage.store(services, recording),
            None => Stored::NotStored(Storage::NOT_WANTED),
        }
    }

    /// Keeps the idempotency key for the retention time if there is an answer, and
    /// releases it otherwise.
    async fn settle(&self, services: &Services, has_answer: bool) {
        let claim = self.fleet_request.and_then(|fleet_request| fleet_request.claim);
        if let (Some(claim), Some(owner), Some(fleet)) = (claim, self.owner, &services.fleet) {
            Box::pin(fleet.settle(claim.key, owner, has_answer)).await;
        }
    }

    /// Does the work of the flight: runs the node, or answers texts.
    pub(crate) async fn work(
        &mut self,
        services: &Arc<Services>,
        publisher: &mut Publisher,
    ) -> Result<Finish, Failure> {
        match &mut self.texts {
            None => self.run_attempts(services, publisher).await,
            Some(TextWork::One(ticket)) => LeaderJob::run_text(ticket, publisher).await,
            Some(TextWork::Several(terms)) => {
                let terms = terms.clone();
                self.run_texts(services, publisher, terms).await
            }
        }
    }

    async fn run_attempts(
        &mut self,
        services: &Services,
        publisher: &mut Publisher,
    ) -> Result<Finish, Failure> {
        let began = Instant::now();
        let mut retry = self.retry.clone();
        loop {
            self.cool_down(&services.cooldowns, began, publisher).await?;
            let attempt = publisher.begin_attempt();
            let call = Attempt {
                credential: &self.credential,
                connect: self.connect,
                affinity: &self.affinity,
            };
            self.spans.call(&self.plan, &self.credential, attempt);
            let mut metrics =
                UpstreamMetrics::begin(services, &self.plan, self.permit.tenant(), publisher);
            let ended =
                self.plan.run(call, &mut SpanEmit::new(&mut metrics, &mut self.spans)).await;
            let cost = metrics.ended(&ended);
            let mut interrupted = match ended {
                Ok(finish) => {
                    let choices = || publisher.joined(finish.finish_reasons.len());
                    self.spans.answered(&finish, &self.credential, cost, choices);
                    return Ok(finish);
                }
                Err(interrupted) => interrupted,
            };
            let explained =
                services.models.explain(&self.plan.model, &self.credential, interrupted.error);
            interrupted.error = Box::pin(explained).await;
            self.spans.interrupted(&interrupted, cost);
            services.cooldowns.learn(
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

    /// Waits out a cooldown of this credential if that is soon enough. A recent
    /// refusal is returned at once, without another request to the provider.
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
                    // Jittered, so that waiting flights do not retry in lockstep.
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

    /// Returns the longest wait before the first attempt: no longer than a retry would
    /// wait, since the flight holds a slot meanwhile. A longer wait goes to the caller.
    fn patience(&self, publisher: &Publisher) -> Duration {
        let total = self.retry.total.unwrap_or(Duration::MAX);
        if publisher.attempts() == 0 { total.min(self.retry.cap) } else { total }
    }

    /// Validates the answer. An invalid one is a failure that was paid for.
    async fn checked(
        &self,
        publisher: &mut Publisher,
        mut finish: Finish,
    ) -> Result<Finish, Failure> {
        if matches!(self.output, OutputFormat::Text) {
            return Ok(finish);
        }
        for (index, choice) in (0..).zip(publisher.joined(finish.finish_reasons.len())) {
            // A choice that calls a tool is not the final answer, whatever text
            // precedes it.
            if !choice.tool_calls.is_empty() {
                continue;
            }
            let tenant = self.permit.tenant();
            match validate::inspect(&self.output, choice.text, tenant).await {
                Ok(Verdict::Met) => {}
                Ok(Verdict::Unchecked) => finish.unchecked.push(index),
                Err(error) => return Err(Failure { error, usage: finish.usage }),
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

/// Returns a failure that drops the attempt in progress, with the usage it has paid
/// for.
fn cut_short(publisher: &Publisher, error: Error) -> Failure {
    Failure { error, usage: publisher.last_usage() }
}

/// Returns the error of a flight past `max_total`. No caller's deadline is longer,
/// but that of a late follower may end later.
fn outlasted(publisher: &Publisher, limit: Duration) -> Error {
    Error::Deadline { deadline: Deadline::Total, limit, phase: publisher.current_phase() }
}

/// Returns the error of an abandoned flight: its subscribers have left, or the
/// worker is draining.
pub(crate) fn stopped(lifecycle: &Lifecycle) -> Error {
    if lifecycle.stage() >= Stage::Draining { Error::DRAINING } else { Error::Cancelled }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the size of the future that a job's task keeps, in bytes.
    fn kept_by<F>(_run: impl FnOnce(Box<LeaderJob>, Arc<Services>, Publisher) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_task_is_small_since_every_open_stream_has_one() {
        let kept = kept_by(LeaderJob::run);
        assert!(kept <= 3 * 1024, "{kept} bytes");
    }
}
