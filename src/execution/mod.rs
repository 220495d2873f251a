//! The policy of an execution, readable as a list: plan → key → look up → join
//! or lead → stream.
//!
//! Knows nothing of protobuf. The service calls it; it calls nodes, cache and
//! flights.

mod account;
mod check;
mod clock;
mod content;
mod elsewhere;
mod inference;
mod inspection;
mod leader;
mod line;
mod measured;
pub mod order;
pub mod outcome;
mod passage;
mod preparation;
mod relay;
mod scope;
mod session;
mod settings;
mod shipping;
mod storage;
mod story;
mod token;
mod waiting;

use std::{fmt, iter, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{
    check::{Findings, Question},
    session::Session,
    settings::{Deadlines, Settings},
    story::Story,
    waiting::{InLine, News},
};
use self::{
    clock::Clock,
    order::{Attachment, Limits, Order},
    outcome::CacheStatus,
    preparation::Prepared,
    session::{Beginning, Found},
    token::{ExecutionToken, Holder, SessionToken},
};
use crate::{
    admission::{Admission, Entry, Permit},
    allowance::Allowances,
    cache::{Hit, Memory, key::CacheSecret},
    callers::Caller,
    cooldown::Cooldowns,
    credentials::ApiKey,
    error::{Error, Violation},
    fireworks::{Client, RetryPolicy},
    fleet::{Berth, Fleet},
    flight::{Flight, Flights, Idempotency, Join, Listener, ListenerOptions},
    lifecycle::{Lifecycle, Stage},
    metrics::{Lookup, Metrics, Role, Tier},
    node::Registry,
    price::Prices,
    recording::Recording,
    secrets::Secrets,
    telemetry::{self, Telemetry, names},
};

/// Executes orders. One for a worker.
pub struct Executor {
    /// The node types.
    pub registry: Registry,
    /// The provider, for checks.
    pub fireworks: Client,
    /// Finished flights.
    pub memory: Memory,
    /// Flights under way.
    pub flights: Arc<Flights>,
    /// The workers that share them, if there are others.
    pub fleet: Option<Fleet>,
    /// What tokens cost.
    pub prices: Prices,
    /// Mounted credentials.
    pub secrets: Secrets,
    /// What keyed hashes are made with.
    pub cache_secret: CacheSecret,
    /// What other workers of the fleet make theirs with while it is changed.
    pub other_secrets: Vec<CacheSecret>,
    /// Who gets a place.
    pub admission: Admission,
    /// What tenants may spend a day.
    pub allowances: Allowances,
    /// What the provider has refused lately.
    pub cooldowns: Cooldowns,
    /// Where the worker stands.
    pub lifecycle: Lifecycle,
    /// What is counted.
    pub metrics: Metrics,
    /// When the provider is called again.
    pub retry: RetryPolicy,
    /// What the operator has decided.
    pub settings: Settings,
    /// Where spans begin.
    pub telemetry: Telemetry,
}

impl Executor {
    /// How soon a caller may come again after this worker has stopped; it will
    /// find another.
    const DRAIN_RETRY_AFTER: Duration = Duration::from_secs(1);

    /// Begins an execution, or joins one, or finds one done. Returns before
    /// anything has been asked of the provider.
    ///
    /// Boxed, since it is moved with every event that is told.
    pub fn execute(
        self: &Arc<Executor>,
        permit: Permit,
        order: Order,
        story: Story,
    ) -> Result<Box<Session>, Error> {
        let begun = self.begin(&permit, order, &story);
        let (beginning, story) = story.after(begun)?;
        Ok(Box::new(Session::new(self.clone(), permit, beginning, story)))
    }

    fn begin(
        self: &Arc<Executor>,
        permit: &Permit,
        order: Order,
        story: &Story,
    ) -> Result<Beginning, Error> {
        let mut clock = self.clock(order.arrived, &order.limits);
        clock.queued(permit.waited());
        let holder = Holder::of(&order.caller, &order.context);
        let prepared = self.prepare(order)?;
        let fingerprint = prepared.fingerprint;

        let found = self.look_up(&prepared, story, &mut clock)?;
        let (listener, found) = match found {
            Some(found) => found,
            None if prepared.only_reads() && self.fleet.is_none() => return Err(Error::NotCached),
            None => self.join_or_lead(prepared, permit, story)?,
        };
        let token = SessionToken::New(holder, fingerprint);
        Ok(Beginning { listener, clock, found, token })
    }

    /// Picks an execution up again. Never runs anything.
    pub fn attach(
        self: &Arc<Executor>,
        permit: Permit,
        attachment: Attachment,
        story: Story,
    ) -> Result<Box<Session>, Error> {
        let picked_up = self.pick_up(&permit, attachment);
        let (beginning, story) = story.after(picked_up)?;
        Ok(Box::new(Session::new(self.clone(), permit, beginning, story)))
    }

    fn pick_up(
        self: &Arc<Executor>,
        permit: &Permit,
        attachment: Attachment,
    ) -> Result<Beginning, Error> {
        let Attachment { execution_token, after_sequence, credential, context, caller, .. } =
            attachment;
        let credential =
            credential.map(|source| self.credential(Some(source), None, &caller.secrets));
        let credential = credential.transpose()?;
        let holder = Holder::of(&caller, &context);
        let token = self.opened(&execution_token, &holder, credential.as_ref());
        let token = token.ok_or(Error::ExecutionUnknown)?;
        let options = ListenerOptions {
            deltas: attachment.deltas,
            allows_restart: attachment.limits.allow_restart,
            drains: attachment.limits.drain,
        };
        let listener = self
            .flights
            .attach(token.flight, after_sequence, options)
            .or_else(|| self.attach_to_recording(&token, after_sequence, options));
        let listener = match listener {
            Some(listener) if listener.may_have_told(after_sequence) => listener,
            known => match self.attach_elsewhere(&token, after_sequence, options, permit) {
                Some(listener) => listener,
                None => return Err(unheard_of(known.as_ref(), after_sequence)),
            },
        };
        let mut clock = self.clock(attachment.arrived, &attachment.limits);
        clock.queued(permit.waited());
        let found = Found::again(token.status);
        let token = SessionToken::Given(execution_token);
        Ok(Beginning { listener, clock, found, token })
    }

    /// Takes a place for a call, or one in line, before anything of it is looked
    /// at. Counted first, so that stopping waits for whoever got in just before.
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

    /// Whether whoever calls may spend more today.
    pub async fn afford(&self, caller: &Caller, named_tenant: &str) -> Result<(), Error> {
        let tenant = self.tenant(caller.tenant.as_deref(), named_tenant).unwrap_or_default();
        let affordable = self.allowances.check(tenant).await;
        affordable.inspect_err(|error| self.count_refusal(error))
    }

    fn draining() -> Error {
        Error::Draining { retry_after: Executor::DRAIN_RETRY_AFTER }
    }

    /// Looks the answer up, where there is anything to look up, and tells what
    /// it took.
    fn look_up(
        &self,
        prepared: &Prepared,
        story: &Story,
        clock: &mut Clock,
    ) -> Result<Option<(Listener, Found)>, Error> {
        if !prepared.looks_up() {
            return Ok(None);
        }
        let looking = Instant::now();
        let span = story.span().child(telemetry::Kind::Internal, names::span::LOOKUP);
        let found = self.find(prepared);
        span.record(|span| {
            let hit = matches!(found, Ok(Some(_)));
            span.set(names::sparkler::CACHE_RESULT, if hit { "hit" } else { "miss" });
        });
        span.end();
        clock.looked_up(looking.elapsed());
        found
    }

    /// The answer of an idempotent call made before, or of the cache.
    fn find(&self, prepared: &Prepared) -> Result<Option<(Listener, Found)>, Error> {
        if let Some(listener) = self.replay(prepared)? {
            let done = listener.recording().is_some();
            let status = if done { CacheStatus::Hit } else { CacheStatus::Joined };
            if !done {
                self.metrics.joined(Role::Follower);
            }
            return Ok(Some((listener, prepared.found(status))));
        }
        let hit = self.hit(prepared);
        if let (Some(idempotency), Some((listener, _))) = (prepared.idempotency, &hit)
            && let Some(recording) = listener.recording()
        {
            self.remember(prepared, idempotency, recording);
        }
        Ok(hit)
    }

    /// Has an idempotency key stand for a hit, here and on all workers.
    fn remember(&self, prepared: &Prepared, idempotency: Idempotency, recording: Arc<Recording>) {
        self.flights.remember(idempotency, recording);
        if let (Some(fleet), Some(storage)) = (self.fleet.clone(), prepared.storage) {
            let Idempotency { key, request } = idempotency;
            let berth = Berth(storage.key);
            self.lifecycle.spawn(async move { fleet.remember(key, request, berth).await });
        }
    }

    /// The flight of the same idempotency key.
    fn replay(&self, prepared: &Prepared) -> Result<Option<Listener>, Error> {
        let Some(idempotency) = prepared.idempotency else {
            return Ok(None);
        };
        let replayed = self.flights.replay(idempotency, prepared.listening)?;
        self.metrics.looked_up(Tier::Idempotency, Lookup::found(replayed.is_some()));
        Ok(replayed)
    }

    /// The answer in memory, where it may be used.
    fn hit(&self, prepared: &Prepared) -> Option<(Listener, Found)> {
        let recorded = self.recorded(prepared);
        if prepared.storage.is_some() && prepared.mode.reads() {
            self.metrics.looked_up(Tier::Memory, Lookup::found(recorded.is_some()));
        }
        let Hit { recording, age } = recorded?;
        let listener = Flight::replay(recording).listen(0, prepared.listening)?;
        Some((listener, Found { age: Some(age), ..prepared.found(CacheStatus::Hit) }))
    }

    fn recorded(&self, prepared: &Prepared) -> Option<Hit> {
        let storage = prepared.storage.filter(|_| prepared.mode.reads())?;
        self.memory.get(&storage.key)
    }

    /// Joins the flight of an identical execution under way, or begins one.
    fn join_or_lead(
        self: &Arc<Executor>,
        prepared: Prepared,
        permit: &Permit,
        story: &Story,
    ) -> Result<(Listener, Found), Error> {
        let (publisher, listener) = match self.flights.join(&prepared.join, prepared.listening)? {
            Join::Follower(listener) => {
                self.metrics.joined(Role::Follower);
                return Ok((listener, prepared.found(CacheStatus::Joined)));
            }
            Join::Leader(publisher, listener) => (publisher, listener),
        };
        // Another flight may have landed since the look-up.
        if let Some(Hit { recording, age }) = self.recorded(&prepared) {
            publisher.land_with(recording, age);
            return Ok((listener, prepared.found(prepared.led_status())));
        }
        self.metrics.joined(Role::Leader);
        let found = prepared.found(prepared.led_status());
        let span = story.span().child(telemetry::Kind::Internal, names::span::FLIGHT);
        if let Some(name) = span.name() {
            publisher.traced_as(name);
        }
        let mission = prepared
            .into_mission(permit.clone(), story.trail(&span, self.telemetry.content_bytes()));
        self.lifecycle.spawn(span.scope(mission.fly(self.clone(), publisher)));
        Ok((listener, found))
    }

    /// A token that this worker has given, or another with a secret known here.
    fn opened(
        &self,
        text: &str,
        holder: &Holder,
        credential: Option<&ApiKey>,
    ) -> Option<ExecutionToken> {
        iter::once(&self.cache_secret).chain(&self.other_secrets).find_map(|secret| {
            let fingerprint = credential.map(|key| secret.fingerprint(key));
            ExecutionToken::open(text, secret, holder, fingerprint.as_ref())
        })
    }

    fn attach_to_recording(
        &self,
        token: &ExecutionToken,
        after: u64,
        options: ListenerOptions,
    ) -> Option<Listener> {
        let recording = self.memory.get(&token.recording?)?.recording;
        if recording.flight != token.flight {
            return None;
        }
        Flight::replay(recording).listen(after, options)
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

/// Why nobody can be told what comes after a number.
fn unheard_of(known: Option<&Listener>, after_sequence: u64) -> Error {
    let Some(last) = known.map(Listener::last) else {
        return Error::ExecutionUnknown;
    };
    let description = format!("is {after_sequence}; the execution has told {last} so far");
    invalid("after_sequence", &description)
}

fn invalid(field: &str, description: &str) -> Error {
    Error::InvalidNodeConfig(vec![Violation::new(field, description)])
}
