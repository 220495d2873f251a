//! The API key that pays for an execution.

use crate::execution::{invalid, request::CredentialSource};
use crate::{
    admission::saturated_for_a_moment,
    credentials::ApiKey,
    error::{Error, Limit},
    secrets::{Grant, SecretError, Secrets},
};

/// Returns the key to pay with. Never falls back silently to the worker's own
/// environment.
pub(super) fn credential(
    secrets: &Secrets,
    given: Option<CredentialSource>,
    configured: Option<&str>,
    grant: &Grant,
) -> Result<ApiKey, Error> {
    let (field, name) = match (given, configured) {
        (Some(CredentialSource::ApiKey(key)), _) => return Ok(key),
        (Some(CredentialSource::SecretName(name)), _) => ("credential.secret_name", name),
        (None, Some(name)) => ("config.credential", name.to_owned()),
        (None, None) => {
            return Err(invalid("credential", "is missing: give api_key or secret_name"));
        }
    };
    secrets.read(&name, grant).map_err(|error| match error {
        SecretError::NoDescriptor => saturated_for_a_moment(Limit::Descriptors),
        // The name stays out: it may be a key pasted into the wrong field.
        error => invalid(field, &format!("names a secret that {error}")),
    })
}
