//! The log lines of failed calls: one each, where the status is made. Only the
//! worker's own fault is an error; a caller's mistake is not the operator's
//! news. What the caller or the provider wrote stays out.

use crate::{
    error::{Error, Fault},
    execution::outcome::Failed,
};

/// A call was refused before anything had begun.
pub(crate) fn refused(error: &Error) {
    line(error, None);
}

/// An execution failed.
pub(crate) fn failed(failed: &Failed) {
    line(&failed.error, Some(failed));
}

fn line(error: &Error, failed: Option<&Failed>) {
    let reason = error.reason();
    let http_status = match error {
        Error::Provider(provider) => provider.http_status,
        _ => None,
    };
    let attempts = failed.map(|failed| failed.attempts);
    let total_seconds = failed.map(|failed| failed.timing.total.as_secs_f64());
    match error.fault() {
        Fault::Worker => {
            tracing::error!(
                reason,
                http_status,
                attempts,
                total_seconds,
                "execution failed: {error}"
            );
        }
        Fault::Provider | Fault::Limit => {
            tracing::warn!(reason, http_status, attempts, total_seconds, "execution failed");
        }
        Fault::Caller | Fault::Model => {
            tracing::info!(reason, http_status, attempts, total_seconds, "execution failed");
        }
    }
}
