//! Recent refusals of the provider, remembered so that the same request is not
//! sent again: a rate limit is waited out by all executions of its credential
//! with its model, or with any model if the provider says that it is
//! account-wide; a rejected key or a model that is not served is answered from
//! memory. A gateway may reject a key of its own, so behind one a rejected key
//! is remembered for one model only.
//!
//! A remembered refusal says that it is one, and until when; then a request
//! goes to the provider again, so that anything fixed recovers on its own. The
//! maps are bounded in entries and time.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use moka::sync::Cache;
use tokio::time::Instant;

use crate::{
    error::{Error, ProviderError, ProviderErrorKind},
    metrics::{self, Metrics},
};

/// Identifies a credential without revealing it.
pub(crate) type KeyFingerprint = [u8; 32];

/// The provider's recent refusals.
pub struct Cooldowns {
    limited: Cache<CooldownKey, CachedRejection>,
    refused: Cache<CooldownKey, CachedRejection>,
    refusals_for: Duration,
    is_gateway: bool,
    metrics: Metrics,
}

/// The subject of a refusal: a credential, with one model or with all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CooldownKey {
    fingerprint: KeyFingerprint,
    model: Option<Arc<str>>,
}

/// A refusal, and the time until which it answers instead of the provider.
#[derive(Debug, Clone)]
struct CachedRejection {
    error: Arc<ProviderError>,
    until: Instant,
    until_time: SystemTime,
}

/// Advice for an execution about to call the provider.
#[derive(Debug)]
pub enum Advice {
    /// Send the request.
    Ask,
    /// Wait this long; or else return the remembered error to the caller.
    Wait(Duration, Error),
    /// Return the remembered error to the caller.
    Refuse(Error),
}

/// Maximum entries of each map.
const MAX_ENTRIES: u64 = 10_000;
/// The longest wait accepted from the provider.
const LONGEST: Duration = Duration::from_secs(600);

impl Cooldowns {
    /// Creates an empty memory; refusals of keys and models are kept for
    /// `refusals_for`. Behind a gateway, a rejected key may be the one that the
    /// gateway itself has for a model: it says nothing about other models.
    pub fn new(refusals_for: Duration, is_gateway: bool, metrics: Metrics) -> Cooldowns {
        Cooldowns {
            limited: Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(LONGEST).build(),
            refused: Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(refusals_for).build(),
            refusals_for,
            is_gateway,
            metrics,
        }
    }

    /// Returns advice on a request for a model with a credential.
    pub fn advice(&self, fingerprint: &KeyFingerprint, model: &str) -> Advice {
        let keys = [CooldownKey::all_of(fingerprint), CooldownKey::one_of(fingerprint, model)];
        let find = |known: &Cache<CooldownKey, CachedRejection>| {
            let found = keys.iter().filter_map(|key| known.get(key));
            found.filter(CachedRejection::holds).max_by_key(|remembered| remembered.until)
        };
        if let Some(refused) = find(&self.refused) {
            return Advice::Refuse(refused.as_error());
        }
        match find(&self.limited) {
            Some(limited) => Advice::Wait(limited.left(), limited.as_error()),
            None => Advice::Ask,
        }
    }

    /// Remembers a failure that should not be repeated too soon.
    pub fn learn(&self, fingerprint: &KeyFingerprint, model: &str, error: &Error) {
        let Error::Provider(error) = error else {
            return;
        };
        match (error.kind, error.retry_after) {
            (ProviderErrorKind::RateLimited, Some(wait)) => {
                // Tokens are limited per account and model, and a dedicated
                // deployment has a capacity of its own; requests are limited
                // per account.
                let key = if error.account_wide && !is_deployment(model) {
                    CooldownKey::all_of(fingerprint)
                } else {
                    CooldownKey::one_of(fingerprint, model)
                };
                self.limit(key, CachedRejection::new(error, wait.min(LONGEST)));
            }
            (ProviderErrorKind::CredentialRejected, _) => {
                let key = if self.is_gateway {
                    CooldownKey::one_of(fingerprint, model)
                } else {
                    CooldownKey::all_of(fingerprint)
                };
                self.refuse(key, error, metrics::Cooldown::Credential);
            }
            (ProviderErrorKind::ModelNotFound | ProviderErrorKind::ModelRetired, _) => {
                self.refuse(
                    CooldownKey::one_of(fingerprint, model),
                    error,
                    metrics::Cooldown::Model,
                );
            }
            _ => {}
        }
    }

    /// Forgets the refusals of a credential and a model once they have proved outdated.
    pub fn forget(&self, fingerprint: &KeyFingerprint, model: &str) {
        self.refused.invalidate(&CooldownKey::all_of(fingerprint));
        self.refused.invalidate(&CooldownKey::one_of(fingerprint, model));
    }

    /// Remembers a rate limit; the longer of two waits counts.
    fn limit(&self, key: CooldownKey, remembered: CachedRejection) {
        let known = self.limited.get(&key);
        if known.is_none_or(|known| known.until < remembered.until) {
            self.limited.insert(key, remembered);
            self.metrics.cooled_down(metrics::Cooldown::RateLimited);
        }
    }

    fn refuse(&self, key: CooldownKey, error: &ProviderError, kind: metrics::Cooldown) {
        if self.refusals_for.is_zero() || !error.is_known_form {
            return;
        }
        self.refused.insert(key, CachedRejection::new(error, self.refusals_for));
        self.metrics.cooled_down(kind);
    }
}

impl CooldownKey {
    fn all_of(fingerprint: &KeyFingerprint) -> CooldownKey {
        CooldownKey { fingerprint: *fingerprint, model: None }
    }

    fn one_of(fingerprint: &KeyFingerprint, model: &str) -> CooldownKey {
        CooldownKey { fingerprint: *fingerprint, model: Some(Arc::from(model)) }
    }
}

impl CachedRejection {
    fn new(error: &ProviderError, lasting: Duration) -> CachedRejection {
        CachedRejection {
            error: Arc::new(error.clone()),
            until: Instant::now() + lasting,
            until_time: SystemTime::now() + lasting,
        }
    }

    fn holds(&self) -> bool {
        !self.left().is_zero()
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Returns the remembered error, marked as not sent to the provider again.
    fn as_error(&self) -> Error {
        let said = self.error.message.as_ref().map_or_else(String::new, |said| format!("{said}; "));
        let until = humantime::format_rfc3339_seconds(self.until_time);
        let message =
            format!("{said}a cached rejection: no request is sent to the provider before {until}");
        let limited = self.error.kind == ProviderErrorKind::RateLimited;
        Error::from(ProviderError {
            message: Some(message),
            retry_after: limited.then(|| self.left()),
            ..(*self.error).clone()
        })
    }
}

/// Returns true if the name is that of a deployment, or of a model on one.
fn is_deployment(model: &str) -> bool {
    model.contains("/deployments/") || model.contains('#')
}

impl fmt::Debug for Cooldowns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cooldowns")
            .field("limited", &self.limited.entry_count())
            .field("refused", &self.refused.entry_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase;

    const MINE: KeyFingerprint = [1; 32];
    const ANOTHERS: KeyFingerprint = [2; 32];
    const SECOND: Duration = Duration::from_secs(1);

    fn cooldowns() -> Cooldowns {
        Cooldowns::new(SECOND * 5, false, Metrics::default())
    }

    fn failure(kind: ProviderErrorKind, retry_after: Option<Duration>) -> Error {
        Error::Provider(Box::new(provider(kind, retry_after)))
    }

    fn provider(kind: ProviderErrorKind, retry_after: Option<Duration>) -> ProviderError {
        let message = Some("its words".to_owned());
        ProviderError {
            kind,
            message,
            retry_after,
            is_known_form: true,
            ..ProviderError::interrupted(Phase::Waiting)
        }
    }

    /// Builds the error of an account that has no requests left for now.
    fn account_wide(wait: Duration) -> Error {
        let limited = provider(ProviderErrorKind::RateLimited, Some(wait));
        ProviderError { account_wide: true, ..limited }.into()
    }

    fn may_ask(cooldowns: &Cooldowns, fingerprint: &KeyFingerprint, model: &str) -> bool {
        matches!(cooldowns.advice(fingerprint, model), Advice::Ask)
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_rate_limit_is_waited_out_by_all_its_executions() {
        let cooldowns = cooldowns();
        cooldowns.learn(&MINE, "m", &account_wide(SECOND * 3));
        cooldowns.learn(&MINE, "m", &account_wide(SECOND));
        tokio::time::advance(SECOND).await;
        match cooldowns.advice(&MINE, "other") {
            Advice::Wait(wait, error) => {
                assert_eq!(wait, SECOND * 2, "the longer wait counts");
                assert_eq!(error.reason(), "PROVIDER_RATE_LIMITED");
            }
            other => panic!("{other:?}"),
        }
        assert!(may_ask(&cooldowns, &ANOTHERS, "m"));
        tokio::time::advance(SECOND * 2).await;
        assert!(may_ask(&cooldowns, &MINE, "m"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_of_a_model_is_no_news_of_another() {
        let cooldowns = cooldowns();
        cooldowns.learn(&MINE, "m", &failure(ProviderErrorKind::RateLimited, Some(SECOND)));
        assert!(!may_ask(&cooldowns, &MINE, "m"));
        assert!(may_ask(&cooldowns, &MINE, "n") && may_ask(&cooldowns, &ANOTHERS, "m"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_deployment_is_no_news_of_other_models() {
        let cooldowns = cooldowns();
        cooldowns.learn(&MINE, "accounts/me/deployments/one", &account_wide(SECOND));
        assert!(!may_ask(&cooldowns, &MINE, "accounts/me/deployments/one"));
        assert!(may_ask(&cooldowns, &MINE, "accounts/me/deployments/two"));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_remembered_for_their_subject_and_expire() {
        let cooldowns = cooldowns();
        cooldowns.learn(&MINE, "m", &failure(ProviderErrorKind::ModelNotFound, None));
        assert!(!may_ask(&cooldowns, &MINE, "m"));
        assert!(may_ask(&cooldowns, &MINE, "n") && may_ask(&cooldowns, &ANOTHERS, "m"));
        cooldowns.learn(&MINE, "m", &failure(ProviderErrorKind::CredentialRejected, None));
        match cooldowns.advice(&MINE, "n") {
            Advice::Refuse(error) => {
                let message = error.public_message();
                assert!(message.contains("its words; a cached rejection"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        tokio::time::advance(SECOND * 5).await;
        assert!(may_ask(&cooldowns, &MINE, "m") && may_ask(&cooldowns, &MINE, "n"));
    }

    #[tokio::test]
    async fn what_passes_by_itself_is_not_remembered() {
        let cooldowns = cooldowns();
        for (kind, retry_after) in [
            (ProviderErrorKind::RateLimited, None),
            (ProviderErrorKind::Unavailable, Some(SECOND)),
            (ProviderErrorKind::RequestRejected, None),
            (ProviderErrorKind::DeploymentScalingUp, Some(SECOND)),
        ] {
            cooldowns.learn(&MINE, "m", &failure(kind, retry_after));
            assert!(may_ask(&cooldowns, &MINE, "m"), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_of_an_unknown_form_is_not_remembered() {
        let cooldowns = cooldowns();
        for kind in [ProviderErrorKind::CredentialRejected, ProviderErrorKind::ModelNotFound] {
            let page = ProviderError { is_known_form: false, ..provider(kind, None) };
            cooldowns.learn(&MINE, "m", &page.into());
            assert!(may_ask(&cooldowns, &MINE, "m"), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_gateways_refused_key_is_no_news_of_other_models() {
        let cooldowns = Cooldowns { is_gateway: true, ..cooldowns() };
        cooldowns.learn(&MINE, "m", &failure(ProviderErrorKind::CredentialRejected, None));
        assert!(!may_ask(&cooldowns, &MINE, "m"));
        assert!(may_ask(&cooldowns, &MINE, "n") && may_ask(&cooldowns, &ANOTHERS, "m"));
    }

    #[tokio::test]
    async fn a_check_that_finds_otherwise_makes_it_forget() {
        let cooldowns = cooldowns();
        cooldowns.learn(&MINE, "m", &failure(ProviderErrorKind::CredentialRejected, None));
        cooldowns.learn(&MINE, "m", &failure(ProviderErrorKind::ModelNotFound, None));
        cooldowns.forget(&MINE, "m");
        assert!(may_ask(&cooldowns, &MINE, "m"));
    }
}
