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

    /// Counts a provider request without a price of its own; `missing` says whether the
    /// model or its tier has none.
    pub fn model_unpriced(&self, model: &str, missing: &'static str) {
        let attributes = [
            KeyValue::new(otel::REQUEST_MODEL, self.0.models.name_of_real(model)),
            KeyValue::new(sparkler::PRICE_MISSING, missing),
        ];
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
        let (released, latest, since) = match self.last_output.replace(now) {
            None => {
                (&instruments.model_first_chunk, &instruments.inference_first_chunk, self.began)
            }
            Some(last) => (&instruments.model_chunk, &instruments.inference_chunk, last),
        };
        let seconds = now.duration_since(since).as_secs_f64();
        for histogram in self.metrics.named(released, latest) {
            histogram.record(seconds, &self.attributes());
        }
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
        if let Some(share) = usage.and_then(Usage::cached_share) {
            let model = KeyValue::new(otel::REQUEST_MODEL, self.model.clone());
            instruments.model_cached_share.record(share, &[model]);
        }
        let Some(usage) = usage else { return };
        let conventions = self.metrics.0.conventions;
        if conventions.released() {
            self.record_tokens(usage);
        }
        if conventions.latest() {
            self.record_inference_tokens(usage);
        }
    }

    fn record_tokens(&self, usage: &Usage) {
        let tokens = &self.metrics.instruments().model_tokens;
        for (kind, count) in [("input", usage.prompt_tokens), ("output", usage.completion_tokens)] {
            let Some(count) = count else { continue };
            let [operation, provider, model] = self.attributes();
            let kind = KeyValue::new(otel::TOKEN_TYPE, kind);
            tokens.record(count, &[operation, provider, model, kind]);
        }
    }

    /// Records tokens by the latest conventions: as sums, and by request.
    fn record_inference_tokens(&self, usage: &Usage) {
        let instruments = self.metrics.instruments();
        let [operation, provider, model] = self.attributes();
        let attributes = [operation, provider, model, KeyValue::new(otel::TOKEN_MODALITY, "text")];
        for (counter, count) in [
            (&instruments.inference_input, usage.prompt_tokens),
            (&instruments.inference_output, usage.completion_tokens),
            (&instruments.inference_cache_read, usage.cached_tokens),
            (&instruments.inference_reasoning, usage.reasoning_tokens),
        ] {
            counter.add(count.unwrap_or(0), &attributes);
        }
        for (histogram, count) in [
            (&instruments.inference_prompt, usage.prompt_tokens),
            (&instruments.inference_answer, usage.completion_tokens),
        ] {
            if let Some(count) = count {
                histogram.record(count, &attributes[..3]);
            }
        }
    }

    fn record_duration(&self, reason: &'static str, took: Duration) {
        let instruments = self.metrics.instruments();
        let error = (reason != ExecutionEnd::OK).then(|| KeyValue::new(otel::ERROR_TYPE, reason));
        let attributes: Vec<KeyValue> = self.attributes().into_iter().chain(error).collect();
        let (released, latest) = (&instruments.model_duration, &instruments.inference_duration);
        for duration in self.metrics.named(released, latest) {
            duration.record(took.as_secs_f64(), &attributes);
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
