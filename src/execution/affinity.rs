//! The names under which a conversation and its tenant appear to the provider, so that
//! a prompt meets the replica that has its prefix cached, and no tenant gains from
//! another's.
//!
//! They are keyed hashes: the provider learns that two requests belong together, and
//! nothing else. They decide routing and never an answer, so they are no part of a
//! cache key.

use crate::{
    cache::key::{CacheSecret, PromptCacheName},
    callers::Caller,
    execution::{PrefixAffinity, Services, request::Context},
    fireworks::Affinity,
    node::{Plan, Routing},
    recording::Key,
};

/// A conversation, as far as the caller names one.
#[derive(Debug, Clone, Copy)]
struct Conversation<'a> {
    /// The party on whose behalf calls are made; empty if it is unknown.
    tenant: &'a str,
    /// True for a session, false for the run of a flow.
    is_session: bool,
    /// The name of the session or run.
    name: &'a str,
}

impl<'a> Conversation<'a> {
    /// Returns the session of a call, else its flow's run.
    fn of(context: &'a Context, tenant: Option<&'a str>) -> Option<Conversation<'a>> {
        let is_session = !context.session_id.is_empty();
        let name = if is_session { &context.session_id } else { &context.run_id };
        let tenant = tenant.unwrap_or_default();
        (!name.is_empty()).then_some(Conversation { tenant, is_session, name })
    }

    fn cache_name(self) -> PromptCacheName<'a> {
        let Conversation { tenant, is_session, name } = self;
        if is_session {
            PromptCacheName::Session { tenant, session: name }
        } else {
            PromptCacheName::Run { tenant, run: name }
        }
    }
}

/// The names of one execution.
#[derive(Debug, Default)]
pub(super) struct PromptCacheNames {
    /// The names that its requests carry.
    pub(super) affinity: Affinity,
    /// The session whose prompts are compared, if it has one.
    pub(super) session: Option<Key>,
}

impl PromptCacheNames {
    /// Returns the names of an execution; none if this worker does not help the
    /// provider's prompt caches.
    pub(super) fn new(
        services: &Services,
        caller: &Caller,
        context: &Context,
        plan: &Plan,
    ) -> PromptCacheNames {
        if !helps_prompt_caches(services) {
            return PromptCacheNames::default();
        }
        let secret = &services.cache_secret;
        let tenant = services.settings.tenant(caller.tenant.as_deref(), &context.tenant);
        let conversation = Conversation::of(context, tenant);
        let session = conversation.map(|conversation| {
            secret.session_key(conversation.cache_name(), &context.node_id, &plan.model)
        });
        PromptCacheNames { affinity: affinity(secret, conversation, tenant, plan.routing), session }
    }
}

/// Returns the names that a request carries. What the node's own fields name wins.
fn affinity(
    secret: &CacheSecret,
    conversation: Option<Conversation<'_>>,
    tenant: Option<&str>,
    routing: Routing,
) -> Affinity {
    let hash = |name: PromptCacheName<'_>| secret.prompt_cache_name(name);
    let session = conversation.filter(|_| !routing.names_session);
    let tenant = tenant.filter(|_| !routing.names_isolation);
    Affinity::new(
        session.map(|session| hash(session.cache_name())).as_deref(),
        tenant.map(|tenant| hash(PromptCacheName::Tenant(tenant))).as_deref(),
    )
}

fn helps_prompt_caches(services: &Services) -> bool {
    match services.settings.prefix_affinity {
        PrefixAffinity::On => true,
        PrefixAffinity::Auto => services.fireworks.is_fireworks(),
        PrefixAffinity::Off => false,
    }
}
