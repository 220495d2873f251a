//! The first cache tier: recordings in this process, bounded in bytes and time.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;

use crate::recording::{Key, Recording};

/// Limits of the memory tier.
#[derive(Debug, Clone, Copy)]
pub struct MemoryConfig {
    /// Memory for all recordings together, in bytes.
    pub max_bytes: u64,
    /// Maximum time to live of a recording.
    pub max_ttl: Duration,
}

/// A recording found in the cache.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The recording.
    pub recording: Arc<Recording>,
    /// Time since it was stored.
    pub age: Duration,
}

/// Recordings by key. Cheap to share; never blocks for long.
pub struct Memory {
    recordings: Cache<Key, Kept>,
    max_ttl: Duration,
}

/// A recording with its own time to live. The cache's is the maximum; a recording that
/// expires earlier is not returned any more, and is removed at the maximum.
#[derive(Clone)]
struct Kept {
    recording: Arc<Recording>,
    stored_at: Instant,
    ttl: Duration,
}

impl Memory {
    /// Creates an empty tier.
    pub fn new(config: MemoryConfig) -> Memory {
        Memory {
            recordings: Cache::builder()
                .max_capacity(config.max_bytes)
                .weigher(|_, kept: &Kept| u32::try_from(kept.recording.bytes()).unwrap_or(u32::MAX))
                .time_to_live(config.max_ttl)
                .build(),
            max_ttl: config.max_ttl,
        }
    }

    /// Returns the recording of a key, unless it has expired.
    pub fn get(&self, key: &Key) -> Option<Hit> {
        let kept = self.recordings.get(key)?;
        let age = kept.stored_at.elapsed();
        (age < kept.ttl).then_some(Hit { recording: kept.recording, age })
    }

    /// Stores a recording for `ttl`, limited by the tier's maximum.
    pub fn insert(&self, key: Key, recording: Arc<Recording>, ttl: Duration) {
        let ttl = ttl.min(self.max_ttl);
        self.recordings.insert(key, Kept { recording, stored_at: Instant::now(), ttl });
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Memory")
            .field("entries", &self.recordings.entry_count())
            .field("bytes", &self.recordings.weighted_size())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        event::{Delta, Finish, Piece},
        price::Tier,
        recording::{FlightId, Log, Subject},
    };

    fn recording(text: &str) -> Arc<Recording> {
        let mut log = Log::default();
        log.append(Delta { choice: 0, piece: Piece::Text(text.into()) });
        Arc::new(Recording {
            flight: FlightId::random(),
            subject: Arc::new(Subject { model: "m".to_owned(), tier: Tier::Standard, json: false }),
            log,
            finish: Finish::default(),
            attempts: 1,
            recorded_at: SystemTime::now(),
            span: None,
        })
    }

    fn memory(max_bytes: u64) -> Memory {
        Memory::new(MemoryConfig { max_bytes, max_ttl: Duration::from_secs(60) })
    }

    #[test]
    fn what_was_stored_is_found_under_its_key_only() {
        let memory = memory(1 << 20);
        let kept = recording("kept");
        memory.insert([1; 32], kept.clone(), Duration::from_secs(60));
        let hit = memory.get(&[1; 32]).expect("a hit");
        assert!(Arc::ptr_eq(&hit.recording, &kept));
        assert!(memory.get(&[2; 32]).is_none());
    }

    #[test]
    fn a_recording_whose_own_time_is_over_is_not_found() {
        let memory = memory(1 << 20);
        memory.insert([1; 32], recording("brief"), Duration::ZERO);
        assert!(memory.get(&[1; 32]).is_none());
    }

    #[test]
    fn recordings_are_weighed_in_bytes() {
        let memory = memory(100_000);
        let large = "x".repeat(10_000);
        for index in 0..100 {
            memory.insert([index; 32], recording(&large), Duration::from_secs(60));
        }
        memory.recordings.run_pending_tasks();
        let bytes = memory.recordings.weighted_size();
        assert!((50_000..=100_000).contains(&bytes), "{bytes} bytes are kept");
    }
}
