//! The settings of admission: concurrent executions, the queue and quotas.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    duration::{duration, duration_or_none},
    more_than_zero,
};
use crate::{
    admission::AdmissionConfig,
    quota::{self, QuotaLimits},
};

/// The admission arguments.
#[derive(Debug, Clone, Args)]
pub struct AdmissionArgs {
    /// Executions at a time; more are queued, and beyond the queue refused with a
    /// retry delay.
    #[arg(long, env = "SPARKLER_MAX_EXECUTIONS", default_value_t = 10_000, value_name = "N")]
    pub max_executions: usize,

    /// Executions at a time of one tenant. By default no limit, except that a named
    /// tenant leaves a tenth of the slots to others. Calls without a tenant count
    /// as one tenant's.
    #[arg(long, env = "SPARKLER_MAX_EXECUTIONS_PER_TENANT", value_name = "N")]
    pub max_executions_per_tenant: Option<usize>,

    /// Calls queued for a slot, in all. Tenants take turns; 0 refuses a call that
    /// finds no free slot.
    #[arg(long, env = "SPARKLER_QUEUE_LENGTH", default_value_t = 1000, value_name = "N")]
    pub queue_length: usize,

    /// The longest time that a call waits for a slot.
    #[arg(
        long,
        env = "SPARKLER_QUEUE_TIMEOUT",
        default_value = "10s",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub queue_timeout: Duration,

    /// A JSON file of the tenants' daily quotas (UTC) in tokens and dollars, shared
    /// by all workers on the same Redis: {"default": {"tokens_per_day": N,
    /// "dollars_per_day": X}, "tenants": {NAME: …}}. Reloaded when it changes.
    #[arg(long, env = "SPARKLER_LIMITS_FILE", value_name = "FILE")]
    pub limits_file: Option<PathBuf>,

    /// The time to remember that the provider rejects a key or does not serve a
    /// model; 0s asks it every time.
    #[arg(
        long,
        env = "SPARKLER_NEGATIVE_CACHE_TTL",
        default_value = "5s",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub negative_cache_ttl: Duration,
}

impl AdmissionArgs {
    /// Reads the quotas, if there are any.
    ///
    /// # Errors
    ///
    /// Returns everything that is wrong with the file.
    pub(super) fn limits(&self) -> Result<Option<QuotaLimits>, String> {
        let limits = self.limits_file.as_deref().map(quota::limits).transpose();
        limits.map_err(|problem| format!("--limits-file: {problem}"))
    }

    /// Validates the admission settings.
    ///
    /// # Errors
    ///
    /// Returns everything that is wrong with them.
    pub(super) fn config(&self) -> Result<AdmissionConfig, String> {
        let executions = self.max_executions;
        let executions_per_tenant = self.max_executions_per_tenant.unwrap_or(executions);
        more_than_zero(&[
            ("--max-executions", executions == 0),
            ("--max-executions-per-tenant", self.max_executions_per_tenant == Some(0)),
        ])?;
        Ok(AdmissionConfig {
            executions,
            executions_per_tenant,
            keeps_for_others: self.max_executions_per_tenant.is_none(),
            queue_length: self.queue_length,
            queue_timeout: self.queue_timeout,
            ..AdmissionConfig::default()
        })
    }
}
