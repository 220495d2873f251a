//! A model of prompt caching: the prefixes of earlier prompts, in whole blocks,
//! per account and model. Determines `cached_tokens`.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::answer::tokens;

/// Tokens in a block; only whole blocks are cached.
const BLOCK: usize = 16;
/// Maximum blocks remembered; the oldest is evicted first.
const CAPACITY: usize = 65_536;

/// The blocks seen.
#[derive(Debug, Default)]
pub(crate) struct PrefixCache(Mutex<Blocks>);

#[derive(Debug, Default)]
struct Blocks {
    known: HashSet<blake3::Hash>,
    order: VecDeque<blake3::Hash>,
}

impl PrefixCache {
    /// Returns the number of leading tokens seen before, and remembers the
    /// prompt. `scope` separates the caches: account, isolation key, model.
    pub(crate) fn visit(&self, scope: &str, prompt: &str) -> u32 {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hasher = blake3::Hasher::new();
        hasher.update(scope.as_bytes());
        let tokens: Vec<&str> = tokens::split(prompt).collect();
        let mut cached = 0;
        let mut unbroken = true;
        for block in tokens.chunks_exact(BLOCK) {
            for token in block {
                hasher.update(token.as_bytes());
            }
            // Each hash covers everything before it: a prefix, not a block.
            let known = !blocks.remember(hasher.finalize());
            unbroken &= known;
            if unbroken {
                cached += block.len();
            }
        }
        u32::try_from(cached).unwrap_or(u32::MAX)
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Blocks::default();
    }
}

impl Blocks {
    /// Remembers a block; returns true if it is new.
    fn remember(&mut self, hash: blake3::Hash) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_starts_alike_is_cached_as_far_as_it_does() {
        let cache = PrefixCache::default();
        let start = "one ".repeat(40);
        assert_eq!(cache.visit("a", &start), 0);
        assert_eq!(cache.visit("a", &start), 32);
        assert_eq!(cache.visit("a", &format!("{start}and more")), 32);
        assert_eq!(cache.visit("a", &format!("but {start}")), 0);
        assert_eq!(cache.visit("b", &start), 0);
    }
}
