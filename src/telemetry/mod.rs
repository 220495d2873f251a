//! Traces for an OpenTelemetry collector, and the export of metrics. (Log lines
//! belong to `execution::observe`, metrics to `metrics`.)
//!
//! Depends on nothing of the worker: callers pass plain values. A slow or absent
//! collector costs nothing but telemetry.
//!
//! | file | contents |
//! |---|---|
//! | `names` | names of spans, events and attributes, each written once |
//! | `conventions` | whose names metrics carry |
//! | `span` | an open span; one that is not recorded costs next to nothing |
//! | `current` | the span of the current work |
//! | `incoming` | the parent of a call's span, from the call's headers |
//! | `rpc` | the span of a call, open until its stream has ended |
//! | `pipeline` → `sampler`, `gate`, `export` | the providers and their export |
//! | `settings` | the operator's settings |
//! | `limiter` | limits log lines when a fault repeats |

mod conventions;
mod current;
mod export;
mod gate;
mod incoming;
mod limiter;
pub(crate) mod names;
mod pipeline;
mod rpc;
mod sampler;
mod settings;
mod span;

use std::{fmt, sync::Arc};

use opentelemetry::{
    InstrumentationScope,
    trace::{SpanContext, TracerProvider as _},
};
use opentelemetry_sdk::{
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};

pub use self::{
    conventions::Conventions,
    settings::{Collector, OtlpProtocol, Queue},
};
pub(crate) use self::{
    current::current,
    limiter::Limiter,
    pipeline::Pipeline,
    rpc::{CallEnd, Observer, TrackedBody},
    settings::{ClientIdentity, Sampling, TelemetrySettings},
    span::{Ids, Kind, Recorder, Span, SpanRef},
};

/// The worker's telemetry. Clones share their state.
#[derive(Clone)]
pub struct Telemetry(Arc<TelemetryState>);

struct TelemetryState {
    pipeline: Pipeline,
    tracer: Arc<SdkTracer>,
    baggage: Vec<String>,
    content_bytes: Option<usize>,
}

impl Telemetry {
    /// Creates telemetry that exports through `pipeline`. `meters` is the provider
    /// that the pipeline has [completed](Pipeline::complete); the pipeline shuts it
    /// down.
    pub fn new(
        mut pipeline: Pipeline,
        meters: SdkMeterProvider,
        settings: &TelemetrySettings,
    ) -> Telemetry {
        pipeline.meter_provider = Some(meters);
        Telemetry(Arc::new(TelemetryState {
            tracer: tracer(&pipeline.tracer_provider),
            pipeline,
            baggage: settings.baggage.clone(),
            content_bytes: settings.content_bytes,
        }))
    }

    /// Returns the pipeline.
    pub fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    /// Returns the limit in bytes of a prompt or an answer on a span; `None` where
    /// the operator has not opted in.
    pub fn content_bytes(&self) -> Option<usize> {
        self.0.content_bytes
    }

    /// Begins a span without a parent in this process.
    fn begin(&self, kind: Kind, name: &'static str, parent: Option<SpanContext>) -> Span {
        Span::begin(&self.0.tracer, kind, name, parent)
    }
}

fn tracer(provider: &SdkTracerProvider) -> Arc<SdkTracer> {
    let scope = InstrumentationScope::builder(names::SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(names::SCHEMA_URL)
        .build();
    Arc::new(provider.tracer_with_scope(scope))
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Telemetry").finish_non_exhaustive()
    }
}
