//! A validated request: its plan, the credential that pays, the scope that shares
//! the answer, and the keys it is found by.

use std::{sync::Arc, time::Duration};

use crate::execution::{
    Executor, Settings,
    affinity::PromptCacheNames,
    invalid,
    leader::{FleetRequest, LeaderJob, Storage, TextTerms, TextWork},
    observe::spans::FlightSpans,
    prefixes::{Prefixes, PromptPrefix},
    request::{CacheMode, CachePolicy, CredentialSource, ExecuteRequest, Limits},
    response::CacheStatus,
    session::Lookup,
};
use crate::{
    admission::{Permit, saturated_for_a_moment},
    cache::key::{Fingerprint, KeyParts, PromptHasher, Scope},
    credentials::ApiKey,
    error::{Error, Limit, Violation},
    fireworks::RetryPolicy,
    fleet::FlightKey,
    flight::{Idempotency, JoinRequest, SubscribeOptions},
    node::Plan,
    output::OutputFormat,
    recording::{Key, Subject},
    secrets::{Grant, SecretError},
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

impl Executor {
    /// Validates a request, and reports every violation it finds.
    pub(super) fn prepare(&self, request: ExecuteRequest) -> Result<PreparedExecution, Error> {
        let violations = self.violations(&request);
        let scope_of = request.scope_request();
        let ExecuteRequest { node_type, config, input, output, limits, cache, .. } = request;
        let planned = self.registry.find(&node_type)?.plan(config, input, &output);
        let plan = valid(planned, violations)?;
        let configured = plan.secret_name.as_deref();
        let names = self.prompt_cache_names(&request.caller, &request.context, &plan);
        let credential =
            self.credential(request.credential, configured, &request.caller.secrets)?;
        let fingerprint = self.cache_secret.fingerprint(&credential);
        let scope = self.scope(scope_of, fingerprint)?;
        let key = self.key(&node_type, &plan, &scope, &cache.salt);
        let own_credential = matches!(scope, Scope::Credential(_));
        let mode = cache.mode.unwrap_or(default_mode(plan.cache));
        let storage = (mode != CacheMode::Off).then(|| self.storage(&cache, &plan, mode, key));
        let idempotency = request.idempotency_key.map(|text| Idempotency {
            key: self.cache_secret.idempotency_key(&scope, &text),
            request: key,
        });
        let texts = plan.texts.is_some().then(|| {
            let terms = TextTerms { mode, scope, salt: cache.salt, storage, own_credential };
            Arc::new(self.for_retries(terms, idempotency, key))
        });
        // The texts are shared and stored, not the whole.
        let storage = storage.filter(|_| texts.is_none());
        let fleet_request = self.fleet_request(mode, storage, idempotency, limits.drain);
        let shared = storage.map(|storage| storage.key);
        let shared = shared.filter(|_| mode != CacheMode::OnlyIfCached);
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
                // A flight is shared only after the fleet has resolved its
                // idempotency key.
                shared: shared.filter(|_| !(fleet_request.is_some() && idempotency.is_some())),
                idempotency,
                in_fleet: fleet_request.is_some(),
                attachable: true,
            },
            // Vectors come with the end alone.
            subscribe_options: self.subscribe_options(
                request.deltas.unwrap_or(plan.deltas) && texts.is_none(),
                &limits,
            ),
            connect: self.settings.deadlines(&limits).connect,
            retry: self.retry_policy(
                &limits,
                storage.is_some() || texts.is_some() || idempotency.is_some(),
            ),
            fleet_request,
            output,
            texts,
            plan,
        })
    }

    /// Returns the key to pay with. Never falls back silently to the worker's own
    /// environment.
    pub(super) fn credential(
        &self,
        given: Option<CredentialSource>,
        configured: Option<&str>,
        grant: &Grant,
    ) -> Result<ApiKey, Error> {
        let (field, name) = match (given, configured) {
            (Some(CredentialSource::ApiKey(key)), _) => return Ok(key),
            (Some(CredentialSource::SecretName(name)), _) => ("credential.secret_name", name),
            (None, Some(name)) => ("config.credential", name.to_owned()),
            (None, None) => {
                return Err(invalid("credential", "is missing: give api_key or secret_name"));
            }
        };
        self.secrets.read(&name, grant).map_err(|error| match error {
            SecretError::NoDescriptor => saturated_for_a_moment(Limit::Descriptors),
            // The name stays out: it may be a key pasted into the wrong field.
            error => invalid(field, &format!("names a secret that {error}")),
        })
    }

    /// Returns the flight's terms in the fleet; `None` if no other worker needs to
    /// find it.
    pub(super) fn fleet_request(
        &self,
        mode: CacheMode,
        storage: Option<Storage>,
        claim: Option<Idempotency>,
        drains: bool,
    ) -> Option<FleetRequest> {
        let flight_key = storage.map(|storage| storage.key).or(claim.map(|claim| claim.key));
        let is_findable = flight_key.is_some() || drains;
        (self.fleet.is_some() && is_findable).then_some(FleetRequest {
            flight_key: flight_key.map(FlightKey),
            claim,
            shares: storage.and(flight_key).filter(|_| claim.is_some()),
            may_read: storage.is_some() && mode.reads(),
            only_reads: storage.is_some() && mode == CacheMode::OnlyIfCached,
        })
    }

    /// Lets a retry with an idempotency key find the texts on any worker of the fleet,
    /// whatever the cache mode: under keys that no other execution has.
    fn for_retries(
        &self,
        terms: TextTerms,
        idempotency: Option<Idempotency>,
        key: Key,
    ) -> TextTerms {
        let (Some(idempotency), Some(fleet), None) = (idempotency, &self.fleet, terms.storage)
        else {
            return terms;
        };
        let storage = Storage {
            key,
            writes: true,
            ttl: fleet.retention(),
            max_bytes: self.settings.max_recording_bytes,
        };
        let salt = format!("{} {}", blake3::Hash::from_bytes(idempotency.key), terms.salt);
        TextTerms { mode: CacheMode::ReadWrite, storage: Some(storage), salt, ..terms }
    }

    /// Returns the cache key of a plan's answer.
    pub(super) fn key(&self, node_type: &str, plan: &Plan, scope: &Scope, salt: &str) -> Key {
        self.cache_secret.key(KeyParts {
            scope,
            node_type,
            base_url: &plan.identity.base_url,
            endpoint: plan.identity.endpoint,
            canonical_request: &plan.identity.canonical,
            salt,
        })
    }

    fn storage(&self, policy: &CachePolicy, plan: &Plan, mode: CacheMode, key: Key) -> Storage {
        let Settings { cache_ttl, alias_cache_ttl, max_recording_bytes, .. } = self.settings;
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
    fn retry_policy(&self, limits: &Limits, may_be_joined: bool) -> RetryPolicy {
        let own = self.settings.deadlines(limits).total;
        let mut policy = self.retry.clone();
        policy.max_attempts = self.settings.attempts(limits);
        policy.total = Some(if may_be_joined { self.settings.max_total } else { own });
        policy
    }
}

impl PreparedExecution {
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

/// Returns the plan, or every violation of the node's and of the request's own.
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

fn subject(plan: &Plan, output: &OutputFormat) -> Arc<Subject> {
    Arc::new(Subject { model: plan.model.clone(), tier: plan.tier.clone(), json: output.is_json() })
}

fn default_mode(node_caches: bool) -> CacheMode {
    if node_caches { CacheMode::ReadWrite } else { CacheMode::Off }
}
