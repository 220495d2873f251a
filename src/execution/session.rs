//! One caller's view of a flight: the last mile that hit, follower, leader and
//! attachment all take.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Executor,
    clock::{Alarm, Clock},
    outcome::{
        CacheOutcome, CacheStatus, Choice, Completed, Cost, Failed, Output, OutputEvent, Started,
    },
    storage::Storage,
};
use crate::{
    admission::Permit,
    cache::key::short,
    error::{Deadline, Error},
    event::{Finish, Usage},
    flight::{Failure, Heard, Landing, Listener, Stored},
    recording::{Joined, Recording, Subject},
};

/// An execution as its caller sees it: events, then exactly one of `Completed`
/// or an error, then nothing.
///
/// Dropping it leaves the flight and gives the place back.
#[derive(Debug)]
pub struct Session {
    executor: Arc<Executor>,
    listener: Listener,
    clock: Clock,
    found: Found,
    started: Option<Started>,
    ended: bool,
    _permit: Permit,
}

/// How an execution came by its flight.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// What the look-up came to.
    pub(super) status: CacheStatus,
    /// How old a hit is.
    pub(super) age: Option<Duration>,
    /// How the answer is to be stored, if caching was asked for.
    pub(super) storage: Option<Storage>,
}

impl Session {
    pub(super) fn new(
        executor: Arc<Executor>,
        permit: Permit,
        listener: Listener,
        clock: Clock,
        found: Found,
        execution_token: String,
    ) -> Session {
        let started = Started {
            execution_token,
            worker_id: executor.settings.worker_id.clone(),
            model: listener.subject().model.clone(),
            cache_status: found.status,
        };
        Session {
            executor,
            listener,
            clock,
            found,
            started: Some(started),
            ended: false,
            _permit: permit,
        }
    }

    /// When it ends at the latest, and why it then does.
    pub fn deadline(&self) -> (Instant, Error) {
        let (at, limit) = self.clock.end();
        let phase = self.listener.outlook().phase;
        (at, Error::Deadline { deadline: Deadline::Total, limit, phase })
    }

    /// The next event; `None` after the end. Cancel safe: what was not
    /// returned is returned next time.
    pub async fn next(&mut self) -> Option<Result<Output, Box<Failed>>> {
        if self.ended {
            return None;
        }
        if let Some(started) = self.started.take() {
            return Some(Ok(self.output(self.listener.cursor(), OutputEvent::Started(started))));
        }
        loop {
            match self.hear() {
                Ok(None) => {}
                Ok(Some(heard)) => return Some(self.tell(heard)),
                Err(error) => return Some(self.fail(Failure::from(error))),
            }
            let alarm = tokio::select! {
                biased;
                () = self.listener.changed() => continue,
                alarm = self.clock.alarm() => alarm,
            };
            return Some(match alarm {
                Alarm::Progress => Ok(self.progress()),
                Alarm::Deadline(deadline, limit) => {
                    let phase = self.listener.outlook().phase;
                    self.fail(Failure::from(Error::Deadline { deadline, limit, phase }))
                }
            });
        }
    }

    /// Output counts as such also where the caller wants no deltas.
    fn hear(&mut self) -> Result<Option<Heard>, Error> {
        let before = self.listener.cursor();
        let heard = self.listener.hear();
        if self.listener.cursor() > before {
            self.clock.output();
        }
        heard
    }

    fn tell(&mut self, heard: Heard) -> Result<Output, Box<Failed>> {
        match heard {
            Heard::Delta(sequence, delta) => Ok(self.output(sequence, OutputEvent::Delta(delta))),
            Heard::Restarted { sequence, attempt, reason } => {
                Ok(self.output(sequence, OutputEvent::Restarted { attempt, reason }))
            }
            Heard::Landed(Landing::Completed(stored)) => self.complete(stored),
            Heard::Landed(Landing::Failed(failure)) => self.fail(failure),
        }
    }

    fn output(&mut self, sequence: u64, event: OutputEvent) -> Output {
        self.clock.event();
        Output { sequence, event }
    }

    fn progress(&mut self) -> Output {
        let phase = self.listener.outlook().phase;
        let elapsed = self.clock.elapsed();
        self.output(self.listener.cursor(), OutputEvent::Progress { phase, elapsed })
    }

    fn complete(&mut self, stored: Stored) -> Result<Output, Box<Failed>> {
        let Some(recording) = self.listener.recording() else {
            return self
                .fail(Failure::from(Error::Internal("a flight landed without a recording")));
        };
        self.ended = true;
        if recording.flight != self.listener.flight() {
            // Another flight had landed just before: nothing was asked, and
            // nothing is paid.
            self.found.status = CacheStatus::Hit;
        }
        let completed = Completed {
            choices: choices(&recording),
            usage: recording.finish.usage,
            cost: self.cost(&recording.subject, recording.finish.usage.as_ref()),
            timing: self.clock.timing(self.connect()),
            attempts: if self.found.status == CacheStatus::Hit { 0 } else { recording.attempts },
            cache: self.cache_outcome(&recording, stored),
            provider_request_id: recording.finish.provider_request_id.clone(),
            model: answered_by(&recording),
        };
        // The last event's number, as `progress` repeats it.
        Ok(self.output(recording.log.last(), OutputEvent::Completed(Box::new(completed))))
    }

    fn fail(&mut self, failure: Failure) -> Result<Output, Box<Failed>> {
        self.ended = true;
        let outlook = self.listener.outlook();
        Err(Box::new(Failed {
            error: failure.error,
            usage: failure.usage,
            cost: self.cost(self.listener.subject(), failure.usage.as_ref()),
            timing: self.clock.timing(self.connect()),
            attempts: outlook.attempts,
            phase: outlook.phase,
        }))
    }

    /// A connection counts only for those who waited for it.
    fn connect(&self) -> Option<Duration> {
        let outlook = self.listener.outlook();
        if self.found.status == CacheStatus::Hit { None } else { outlook.connect }
    }

    fn cost(&self, subject: &Subject, usage: Option<&Usage>) -> Option<Cost> {
        let prices = &self.executor.prices;
        let original = prices.cost(&subject.model, subject.tier, usage?)?;
        let spent = if self.found.status.pays() { original } else { 0 };
        Some(Cost { spent, original, price_date: prices.date().clone() })
    }

    /// A hit is stored already; without caching there is nothing to store.
    fn wants_storing(&self) -> bool {
        self.found.storage.is_some() && self.found.status != CacheStatus::Hit
    }

    /// A follower that wants the answer stored sees to it where its leader did
    /// not want it.
    fn cache_outcome(&self, recording: &Arc<Recording>, stored: Stored) -> CacheOutcome {
        let stored = match (&self.found.storage, stored) {
            (Some(own), Stored::NotStored(Storage::NOT_WANTED)) => {
                own.store(&self.executor.memory, recording)
            }
            (_, stored) => stored,
        };
        CacheOutcome {
            status: self.found.status,
            stored: self.wants_storing().then_some(stored),
            key_fingerprint: self
                .found
                .storage
                .as_ref()
                .map_or_else(String::new, |storage| short(&storage.key)),
            age: self.found.age,
            source_execution: recording.flight,
        }
    }
}

fn answered_by(recording: &Recording) -> String {
    recording.finish.model.clone().unwrap_or_else(|| recording.subject.model.clone())
}

fn choices(recording: &Recording) -> Vec<Choice> {
    let Finish { finish_reasons, .. } = &recording.finish;
    let joined = recording.log.join(finish_reasons.len());
    joined
        .into_iter()
        .zip(finish_reasons)
        .map(|(Joined { text, reasoning, tool_calls, logprobs }, finish_reason)| Choice {
            text,
            reasoning,
            is_json: recording.subject.json,
            tool_calls,
            finish_reason: *finish_reason,
            logprobs,
        })
        .collect()
}
