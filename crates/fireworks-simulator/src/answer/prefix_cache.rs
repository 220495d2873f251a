//! A model of prompt caching on one replica: the prefixes of earlier prompts, in
//! whole blocks, of which the least recently used are evicted. Determines
//! `cached_tokens`.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::answer::tokens;

/// Tokens in a block; only whole blocks are cached.
const BLOCK: usize = 16;

/// The blocks that a replica has seen, up to a number.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    most: usize,
    blocks: Mutex<Blocks>,
}

/// Each block with the number of its last use, and the uses by age. A use that was
/// followed by another of the same block is skipped at eviction.
#[derive(Debug, Default)]
struct Blocks {
    last_uses: HashMap<blake3::Hash, u64>,
    uses: VecDeque<(blake3::Hash, u64)>,
    next: u64,
}

impl PrefixCache {
    /// Creates an empty cache of up to `most` blocks.
    pub(crate) fn new(most: usize) -> PrefixCache {
        PrefixCache { most, blocks: Mutex::default() }
    }

    /// Returns the number of leading tokens seen before, and remembers the
    /// prompt. `scope` separates the caches: account, isolation key, model.
    pub(crate) fn visit(&self, scope: &str, prompt: &str) -> u32 {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
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
            let known = !blocks.used(hasher.finalize());
            unbroken &= known;
            if unbroken {
                cached += block.len();
            }
        }
        blocks.evict(self.most);
        u32::try_from(cached).unwrap_or(u32::MAX)
    }

    pub(crate) fn clear(&self) {
        *self.blocks.lock().unwrap_or_else(PoisonError::into_inner) = Blocks::default();
    }
}

impl Blocks {
    /// Records the use of a block; returns true if the block is new.
    fn used(&mut self, hash: blake3::Hash) -> bool {
        self.next += 1;
        self.uses.push_back((hash, self.next));
        self.last_uses.insert(hash, self.next).is_none()
    }

    /// Drops the blocks whose last use is longest ago, down to `most`.
    fn evict(&mut self, most: usize) {
        while self.last_uses.len() > most || self.uses.len() > 4 * most.max(BLOCK) {
            let Some((hash, number)) = self.uses.pop_front() else { return };
            if self.last_uses.get(&hash) != Some(&number) {
                continue;
            }
            if self.last_uses.len() > most {
                self.last_uses.remove(&hash);
            } else {
                self.uses.push_back((hash, number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_starts_alike_is_cached_as_far_as_it_does() {
        let cache = PrefixCache::new(1024);
        let start = "one ".repeat(40);
        assert_eq!(cache.visit("a", &start), 0);
        assert_eq!(cache.visit("a", &start), 32);
        assert_eq!(cache.visit("a", &format!("{start}and more")), 32);
        assert_eq!(cache.visit("a", &format!("but {start}")), 0);
        assert_eq!(cache.visit("b", &start), 0);
    }

    #[test]
    fn the_least_recently_used_blocks_are_evicted() {
        let cache = PrefixCache::new(4);
        let [one, two, three] = ["one ", "two ", "three "].map(|word| word.repeat(32));
        cache.visit("a", &one);
        cache.visit("a", &two);
        assert_eq!(cache.visit("a", &one), 32);
        cache.visit("a", &three);
        assert_eq!(cache.visit("a", &one), 32, "it was used since `two`");
        assert_eq!(cache.visit("a", &two), 0);
    }

    #[test]
    fn uses_of_the_same_blocks_take_no_more_room() {
        let cache = PrefixCache::new(4);
        for _ in 0..1000 {
            cache.visit("a", &"one ".repeat(32));
        }
        let blocks = cache.blocks.lock().expect("whole");
        assert!(blocks.uses.len() <= 4 * BLOCK + 2, "{}", blocks.uses.len());
        assert_eq!(blocks.last_uses.len(), 2);
    }
}
