//! Decides whether an answer is stored in the cache: only a complete one is.

use std::{sync::Arc, time::Duration};

use crate::execution::{Services, request::CacheMode};
use crate::{
    cache::{Hit, Memory},
    event::FinishReason,
    flight::Stored,
    metrics::{LookupResult, Store, Tier},
    recording::{Key, Recording},
};

/// Storage settings for an execution's answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storage {
    /// The cache key.
    pub(crate) key: Key,
    /// Set if the cache mode allows storing.
    pub(crate) writes: bool,
    /// The lifetime of the entry.
    pub(crate) ttl: Duration,
    /// Size above which a recording is not stored, in bytes.
    pub(crate) max_bytes: usize,
}

impl Storage {
    /// The reason for an answer whose cache mode does not store.
    pub(crate) const NOT_WANTED: &'static str = "mode";

    /// Stores a recording in memory, or returns the reason it was not stored.
    pub(crate) fn store(&self, services: &Services, recording: &Arc<Recording>) -> Stored {
        let stored = self.insert(&services.memory, recording);
        let result = match stored {
            Stored::Stored => Store::Stored,
            Stored::NotStored(reason) => Store::NotStored(reason),
        };
        services.metrics.stored(Tier::Memory, result);
        stored
    }

    /// Stores a recording for an execution that wants that, if its leader did not.
    pub(crate) fn store_for(
        &self,
        services: &Services,
        recording: &Arc<Recording>,
        stored: Stored,
    ) -> Stored {
        match stored {
            Stored::NotStored(Storage::NOT_WANTED) => self.store(services, recording),
            stored => stored,
        }
    }

    fn insert(&self, memory: &Memory, recording: &Arc<Recording>) -> Stored {
        if !self.writes {
            return Stored::NotStored(Storage::NOT_WANTED);
        }
        if !recording.finish.finish_reasons.iter().all(|reason| FinishReason::is_whole(*reason)) {
            return Stored::NotStored("finish_reason");
        }
        if !recording.finish.unchecked.is_empty() {
            return Stored::NotStored("unchecked");
        }
        if says_nothing(recording) {
            return Stored::NotStored("empty");
        }
        if recording.bytes() > self.max_bytes {
            return Stored::NotStored("too_large");
        }
        if self.ttl.is_zero() {
            return Stored::NotStored("ttl");
        }
        memory.insert(self.key, recording.clone(), self.ttl);
        Stored::Stored
    }
}

/// Looks an answer up in memory if the mode permits reading it, and counts that.
pub(crate) fn look_in_memory(
    services: &Services,
    storage: Option<Storage>,
    mode: CacheMode,
) -> Option<Hit> {
    let recorded = recorded(&services.memory, storage, mode);
    if storage.is_some() && mode.reads() {
        services.metrics.looked_up(Tier::Memory, LookupResult::found(recorded.is_some()));
    }
    recorded
}

/// Returns an answer in memory if the mode permits reading it, uncounted.
pub(crate) fn recorded(memory: &Memory, storage: Option<Storage>, mode: CacheMode) -> Option<Hit> {
    let storage = storage.filter(|_| mode.reads())?;
    memory.get(&storage.key)
}

/// Returns true if a choice has no text, tool call or reasoning: the next attempt
/// may well produce some.
fn says_nothing(recording: &Recording) -> bool {
    (0..).zip(&recording.finish.finish_reasons).any(|(choice, _)| !recording.log.says(choice))
}
