//! The worker's metrics: each defined once in [`TABLE`], recorded through methods
//! with typed values, and exported in two ways: as the Prometheus page
//! ([`Metrics::page`]) and through any further reader of the meter provider.
//!
//! Knows nothing of executions, nodes or protobuf: callers pass plain values.
//! Attribute values come from closed sets, except for model names, which `models`
//! bounds. Nothing here waits, and recording allocates only for each new
//! combination of attributes.
//!
//! | file | contents |
//! |---|---|
//! | `table` | the metrics, one row each |
//! | `instrument` | the instruments that the rows define |
//! | `execution`, `upstream`, `worker`, `process` | the recording methods |
//! | `start` | the series that exist before their first event |
//! | `attribute` | the attribute values; their keys are in `telemetry::names` |
//! | `models` | the bounded set of model names |

mod attribute;
mod execution;
mod instrument;
mod models;
mod process;
mod start;
mod table;
#[cfg(test)]
mod tests;
mod upstream;
mod worker;

use std::{fmt, sync::Arc};

use opentelemetry::{InstrumentationScope, metrics::MeterProvider};
use opentelemetry_sdk::metrics::{
    Instrument, MeterProviderBuilder, SdkMeterProvider, Stream, StreamBuilder,
};
use prometheus::{Registry, TextEncoder};

pub(crate) use self::{
    attribute::{
        Command, Cooldown, Handshake, Limit, LookupResult, Operation, Role, Signal, Spending,
        Store, Tier,
    },
    execution::{Active, ExecutionEnd},
    upstream::ProviderRequest,
    worker::MemoryShares,
};
pub use self::{
    instrument::{Definition, InstrumentKind},
    table::TABLE,
};
use self::{models::Models, table::Instruments};
use crate::telemetry::Conventions;

/// The worker's metrics. Clones share their state.
#[derive(Clone)]
pub struct Metrics(Arc<MetricsState>);

struct MetricsState {
    instruments: Instruments,
    models: Models,
    /// The names for generative AI.
    conventions: Conventions,
    provider: SdkMeterProvider,
    registry: Registry,
}

impl Metrics {
    /// The content type of [`page`](Metrics::page).
    pub const PAGE_TYPE: &str = prometheus::TEXT_FORMAT;

    /// The attribute combinations of one metric; those beyond are counted together
    /// under `otel.metric.overflow`.
    const MOST_SERIES: usize = 1000;

    /// Creates metrics without values. `complete` adds the resource and further
    /// readers to the provider.
    pub fn new(
        conventions: Conventions,
        complete: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
    ) -> Metrics {
        let registry = Registry::new();
        let page = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .expect("nothing else is in the registry");
        let builder = SdkMeterProvider::builder().with_reader(page).with_view(bounded);
        let provider = complete(builder).build();
        let scope = InstrumentationScope::builder("sparkler")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let metrics = Metrics(Arc::new(MetricsState {
            instruments: Instruments::new(&provider.meter_with_scope(scope)),
            models: Models::new(),
            conventions,
            provider,
            registry,
        }));
        metrics.start_series();
        metrics.watch_process();
        metrics
    }

    /// Renders all metrics in the Prometheus text format.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // It fails only for a metric without values, which the registry does not
        // return.
        let _ = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut page);
        page
    }

    /// Returns the provider, which flushes and shuts down the readers. Its methods
    /// block.
    pub fn provider(&self) -> &SdkMeterProvider {
        &self.0.provider
    }

    /// Returns those of two instruments whose names are used: by the released
    /// conventions, and by the latest.
    fn named<'a, T>(&self, released: &'a T, latest: &'a T) -> impl Iterator<Item = &'a T> {
        let conventions = self.0.conventions;
        let used = [(conventions.released(), released), (conventions.latest(), latest)];
        used.into_iter().filter(|(is_used, _)| *is_used).map(|(_, instrument)| instrument)
    }

    fn instruments(&self) -> &Instruments {
        &self.0.instruments
    }
}

impl Default for Metrics {
    /// Creates metrics that only the page exports.
    fn default() -> Metrics {
        Metrics::new(Conventions::default(), |builder| builder)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Bounds the number of series of every metric.
fn bounded(_: &Instrument) -> Option<Stream> {
    StreamBuilder::default().with_cardinality_limit(Metrics::MOST_SERIES).build().ok()
}
