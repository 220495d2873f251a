//! The providers of spans and metrics, and their final flush.
//!
//! A slow or absent collector costs nothing but telemetry: exports run on threads
//! of their own and the connection on a runtime of its own, so that neither a
//! single-threaded worker nor a stopped one delays them.

use std::{thread, time::Duration};

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    Resource,
    metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider},
    trace::{Sampler, SdkTracerProvider},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    export,
    gate::{Dropped, Gate},
    names::{SCHEMA_URL, otel},
    sampler::sampler,
    settings::TelemetrySettings,
};

/// The providers and exporters of spans and metrics. Flushes in the background if
/// dropped without [`shut_down`](Pipeline::shut_down).
#[derive(Debug)]
pub struct Pipeline {
    /// The provider of tracers.
    pub tracer_provider: SdkTracerProvider,
    /// The provider of meters, once it has been built.
    pub meter_provider: Option<SdkMeterProvider>,
    /// The count of spans that were not exported.
    pub dropped: Dropped,
    resource: Resource,
    /// The exporter of metrics, until their provider takes it.
    reader: Option<PeriodicReader<MetricExporter>>,
    flush_limit: Duration,
    /// Drives the connection to the collector, if there is one.
    runtime: Option<Runtime>,
}

impl Pipeline {
    /// Builds the providers and exporters; connects later.
    ///
    /// # Errors
    ///
    /// Returns an error if the collector's certificates or headers are unusable or
    /// a runtime cannot be started.
    pub fn start(settings: &TelemetrySettings) -> anyhow::Result<Pipeline> {
        let exports = settings.traces.is_some() || settings.metrics.is_some();
        let runtime = exports.then(runtime).transpose()?;
        let _entered = runtime.as_ref().map(Runtime::enter);
        let resource = resource(settings);
        let dropped = Dropped::default();
        Ok(Pipeline {
            tracer_provider: tracers(settings, resource.clone(), &dropped)?,
            meter_provider: None,
            reader: reader(settings)?,
            dropped,
            resource,
            flush_limit: settings.flush_limit,
            runtime,
        })
    }

    /// Adds the resource to a meter provider under construction, and a reader if
    /// metrics go to a collector. Call it once.
    pub fn complete(&mut self, meters: MeterProviderBuilder) -> MeterProviderBuilder {
        let meters = meters.with_resource(self.resource.clone());
        match self.reader.take() {
            Some(reader) => meters.with_reader(reader),
            None => meters,
        }
    }

    /// Flushes and shuts down within the flush limit; later telemetry is lost.
    pub async fn shut_down(&self) {
        if self.runtime.is_none() {
            return;
        }
        // On blocking threads, since the shutdown waits for the exporters' threads.
        let (spans, metrics) = self.endings();
        #[expect(clippy::disallowed_methods, reason = "both have the flush limit")]
        let ending = async { tokio::join!(spawn_blocking(spans), spawn_blocking(metrics)) };
        if timeout(self.flush_limit, ending).await.is_err() {
            tracing::warn!("the collector did not take the last of the telemetry in time");
        }
    }

    /// Errors are ignored: a provider may have been shut down already, or run out
    /// of time.
    fn endings(&self) -> (impl FnOnce() + Send + use<>, impl FnOnce() + Send + use<>) {
        let (tracers, meters) = (self.tracer_provider.clone(), self.meter_provider.clone());
        let limit = self.flush_limit;
        let spans = move || drop(tracers.shutdown_with_timeout(limit));
        let metrics = move || drop(meters.map(|meters| meters.shutdown_with_timeout(limit)));
        (spans, metrics)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let (spans, metrics) = self.endings();
        #[expect(clippy::disallowed_methods, reason = "it ends within twice the flush limit")]
        thread::spawn(move || {
            spans();
            metrics();
            runtime.shutdown_background();
        });
    }
}

fn tracers(
    settings: &TelemetrySettings,
    resource: Resource,
    dropped: &Dropped,
) -> anyhow::Result<SdkTracerProvider> {
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(collector) = &settings.traces else {
        return Ok(builder.with_sampler(Sampler::AlwaysOff).build());
    };
    let gate = Gate::new(export::spans(collector)?, settings.queue, dropped.clone());
    Ok(builder.with_sampler(sampler(settings.sampling)).with_span_processor(gate).build())
}

fn reader(settings: &TelemetrySettings) -> anyhow::Result<Option<PeriodicReader<MetricExporter>>> {
    let Some(collector) = &settings.metrics else {
        return Ok(None);
    };
    let reader = PeriodicReader::builder(export::metrics(collector)?)
        .with_interval(settings.metrics_interval)
        .build();
    Ok(Some(reader))
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telemetry")
        .enable_all()
        .build()
        .context("no thread for telemetry can be started")
}

/// Describes this worker; the operator's attributes take precedence.
fn resource(settings: &TelemetrySettings) -> Resource {
    let own = [
        KeyValue::new(otel::SERVICE_NAME, "sparkler"),
        KeyValue::new(otel::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
    ];
    let given = settings.resource.iter();
    let given = given.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_schema_url(own.into_iter().chain(given), SCHEMA_URL).build()
}
