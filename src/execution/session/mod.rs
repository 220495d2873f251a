//! One caller's view of a flight: the last mile that a hit, a follower, a leader
//! and an attachment share.

pub(super) mod clock;
pub(super) mod token;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use crate::execution::{
    Services,
    leader::Storage,
    observe::{call::CallRecord, info::FlightRole},
    prefixes::PromptPrefix,
    response::{
        CacheOutcome, CacheStatus, Choice, Completed, Cost, Failed, Output, ResponseEvent, Started,
    },
    session::clock::{Alarm, Clock},
    session::token::{ExecutionToken, SessionToken},
};
use crate::{
    admission::Permit,
    cache::key::short,
    error::{Deadline, Error},
    event::{Finish, TextSources, Usage},
    flight::{Failure, FlightOutcome, FlightSource, Received, Stored, Subscriber},
    lifecycle::Stage,
    price::Tier,
    recording::{Joined, Recording, Subject},
};

/// An execution as its caller sees it: events, then exactly one of `Completed` or
/// an error, then nothing.
///
/// Dropping it leaves the flight and releases the slot.
#[derive(Debug)]
pub struct Session {
    services: Arc<Services>,
    subscriber: Subscriber,
    clock: Clock,
    found: Lookup,
    token: SessionToken,
    started: bool,
    ended: bool,
    record: CallRecord,
    permit: Permit,
}

/// The parts a session starts from.
pub(crate) struct SessionStart {
    /// The subscriber of its flight.
    pub(crate) subscriber: Subscriber,
    /// Its deadlines.
    pub(crate) clock: Clock,
    /// The result of the look-up.
    pub(crate) found: Lookup,
    /// The token that resumes the execution.
    pub(crate) token: SessionToken,
}

/// The result of an execution's look-up.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    /// The local result; [`Session::status`] includes the fleet's.
    pub(crate) status: CacheStatus,
    /// The age of a hit.
    pub(crate) age: Option<Duration>,
    /// Storage settings for the answer, if caching was requested.
    pub(crate) storage: Option<Storage>,
    /// Set if the answers of its texts are to be stored, each by itself.
    pub(crate) stores_texts: bool,
    /// Set if this execution's own credential pays for the flight.
    pub(crate) own_credential: bool,
    /// Set if this call started the execution. A resumed execution keeps the status
    /// it was given when it started.
    pub(crate) is_new: bool,
    /// The prompt beside that of the session's last call, if this execution sends one.
    pub(crate) prefix: Option<PromptPrefix>,
}

impl Lookup {
    /// Describes an execution that is resumed.
    pub(crate) fn again(status: CacheStatus) -> Lookup {
        Lookup {
            status,
            age: None,
            storage: None,
            stores_texts: false,
            own_credential: true,
            is_new: false,
            prefix: None,
        }
    }
}

impl Session {
    /// Longest time `started` waits for a first event to travel with: it saves
    /// quick executions a write, and is too short to be noticed.
    const FIRST_EVENT_WAIT: Duration = Duration::from_millis(20);

    /// Size up to which an answer, sent as deltas and again in `completed`, stays
    /// under 64 KiB.
    const BRIEF_BYTES: usize = 24 * 1024;

    /// Reconnecting takes no longer than this delay.
    const AGED: Error = Error::ConnectionMaxAge { retry_after: Duration::from_millis(100) };

    pub(crate) fn new(
        services: Arc<Services>,
        permit: Permit,
        start: SessionStart,
        mut record: CallRecord,
    ) -> Session {
        let SessionStart { subscriber, clock, found, token } = start;
        record.under_way();
        Session {
            services,
            subscriber,
            clock,
            found,
            token,
            started: false,
            ended: false,
            record,
            permit,
        }
    }

    /// Returns true if everything to come is available and fits into the initial
    /// window of an HTTP/2 stream, so that a slow reader cannot delay it.
    pub fn is_at_hand(&self) -> bool {
        let brief = |recording: Arc<Recording>| recording.bytes() <= Session::BRIEF_BYTES;
        self.subscriber.recording().is_some_and(brief)
    }

    /// Returns the latest end of the session, and the error to report then.
    pub fn deadline(&self) -> (Instant, Error) {
        let (at, limit) = self.clock.end();
        if let Some(until) = self.clock.until().filter(|until| *until < at) {
            return (until, Session::AGED);
        }
        let phase = self.subscriber.status().phase;
        (at, Error::Deadline { deadline: Deadline::Total, limit, phase })
    }

    /// Returns the next event; `None` after the end. Cancel safe: an event that was
    /// not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<Result<Output, Box<Failed>>> {
        if self.ended {
            return None;
        }
        if !self.started {
            return Some(self.start().await);
        }
        loop {
            match self.recv() {
                Ok(None) => {}
                Ok(Some(received)) => return Some(self.log(received)),
                Err(error) => return Some(self.fail(Failure::from(error))),
            }
            let alarm = tokio::select! {
                biased;
                () = self.subscriber.changed() => continue,
                alarm = self.clock.alarm() => alarm,
            };
            // Without deltas, output does not wake the session, but it moves its alarms.
            if self.subscriber.has_output() {
                continue;
            }
            return Some(match alarm {
                Alarm::Progress => Ok(self.progress()),
                Alarm::Aged => {
                    self.subscriber.run_on();
                    self.fail(Failure::from(Session::AGED))
                }
                Alarm::Deadline(deadline, limit) => {
                    let phase = self.subscriber.status().phase;
                    self.fail(Failure::from(Error::Deadline { deadline, limit, phase }))
                }
            });
        }
    }

    /// Ends the session before its connection is cut at `until`, so that it can
    /// report why; its flight continues for a resumed call.
    pub fn end_before(&mut self, until: Instant) {
        self.clock.end_before(until);
    }

    /// Ends the session after a panic, whatever its flight does. `error` is the
    /// error its caller receives.
    pub fn end(&mut self, error: &Error) {
        self.ended = true;
        self.services.metrics.panicked();
        self.record.cut_off(error);
    }

    /// Sends `started` once the flight has its id, together with the first event or
    /// after a moment without one. A flight that fails before any output sends no
    /// `started`.
    async fn start(&mut self) -> Result<Output, Box<Failed>> {
        self.subscriber.named().await;
        // In time or not, the state now decides.
        let _ = timeout(Session::FIRST_EVENT_WAIT, self.subscriber.changed()).await;
        self.started = true;
        if let Some(failure) = self.subscriber.failure_before_output() {
            return self.fail(failure);
        }
        let started = Started {
            execution_token: self.token(),
            worker_id: self.services.settings.worker_id.clone(),
            model: self.subscriber.subject().model.clone(),
            cache_status: self.status(),
        };
        Ok(self.output(self.subscriber.cursor(), ResponseEvent::Started(started)))
    }

    fn token(&self) -> String {
        match &self.token {
            SessionToken::Given(text) => text.clone(),
            SessionToken::New(owner, credential) => ExecutionToken {
                flight: self.subscriber.flight(),
                flight_key: self.subscriber.flight_key(),
                recording: self.found.storage.map(|storage| storage.key),
                status: self.status(),
            }
            .seal(&self.services.cache_secret, owner, credential),
        }
    }

    /// Returns the result of the look-up, here and in the fleet.
    fn status(&self) -> CacheStatus {
        let found = self.found.status;
        match self.subscriber.source() {
            _ if !self.found.is_new => found,
            FlightSource::Cached { .. } => CacheStatus::Hit,
            FlightSource::Remote if found.pays() => CacheStatus::Joined,
            FlightSource::LocalUnchecked if found == CacheStatus::Miss => CacheStatus::LookupFailed,
            FlightSource::Local if found == CacheStatus::Miss => self.status_of_texts(),
            FlightSource::Local | FlightSource::LocalUnchecked | FlightSource::Remote => found,
        }
    }

    /// Returns the result for an execution over texts, once it has completed: a hit if
    /// all were cached, joined if none had to be requested.
    fn status_of_texts(&self) -> CacheStatus {
        let recording = self.subscriber.recording();
        let embeddings =
            recording.as_ref().and_then(|recording| recording.finish.embeddings.as_ref());
        match embeddings.map(|embeddings| embeddings.sources) {
            Some(TextSources { executed: 0, joined: 0, .. }) => CacheStatus::Hit,
            Some(TextSources { executed: 0, .. }) => CacheStatus::Joined,
            Some(_) | None => CacheStatus::Miss,
        }
    }

    /// Returns the prompt beside that of the session's last call, if this execution sent
    /// one.
    fn prefix(&self) -> Option<PromptPrefix> {
        self.found.prefix.filter(|_| self.status().pays())
    }

    /// Returns the age of a hit.
    fn age(&self) -> Option<Duration> {
        match self.subscriber.source() {
            FlightSource::Cached { age } if self.found.is_new => Some(age),
            _ => self.found.age,
        }
    }

    /// Receives the next event. Output counts as such even if the caller wants no
    /// deltas.
    fn recv(&mut self) -> Result<Option<Received>, Error> {
        let before = self.subscriber.cursor();
        let received = self.subscriber.recv();
        if self.subscriber.cursor() > before {
            let now = Instant::now();
            self.clock.output(self.subscriber.output().unwrap_or((now, now)));
        }
        received
    }

    fn log(&mut self, received: Received) -> Result<Output, Box<Failed>> {
        match received {
            Received::Delta(sequence, delta) => {
                Ok(self.output(sequence, ResponseEvent::Delta(delta)))
            }
            Received::Restarted { sequence, attempt, reason } => {
                Ok(self.output(sequence, ResponseEvent::Restarted { attempt, reason }))
            }
            Received::Ended(FlightOutcome::Completed(stored)) => self.complete(stored),
            Received::Ended(FlightOutcome::Failed(failure)) => self.fail(failure),
        }
    }

    fn output(&mut self, sequence: u64, event: ResponseEvent) -> Output {
        self.clock.event();
        Output { sequence, event }
    }

    fn progress(&mut self) -> Output {
        let phase = self.subscriber.status().phase;
        let elapsed = self.clock.elapsed();
        self.output(self.subscriber.cursor(), ResponseEvent::Progress { phase, elapsed })
    }

    fn complete(&mut self, stored: Stored) -> Result<Output, Box<Failed>> {
        let Some(recording) = self.subscriber.recording() else {
            return self
                .fail(Failure::from(Error::Internal("a flight completed without a recording")));
        };
        if self.subscriber.cursor() > recording.log.last() {
            // The caller has seen events beyond this worker's part of the flight.
            return self.fail(Failure::from(Error::ExecutionNotFound));
        }
        // It is about to be joined and sent.
        if let Err(error) = self.permit.afford(recording.bytes()) {
            return self.fail(Failure::from(error));
        }
        self.ended = true;
        let completed = Completed {
            choices: choices(&recording),
            embeddings: recording.finish.embeddings.clone(),
            usage: recording.finish.usage,
            saved: self.saved(&recording.finish),
            cost: self.cost(&recording.subject, recording.finish.usage.as_ref(), &recording.finish),
            timing: self.clock.timing(self.connect()),
            attempts: if self.status() == CacheStatus::Hit { 0 } else { recording.attempts },
            cache: self.cache_outcome(&recording, stored),
            provider_request_id: recording.finish.provider_request_id.clone(),
            model: answered_by(&recording),
            prefix: self.prefix(),
            service_tier: recording.finish.service_tier.clone(),
        };
        let flight_role = self.flight_role();
        self.record.completed(&flight_role, &completed);
        // The last event's number, as `progress` repeats it.
        Ok(self.output(recording.log.last(), ResponseEvent::Completed(Box::new(completed))))
    }

    fn fail(&mut self, failure: Failure) -> Result<Output, Box<Failed>> {
        self.ended = true;
        let status = self.subscriber.status();
        let goes_on =
            matches!(failure.error, Error::Draining { .. } | Error::ConnectionMaxAge { .. });
        let failed = Box::new(Failed {
            execution_token: goes_on.then(|| self.token()),
            error: self.for_caller(failure.error),
            usage: failure.usage,
            cost: self.cost(&self.subscriber.subject(), failure.usage.as_ref(), &Finish::default()),
            timing: self.clock.timing(self.connect()),
            attempts: status.attempts,
            phase: status.phase,
        });
        let (flight_role, subject) = (self.flight_role(), self.subscriber.subject());
        self.record.failed(&flight_role, &subject.model, &failed);
        Err(failed)
    }

    fn flight_role(&self) -> FlightRole {
        FlightRole {
            flight: self.subscriber.flight(),
            span: self.subscriber.span(),
            status: self.status(),
        }
    }

    /// Returns the error of a session that is dropped before its end: a passed
    /// deadline, a stopping worker, or a caller that has left.
    fn left(&self) -> Error {
        let (deadline, error) = self.deadline();
        if Instant::now() >= deadline {
            error
        } else if self.services.lifecycle.stage() >= Stage::Stopping {
            Error::DRAINING
        } else {
            Error::Cancelled
        }
    }

    /// Hides a refusal of another caller's credential: it is not this caller's
    /// concern, and does not mean that its own would be refused.
    fn for_caller(&self, error: Error) -> Error {
        let is_of_another = self.status() == CacheStatus::Joined && !self.found.own_credential;
        if is_of_another { error.for_another_credential() } else { error }
    }

    /// Returns the connect time; it belongs to the execution that caused the
    /// connection.
    fn connect(&self) -> Option<Duration> {
        self.status().pays().then(|| self.subscriber.status().connect).flatten()
    }

    fn cost(&self, subject: &Subject, usage: Option<&Usage>, finish: &Finish) -> Option<Cost> {
        let prices = self.services.prices.current();
        let cost = |usage: &Usage| prices.cost(&subject.model, &subject.tier, usage);
        let original = cost(usage?)?;
        let spent = match paid_for_texts(finish) {
            _ if !self.status().pays() => 0,
            Some(paid) => cost(&paid)?.cost,
            None => original.cost,
        };
        let is_fallback = original.is_fallback;
        let tier = if is_fallback { Tier::Standard } else { subject.tier.clone() };
        let price_date = prices.date().clone();
        Some(Cost { spent, original: original.cost, price_date, tier, is_fallback })
    }

    /// Returns the tokens that this execution did not pay for.
    fn saved(&self, finish: &Finish) -> Option<Usage> {
        match paid_for_texts(finish) {
            _ if !self.status().pays() => finish.usage,
            Some(paid) => {
                let all = finish.usage?.prompt_tokens?;
                let prompt_tokens = all.checked_sub(paid.prompt_tokens?).filter(|saved| *saved > 0);
                prompt_tokens.map(|saved| Usage { prompt_tokens: Some(saved), ..Usage::default() })
            }
            None => None,
        }
    }

    /// Returns true if storing applies: a hit is stored already, and without
    /// caching there is nothing to store.
    fn wants_storing(&self) -> bool {
        let may_store = self.found.storage.is_some() || self.found.stores_texts;
        may_store && self.status() != CacheStatus::Hit
    }

    /// Returns the outcome for the cache. A follower that wants the answer stored
    /// stores it if its leader did not.
    fn cache_outcome(&self, recording: &Arc<Recording>, stored: Stored) -> CacheOutcome {
        let stored = match &self.found.storage {
            Some(own) => own.store_for(&self.services, recording, stored),
            None => stored,
        };
        CacheOutcome {
            status: self.status(),
            stored: self.wants_storing().then_some(stored),
            key_fingerprint: self
                .found
                .storage
                .as_ref()
                .map_or_else(String::new, |storage| short(&storage.key)),
            age: self.age(),
            source_execution: recording.flight,
        }
    }
}

impl Drop for Session {
    /// Records the end of a session that nobody polls any more.
    fn drop(&mut self) {
        if !self.ended {
            let left = self.left();
            let _ = self.fail(Failure::from(left));
        }
    }
}

/// Returns the tokens that an execution paid for, if it pays for some of its texts only.
fn paid_for_texts(finish: &Finish) -> Option<Usage> {
    let paid = finish.embeddings.as_ref()?.paid_tokens?;
    Some(Usage { prompt_tokens: Some(paid), ..Usage::default() })
}

fn answered_by(recording: &Recording) -> String {
    recording.finish.model.clone().unwrap_or_else(|| recording.subject.model.clone())
}

fn choices(recording: &Recording) -> Vec<Choice> {
    let Finish { finish_reasons, unchecked, .. } = &recording.finish;
    let joined = recording.log.join(finish_reasons.len());
    let ended = joined.into_iter().zip(finish_reasons);
    (0..)
        .zip(ended)
        .map(|(index, (Joined { text, reasoning, tool_calls, logprobs }, finish_reason))| Choice {
            is_unchecked: unchecked.contains(&index),
            is_json: recording.subject.json && tool_calls.is_empty(),
            text,
            reasoning,
            tool_calls,
            finish_reason: *finish_reason,
            logprobs,
        })
        .collect()
}
