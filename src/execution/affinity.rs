//! The names under which a conversation and its tenant appear to the provider, so that
//! a prompt meets the replica that has its prefix cached, and no tenant gains from
//! another's.
//!
//! They are keyed hashes: the provider learns that two requests belong together, and
//! nothing else. They decide routing and never an answer, so they are no part of a
//! cache key.

use crate::{
    cache::key::PromptCacheName,
    execution::{Executor, request::Context},
    fireworks::Affinity,
    node::Routing,
};

/// The providers whose requests carry the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PrefixAffinity {
    /// If the provider is Fireworks itself.
    #[default]
    Auto,
    /// To any provider.
    On,
    /// Never.
    Off,
}

/// A conversation, as far as the caller names one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversation<'a> {
    /// The party on whose behalf calls are made; empty if it is unknown.
    pub(super) tenant: &'a str,
    /// True for a session, false for the run of a flow.
    pub(super) is_session: bool,
    /// The name of the session or run.
    pub(super) name: &'a str,
}

impl<'a> Conversation<'a> {
    /// Returns the session of a call, else its flow's run.
    pub(super) fn of(context: &'a Context, tenant: Option<&'a str>) -> Option<Conversation<'a>> {
        let is_session = !context.session_id.is_empty();
        let name = if is_session { &context.session_id } else { &context.run_id };
        let tenant = tenant.unwrap_or_default();
        (!name.is_empty()).then_some(Conversation { tenant, is_session, name })
    }

    pub(super) fn cache_name(self) -> PromptCacheName<'a> {
        let Conversation { tenant, is_session, name } = self;
        if is_session {
            PromptCacheName::Session { tenant, session: name }
        } else {
            PromptCacheName::Run { tenant, run: name }
        }
    }
}

impl Executor {
    /// Returns the names that a request carries. What the node's own fields name wins.
    pub(super) fn affinity(
        &self,
        conversation: Option<Conversation<'_>>,
        tenant: Option<&str>,
        routing: Routing,
    ) -> Affinity {
        if !self.follows_prefixes() {
            return Affinity::default();
        }
        let hash = |name: PromptCacheName<'_>| self.cache_secret.prompt_cache_name(name);
        let session = conversation.filter(|_| !routing.names_session);
        let tenant = tenant.filter(|_| !routing.names_isolation);
        Affinity::new(
            session.map(|session| hash(session.cache_name())).as_deref(),
            tenant.map(|tenant| hash(PromptCacheName::Tenant(tenant))).as_deref(),
        )
    }

    /// Returns true if this worker helps the provider's prompt caches.
    pub(super) fn follows_prefixes(&self) -> bool {
        match self.settings.prefix_affinity {
            PrefixAffinity::On => true,
            PrefixAffinity::Auto => self.fireworks.is_fireworks(),
            PrefixAffinity::Off => false,
        }
    }
}
