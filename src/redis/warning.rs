//! Logs one line when Redis becomes unavailable, however many commands fail, and one when
//! it is available again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Cause;

/// The last warning, with its time and cause.
#[derive(Debug, Default)]
pub(super) struct Warning {
    said: Mutex<LastWarning>,
}

#[derive(Debug, Default)]
struct LastWarning {
    last: Option<(Instant, Cause)>,
    unsaid: u64,
    /// True if the last line logged is a warning.
    is_open: bool,
}

impl Warning {
    /// Minimum interval between warnings with the same cause.
    const EVERY: Duration = Duration::from_secs(60);
    /// Minimum interval between warnings with different causes.
    const EVERY_CAUSE: Duration = Duration::from_secs(5);

    /// Logs a failure unless a warning was logged recently.
    pub(super) fn failed(&self, cause: Cause) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.last.is_none_or(|(at, before)| {
            let every = if before == cause { Warning::EVERY } else { Warning::EVERY_CAUSE };
            at.elapsed() >= every
        });
        if !due {
            said.unsaid += 1;
            return;
        }
        let unsaid = std::mem::take(&mut said.unsaid);
        said.last = Some((Instant::now(), cause));
        said.is_open = true;
        tracing::warn!(
            cause = cause.as_str(),
            failures_since_last_warning = unsaid,
            "Redis cannot be used: {cause}. Executions go on, each worker for itself"
        );
    }

    /// Logs the recovery if a warning was logged.
    pub(super) fn recovered(&self) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut said.is_open) {
            tracing::info!("Redis can be used again");
        }
    }
}
