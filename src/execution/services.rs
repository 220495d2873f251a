//! Everything that an execution needs of the worker.

use std::{fmt, sync::Arc};

use crate::execution::{
    models::{ModelRecords, Notices},
    prefixes::Prefixes,
    settings::Settings,
};
use crate::{
    admission::Admission,
    cache::{Memory, key::CacheSecret},
    cooldown::Cooldowns,
    fireworks::{Client, RetryPolicy},
    fleet::Fleet,
    flight::Flights,
    lifecycle::Lifecycle,
    metrics::Metrics,
    node::Registry,
    price::PriceList,
    quota::Quotas,
    secrets::Secrets,
    telemetry::Telemetry,
};

/// The parts of a worker that executions use. One per worker.
pub struct Services {
    /// The node types.
    pub registry: Registry,
    /// The provider's client, for checks.
    pub fireworks: Client,
    /// Recordings of completed flights.
    pub memory: Memory,
    /// Flights in progress.
    pub flights: Arc<Flights>,
    /// The fleet that shares flights, if this worker belongs to one.
    pub fleet: Option<Fleet>,
    /// Token prices by model.
    pub prices: PriceList,
    /// Mounted credentials.
    pub secrets: Secrets,
    /// The secret of all keyed hashes.
    pub cache_secret: CacheSecret,
    /// Secrets that other workers of the fleet use while the secret is rotated.
    pub other_secrets: Vec<CacheSecret>,
    /// Capacity and the queue for it.
    pub admission: Admission,
    /// Daily quotas of tenants.
    pub quotas: Quotas,
    /// Recent refusals of the provider.
    pub cooldowns: Cooldowns,
    /// The prompts that sessions sent last.
    pub prefixes: Prefixes,
    /// The provider's records of models.
    pub models: ModelRecords,
    /// Warnings to the operator about models in use.
    pub notices: Notices,
    /// The worker's stage, and the owner of its tasks.
    pub lifecycle: Lifecycle,
    /// Counters and histograms.
    pub metrics: Metrics,
    /// Retry policy for provider requests.
    pub retry: RetryPolicy,
    /// The operator's bounds and defaults.
    pub settings: Settings,
    /// The source of spans.
    pub telemetry: Telemetry,
}

impl fmt::Debug for Services {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Services")
            .field("memory", &self.memory)
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}
