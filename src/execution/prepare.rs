//! A validated request: its plan, the credential that pays, the scope that shares
//! the answer, and the keys it is found by.

use std::{sync::Arc, time::Duration};

use crate::execution::{
    Services, Settings,
    affinity::PromptCacheNames,
    credential::credential,
    leader::{FleetRequest, Gatherer, LeaderJob, Storage, TextTerms, TextWork},
    observe::spans::FlightSpans,
    prefixes::{Prefixes, PromptPrefix},
    request::{CacheMode, CachePolicy, ExecuteRequest, Limits},
    response::CacheStatus,
    scope::answer_key,
    session::Lookup,
};
use crate::{
    admission::Permit,
    cache::key::{Fingerprint, PromptHasher, Scope},
    credentials::ApiKey,
    error::{Error, Violation},
    fireworks::RetryPolicy,
    flight::{Idempotency, JoinRequest, SubscribeOptions},
    node::Plan,
    output::OutputFormat,
    recording::{Key, Subject},
};

/// A request that has been validated.
pub(super) struct PreparedExecution {
    /// The work to run if this execution leads.
    plan: Plan,
    /// The terms for the plan's texts, if each is answered by itself.
    texts: Option<Arc<TextTerms>>,
    credential: ApiKey,
    output: OutputFormat,
    connect: Duration,
    retry: RetryPolicy,
    names: PromptCacheNames,
    /// Identifies the credential.
    pub(super) fingerprint: Fingerprint,
    /// Set if only executions with this credential share the answer.
    own_credential: bool,
    /// The permitted use of the cache.
    pub(super) mode: CacheMode,
    /// Storage settings for the answer, if caching was requested.
    pub(super) storage: Option<Storage>,
    /// The idempotency key, with the hash of the request it stands for.
    pub(super) idempotency: Option<Idempotency>,
    /// The keys by which identical executions find the flight.
    pub(super) join: JoinRequest,
    /// Delivery options of the subscriber.
    pub(super) subscribe_options: SubscribeOptions,
    /// The flight's terms in the fleet, if this execution leads.
    fleet_request: Option<FleetRequest>,
}

impl PreparedExecution {
    /// Validates a request, and reports every violation it finds.
    pub(super) fn new(
        services: &Services,
        gatherer: &Arc<Gatherer>,
        request: ExecuteRequest,
    ) -> Result<PreparedExecution, Error> {
        let Services { settings, cache_secret, .. } = services;
        let violations = settings.violations(&request);
        let scope_of = request.scope_request();
        let ExecuteRequest { config, input, output, limits, cache, caller, context, .. } = request;
        let node = services.registry.find(&request.node_type)?;
        let planned = node.plan(config, input, &output);
        let plan = valid(planned, violations)?;
        let names = PromptCacheNames::new(services, &caller, &context, &plan);
        let configured = plan.secret_name.as_deref();
        let credential =
            credential(&services.secrets, request.credential, configured, &caller.secrets)?;
        let fingerprint = cache_secret.fingerprint(&credential);
        let scope = settings.scope(scope_of, fingerprint)?;
        let key = answer_key(cache_secret, &plan, &scope, &cache.salt);
        let own_credential = matches!(scope, Scope::Credential(_));
        let mode = cache.mode.unwrap_or(default_mode(plan.cache));
        let storage = (mode != CacheMode::Off).then(|| storage(settings, &cache, &plan, mode, key));
        let idempotency = request.idempotency_key.map(|text| Idempotency {
            key: cache_secret.idempotency_key(&scope, &text),
            request: key,
        });
        let texts = plan.texts.is_some().then(|| {
            let (salt, gatherer) = (cache.salt, gatherer.clone());
            let terms = TextTerms { mode, scope, salt, storage, own_credential, gatherer };
            Arc::new(for_retries(services, terms, idempotency, key))
        });
        let may_be_joined = storage.is_some() || texts.is_some() || idempotency.is_some();
        // The texts are shared and stored, not the whole.
        let storage = storage.filter(|_| texts.is_none());
        let fleet_request = FleetRequest::new(services, mode, storage, idempotency, limits.drain);
        Ok(PreparedExecution {
            names,
            credential,
            fingerprint,
            own_credential,
            mode,
            storage,
            idempotency,
            join: JoinRequest {
                subject: subject(&plan, &output),
                shared: shared(mode, storage, idempotency, fleet_request),
                idempotency,
                in_fleet: fleet_request.is_some(),
                attachable: true,
            },
            // Vectors come with the end alone.
            subscribe_options: settings.subscribe_options(
                request.deltas.unwrap_or(plan.deltas) && texts.is_none(),
                &limits,
            ),
            connect: settings.deadlines(&limits).connect,
            retry: retry_policy(services, &limits, may_be_joined),
            fleet_request,
            output,
            texts,
            plan,
        })
    }

    /// Returns true if a look-up precedes the request to the provider.
    pub(super) fn looks_up(&self) -> bool {
        self.idempotency.is_some() || (self.storage.is_some() && self.mode.reads())
    }

    /// Returns true if only a cached answer will do.
    pub(super) fn only_reads(&self) -> bool {
        self.storage.is_some() && self.mode == CacheMode::OnlyIfCached
    }

    /// Describes the look-up for a session with the given status.
    pub(super) fn found(&self, status: CacheStatus) -> Lookup {
        Lookup {
            age: None,
            storage: self.storage,
            stores_texts: self.texts.as_ref().is_some_and(|_| self.mode != CacheMode::Off),
            own_credential: self.own_credential,
            is_new: true,
            prefix: None,
            status,
        }
    }

    /// Compares the prompt with that of its session's last call, which it replaces.
    pub(super) fn follow(&self, prefixes: &Prefixes, hasher: PromptHasher) -> Option<PromptPrefix> {
        prefixes.follow(self.names.session?, hasher, &self.plan.prompt)
    }

    /// Returns the cache status of an execution that leads.
    pub(super) fn led_status(&self) -> CacheStatus {
        match self.mode {
            CacheMode::Off => CacheStatus::Disabled,
            CacheMode::Refresh => CacheStatus::Bypassed,
            CacheMode::ReadWrite | CacheMode::ReadOnly | CacheMode::OnlyIfCached => {
                CacheStatus::Miss
            }
        }
    }

    /// Returns the leader's job.
    pub(super) fn into_job(self, permit: Permit, spans: FlightSpans) -> LeaderJob {
        LeaderJob {
            spans,
            plan: Arc::new(self.plan),
            subject: self.join.subject,
            texts: self.texts.map(TextWork::Several),
            stored: None,
            credential: self.credential,
            fingerprint: self.fingerprint,
            output: self.output,
            storage: self.storage,
            connect: self.connect,
            retry: self.retry,
            affinity: self.names.affinity,
            fleet_request: self.fleet_request,
            owner: None,
            permit,
        }
    }
}

fn subject(plan: &Plan, output: &OutputFormat) -> Arc<Subject> {
    Arc::new(Subject { model: plan.model.clone(), tier: plan.tier.clone(), json: output.is_json() })
}

fn default_mode(node_caches: bool) -> CacheMode {
    if node_caches { CacheMode::ReadWrite } else { CacheMode::Off }
}

/// Returns the plan, or every violation of the node's fields and of the worker's bounds.
fn valid(
    planned: Result<Plan, Vec<Violation>>,
    mut violations: Vec<Violation>,
) -> Result<Plan, Error> {
    match planned {
        Ok(plan) if violations.is_empty() => Ok(plan),
        Ok(_) => Err(Error::InvalidNodeConfig(violations)),
        Err(mut found) => {
            found.append(&mut violations);
            Err(Error::InvalidNodeConfig(found))
        }
    }
}

/// Returns the key under which a flight is shared at once. With an idempotency key it is
/// shared only after the fleet has resolved that key.
fn shared(
    mode: CacheMode,
    storage: Option<Storage>,
    idempotency: Option<Idempotency>,
    fleet_request: Option<FleetRequest>,
) -> Option<Key> {
    let waits_for_claim = fleet_request.is_some() && idempotency.is_some();
    let key = storage.map(|storage| storage.key);
    key.filter(|_| mode != CacheMode::OnlyIfCached && !waits_for_claim)
}

/// Lets a retry with an idempotency key find the texts on any worker of the fleet,
/// whatever the cache mode: under keys that no other execution has.
fn for_retries(
    services: &Services,
    terms: TextTerms,
    idempotency: Option<Idempotency>,
    key: Key,
) -> TextTerms {
    let (Some(idempotency), Some(fleet), None) = (idempotency, &services.fleet, terms.storage)
    else {
        return terms;
    };
    let storage = Storage {
        key,
        writes: true,
        ttl: fleet.retention(),
        max_bytes: services.settings.max_recording_bytes,
    };
    let salt = format!("{} {}", blake3::Hash::from_bytes(idempotency.key), terms.salt);
    TextTerms { mode: CacheMode::ReadWrite, storage: Some(storage), salt, ..terms }
}

fn storage(
    settings: &Settings,
    policy: &CachePolicy,
    plan: &Plan,
    mode: CacheMode,
    key: Key,
) -> Storage {
    let Settings { cache_ttl, alias_cache_ttl, max_recording_bytes, .. } = *settings;
    let longest = if plan.is_alias { alias_cache_ttl.min(cache_ttl) } else { cache_ttl };
    Storage {
        key,
        writes: mode.writes(),
        ttl: policy.ttl.unwrap_or(longest).min(longest),
        max_bytes: max_recording_bytes,
    }
}

/// Returns the policy of a flight. One that others may join is not bound by the
/// leading execution's deadline: that execution may leave while the others stay.
fn retry_policy(services: &Services, limits: &Limits, may_be_joined: bool) -> RetryPolicy {
    let settings = &services.settings;
    let own = settings.deadlines(limits).total;
    let mut policy = services.retry.clone();
    policy.max_attempts = settings.attempts(limits);
    policy.total = Some(if may_be_joined { settings.max_total } else { own });
    policy
}
