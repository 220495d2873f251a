//! Counts calls that an admission limit refuses.

use crate::{
    error::{Error, Limit},
    metrics::{self, Metrics},
};

/// Counts a call refused by an admission limit; other errors are not counted.
pub(crate) fn count_refusal(metrics: &Metrics, error: &Error) {
    let Error::Saturated { limit, .. } = error else {
        return;
    };
    metrics.refused(match limit {
        Limit::Executions => metrics::Limit::Executions,
        Limit::Tenant { .. } => metrics::Limit::Tenant,
        Limit::Watches => metrics::Limit::Watches,
        Limit::Descriptors => metrics::Limit::Descriptors,
        Limit::Queue { .. } => metrics::Limit::Queue,
        Limit::Bytes => metrics::Limit::Bytes,
        Limit::Checkers => metrics::Limit::Checkers,
        Limit::TokensPerDay { .. } => metrics::Limit::TokensPerDay,
        Limit::DollarsPerDay { .. } => metrics::Limit::DollarsPerDay,
    });
}
