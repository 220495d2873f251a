//! Resolves the scope that shares an answer, and enforces the worker's own bounds
//! on a request.

use crate::execution::{
    invalid,
    request::{ExecuteRequest, ScopeKind, ScopeRequest},
    settings::Settings,
};
use crate::{
    cache::key::{CacheSecret, Fingerprint, KeyParts, Scope},
    error::{Error, Violation},
    node::Plan,
    recording::Key,
};

/// Maximum size of an idempotency key or a salt, in bytes.
const MAX_TEXT_BYTES: usize = 256;

impl Settings {
    /// Resolves the scope that shares the answer. A caller cannot name itself into
    /// a scope that the operator has not granted.
    pub(super) fn scope(
        &self,
        request: ScopeRequest,
        credential: Fingerprint,
    ) -> Result<Scope, Error> {
        match request.kind {
            ScopeKind::Credential => Ok(Scope::Credential(credential)),
            ScopeKind::Tenant => {
                let ScopeRequest { bound_tenant, named_tenant, .. } = request;
                let tenant = self.tenant(bound_tenant.as_deref(), &named_tenant);
                tenant.map(|tenant| Scope::Tenant(tenant.to_owned())).ok_or_else(|| {
                    invalid(
                        "cache.scope",
                        "is SCOPE_TENANT, and this worker knows no tenant of this caller; use \
                         SCOPE_CREDENTIAL, or have the operator bind one or trust context.tenant",
                    )
                })
            }
            ScopeKind::Shared if self.allow_shared_scope => Ok(Scope::Shared),
            ScopeKind::Shared => Err(invalid(
                "cache.scope",
                "is SCOPE_SHARED, which the operator of this worker does not allow; use \
                 SCOPE_CREDENTIAL or SCOPE_TENANT",
            )),
        }
    }

    /// Returns the violations of the worker's own bounds, beyond the node's fields.
    pub(super) fn violations(&self, request: &ExecuteRequest) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut refuse_long = |field: &str, text: &str| {
            if text.len() > MAX_TEXT_BYTES {
                let description = format!("has {} bytes; at most {MAX_TEXT_BYTES}", text.len());
                violations.push(Violation::new(field, description));
            }
        };
        refuse_long("idempotency_key", request.idempotency_key.as_deref().unwrap_or_default());
        refuse_long("cache.salt", &request.cache.salt);
        if request.input_bytes > self.max_input_bytes {
            let most = self.max_input_bytes;
            let description =
                format!("has {} bytes; this worker takes at most {most}", request.input_bytes);
            violations.push(Violation::new("input", description));
        }
        violations
    }

    /// Returns the authenticated caller's tenant, or the one the caller names if
    /// callers are trusted to name one and none is bound.
    pub(super) fn tenant<'a>(&self, bound: Option<&'a str>, named: &'a str) -> Option<&'a str> {
        let trusted = self.trust_tenant && !named.is_empty();
        bound.or_else(|| trusted.then_some(named))
    }
}

/// Returns the cache key of a plan's answer.
pub(super) fn answer_key(secret: &CacheSecret, plan: &Plan, scope: &Scope, salt: &str) -> Key {
    secret.key(KeyParts {
        scope,
        node_type: plan.identity.node_type,
        base_url: &plan.identity.base_url,
        endpoint: plan.identity.endpoint,
        canonical_request: &plan.identity.canonical,
        salt,
    })
}
