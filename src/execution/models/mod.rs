//! What the provider says about models, asked with the caller's key and kept for it.
//! Spends no tokens.

mod directory;
mod notices;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::timeout;

use self::directory::{Fetched, ModelDirectory};
pub(crate) use self::{directory::Lifetimes, notices::Notices};
use crate::{
    cache::key::{CacheSecret, Fingerprint},
    credentials::ApiKey,
    error::{Error, ProviderError, ProviderErrorKind},
    fireworks::{Client, ModelRecord},
};

/// The longest wait of a caller for the record that explains a failure.
const REASON_LIMIT: Duration = Duration::from_secs(3);

/// The provider's records of models. Clones share what is kept.
#[derive(Debug, Clone)]
pub struct ModelRecords {
    client: Client,
    secret: CacheSecret,
    directory: Arc<ModelDirectory>,
}

impl ModelRecords {
    /// Creates the records of a provider, none of them asked for yet.
    pub(crate) fn new(client: Client, secret: CacheSecret, lifetimes: Lifetimes) -> ModelRecords {
        ModelRecords { client, secret, directory: Arc::new(ModelDirectory::new(lifetimes)) }
    }

    /// Returns the models that a credential can use, by name.
    pub(super) async fn list(
        &self,
        fingerprint: Fingerprint,
        credential: &ApiKey,
    ) -> Fetched<Arc<[ModelRecord]>> {
        let ask = async || self.client.models(credential).await;
        self.directory.list(*fingerprint.as_bytes(), ask).await
    }

    /// Returns the provider's record of a model; `None` if it has none.
    pub(super) async fn record(
        &self,
        model: &str,
        credential: &ApiKey,
    ) -> Result<Option<ModelRecord>, Error> {
        let fingerprint = *self.secret.fingerprint(credential).as_bytes();
        let ask = async || self.client.model(model, credential).await;
        self.directory.record(fingerprint, model, ask).await
    }

    /// Turns the failure of a missing model into that of a retired one, if the
    /// provider's record says so. The record is asked for only then.
    pub(super) async fn explain(&self, model: &str, credential: &ApiKey, error: Error) -> Error {
        let error = match error {
            Error::Provider(error) if is_missing(&error) => error,
            error => return error,
        };
        match timeout(REASON_LIMIT, self.record(model, credential)).await {
            Ok(Ok(Some(record))) => explained(*error, record).into(),
            Ok(Ok(None) | Err(_)) | Err(_) => (*error).into(),
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
    use crate::{event::Phase, fireworks::EndDate};

    pub(super) fn record(days: i64) -> ModelRecord {
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
