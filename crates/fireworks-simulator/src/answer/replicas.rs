//! The replicas that serve the models, each with a prompt cache of its own. A
//! request that names no session may reach any of them.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use crate::{answer::prefix_cache::PrefixCache, options::Options};

/// The headers that name a session, the one that decides first.
const SESSION_HEADERS: [&str; 2] = ["x-multi-turn-session-id", "x-session-affinity"];
/// The fields that do, after the headers.
const SESSION_FIELDS: [&str; 2] = ["prompt_cache_key", "user"];

/// The replicas, and beside them an oracle: one replica with the memory of all, which
/// every request would reach.
#[derive(Debug)]
pub(crate) struct Replicas {
    caches: Vec<PrefixCache>,
    oracle: PrefixCache,
}

/// The replica that serves a request, and the leading tokens of its prompts that were
/// cached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    /// The replica.
    pub(crate) replica: usize,
    /// Tokens cached there.
    pub(crate) cached: u32,
    /// Tokens that the oracle would have cached.
    pub(crate) by_oracle: u32,
}

/// The way of a request to a replica's cache.
pub(crate) struct Route<'a> {
    /// The account that pays.
    pub(crate) account: &'a str,
    /// The model.
    pub(crate) model: &'a str,
    /// The headers of the request.
    pub(crate) headers: &'a HeaderMap,
    /// Its body.
    pub(crate) body: &'a Map<String, Value>,
}

impl Replicas {
    pub(crate) fn new(options: &Options) -> Replicas {
        let (count, blocks) = (options.replicas.max(1), options.replica_blocks);
        Replicas {
            caches: (0..count).map(|_| PrefixCache::new(blocks)).collect(),
            oracle: PrefixCache::new(blocks.saturating_mul(count)),
        }
    }

    /// Takes a request to its replica.
    pub(crate) fn visit(&self, route: &Route<'_>, prompts: &[String]) -> Visit {
        let replica = route.replica(self.caches.len());
        let scope = route.scope();
        let cached = |cache: &PrefixCache| {
            prompts.iter().map(|prompt| cache.visit(&scope, prompt)).sum::<u32>()
        };
        let here = cached(&self.caches[replica]);
        let alone = self.caches.len() == 1;
        let by_oracle = if alone { here } else { cached(&self.oracle) };
        Visit { replica, cached: here, by_oracle }
    }

    pub(crate) fn clear(&self) {
        self.caches.iter().chain([&self.oracle]).for_each(PrefixCache::clear);
    }
}

impl Route<'_> {
    /// Picks the replica by the session, or at random without one.
    fn replica(&self, count: usize) -> usize {
        let Some(session) = self.session() else { return fastrand::usize(..count) };
        let [low, ..] = *blake3::hash(session.as_bytes()).as_bytes();
        usize::from(low) % count
    }

    fn session(&self) -> Option<&str> {
        let header = SESSION_HEADERS.into_iter().find_map(|name| self.header(name));
        header.or_else(|| SESSION_FIELDS.into_iter().find_map(|name| self.field(name)))
    }

    /// Returns the name of the cache: prompt caches are per account, isolation key and
    /// model.
    fn scope(&self) -> String {
        let isolation = self.field("prompt_cache_isolation_key");
        let isolation = isolation.or_else(|| self.header("x-prompt-cache-isolation-key"));
        format!("{}\n{}\n{}\n", self.account, isolation.unwrap_or_default(), self.model)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str().filter(|value| !value.is_empty())
    }
}
