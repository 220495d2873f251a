//! Whether and how an answer goes to the cache: only when it is whole.

use std::{sync::Arc, time::Duration};

use crate::execution::Executor;
use crate::{
    cache::Memory,
    event::FinishReason,
    flight::Stored,
    metrics::{Store, Tier},
    recording::{Key, Recording},
};

/// Where an execution's answer is kept, and whether it may go there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storage {
    /// Under what.
    pub(crate) key: Key,
    /// Whether the caller wants it stored.
    pub(crate) writes: bool,
    /// For how long.
    pub(crate) ttl: Duration,
    /// A larger recording is not stored, in bytes.
    pub(crate) max_bytes: usize,
}

impl Executor {
    /// Stores a recording, or says in a word why not.
    pub(crate) fn store(&self, storage: &Storage, recording: &Arc<Recording>) -> Stored {
        let stored = storage.store(&self.memory, recording);
        let told = match stored {
            Stored::Stored => Store::Stored,
            Stored::NotStored(reason) => Store::NotStored(reason),
        };
        self.metrics.stored(Tier::Memory, told);
        stored
    }
}

impl Storage {
    /// Why an answer is not stored: the cache mode does not ask for it.
    pub(crate) const NOT_WANTED: &'static str = "mode";

    fn store(&self, memory: &Memory, recording: &Arc<Recording>) -> Stored {
        if !self.writes {
            return Stored::NotStored(Storage::NOT_WANTED);
        }
        if !recording.finish.finish_reasons.iter().all(|reason| FinishReason::is_whole(*reason)) {
            return Stored::NotStored("finish_reason");
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

/// Whether an answer of the recording has no text, no call and no reasoning: the
/// next attempt may well have.
fn says_nothing(recording: &Recording) -> bool {
    (0..).zip(&recording.finish.finish_reasons).any(|(choice, _)| !recording.log.says(choice))
}
