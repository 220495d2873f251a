//! The metrics of a provider request, by the GenAI conventions.

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use tokio::time::Instant;

use super::{ExecutionEnd, Metrics, Operation};
use crate::{
    event::Usage,
    telemetry::names::{otel, sparkler},
};

/// The provider's name; the conventions define none for Fireworks.
const FIREWORKS: &str = "fireworks_ai";

/// A provider request in progress. Counts as cancelled if dropped before it has
/// ended.
#[derive(Debug)]
pub struct ProviderRequest {
    metrics: Metrics,
    operation: Operation,
    /// The model name to record.
    model: Arc<str>,
    began: Instant,
    last_output: Option<Instant>,
    ended: bool,
}

impl Metrics {
    /// Starts recording a provider request.
    pub fn call_began(&self, operation: Operation, model: &str) -> ProviderRequest {
        ProviderRequest {
            metrics: self.clone(),
            operation,
            model: self.0.models.name(model),
            began: Instant::now(),
            last_output: None,
            ended: false,
        }
    }

    /// Records the end of a model in use, in seconds since 1970; 0 for none.
    pub fn model_ends(&self, model: &str, end: u64) {
        let model = self.0.models.name_of_real(model);
        let attributes = [KeyValue::new(otel::REQUEST_MODEL, model)];
        self.instruments().model_end.record(end, &attributes);
    }

    /// Counts a provider request whose cost is unknown for want of a price.
    pub fn model_unpriced(&self, model: &str) {
        let attributes = [KeyValue::new(otel::REQUEST_MODEL, self.0.models.name_of_real(model))];
        self.instruments().model_unpriced.add(1, &attributes);
    }

    /// Marks a model as real: from now on it is recorded under its own name, while
    /// there is room.
    pub fn model_is_real(&self, model: &str) {
        self.0.models.name_of_real(model);
    }
}

impl ProviderRequest {
    /// The reason recorded for a dropped request.
    const CANCELLED: &str = "EXECUTION_CANCELLED";

    /// Records a network read that brought output.
    pub fn brought_output(&mut self) {
        let now = Instant::now();
        let instruments = self.metrics.instruments();
        let (histogram, since) = match self.last_output.replace(now) {
            None => (&instruments.model_first_chunk, self.began),
            Some(last) => (&instruments.model_chunk, last),
        };
        histogram.record(now.duration_since(since).as_secs_f64(), &self.attributes());
    }

    /// Records a success, which proves that the model is real.
    pub fn succeeded(mut self, model: &str, usage: Option<&Usage>) {
        self.model = self.metrics.0.models.name_of_real(model);
        self.record(ExecutionEnd::OK, usage);
    }

    /// Records a failure with its reason.
    pub fn failed(mut self, reason: &'static str, usage: Option<&Usage>) {
        self.record(reason, usage);
    }

    /// Records that the request was cancelled.
    pub fn cancelled(mut self, usage: Option<&Usage>) {
        self.record(ProviderRequest::CANCELLED, usage);
    }

    fn record(&mut self, reason: &'static str, usage: Option<&Usage>) {
        self.ended = true;
        let instruments = self.metrics.instruments();
        instruments.upstream_attempts.add(1, &[KeyValue::new(sparkler::REASON, reason)]);
        self.record_duration(reason, self.began.elapsed());
        let (input, output) =
            usage.map_or((None, None), |usage| (usage.prompt_tokens, usage.completion_tokens));
        for (kind, count) in [("input", input), ("output", output)] {
            let Some(count) = count else { continue };
            let [operation, provider, model] = self.attributes();
            let kind = KeyValue::new(otel::TOKEN_TYPE, kind);
            instruments.model_tokens.record(count, &[operation, provider, model, kind]);
        }
    }

    fn record_duration(&self, reason: &'static str, took: Duration) {
        let duration = &self.metrics.instruments().model_duration;
        let seconds = took.as_secs_f64();
        let [operation, provider, model] = self.attributes();
        if reason == ExecutionEnd::OK {
            duration.record(seconds, &[operation, provider, model]);
        } else {
            let error = KeyValue::new(otel::ERROR_TYPE, reason);
            duration.record(seconds, &[operation, provider, model, error]);
        }
    }

    fn attributes(&self) -> [KeyValue; 3] {
        [
            KeyValue::new(otel::OPERATION, self.operation.as_str()),
            KeyValue::new(otel::PROVIDER, FIREWORKS),
            KeyValue::new(otel::REQUEST_MODEL, self.model.clone()),
        ]
    }
}

impl Drop for ProviderRequest {
    fn drop(&mut self) {
        if !self.ended {
            self.record(ProviderRequest::CANCELLED, None);
        }
    }
}
