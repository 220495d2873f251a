//! The spans of a flight: one for the whole, and below it one for each provider
//! request, by the GenAI semantic conventions.
//!
//! Attributes of a span that is not recorded are not computed.

use std::{
    task::{Context, Poll},
    thread,
    time::Instant,
};

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{content, info::dollars};
use crate::{
    credentials::ApiKey,
    emit::Emit,
    error::Error,
    event::{Delta, Finish, Phase, Usage},
    fireworks::Interrupted,
    flight::Failure,
    node::Plan,
    price::{Nanodollars, Tier},
    recording::Joined,
    telemetry::{
        Kind, Recorder, Span,
        names::{event, otel, sparkler},
    },
};

/// The provider's name in the form of the conventions, which do not list it.
pub(crate) const PROVIDER: &str = "fireworks_ai";

/// The operation whose answer is not streamed.
const EMBEDDINGS: &str = "embeddings";

/// A provider request in progress.
#[derive(Debug)]
struct RequestSpan {
    span: Span,
    began: Instant,
    /// Number of answers requested.
    choices: usize,
    /// Set once any output has arrived.
    streaming: bool,
}

/// The spans of one flight. If dropped before [`end`](FlightSpans::end), the flight
/// was lost to a panic or to the worker's shutdown.
#[derive(Debug)]
pub(crate) struct FlightSpans {
    flight: Span,
    /// The provider request in progress.
    call: Option<RequestSpan>,
    /// The conversation id, if the caller gives one.
    conversation: String,
    /// Size limit for prompts and answers on spans, if they are recorded.
    content_bytes: Option<usize>,
    ended: bool,
}

impl FlightSpans {
    /// Wraps the flight's span, which has already started.
    pub(crate) fn new(
        flight: Span,
        conversation: String,
        content_bytes: Option<usize>,
    ) -> FlightSpans {
        FlightSpans { flight, call: None, conversation, content_bytes, ended: false }
    }

    /// Returns the spans of another flight of the same call.
    pub(crate) fn of(&self, flight: &Span) -> FlightSpans {
        FlightSpans::new(flight.clone(), self.conversation.clone(), self.content_bytes)
    }

    /// Returns the spans of a flight of several calls, which have no conversation in common.
    pub(crate) fn of_several(&self, flight: &Span) -> FlightSpans {
        FlightSpans::new(flight.clone(), String::new(), self.content_bytes)
    }

    /// Starts the span of a provider request.
    pub(crate) fn call(&mut self, plan: &Plan, key: &ApiKey, attempt: u32) {
        if !self.flight.is_recorded() {
            return;
        }
        let mut choices = 1;
        let operation = operation(plan.identity.endpoint);
        let span = self.flight.child(Kind::Client, format!("{operation} {}", plan.model));
        span.record(|span| {
            span.set(otel::OPERATION, operation);
            span.set(otel::PROVIDER, PROVIDER);
            span.set(otel::REQUEST_MODEL, plan.model.clone());
            span.set(sparkler::ATTEMPT, i64::from(attempt));
            if plan.tier != Tier::Standard {
                span.set(sparkler::SERVICE_TIER, plan.tier.label());
            }
            span.set_text(otel::CONVERSATION, &self.conversation);
            if let Ok(url) = Url::parse(&plan.identity.base_url) {
                server(&url, span);
            }
            let request = whole(&plan.identity.canonical);
            if let Ok(asked) = serde_json::from_slice::<RequestParameters>(&request) {
                asked.describe(span);
                if operation != EMBEDDINGS {
                    span.set(otel::REQUEST_STREAM, true);
                }
                choices = asked.choices();
            }
            if let Some(bytes) = self.content_bytes
                && let Some(content) = content::input(&request, bytes, key)
            {
                span.set(otel::INPUT_MESSAGES, content.text);
                cut(content.cut, sparkler::INPUT_CUT, span);
            }
        });
        self.call = Some(RequestSpan { span, began: Instant::now(), choices, streaming: false });
    }

    fn connected(&self) {
        if let Some(call) = &self.call {
            call.span.event(event::CONNECTED, |_| {});
        }
    }

    /// Records the arrival of the first output.
    fn output(&mut self) {
        if let Some(call) = self.call.as_mut().filter(|call| !call.streaming) {
            call.streaming = true;
            let took = call.began.elapsed().as_secs_f64();
            call.span.event(event::FIRST_TOKEN, |_| {});
            call.span.record(|span| span.set(otel::TIME_TO_FIRST_CHUNK, took));
        }
    }

    /// Ends the span of a successful provider request. `choices` is evaluated only
    /// if the answer is recorded on the span.
    pub(crate) fn answered(
        &mut self,
        finish: &Finish,
        key: &ApiKey,
        cost: Option<Nanodollars>,
        choices: impl FnOnce() -> Vec<Joined>,
    ) {
        let Some(call) = self.call.take() else {
            return;
        };
        call.span.record(|span| {
            if !finish.finish_reasons.is_empty() {
                let reasons = finish.finish_reasons.iter();
                span.set_words(otel::FINISH_REASONS, reasons.map(|reason| reason.as_str()));
            }
            span.set_some(otel::RESPONSE_ID, finish.provider_request_id.clone());
            span.set_some(otel::RESPONSE_MODEL, finish.model.clone());
            usage(finish.usage.as_ref(), span);
            span.set_some(sparkler::COST_OF_CALL, cost.map(dollars));
            if let Some(bytes) = self.content_bytes
                && !finish.finish_reasons.is_empty()
            {
                let content = content::output(&choices(), &finish.finish_reasons, bytes, key);
                span.set(otel::OUTPUT_MESSAGES, content.text);
                cut(content.cut, sparkler::OUTPUT_CUT, span);
            }
        });
        call.span.end();
    }

    /// Ends the span of a failed provider request.
    pub(crate) fn interrupted(&mut self, interrupted: &Interrupted, cost: Option<Nanodollars>) {
        if let Some(call) = &self.call {
            call.span.record(|span| span.set_some(sparkler::COST_OF_CALL, cost.map(dollars)));
        }
        self.broken(&interrupted.error, interrupted.usage.as_ref());
    }

    /// Records that a retry follows after `wait`.
    pub(crate) fn retries(&self, attempt: u32, error: &Error, wait: std::time::Duration) {
        self.flight.event(event::RETRY, |event| {
            event.set(sparkler::ATTEMPT, i64::from(attempt));
            event.set(sparkler::REASON, error.reason());
            event.set(sparkler::WAIT, wait.as_secs_f64());
        });
    }

    /// Records that published output became void.
    pub(crate) fn restarted(&self, attempt: u32, reason: &'static str) {
        self.flight.event(event::RESTARTED, |event| {
            event.set(sparkler::ATTEMPT, i64::from(attempt));
            event.set(sparkler::REASON, reason);
        });
    }

    /// Records the source of the flight's answer.
    pub(crate) fn came_by(&self, source: &'static str) {
        self.flight.record(|span| span.set(sparkler::FLIGHT_SOURCE, source));
    }

    /// Ends the flight's span, and that of a provider request still in progress.
    pub(crate) fn end(&mut self, failure: Option<&Failure>) {
        self.ended = true;
        match failure {
            None => self.flight.end(),
            Some(failure) => {
                self.broken(&failure.error, failure.usage.as_ref());
                self.flight.fail(failure.error.reason());
            }
        }
    }

    fn broken(&mut self, error: &Error, used: Option<&Usage>) {
        let Some(call) = self.call.take() else {
            return;
        };
        call.span.record(|span| {
            if let Error::Provider(provider) = error {
                span.set_some(otel::HTTP_STATUS, provider.http_status.map(i64::from));
                span.set_some(otel::RESPONSE_ID, provider.request_id.clone());
            }
            usage(used, span);
        });
        call.fail(error.reason());
    }
}

impl RequestSpan {
    /// Ends the span as failed. The conventions put `error` in place of each finish
    /// reason that a broken stream lacks.
    fn fail(self, reason: &'static str) {
        if self.streaming {
            let reasons = std::iter::repeat_n("error", self.choices);
            self.span.record(|span| span.set_words(otel::FINISH_REASONS, reasons));
        }
        self.span.fail(reason);
    }
}

impl Drop for FlightSpans {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let reason = if thread::panicking() { "WORKER_FAILED" } else { "WORKER_DRAINING" };
        if let Some(call) = self.call.take() {
            call.fail(reason);
        }
        self.flight.fail(reason);
    }
}

/// An [`Emit`] that observes a provider request for its span.
pub(crate) struct SpanEmit<'a> {
    emit: &'a mut dyn Emit,
    spans: &'a mut FlightSpans,
    connecting: bool,
}

impl<'a> SpanEmit<'a> {
    /// Observes the request in progress.
    pub(crate) fn new(emit: &'a mut dyn Emit, spans: &'a mut FlightSpans) -> SpanEmit<'a> {
        SpanEmit { emit, spans, connecting: false }
    }
}

impl Emit for SpanEmit<'_> {
    fn phase(&mut self, phase: Phase) {
        if std::mem::replace(&mut self.connecting, phase == Phase::Connecting) && !self.connecting {
            self.spans.connected();
        }
        self.emit.phase(phase);
    }

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        self.spans.output();
        self.emit.delta(delta)
    }

    fn flush(&mut self) {
        self.emit.flush();
    }

    fn used(&mut self, usage: &Usage) {
        self.emit.used(usage);
    }

    fn poll_watched(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.emit.poll_watched(context)
    }
}

/// Returns the conventions' operation name for an endpoint of the provider; any
/// other endpoint keeps its own name.
fn operation(endpoint: &'static str) -> &'static str {
    match endpoint {
        "chat/completions" => "chat",
        "completions" => "text_completion",
        other => other,
    }
}

/// Sets the server's address and port.
pub(crate) fn server(url: &Url, span: &mut Recorder<'_>) {
    span.set_some(otel::SERVER_ADDRESS, url.host_str().map(str::to_owned));
    span.set_some(otel::SERVER_PORT, url.port_or_known_default().map(i64::from));
}

fn usage(usage: Option<&Usage>, span: &mut Recorder<'_>) {
    let Some(usage) = usage else {
        return;
    };
    span.set_count(otel::INPUT_TOKENS, usage.prompt_tokens);
    span.set_count(otel::OUTPUT_TOKENS, usage.completion_tokens);
    span.set_count(otel::CACHED_TOKENS, usage.cached_tokens);
    span.set_count(otel::REASONING_TOKENS, usage.reasoning_tokens);
}

/// Closes the JSON object that the head of a request leaves open.
fn whole(canonical: &[u8]) -> Vec<u8> {
    [canonical, b"}"].concat()
}

fn cut(is_cut: bool, key: &'static str, span: &mut Recorder<'_>) {
    if is_cut {
        span.set(key, true);
    }
}

/// The request parameters that the conventions name. Parsed from the request
/// itself, so that the span records exactly what was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestParameters {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    n: Option<i64>,
    seed: Option<i64>,
    stop: Option<Value>,
    reasoning_effort: Option<Value>,
    response_format: Option<Format>,
    dimensions: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
}

impl RequestParameters {
    fn choices(&self) -> usize {
        self.n.and_then(|choices| usize::try_from(choices).ok()).unwrap_or(1)
    }

    fn describe(&self, span: &mut Recorder<'_>) {
        span.set_some(otel::EMBEDDING_DIMENSIONS, self.dimensions);
        span.set_some(otel::REQUEST_TEMPERATURE, self.temperature);
        span.set_some(otel::REQUEST_TOP_P, self.top_p);
        span.set_some(otel::REQUEST_TOP_K, self.top_k);
        span.set_some(otel::REQUEST_MAX_TOKENS, self.max_completion_tokens.or(self.max_tokens));
        span.set_some(otel::REQUEST_FREQUENCY_PENALTY, self.frequency_penalty);
        span.set_some(otel::REQUEST_PRESENCE_PENALTY, self.presence_penalty);
        span.set_some(otel::REQUEST_CHOICES, self.n.filter(|choices| *choices != 1));
        span.set_some(otel::REQUEST_SEED, self.seed);
        if let Some(stop) = &self.stop {
            span.set_words(otel::REQUEST_STOP, words(stop));
        }
        span.set_some(otel::REQUEST_REASONING, self.reasoning_effort.as_ref().map(word));
        let kind = self.response_format.as_ref().map(|format| format.kind.as_str());
        span.set_some(otel::OUTPUT_TYPE, kind.and_then(output_type));
    }
}

fn output_type(kind: &str) -> Option<&'static str> {
    match kind {
        "text" => Some("text"),
        "json_object" | "json_schema" => Some("json"),
        _ => None,
    }
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(word).collect(),
        other => vec![word(other)],
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
