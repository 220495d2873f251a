//! The worker's figures: every metric defined once in [`TABLE`], told through
//! methods with typed values, and out two ways: as the page that Prometheus
//! reads ([`Metrics::page`]), and through whatever other reader the meter
//! provider was given.
//!
//! Knows nothing of executions, nodes or protobuf: whoever has something to tell
//! brings plain values. Attributes are of closed sets, except for the names of
//! models, which `models` bounds. Nothing here waits, and telling allocates
//! nothing but once for each new combination of attributes.
//!
//! | file | what |
//! |---|---|
//! | `table` | the metrics, a row each |
//! | `execution`, `upstream`, `worker`, `process` | what can be told |
//! | `start` | the series that exist before their first event |
//! | `word` | the values of attributes; their keys are in `telemetry::names` |
//! | `models` | which models are named |

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

pub use self::{
    attribute::{
        Command, Cooldown, Handshake, Limit, LookupResult, Operation, Role, Signal, Spending,
        Store, Tier,
    },
    execution::{Active, Ended},
    instrument::{Definition, Kind},
    table::TABLE,
    upstream::Call,
    worker::MemoryShares,
};
use self::{models::Models, table::Instruments};

/// The worker's figures. Clones are one.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    instruments: Instruments,
    models: Models,
    provider: SdkMeterProvider,
    registry: Registry,
}

impl Metrics {
    /// The content type of [`page`](Metrics::page).
    pub const PAGE_TYPE: &str = prometheus::TEXT_FORMAT;

    /// Combinations of attributes of one metric; beyond that they are counted
    /// together, under `otel.metric.overflow`.
    const MOST_SERIES: usize = 1000;

    /// Figures that nobody has told yet. `complete` gives the provider its
    /// resource, and further readers besides the page.
    pub fn new(complete: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder) -> Metrics {
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
        let metrics = Metrics(Arc::new(Inner {
            instruments: Instruments::new(&provider.meter_with_scope(scope)),
            models: Models::new(),
            provider,
            registry,
        }));
        metrics.start_series();
        metrics.watch_process();
        metrics
    }

    /// All figures, as Prometheus reads them.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // It fails for a metric without values only; the registry has none such.
        let _ = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut page);
        page
    }

    /// What flushes and ends the readers. Its methods block.
    pub fn provider(&self) -> &SdkMeterProvider {
        &self.0.provider
    }

    fn instruments(&self) -> &Instruments {
        &self.0.instruments
    }
}

impl Default for Metrics {
    /// Figures that only the page tells.
    fn default() -> Metrics {
        Metrics::new(|builder| builder)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The bound of every metric.
fn bounded(_: &Instrument) -> Option<Stream> {
    StreamBuilder::default().with_cardinality_limit(Metrics::MOST_SERIES).build().ok()
}
