//! The policy of an execution, readable as a list: plan → key → look up → join or
//! lead → stream.
//!
//! Knows nothing of protobuf: `grpc` converts on both sides. Depends on nodes, the
//! cache and flights.

mod affinity;
mod attach;
mod check;
mod leader;
mod models;
mod observe;
mod prefixes;
mod prepare;
mod queue;
pub(crate) mod request;
pub(crate) mod response;
mod scope;
mod session;
mod settings;

use std::{fmt, iter, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::affinity::PrefixAffinity;
pub(crate) use self::{
    check::{Findings, Question},
    leader::Gatherer,
    models::{Lifetimes, ModelDirectory, ModelPage, Notices},
    observe::call::CallRecord,
    prefixes::{Prefixes, PromptPrefix},
    queue::{QueueEvent, Queued},
    session::Session,
    settings::{Deadlines, Settings},
};
use self::{
    leader::Storage,
    prepare::PreparedExecution,
    request::{AttachRequest, CacheMode, ExecuteRequest, Limits},
    response::CacheStatus,
    session::clock::Clock,
    session::token::{ExecutionToken, SessionToken, TokenOwner},
    session::{Lookup, SessionStart},
};
use crate::{
    admission::{Admission, Entry, Permit},
    cache::{Hit, Memory, key::CacheSecret},
    callers::Caller,
    cooldown::Cooldowns,
    credentials::ApiKey,
    error::{Error, Violation},
    fireworks::{Client, RetryPolicy},
    fleet::{Fleet, FlightKey},
    flight::{Flight, Flights, Idempotency, Join, SubscribeOptions, Subscriber},
    lifecycle::{Lifecycle, Stage},
    metrics::{LookupResult, Metrics, Role, Tier},
    node::Registry,
    price::PriceList,
    quota::Quotas,
    recording::Recording,
    secrets::Secrets,
    telemetry::{self, Telemetry, names},
};

/// Executes requests. One per worker.
pub struct Executor {
    /// The node types.
    pub registry: Registry,
    /// The provider's client, for checks.
    pub fireworks: Client,
    /// Recordings of completed flights.
    pub memory: Memory,
    /// Flights in progress.
    pub flights: Arc<Flights>,
    /// The fleet that shares flights, if this worker belongs to one.
    pub fleet: Option<Fleet>,
    /// Token prices by model.
    pub prices: PriceList,
    /// Mounted credentials.
    pub secrets: Secrets,
    /// The secret of all keyed hashes.
    pub cache_secret: CacheSecret,
    /// Secrets that other workers of the fleet use while the secret is rotated.
    pub other_secrets: Vec<CacheSecret>,
    /// Capacity and the queue for it.
    pub admission: Admission,
    /// Daily quotas of tenants.
    pub quotas: Quotas,
    /// Recent refusals of the provider.
    pub cooldowns: Cooldowns,
    /// The prompts that sessions sent last.
    pub prefixes: Prefixes,
    /// Texts to embed that wait for those of other executions.
    pub gatherer: Gatherer,
    /// The provider's statements about models.
    pub models: ModelDirectory,
    /// Warnings to the operator about models in use.
    pub notices: Notices,
    /// The worker's stage, and the owner of its tasks.
    pub lifecycle: Lifecycle,
    /// Counters and histograms.
    pub metrics: Metrics,
    /// Retry policy for provider requests.
    pub retry: RetryPolicy,
    /// The operator's bounds and defaults.
    pub settings: Settings,
    /// The source of spans.
    pub telemetry: Telemetry,
}

impl Executor {
    /// Retry delay while draining; a retry reaches another worker, so it is short.
    const DRAIN_RETRY_AFTER: Duration = Duration::from_secs(1);

    /// Starts an execution, joins one in progress, or finds a completed one.
    /// Returns before anything is sent to the provider.
    ///
    /// Boxed because the session is moved with every event.
    pub fn execute(
        self: &Arc<Executor>,
        permit: Permit,
        request: ExecuteRequest,
        record: CallRecord,
    ) -> Result<Box<Session>, Error> {
        let begun = self.begin(&permit, request, &record);
        let (start, record) = record.after(begun)?;
        Ok(Box::new(Session::new(self.clone(), permit, start, record)))
    }

    fn begin(
        self: &Arc<Executor>,
        permit: &Permit,
        request: ExecuteRequest,
        record: &CallRecord,
    ) -> Result<SessionStart, Error> {
        let mut clock = self.clock(request.arrived, &request.limits);
        clock.queued(permit.waited());
        let owner = TokenOwner::of(&request.caller, &request.context);
        let prepared = self.prepare(request)?;
        let fingerprint = prepared.fingerprint;

        let found = self.look_up(&prepared, record, &mut clock)?;
        let (subscriber, found) = match found {
            Some(found) => found,
            None if prepared.only_reads() && self.fleet.is_none() => return Err(Error::NotCached),
            None => self.join_or_lead(prepared, permit, record)?,
        };
        let token = SessionToken::New(owner, fingerprint);
        Ok(SessionStart { subscriber, clock, found, token })
    }

    /// Resumes an execution. Never starts one.
    pub fn attach(
        self: &Arc<Executor>,
        permit: Permit,
        request: AttachRequest,
        record: CallRecord,
    ) -> Result<Box<Session>, Error> {
        let picked_up = self.pick_up(&permit, request);
        let (start, record) = record.after(picked_up)?;
        Ok(Box::new(Session::new(self.clone(), permit, start, record)))
    }

    fn pick_up(
        self: &Arc<Executor>,
        permit: &Permit,
        request: AttachRequest,
    ) -> Result<SessionStart, Error> {
        let AttachRequest { execution_token, after_sequence, credential, context, caller, .. } =
            request;
        let credential =
            credential.map(|source| self.credential(Some(source), None, &caller.secrets));
        let credential = credential.transpose()?;
        let owner = TokenOwner::of(&caller, &context);
        let token = self.opened(&execution_token, &owner, credential.as_ref());
        let token = token.ok_or(Error::ExecutionNotFound)?;
        let options = self.subscribe_options(request.deltas, &request.limits);
        let subscriber = self
            .flights
            .attach(token.flight, after_sequence, options)
            .or_else(|| self.attach_to_recording(&token, after_sequence, options));
        let subscriber = match subscriber {
            Some(subscriber) if subscriber.may_have_published(after_sequence) => subscriber,
            known => match self.attach_remote(&token, after_sequence, options, permit) {
                Some(subscriber) => subscriber,
                None => return Err(unknown_execution(known.as_ref(), after_sequence)),
            },
        };
        let mut clock = self.clock(request.arrived, &request.limits);
        clock.queued(permit.waited());
        let found = Lookup::again(token.status);
        let token = SessionToken::Given(execution_token);
        Ok(SessionStart { subscriber, clock, found, token })
    }

    /// Takes a slot for a call, or a position in the queue, before its content is
    /// examined. Counted before the stage is read, so that a drain waits for a call
    /// admitted just before it.
    pub fn admit(
        &self,
        caller: &Caller,
        named_tenant: &str,
        request_bytes: usize,
    ) -> Result<Entry, Error> {
        let tenant = self.tenant(caller.tenant.as_deref(), named_tenant).unwrap_or_default();
        let entry = self.admission.admit(tenant, request_bytes);
        let entry = entry.inspect_err(|error| self.count_refusal(error))?;
        if self.lifecycle.stage() >= Stage::Draining {
            return Err(Executor::draining());
        }
        Ok(entry)
    }

    /// Checks the caller's tenant against its daily quota.
    pub async fn afford(&self, caller: &Caller, named_tenant: &str) -> Result<(), Error> {
        let tenant = self.tenant(caller.tenant.as_deref(), named_tenant).unwrap_or_default();
        let affordable = self.quotas.check(tenant).await;
        affordable.inspect_err(|error| self.count_refusal(error))
    }

    fn draining() -> Error {
        Error::Draining { retry_after: Executor::DRAIN_RETRY_AFTER }
    }

    /// Looks the answer up if the mode allows it, and records how long that took.
    fn look_up(
        &self,
        prepared: &PreparedExecution,
        record: &CallRecord,
        clock: &mut Clock,
    ) -> Result<Option<(Subscriber, Lookup)>, Error> {
        if !prepared.looks_up() {
            return Ok(None);
        }
        let looking = Instant::now();
        let span = record.span().child(telemetry::Kind::Internal, names::span::LOOKUP);
        let found = self.find(prepared);
        span.record(|span| {
            let hit = matches!(found, Ok(Some(_)));
            span.set(names::sparkler::CACHE_RESULT, if hit { "hit" } else { "miss" });
        });
        span.end();
        clock.looked_up(looking.elapsed());
        found
    }

    /// Returns the flight of an earlier call with the same idempotency key, or a
    /// cached answer.
    fn find(&self, prepared: &PreparedExecution) -> Result<Option<(Subscriber, Lookup)>, Error> {
        if let Some(subscriber) = self.replay(prepared)? {
            let done = subscriber.recording().is_some();
            let status = if done { CacheStatus::Hit } else { CacheStatus::Joined };
            if !done {
                self.metrics.joined(Role::Follower);
            }
            return Ok(Some((subscriber, prepared.found(status))));
        }
        let hit = self.hit(prepared);
        if let (Some(idempotency), Some((subscriber, _))) = (prepared.idempotency, &hit)
            && let Some(recording) = subscriber.recording()
        {
            self.remember(prepared, idempotency, recording);
        }
        Ok(hit)
    }

    /// Binds an idempotency key to a cache hit, here and on every worker of the
    /// fleet.
    fn remember(
        &self,
        prepared: &PreparedExecution,
        idempotency: Idempotency,
        recording: Arc<Recording>,
    ) {
        self.flights.remember(idempotency, recording);
        if let (Some(fleet), Some(storage)) = (self.fleet.clone(), prepared.storage) {
            let Idempotency { key, request } = idempotency;
            let flight_key = FlightKey(storage.key);
            self.lifecycle.spawn(async move { fleet.remember(key, request, flight_key).await });
        }
    }

    /// Returns the flight of the same idempotency key.
    fn replay(&self, prepared: &PreparedExecution) -> Result<Option<Subscriber>, Error> {
        let Some(idempotency) = prepared.idempotency else {
            return Ok(None);
        };
        let replayed = self.flights.replay(idempotency, prepared.subscribe_options)?;
        self.metrics.looked_up(Tier::Idempotency, LookupResult::found(replayed.is_some()));
        Ok(replayed)
    }

    /// Returns the answer in memory, if the mode permits reading it.
    fn hit(&self, prepared: &PreparedExecution) -> Option<(Subscriber, Lookup)> {
        let Hit { recording, age } = self.look_in_memory(prepared.storage, prepared.mode)?;
        let subscriber = Flight::replay(recording).subscribe(0, prepared.subscribe_options)?;
        Some((subscriber, Lookup { age: Some(age), ..prepared.found(CacheStatus::Hit) }))
    }

    /// Looks an answer up in memory if the mode permits reading it, and counts that.
    fn look_in_memory(&self, storage: Option<Storage>, mode: CacheMode) -> Option<Hit> {
        let recorded = self.recorded(storage, mode);
        if storage.is_some() && mode.reads() {
            self.metrics.looked_up(Tier::Memory, LookupResult::found(recorded.is_some()));
        }
        recorded
    }

    fn recorded(&self, storage: Option<Storage>, mode: CacheMode) -> Option<Hit> {
        let storage = storage.filter(|_| mode.reads())?;
        self.memory.get(&storage.key)
    }

    /// Joins the flight of an identical execution in progress, or starts one.
    fn join_or_lead(
        self: &Arc<Executor>,
        prepared: PreparedExecution,
        permit: &Permit,
        record: &CallRecord,
    ) -> Result<(Subscriber, Lookup), Error> {
        let (publisher, subscriber) =
            match self.flights.join(&prepared.join, prepared.subscribe_options)? {
                Join::Follower(subscriber) => {
                    self.metrics.joined(Role::Follower);
                    return Ok((subscriber, prepared.found(CacheStatus::Joined)));
                }
                Join::Leader(publisher, subscriber) => (publisher, subscriber),
            };
        // Another flight may have completed since the look-up.
        if let Some(Hit { recording, age }) = self.recorded(prepared.storage, prepared.mode) {
            publisher.complete_with(recording, age);
            return Ok((subscriber, prepared.found(prepared.led_status())));
        }
        self.metrics.joined(Role::Leader);
        let prefix = prepared.follow(&self.prefixes, self.cache_secret.prompt_hasher());
        let found = Lookup { prefix, ..prepared.found(prepared.led_status()) };
        let span = record.span().child(telemetry::Kind::Internal, names::span::FLIGHT);
        if let Some(name) = span.name() {
            publisher.traced_as(name);
        }
        let job =
            prepared.into_job(permit.clone(), record.spans(&span, self.telemetry.content_bytes()));
        self.lifecycle.spawn(span.scope(job.run(self.clone(), publisher)));
        Ok((subscriber, found))
    }

    /// Opens a token sealed by this worker, or by another with a secret known here.
    fn opened(
        &self,
        text: &str,
        owner: &TokenOwner,
        credential: Option<&ApiKey>,
    ) -> Option<ExecutionToken> {
        iter::once(&self.cache_secret).chain(&self.other_secrets).find_map(|secret| {
            let fingerprint = credential.map(|key| secret.fingerprint(key));
            ExecutionToken::open(text, secret, owner, fingerprint.as_ref())
        })
    }

    fn attach_to_recording(
        &self,
        token: &ExecutionToken,
        after: u64,
        options: SubscribeOptions,
    ) -> Option<Subscriber> {
        let recording = self.memory.get(&token.recording?)?.recording;
        if recording.flight != token.flight {
            return None;
        }
        Flight::replay(recording).subscribe(after, options)
    }

    /// Returns the delivery options of a subscriber.
    fn subscribe_options(&self, deltas: bool, limits: &Limits) -> SubscribeOptions {
        SubscribeOptions {
            deltas,
            prompt: self.settings.is_prompt(limits),
            allows_restart: limits.allow_restart,
            drains: limits.drain,
        }
    }

    fn clock(&self, arrived: Instant, limits: &Limits) -> Clock {
        Clock::new(arrived, self.settings.deadlines(limits), self.settings.progress_interval)
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Executor")
            .field("memory", &self.memory)
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}

/// Explains why no event can follow the given sequence number.
fn unknown_execution(known: Option<&Subscriber>, after_sequence: u64) -> Error {
    let Some(last) = known.map(Subscriber::last) else {
        return Error::ExecutionNotFound;
    };
    let description = format!("is {after_sequence}; the execution has published up to {last}");
    invalid("after_sequence", &description)
}

fn invalid(field: &str, description: &str) -> Error {
    Error::InvalidNodeConfig(vec![Violation::new(field, description)])
}
