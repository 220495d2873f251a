//! What the provider says about models, kept for minutes for each credential.
//!
//! A question that is being asked is joined by those that ask the same: the first
//! of them sends the request, and if it is dropped the next one sends its own. What
//! failed is kept for seconds, so that a broken provider is not asked by every form
//! that is opened. Both maps are bounded in entries and time.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::{sync::OnceCell, time::Instant};

use crate::{cooldown::KeyFingerprint, error::Error, fireworks::ModelRecord};

/// Maximum credentials whose lists are kept, and records of single models.
const MAX_LISTS: u64 = 200;
const MAX_RECORDS: u64 = 10_000;

/// The provider's statements about models.
#[derive(Debug)]
pub(super) struct ModelDirectory {
    lists: Answers<KeyFingerprint, Arc<[ModelRecord]>>,
    records: Answers<(KeyFingerprint, Arc<str>), Option<ModelRecord>>,
    lifetimes: Lifetimes,
}

type Answers<K, T> = Cache<K, Arc<SharedFetch<T>>>;

/// The lifetimes of answers and of failures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    /// Of answers.
    pub(crate) answers: Duration,
    /// Of failures.
    pub(crate) failures: Duration,
}

/// A question to the provider, and its answer once it is there.
#[derive(Debug)]
struct SharedFetch<T>(OnceCell<Fetched<T>>);

#[derive(Debug, Clone)]
pub(crate) struct Fetched<T> {
    pub(crate) answer: Result<T, Error>,
    pub(crate) at: Instant,
}

impl ModelDirectory {
    pub(super) fn new(lifetimes: Lifetimes) -> ModelDirectory {
        let longest = lifetimes.answers.max(lifetimes.failures);
        ModelDirectory {
            lists: Cache::builder().max_capacity(MAX_LISTS).time_to_live(longest).build(),
            records: Cache::builder().max_capacity(MAX_RECORDS).time_to_live(longest).build(),
            lifetimes,
        }
    }

    /// Returns the models that a credential can use, by name.
    pub(super) async fn list(
        &self,
        fingerprint: KeyFingerprint,
        ask: impl AsyncFnOnce() -> Result<Vec<ModelRecord>, Error>,
    ) -> Fetched<Arc<[ModelRecord]>> {
        let ask = async || ask().await.map(Arc::from);
        answered(&self.lists, fingerprint, self.lifetimes, ask).await
    }

    /// Returns the provider's record of a model; `None` if it has none.
    pub(super) async fn record(
        &self,
        fingerprint: KeyFingerprint,
        model: &str,
        ask: impl AsyncFnOnce() -> Result<Option<ModelRecord>, Error>,
    ) -> Result<Option<ModelRecord>, Error> {
        let key = (fingerprint, Arc::from(model));
        answered(&self.records, key, self.lifetimes, ask).await.answer
    }

    /// Returns true if the record of a model need not be asked for now.
    pub(super) fn knows(&self, fingerprint: KeyFingerprint, model: &str) -> bool {
        let known = self.records.get(&(fingerprint, Arc::from(model)));
        known.is_some_and(|question| {
            question.0.get().is_none_or(|known| known.holds(self.lifetimes))
        })
    }
}

async fn answered<K, T>(
    cache: &Answers<K, T>,
    key: K,
    lifetimes: Lifetimes,
    ask: impl AsyncFnOnce() -> Result<T, Error>,
) -> Fetched<T>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    let fresh = || Arc::new(SharedFetch(OnceCell::new()));
    let is_over = |question: &Arc<SharedFetch<T>>| {
        question.0.get().is_some_and(|known| !known.holds(lifetimes))
    };
    let entry = cache.entry(key).or_insert_with_if(fresh, is_over);
    let question = entry.into_value();
    let answered =
        question.0.get_or_init(async || Fetched { answer: ask().await, at: Instant::now() });
    answered.await.clone()
}

impl<T> Fetched<T> {
    fn holds(&self, lifetimes: Lifetimes) -> bool {
        let lifetime = if self.answer.is_ok() { lifetimes.answers } else { lifetimes.failures };
        self.at.elapsed() < lifetime
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const MINE: KeyFingerprint = [1; 32];
    const ANOTHERS: KeyFingerprint = [2; 32];

    fn directory() -> ModelDirectory {
        ModelDirectory::new(Lifetimes {
            answers: Duration::from_secs(300),
            failures: Duration::from_secs(5),
        })
    }

    fn record(name: &str) -> ModelRecord {
        ModelRecord { name: name.to_owned(), ..ModelRecord::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_at_a_time_is_asked_for_each_credential() {
        let directory = directory();
        let asked = AtomicU32::new(0);
        let list = |fingerprint| {
            directory.list(fingerprint, async || {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(vec![record("m")])
            })
        };
        let (one, other, anothers) = tokio::join!(list(MINE), list(MINE), list(ANOTHERS));
        assert_eq!(one.at, other.at);
        assert!(anothers.answer.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        tokio::time::advance(Duration::from_secs(299)).await;
        list(MINE).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2, "it is still known");
        tokio::time::advance(Duration::from_secs(1)).await;
        list(MINE).await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_known_for_seconds_only() {
        let directory = directory();
        let failing = async || Err(Error::Internal("a broken provider"));
        assert!(directory.record(MINE, "m", failing).await.is_err());
        assert!(directory.record(MINE, "m", async || Ok(None)).await.is_err());
        assert!(directory.knows(MINE, "m"));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!directory.knows(MINE, "m"));
        let found = directory.record(MINE, "m", async || Ok(Some(record("m")))).await;
        assert_eq!(found, Ok(Some(record("m"))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_whose_asker_left_is_asked_by_the_next() {
        let directory = directory();
        let never = directory.record(MINE, "m", async || std::future::pending().await);
        assert!(tokio::time::timeout(Duration::from_secs(1), never).await.is_err());
        let found = directory.record(MINE, "m", async || Ok(Some(record("m")))).await;
        assert_eq!(found, Ok(Some(record("m"))));
    }
}
