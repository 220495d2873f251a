//! A validated request: its plan, the credential that pays, the scope that shares
//! the answer, and the keys it is found by.

use std::{sync::Arc, time::Duration};

use crate::execution::{
    Services,
    affinity::PromptCacheNames,
    credential::credential,
    leader::{Gatherer, LeaderJob, TextWork},
    observe::spans::FlightSpans,
    prefixes::{Prefixes, PromptPrefix},
    request::{CacheMode, ExecuteRequest, Limits},
    response::CacheStatus,
    session::Lookup,
    sharing::Sharing,
};
use crate::{
    admission::Permit,
    cache::key::{Fingerprint, PromptHasher},
    credentials::ApiKey,
    error::{Error, Violation},
    fireworks::RetryPolicy,
    flight::{JoinRequest, SubscribeOptions},
    node::Plan,
    output::OutputFormat,
    recording::Subject,
};

/// A request that has been validated.
pub(super) struct PreparedExecution {
    /// The work to run if this execution leads.
    plan: Plan,
    credential: ApiKey,
    output: OutputFormat,
    connect: Duration,
    retry: RetryPolicy,
    names: PromptCacheNames,
    /// Identifies the credential.
    pub(super) fingerprint: Fingerprint,
    /// The terms on which the answer is stored and found.
    pub(super) sharing: Sharing,
    /// The keys by which identical executions find the flight.
    pub(super) join: JoinRequest,
    /// Delivery options of the subscriber.
    pub(super) subscribe_options: SubscribeOptions,
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
        let (name, drains) = (request.idempotency_key, limits.drain);
        let sharing = Sharing::new(services, gatherer, &plan, scope, cache, name, drains);
        Ok(PreparedExecution {
            names,
            credential,
            fingerprint,
            join: sharing.join_request(subject(&plan, &output)),
            // Vectors come with the end alone.
            subscribe_options: settings.subscribe_options(
                request.deltas.unwrap_or(plan.deltas) && sharing.texts.is_none(),
                &limits,
            ),
            connect: settings.deadlines(&limits).connect,
            retry: retry_policy(services, &limits, sharing.may_be_joined()),
            sharing,
            output,
            plan,
        })
    }

    /// Describes the look-up for a session with the given status.
    pub(super) fn found(&self, status: CacheStatus) -> Lookup {
        let Sharing { mode, own_credential, storage, texts, .. } = &self.sharing;
        Lookup {
            age: None,
            storage: *storage,
            stores_texts: texts.is_some() && *mode != CacheMode::Off,
            own_credential: *own_credential,
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
        match self.sharing.mode {
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
            texts: self.sharing.texts.map(TextWork::Several),
            stored: None,
            credential: self.credential,
            fingerprint: self.fingerprint,
            output: self.output,
            storage: self.sharing.storage,
            connect: self.connect,
            retry: self.retry,
            affinity: self.names.affinity,
            fleet_request: self.sharing.fleet_request,
            owner: None,
            permit,
        }
    }
}

fn subject(plan: &Plan, output: &OutputFormat) -> Arc<Subject> {
    Arc::new(Subject { model: plan.model.clone(), tier: plan.tier.clone(), json: output.is_json() })
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
