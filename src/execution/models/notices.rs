//! Warnings about models in use: that one ends, or has no price. Each is a metric, and
//! one warning a day for each model.
//!
//! An execution never waits for it: the record is asked for by a task of the worker,
//! after the answer has come.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use moka::sync::Cache;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    cache::key::Fingerprint,
    credentials::ApiKey,
    error::{MAX_LOGGED_BYTES, shorten},
    event::Usage,
    execution::models::ModelRecords,
    fireworks::{EndDate, ModelRecord},
    lifecycle::Lifecycle,
    metrics::Metrics,
    price::{PriceList, Tier},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Maximum models that are remembered as warned of.
const MAX_MODELS: u64 = 1_000;
/// Records that are asked for at once; further models wait for their next execution.
const MAX_ASKING: usize = 4;
/// The longest wait for a record.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

/// The warnings of the last day. Clones share them.
#[derive(Debug, Clone)]
pub struct Notices {
    models: ModelRecords,
    prices: PriceList,
    lifecycle: Lifecycle,
    metrics: Metrics,
    ends: Cache<Arc<str>, EndDate>,
    unpriced: Cache<Arc<str>, ()>,
    asking: Arc<Semaphore>,
}

impl Notices {
    /// Creates the notices of a worker that has warned of nothing yet.
    pub(crate) fn new(
        models: ModelRecords,
        prices: PriceList,
        lifecycle: Lifecycle,
        metrics: Metrics,
    ) -> Notices {
        Notices {
            models,
            prices,
            lifecycle,
            metrics,
            ends: Cache::builder().max_capacity(MAX_MODELS).time_to_live(DAY).build(),
            unpriced: Cache::builder().max_capacity(MAX_MODELS).time_to_live(DAY).build(),
            asking: Arc::new(Semaphore::new(MAX_ASKING)),
        }
    }

    /// Asks for the record of a model that has just answered, unless it is known, and
    /// warns of its end. `fingerprint` is the credential's.
    pub(crate) fn answered(&self, model: &str, credential: &ApiKey, fingerprint: Fingerprint) {
        if self.models.directory.knows(*fingerprint.as_bytes(), model) {
            return;
        }
        let Ok(turn) = self.asking.clone().try_acquire_owned() else { return };
        let (notices, model, credential) = (self.clone(), model.to_owned(), credential.clone());
        self.lifecycle.spawn(async move {
            let record = notices.models.record(&model, &credential);
            if let Ok(Ok(record)) = timeout(RECORD_LIMIT, record).await {
                notices.warn_of_end(&model, record.as_ref());
            }
            drop(turn);
        });
    }

    fn warn_of_end(&self, model: &str, record: Option<&ModelRecord>) {
        let Some((record, end)) = record.and_then(|record| Some((record, record.end?))) else {
            if self.ends.remove(model).is_some() {
                self.metrics.model_ends(model, 0);
            }
            return;
        };
        let since_1970 = end.start().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.metrics.model_ends(model, since_1970.as_secs());
        if is_new(&self.ends, model, end) {
            tracing::warn!(
                model = &*shorten(model, MAX_LOGGED_BYTES),
                end_of_life = %end,
                days_left = end.days_left(SystemTime::now()),
                successor = record.successor.as_deref(),
                "a model in use ends; name another in the flows that use it"
            );
        }
    }

    /// Counts a provider request without a price of its own, and warns of its model, or
    /// of its tier if the cost is estimated by the standard rate, once a day.
    pub(crate) fn unpriced(&self, model: &str, tier: &Tier, is_estimated: bool, usage: &Usage) {
        // Without counts there is no cost either, whatever the price.
        if usage.prompt_tokens.is_none() || usage.completion_tokens.is_none() {
            return;
        }
        let missing = if is_estimated { MissingPrice::Tier } else { MissingPrice::Model };
        self.metrics.model_unpriced(model, missing.as_str());
        let tier = missing.tier(tier);
        let subject = format!("{model}\n{tier}");
        if self.unpriced.entry(Arc::from(subject)).or_insert(()).is_fresh() {
            missing.warn(model, tier, self.prices.current().date());
        }
    }
}

/// Returns true for the first time in a day, and for another date.
fn is_new(ends: &Cache<Arc<str>, EndDate>, model: &str, end: EndDate) -> bool {
    let entry = ends.entry(Arc::from(model));
    entry.or_insert_with_if(|| end, |known| *known != end).is_fresh()
}

/// The thing that the price table lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MissingPrice {
    /// Any price of the model.
    Model,
    /// The rate of the tier that was asked for.
    Tier,
}

impl MissingPrice {
    fn as_str(self) -> &'static str {
        match self {
            MissingPrice::Model => "model",
            MissingPrice::Tier => "tier",
        }
    }

    /// Returns the tier to name, if it is what is missing.
    fn tier(self, tier: &Tier) -> &'static str {
        match self {
            MissingPrice::Model => "",
            MissingPrice::Tier => tier.label(),
        }
    }

    fn warn(self, model: &str, service_tier: &str, price_date: &str) {
        let model = &*shorten(model, MAX_LOGGED_BYTES);
        match self {
            MissingPrice::Model => tracing::warn!(
                model,
                price_date,
                "a model in use has no price: its cost is unknown and counts against no quota of \
                 dollars; add it to the file of --prices"
            ),
            MissingPrice::Tier => tracing::warn!(
                model,
                service_tier,
                price_date,
                "a service tier in use has no price for this model: its cost is estimated by the \
                 standard rate; add it to the file of --prices"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::models::tests::record;

    #[test]
    fn an_end_is_new_once_a_day_and_when_it_changes() {
        let ends = Cache::new(10);
        let is_new = |model, end| is_new(&ends, model, end);
        let [one, other] = [20, 21].map(|days| record(days).end.expect("a date"));
        assert!(is_new("m", one));
        assert!(!is_new("m", one));
        assert!(is_new("m", other) && is_new("n", other));
        assert!(!is_new("m", other));
    }
}
