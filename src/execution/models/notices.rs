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
use tokio::sync::Semaphore;

use crate::{
    cache::key::Fingerprint,
    credentials::ApiKey,
    error::{Error, ProviderError, ProviderErrorKind, shorten},
    event::Usage,
    execution::{Executor, observe::log::MAX_TEXT_BYTES},
    fireworks::{EndDate, ModelRecord},
    price::Tier,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Maximum models that are remembered as warned of.
const MAX_MODELS: u64 = 1_000;
/// Records that are asked for at once; further models wait for their next execution.
const MAX_ASKING: usize = 4;
/// The longest wait for a record: in the background, and for a caller that waits for
/// the reason of a failure.
const RECORD_LIMIT: Duration = Duration::from_secs(10);
const REASON_LIMIT: Duration = Duration::from_secs(3);

/// The warnings of the last day.
#[derive(Debug)]
pub struct Notices {
    ends: Cache<Arc<str>, EndDate>,
    unpriced: Cache<Arc<str>, ()>,
    asking: Arc<Semaphore>,
}

impl Default for Notices {
    fn default() -> Notices {
        Notices {
            ends: Cache::builder().max_capacity(MAX_MODELS).time_to_live(DAY).build(),
            unpriced: Cache::builder().max_capacity(MAX_MODELS).time_to_live(DAY).build(),
            asking: Arc::new(Semaphore::new(MAX_ASKING)),
        }
    }
}

impl Notices {
    /// Returns true for the first time in a day, and for another date.
    fn is_new(&self, model: &str, end: EndDate) -> bool {
        let entry = self.ends.entry(Arc::from(model));
        entry.or_insert_with_if(|| end, |known| *known != end).is_fresh()
    }
}

impl Executor {
    /// Asks for the record of a model that has just answered, unless it is known, and
    /// warns of its end. `fingerprint` is the credential's.
    pub(crate) fn notice_model(
        self: &Arc<Executor>,
        model: &str,
        credential: &ApiKey,
        fingerprint: Fingerprint,
    ) {
        if self.models.knows(*fingerprint.as_bytes(), model) {
            return;
        }
        let Ok(turn) = self.notices.asking.clone().try_acquire_owned() else { return };
        let (executor, model) = (self.clone(), model.to_owned());
        let credential = credential.clone();
        self.lifecycle.spawn(async move {
            let record = executor.model_record(&model, &credential);
            if let Ok(Ok(record)) = tokio::time::timeout(RECORD_LIMIT, record).await {
                executor.warn_of_end(&model, record.as_ref());
            }
            drop(turn);
        });
    }

    fn warn_of_end(&self, model: &str, record: Option<&ModelRecord>) {
        let Some((record, end)) = record.and_then(|record| Some((record, record.end?))) else {
            if self.notices.ends.remove(model).is_some() {
                self.metrics.model_ends(model, 0);
            }
            return;
        };
        let since_1970 = end.start().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.metrics.model_ends(model, since_1970.as_secs());
        if self.notices.is_new(model, end) {
            tracing::warn!(
                model = &*shorten(model, MAX_TEXT_BYTES),
                end_of_life = %end,
                days_left = end.days_left(SystemTime::now()),
                successor = record.successor.as_deref(),
                "a model in use ends; name another in the flows that use it"
            );
        }
    }

    /// Counts a provider request without a price of its own, and warns of its model, or
    /// of its tier if the cost is estimated by the standard rate, once a day.
    pub(crate) fn notice_unpriced(
        &self,
        model: &str,
        tier: &Tier,
        is_estimated: bool,
        usage: &Usage,
    ) {
        // Without counts there is no cost either, whatever the price.
        if usage.prompt_tokens.is_none() || usage.completion_tokens.is_none() {
            return;
        }
        let missing = if is_estimated { MissingPrice::Tier } else { MissingPrice::Model };
        self.metrics.model_unpriced(model, missing.as_str());
        let tier = missing.tier(tier);
        let subject = format!("{model}\n{tier}");
        if self.notices.unpriced.entry(Arc::from(subject)).or_insert(()).is_fresh() {
            missing.warn(model, tier, self.prices.current().date());
        }
    }

    /// Turns the failure of a missing model into that of a retired one, if the
    /// provider's record says so. The record is asked for only then.
    pub(crate) async fn missing(&self, model: &str, credential: &ApiKey, error: Error) -> Error {
        let error = match error {
            Error::Provider(error) if is_missing(&error) => error,
            error => return error,
        };
        let record = self.model_record(model, credential);
        match tokio::time::timeout(REASON_LIMIT, record).await {
            Ok(Ok(Some(record))) => explained(*error, record).into(),
            Ok(Ok(None) | Err(_)) | Err(_) => (*error).into(),
        }
    }
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
        let model = &*shorten(model, MAX_TEXT_BYTES);
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

/// Returns true for a missing model; the provider itself says so only in its own form.
fn is_missing(error: &ProviderError) -> bool {
    let is_about_the_model =
        matches!(error.kind, ProviderErrorKind::ModelNotFound | ProviderErrorKind::ModelRetired);
    is_about_the_model && error.is_known_form
}

fn explained(error: ProviderError, record: ModelRecord) -> ProviderError {
    let Some(end) = record.ended(SystemTime::now()) else { return error };
    let message = format!("by the provider's record it ended on {end}{}", record.succession());
    ProviderError {
        kind: ProviderErrorKind::ModelRetired,
        message: Some(message),
        successor: record.successor,
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Phase, fireworks::ModelRecord};

    fn record(days: i64) -> ModelRecord {
        let seconds = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs()
            .saturating_add_signed(days * 86_400);
        let date = humantime::format_rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        ModelRecord {
            name: "m".to_owned(),
            end: EndDate::parse(&date.to_string()),
            successor: Some("n".to_owned()),
            ..ModelRecord::default()
        }
    }

    #[test]
    fn an_end_is_new_once_a_day_and_when_it_changes() {
        let notices = Notices::default();
        let [one, other] = [20, 21].map(|days| record(days).end.expect("a date"));
        assert!(notices.is_new("m", one));
        assert!(!notices.is_new("m", one));
        assert!(notices.is_new("m", other) && notices.is_new("n", other));
        assert!(!notices.is_new("m", other));
    }

    #[test]
    fn only_a_model_whose_end_has_passed_is_retired() {
        let missing = || ProviderError {
            kind: ProviderErrorKind::ModelNotFound,
            message: Some("its words".to_owned()),
            is_known_form: true,
            ..ProviderError::interrupted(Phase::Waiting)
        };
        assert!(is_missing(&missing()));
        assert!(!is_missing(&ProviderError { is_known_form: false, ..missing() }));
        let retired = explained(missing(), record(-1));
        assert_eq!(retired.kind, ProviderErrorKind::ModelRetired);
        assert_eq!(retired.successor.as_deref(), Some("n"));
        assert_eq!(explained(missing(), record(1)), missing());
        assert_eq!(explained(missing(), ModelRecord::default()), missing());
    }
}
