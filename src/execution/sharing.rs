//! The terms on which an execution's answer is stored, and found by others.

use std::sync::Arc;

use crate::execution::{
    Services, Settings,
    leader::{FleetRequest, Gatherer, Storage, TextTerms},
    request::{CacheMode, CachePolicy},
    scope::answer_key,
};
use crate::{
    cache::key::Scope,
    flight::{Idempotency, JoinRequest},
    node::Plan,
    recording::{Key, Subject},
};

/// The terms of one execution.
pub(super) struct Sharing {
    /// The permitted use of the cache.
    pub(super) mode: CacheMode,
    /// Set if only executions with this credential share the answer.
    pub(super) own_credential: bool,
    /// Storage settings for the answer, if caching was requested.
    pub(super) storage: Option<Storage>,
    /// The idempotency key, with the hash of the request it stands for.
    pub(super) idempotency: Option<Idempotency>,
    /// The terms for the plan's texts, if each is answered by itself.
    pub(super) texts: Option<Arc<TextTerms>>,
    /// The flight's terms in the fleet, if this execution leads.
    pub(super) fleet_request: Option<FleetRequest>,
}

impl Sharing {
    /// Resolves the terms of a plan. `name` is the caller's idempotency key.
    pub(super) fn new(
        services: &Services,
        gatherer: &Arc<Gatherer>,
        plan: &Plan,
        scope: Scope,
        cache: CachePolicy,
        name: Option<String>,
        drains: bool,
    ) -> Sharing {
        let Services { settings, cache_secret, .. } = services;
        let key = answer_key(cache_secret, plan, &scope, &cache.salt);
        let own_credential = matches!(scope, Scope::Credential(_));
        let mode = cache.mode.unwrap_or(default_mode(plan.cache));
        let storage = (mode != CacheMode::Off).then(|| storage(settings, &cache, plan, mode, key));
        let idempotency = name.map(|name| Idempotency {
            key: cache_secret.idempotency_key(&scope, &name),
            request: key,
        });
        let texts = plan.texts.is_some().then(|| {
            let (salt, gatherer) = (cache.salt, gatherer.clone());
            let terms = TextTerms { mode, scope, salt, storage, own_credential, gatherer };
            Arc::new(for_retries(services, terms, idempotency, key))
        });
        // The texts are shared and stored, not the whole.
        let storage = storage.filter(|_| texts.is_none());
        let fleet_request = FleetRequest::new(services, mode, storage, idempotency, drains);
        Sharing { mode, own_credential, storage, idempotency, texts, fleet_request }
    }

    /// Returns the keys by which identical executions find the flight. With an
    /// idempotency key it is shared only after the fleet has resolved that key.
    pub(super) fn join_request(&self, subject: Arc<Subject>) -> JoinRequest {
        let in_fleet = self.fleet_request.is_some();
        let waits_for_claim = in_fleet && self.idempotency.is_some();
        let key = self.storage.map(|storage| storage.key);
        let shared = key.filter(|_| self.mode != CacheMode::OnlyIfCached && !waits_for_claim);
        let idempotency = self.idempotency;
        JoinRequest { subject, shared, idempotency, in_fleet, attachable: true }
    }

    /// Returns true if another execution can join the flight.
    pub(super) fn may_be_joined(&self) -> bool {
        self.storage.is_some() || self.texts.is_some() || self.idempotency.is_some()
    }

    /// Returns true if a look-up precedes the request to the provider.
    pub(super) fn looks_up(&self) -> bool {
        self.idempotency.is_some() || (self.storage.is_some() && self.mode.reads())
    }

    /// Returns true if only a cached answer will do.
    pub(super) fn only_reads(&self) -> bool {
        self.storage.is_some() && self.mode == CacheMode::OnlyIfCached
    }
}

fn default_mode(node_caches: bool) -> CacheMode {
    if node_caches { CacheMode::ReadWrite } else { CacheMode::Off }
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
