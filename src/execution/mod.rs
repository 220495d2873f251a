//! The policy of an execution, readable as a list: plan → key → look up → join
//! or lead → stream.
//!
//! Knows nothing of protobuf. The service calls it; it calls nodes, cache and
//! flights.

mod check;
mod clock;
mod inspection;
mod leader;
pub mod order;
pub mod outcome;
mod scope;
mod session;
mod settings;
mod storage;
mod token;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{
    check::{Findings, Question},
    session::Session,
    settings::{Deadlines, Settings},
};
use self::{
    clock::Clock,
    leader::Mission,
    order::{Attachment, CacheMode, CredentialSource, Limits, Order},
    outcome::CacheStatus,
    session::Found,
    storage::Storage,
    token::{ExecutionToken, Holder},
};
use crate::{
    admission::Admission,
    cache::{
        Memory,
        key::{CacheSecret, Fingerprint, KeyParts, Scope},
    },
    credentials::ApiKey,
    error::{Error, Violation},
    fireworks::{Client, RetryPolicy},
    flight::{Flight, Flights, Idempotency, Join, JoinRequest, Listener, ListenerOptions},
    lifecycle::{Lifecycle, Stage},
    node::{Input, Plan, Registry},
    price::Prices,
    recording::Subject,
    secrets::Secrets,
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
    /// What tokens cost.
    pub prices: Prices,
    /// Mounted credentials.
    pub secrets: Secrets,
    /// What keyed hashes are made with.
    pub cache_secret: CacheSecret,
    /// Who gets a place.
    pub admission: Admission,
    /// Where the worker stands.
    pub lifecycle: Lifecycle,
    /// When the provider is called again.
    pub retry: RetryPolicy,
    /// What the operator has decided.
    pub settings: Settings,
}

/// An order whose every word has been understood.
struct Prepared {
    plan: Plan,
    subject: Arc<Subject>,
    credential: ApiKey,
    fingerprint: Fingerprint,
    mode: CacheMode,
    storage: Option<Storage>,
    idempotency: Option<Idempotency>,
    listening: ListenerOptions,
}

impl Executor {
    /// How soon a caller may come again after this worker has stopped; it will
    /// find another.
    const DRAIN_RETRY_AFTER: Duration = Duration::from_secs(1);

    /// Begins an execution, or joins one, or finds one done. Returns before
    /// anything has been asked of the provider.
    pub fn execute(self: &Arc<Executor>, mut order: Order) -> Result<Session, Error> {
        self.take_only_while_serving()?;
        let permit = self.admission.admit()?;
        let prepared = self.prepare(&mut order)?;
        let mut clock = self.clock(order.arrived, &order.limits);

        let looking = Instant::now();
        let found = self.find(&prepared)?;
        clock.looked_up(looking.elapsed());

        let (listener, found, fingerprint) = match found {
            Some((listener, found)) => (listener, found, prepared.fingerprint),
            None if prepared.mode == CacheMode::OnlyIfCached => return Err(Error::NotCached),
            None => self.join_or_lead(prepared, &order)?,
        };
        let holder = Holder { caller: &order.caller, tenant: &order.context.tenant };
        let token = ExecutionToken {
            flight: listener.flight(),
            recording: found.storage.map(|storage| storage.key),
            status: found.status,
        };
        let token = token.seal(&self.cache_secret, holder, &fingerprint);
        Ok(Session::new(self.clone(), permit, listener, clock, found, token))
    }

    /// Picks an execution up again. Never runs anything.
    pub fn attach(self: &Arc<Executor>, attachment: Attachment) -> Result<Session, Error> {
        let permit = self.admission.admit()?;
        let Attachment { execution_token, after_sequence, credential, context, caller, .. } =
            attachment;
        let credential =
            credential.map(|source| self.credential(Some(source), None)).transpose()?;
        let fingerprint = credential.map(|key| self.cache_secret.fingerprint(&key));
        let holder = Holder { caller: &caller, tenant: &context.tenant };
        let token = ExecutionToken::open(
            &execution_token,
            &self.cache_secret,
            holder,
            fingerprint.as_ref(),
        )
        .ok_or(Error::ExecutionUnknown)?;
        let options = ListenerOptions {
            deltas: attachment.deltas,
            allows_restart: attachment.limits.allow_restart,
            drains: attachment.limits.drain,
        };
        let listener = self
            .flights
            .attach(token.flight, after_sequence, options)
            .or_else(|| self.attach_to_recording(&token, after_sequence, options))
            .ok_or(Error::ExecutionUnknown)?;
        let last = listener.last();
        if after_sequence > last {
            let description = format!("is {after_sequence}; the execution has told {last} so far");
            return Err(invalid("after_sequence", &description));
        }
        let clock = self.clock(attachment.arrived, &attachment.limits);
        let found = Found { status: token.status, age: None, storage: None };
        Ok(Session::new(self.clone(), permit, listener, clock, found, execution_token))
    }

    fn take_only_while_serving(&self) -> Result<(), Error> {
        if self.lifecycle.stage() >= Stage::Draining {
            return Err(Error::Draining { retry_after: Executor::DRAIN_RETRY_AFTER });
        }
        Ok(())
    }

    /// Understands an order, or says everything that is wrong with it.
    fn prepare(&self, order: &mut Order) -> Result<Prepared, Error> {
        let node = self.registry.find(&order.node_type)?;
        let config = std::mem::take(&mut order.config);
        let input = std::mem::replace(&mut order.input, Input::Prompt(String::new()));
        let planned = node.plan(config, input, &order.output);
        let mut violations = self.violations(order);
        let plan = match planned {
            Ok(plan) if violations.is_empty() => plan,
            Ok(_) => return Err(Error::InvalidNodeConfig(violations)),
            Err(mut more) => {
                more.append(&mut violations);
                return Err(Error::InvalidNodeConfig(more));
            }
        };
        let credential = self.credential(order.credential.take(), plan.secret_name.as_deref())?;
        let fingerprint = self.cache_secret.fingerprint(&credential);
        let scope = self.scope(order, fingerprint)?;
        let key = self.key(order, &plan, &scope);
        let mode = order.cache.mode.unwrap_or(default_mode(plan.cache));
        Ok(Prepared {
            subject: Arc::new(Subject {
                model: plan.model.clone(),
                tier: plan.tier,
                json: order.output.is_json(),
            }),
            storage: (mode != CacheMode::Off).then(|| self.storage(order, &plan, mode, key)),
            idempotency: order.idempotency_key.as_deref().map(|text| Idempotency {
                key: self.cache_secret.idempotency_key(&scope, text),
                request: key,
            }),
            listening: ListenerOptions {
                deltas: order.deltas.unwrap_or(plan.deltas),
                allows_restart: order.limits.allow_restart,
                drains: order.limits.drain,
            },
            credential,
            fingerprint,
            mode,
            plan,
        })
    }

    /// The answer of an idempotent call made before, or of the cache.
    fn find(&self, prepared: &Prepared) -> Result<Option<(Listener, Found)>, Error> {
        let storage = prepared.storage;
        if let Some(idempotency) = prepared.idempotency
            && let Some(listener) = self.flights.replay(idempotency, prepared.listening)?
        {
            let done = listener.recording().is_some();
            let status = if done { CacheStatus::Hit } else { CacheStatus::Joined };
            return Ok(Some((listener, Found { status, age: None, storage })));
        }
        let Some(storage) = storage.filter(|_| prepared.mode.reads()) else {
            return Ok(None);
        };
        let Some(hit) = self.memory.get(&storage.key) else {
            return Ok(None);
        };
        if let Some(idempotency) = prepared.idempotency {
            self.flights.remember(idempotency, hit.recording.clone());
        }
        let listener = Flight::replay(hit.recording).listen(0, prepared.listening);
        let found = Found { status: CacheStatus::Hit, age: Some(hit.age), storage: Some(storage) };
        Ok(listener.map(|listener| (listener, found)))
    }

    /// Joins the flight of an identical execution under way, or begins one.
    fn join_or_lead(
        self: &Arc<Executor>,
        prepared: Prepared,
        order: &Order,
    ) -> Result<(Listener, Found, Fingerprint), Error> {
        let Prepared { storage, fingerprint, mode, .. } = prepared;
        let request = JoinRequest {
            subject: prepared.subject,
            shared: storage.map(|storage| storage.key),
            idempotency: prepared.idempotency,
        };
        let found = |status| Found { status, age: None, storage };
        match self.flights.join(&request, prepared.listening)? {
            Join::Follower(listener) => Ok((listener, found(CacheStatus::Joined), fingerprint)),
            Join::Leader(publisher, listener) => {
                let mission = Mission {
                    plan: prepared.plan,
                    credential: prepared.credential,
                    output: order.output.clone(),
                    storage,
                    reads: mode.reads(),
                    connect: self.settings.deadlines(&order.limits).connect,
                    retry: self.retry_policy(&order.limits),
                };
                self.lifecycle.spawn(mission.fly(self.clone(), publisher));
                Ok((listener, found(led_status(mode)), fingerprint))
            }
        }
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

    fn retry_policy(&self, limits: &Limits) -> RetryPolicy {
        let mut policy = self.retry.clone();
        policy.max_attempts = self.settings.attempts(limits);
        policy.total = Some(self.settings.deadlines(limits).total);
        policy
    }

    fn clock(&self, arrived: Instant, limits: &Limits) -> Clock {
        Clock::new(arrived, self.settings.deadlines(limits), self.settings.progress_interval)
    }

    /// The key to pay with. Never a silent fallback to the worker's own
    /// environment.
    fn credential(
        &self,
        given: Option<CredentialSource>,
        configured: Option<&str>,
    ) -> Result<ApiKey, Error> {
        let (field, name) = match (given, configured) {
            (Some(CredentialSource::ApiKey(key)), _) => return Ok(key),
            (Some(CredentialSource::SecretName(name)), _) => ("credential.secret_name", name),
            (None, Some(name)) => ("config.credential", name.to_owned()),
            (None, None) => {
                return Err(invalid("credential", "is missing: give api_key or secret_name"));
            }
        };
        // Without the name: it may be the key itself, pasted into the wrong field.
        self.secrets.read(&name).map_err(|error| invalid(field, &error.to_string()))
    }

    fn key(&self, order: &Order, plan: &Plan, scope: &Scope) -> crate::recording::Key {
        self.cache_secret.key(KeyParts {
            scope,
            node_type: &order.node_type,
            base_url: &plan.identity.base_url,
            endpoint: plan.identity.endpoint,
            canonical_request: &plan.identity.canonical,
            salt: &order.cache.salt,
        })
    }

    fn storage(
        &self,
        order: &Order,
        plan: &Plan,
        mode: CacheMode,
        key: crate::recording::Key,
    ) -> Storage {
        let Settings { cache_ttl, moving_cache_ttl, max_recording_bytes, .. } = self.settings;
        let longest = if plan.moving_name { moving_cache_ttl.min(cache_ttl) } else { cache_ttl };
        Storage {
            key,
            writes: mode.writes(),
            ttl: order.cache.ttl.unwrap_or(longest).min(longest),
            max_bytes: max_recording_bytes,
        }
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

fn default_mode(node_caches: bool) -> CacheMode {
    if node_caches { CacheMode::ReadWrite } else { CacheMode::Off }
}

/// What the look-up came to for an execution that leads.
fn led_status(mode: CacheMode) -> CacheStatus {
    match mode {
        CacheMode::Off => CacheStatus::Disabled,
        CacheMode::Refresh => CacheStatus::Bypassed,
        CacheMode::ReadWrite | CacheMode::ReadOnly | CacheMode::OnlyIfCached => CacheStatus::Miss,
    }
}

fn invalid(field: &str, description: &str) -> Error {
    Error::InvalidNodeConfig(vec![Violation::new(field, description)])
}
