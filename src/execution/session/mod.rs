//! One caller's view of a flight: the last mile that hit, follower, leader and
//! attachment all take.

pub(super) mod clock;
pub(super) mod token;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use crate::execution::{
    Executor,
    leader::Storage,
    observe::call::{CallRecord, FlightRole},
    response::{
        CacheOutcome, CacheStatus, Choice, Completed, Cost, Failed, Output, ResponseEvent, Started,
    },
    session::clock::{Alarm, Clock},
    session::token::{ExecutionToken, SessionToken},
};
use crate::{
    admission::Permit,
    cache::key::short,
    error::{Deadline, Error, ProviderError},
    event::{Finish, Usage},
    flight::{Failure, FlightOutcome, FlightSource, Received, Stored, Subscriber},
    lifecycle::Stage,
    recording::{Joined, Recording, Subject},
};

/// An execution as its caller sees it: events, then exactly one of `Completed`
/// or an error, then nothing.
///
/// Dropping it leaves the flight and gives the place back.
#[derive(Debug)]
pub struct Session {
    executor: Arc<Executor>,
    subscriber: Subscriber,
    clock: Clock,
    found: Lookup,
    token: SessionToken,
    started: bool,
    ended: bool,
    record: CallRecord,
    permit: Permit,
}

/// What an execution begins with.
pub(crate) struct SessionStart {
    /// What it hears.
    pub(crate) subscriber: Subscriber,
    /// Its deadlines.
    pub(crate) clock: Clock,
    /// How it came by its flight.
    pub(crate) found: Lookup,
    /// What names it to whoever picks it up again.
    pub(crate) token: SessionToken,
}

/// How an execution came by its flight.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    /// What the look-up here came to; see [`Session::status`] for the whole.
    pub(crate) status: CacheStatus,
    /// How old a hit is.
    pub(crate) age: Option<Duration>,
    /// How the answer is to be stored, if caching was asked for.
    pub(crate) storage: Option<Storage>,
    /// Whether the flight is paid with the credential of this execution.
    pub(crate) own_credential: bool,
    /// Whether it began with this call. One that is listened to again was paid
    /// or not when it began.
    pub(crate) is_new: bool,
}

impl Lookup {
    /// An execution that is listened to again.
    pub(crate) fn again(status: CacheStatus) -> Lookup {
        Lookup { status, age: None, storage: None, own_credential: true, is_new: false }
    }
}

impl Session {
    /// How long `started` waits for news to go with: one write less for whatever
    /// is quick, and no time that a person would notice.
    const NEWS_WITHIN: Duration = Duration::from_millis(20);

    /// Told twice, as deltas and in `completed`, this is under 64 KiB.
    const BRIEF_BYTES: usize = 24 * 1024;

    /// A new connection takes no longer.
    const AGED: Error = Error::ConnectionMaxAge { retry_after: Duration::from_millis(100) };

    pub(crate) fn new(
        executor: Arc<Executor>,
        permit: Permit,
        start: SessionStart,
        mut record: CallRecord,
    ) -> Session {
        let SessionStart { subscriber, clock, found, token } = start;
        record.under_way();
        Session {
            executor,
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

    /// Whether all that is to come is there, and fits into the window that an
    /// HTTP/2 stream begins with: nobody can hold it up.
    pub fn is_at_hand(&self) -> bool {
        let brief = |recording: Arc<Recording>| recording.bytes() <= Session::BRIEF_BYTES;
        self.subscriber.recording().is_some_and(brief)
    }

    /// When it ends at the latest, and why it then does.
    pub fn deadline(&self) -> (Instant, Error) {
        let (at, limit) = self.clock.end();
        if let Some(until) = self.clock.until().filter(|until| *until < at) {
            return (until, Session::AGED);
        }
        let phase = self.subscriber.status().phase;
        (at, Error::Deadline { deadline: Deadline::Total, limit, phase })
    }

    /// The next event; `None` after the end. Cancel safe: what was not
    /// returned is returned next time.
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
                Ok(Some(heard)) => return Some(self.log(heard)),
                Err(error) => return Some(self.fail(Failure::from(error))),
            }
            let alarm = tokio::select! {
                biased;
                () = self.subscriber.changed() => continue,
                alarm = self.clock.alarm() => alarm,
            };
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

    /// Its connection is cut at `until`: it ends in time to say so, and its
    /// flight goes on for whoever picks it up again.
    pub fn end_before(&mut self, until: Instant) {
        self.clock.end_before(until);
    }

    /// Ends it here after a panic, whatever its flight does; `error` is what its
    /// caller is told.
    pub fn end(&mut self, error: &Error) {
        self.ended = true;
        self.executor.metrics.panicked();
        self.record.cut_off(error);
    }

    /// `started` goes out once the flight has its name, together with the first
    /// news, or after a moment without any. Where the first news is that nothing
    /// will come, it does not go out at all.
    async fn start(&mut self) -> Result<Output, Box<Failed>> {
        self.subscriber.named().await;
        // In time or not, what is there now decides.
        let _ = timeout(Session::NEWS_WITHIN, self.subscriber.changed()).await;
        self.started = true;
        if let Some(failure) = self.subscriber.failure_before_output() {
            return self.fail(failure);
        }
        let started = Started {
            execution_token: self.token(),
            worker_id: self.executor.settings.worker_id.clone(),
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
            .seal(&self.executor.cache_secret, owner, credential),
        }
    }

    /// What the look-up came to, here and in the fleet.
    fn status(&self) -> CacheStatus {
        let found = self.found.status;
        match self.subscriber.source() {
            _ if !self.found.is_new => found,
            FlightSource::Recorded { .. } => CacheStatus::Hit,
            FlightSource::Relayed if found.pays() => CacheStatus::Joined,
            FlightSource::LocalUnchecked if found == CacheStatus::Miss => CacheStatus::LookupFailed,
            FlightSource::Local | FlightSource::LocalUnchecked | FlightSource::Relayed => found,
        }
    }

    /// How old a hit is.
    fn age(&self) -> Option<Duration> {
        match self.subscriber.source() {
            FlightSource::Recorded { age } if self.found.is_new => Some(age),
            _ => self.found.age,
        }
    }

    /// Output counts as such also where the caller wants no deltas.
    fn recv(&mut self) -> Result<Option<Received>, Error> {
        let before = self.subscriber.cursor();
        let heard = self.subscriber.recv();
        if self.subscriber.cursor() > before {
            self.clock.output();
        }
        heard
    }

    fn log(&mut self, heard: Received) -> Result<Output, Box<Failed>> {
        match heard {
            Received::Delta(sequence, delta) => {
                Ok(self.output(sequence, ResponseEvent::Delta(delta)))
            }
            Received::Restarted { sequence, attempt, reason } => {
                Ok(self.output(sequence, ResponseEvent::Restarted { attempt, reason }))
            }
            Received::Landed(FlightOutcome::Completed(stored)) => self.complete(stored),
            Received::Landed(FlightOutcome::Failed(failure)) => self.fail(failure),
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
                .fail(Failure::from(Error::Internal("a flight landed without a recording")));
        };
        if self.subscriber.cursor() > recording.log.last() {
            // It was heard up to there, as it ran on after this worker's part.
            return self.fail(Failure::from(Error::ExecutionNotFound));
        }
        // It is about to be joined and sent.
        if let Err(error) = self.permit.afford(recording.bytes()) {
            return self.fail(Failure::from(error));
        }
        self.ended = true;
        let completed = Completed {
            choices: choices(&recording),
            usage: recording.finish.usage,
            cost: self.cost(&recording.subject, recording.finish.usage.as_ref()),
            timing: self.clock.timing(self.connect()),
            attempts: if self.status() == CacheStatus::Hit { 0 } else { recording.attempts },
            cache: self.cache_outcome(&recording, stored),
            provider_request_id: recording.finish.provider_request_id.clone(),
            model: answered_by(&recording),
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
            error: self.told(failure.error),
            usage: failure.usage,
            cost: self.cost(&self.subscriber.subject(), failure.usage.as_ref()),
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

    /// Why it ends where nobody asks for more: its caller has gone, or reads no
    /// more, or the worker goes.
    fn left(&self) -> Error {
        let (deadline, error) = self.deadline();
        if Instant::now() >= deadline {
            error
        } else if self.executor.lifecycle.stage() >= Stage::Stopping {
            Error::Draining { retry_after: Executor::DRAIN_RETRY_AFTER }
        } else {
            Error::Cancelled
        }
    }

    /// What another's credential is refused for is not this caller's news, nor
    /// does it mean that its own would be.
    fn told(&self, error: Error) -> Error {
        let of_another = self.status() == CacheStatus::Joined && !self.found.own_credential;
        match error {
            Error::Provider(provider) if of_another && provider.kind.is_about_the_credential() => {
                Error::from(ProviderError {
                    message: Some("the execution that was joined was refused".to_owned()),
                    ..ProviderError::interrupted(provider.phase)
                })
            }
            error => error,
        }
    }

    /// A connection counts for the execution that had it made.
    fn connect(&self) -> Option<Duration> {
        self.status().pays().then(|| self.subscriber.status().connect).flatten()
    }

    fn cost(&self, subject: &Subject, usage: Option<&Usage>) -> Option<Cost> {
        let prices = &self.executor.prices;
        let original = prices.cost(&subject.model, subject.tier, usage?)?;
        let spent = if self.status().pays() { original } else { 0 };
        Some(Cost { spent, original, price_date: prices.date().clone() })
    }

    /// A hit is stored already; without caching there is nothing to store.
    fn wants_storing(&self) -> bool {
        self.found.storage.is_some() && self.status() != CacheStatus::Hit
    }

    /// A follower that wants the answer stored sees to it where its leader did
    /// not want it.
    fn cache_outcome(&self, recording: &Arc<Recording>, stored: Stored) -> CacheOutcome {
        let stored = match (&self.found.storage, stored) {
            (Some(own), Stored::NotStored(Storage::NOT_WANTED)) => {
                self.executor.store(own, recording)
            }
            (_, stored) => stored,
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
    /// Nobody hears it any more; its story is told all the same.
    fn drop(&mut self) {
        if !self.ended {
            let left = self.left();
            let _ = self.fail(Failure::from(left));
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
            is_json: recording.subject.json && tool_calls.is_empty(),
            text,
            reasoning,
            tool_calls,
            finish_reason: *finish_reason,
            logprobs,
        })
        .collect()
}
