//! What the worker tells an OpenTelemetry collector: traces, and the way on
//! which metrics go. (Log lines are `report`'s, figures are `metrics`'.)
//!
//! Stands beside everything and knows nothing of it: who has something to tell
//! brings plain values. Whatever a collector does costs nothing but telemetry.
//!
//! | file | what |
//! |---|---|
//! | `names` | spans, events and attributes, each written once |
//! | `span` | a span under way: one that nobody records costs next to nothing |
//! | `current` | the span that the work at hand belongs to |
//! | `incoming` | whose child it is, by the headers of a call |
//! | `rpc` | the span of a call, which lasts until its stream has ended |
//! | `pipeline` → `sampler`, `gate`, `export` | providers, and the way out |
//! | `settings` | what the operator has decided |
//! | `limiter` | few lines where a fault repeats |

mod current;
mod export;
mod gate;
mod incoming;
mod limiter;
pub mod names;
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
    current::current,
    gate::Dropped,
    limiter::Limiter,
    pipeline::Pipeline,
    rpc::{Ended, Observer, traced},
    settings::{Collector, Identity, Protocol, Queue, Sampling, Settings},
    span::{Ids, Kind, Recorder, Span, SpanRef},
};

/// The worker's telemetry. Clones are one.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    pipeline: Pipeline,
    tracer: Arc<SdkTracer>,
    baggage: Vec<String>,
    content_bytes: Option<usize>,
}

impl Telemetry {
    /// What spans go through the pipeline; `meters` is the provider that the
    /// pipeline has [completed](Pipeline::complete), and ends with it.
    pub fn new(mut pipeline: Pipeline, meters: SdkMeterProvider, settings: &Settings) -> Telemetry {
        pipeline.meter_provider = Some(meters);
        Telemetry(Arc::new(Inner {
            tracer: tracer(&pipeline.tracer_provider),
            pipeline,
            baggage: settings.baggage.clone(),
            content_bytes: settings.content_bytes,
        }))
    }

    /// The providers.
    pub fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    /// Up to how many bytes of a prompt or an answer go onto a span; none where
    /// the operator has not opted in.
    pub fn content_bytes(&self) -> Option<usize> {
        self.0.content_bytes
    }

    /// Begins a span that has no parent in this process.
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
