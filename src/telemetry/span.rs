//! An open span. One that is not recorded is two ids, and no attribute is computed
//! for it.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags,
        TraceId, TraceState, Tracer as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

use super::names::{otel, sparkler};

/// Identifies a span across workers, for links to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanRef {
    /// The id of its trace.
    pub trace_id: [u8; 16],
    /// The id of the span.
    pub span_id: [u8; 8],
}

/// A span's ids for log lines, present even if the span is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Shown as 32 hexadecimal digits.
    pub trace: TraceId,
    /// Shown as 16 hexadecimal digits.
    pub span: SpanId,
}

/// The kinds of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call that the worker answers.
    Server,
    /// A call that the worker makes.
    Client,
    /// Internal work.
    Internal,
}

/// An open span. Clones share it. It ends explicitly, or with its last clone.
#[derive(Clone, Default)]
pub(crate) struct Span {
    ids: Option<Ids>,
    /// Present for a server span and for every recorded span.
    noted: Option<Arc<Noted>>,
}

/// The outcome noted for a span.
struct Noted {
    /// The reason of a failure. The first one noted wins: it is the most specific.
    reason: OnceLock<&'static str>,
    /// True if the handler records the outcome itself.
    set_recorded: AtomicBool,
    recorded: Option<Recorded>,
}

struct Recorded {
    tracer: Arc<SdkTracer>,
    context: SpanContext,
    span: Mutex<SdkSpan>,
}

impl Span {
    pub(super) fn begin(
        tracer: &Arc<SdkTracer>,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        parent: Option<SpanContext>,
    ) -> Span {
        // Room for all attributes of the span at once, to avoid reallocation.
        let room = Vec::with_capacity(if kind == Kind::Internal { 4 } else { 24 });
        let builder = SpanBuilder::from_name(name).with_kind(kind.into()).with_attributes(room);
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let span = tracer.build_with_context(builder, &context);
        let context = span.span_context().clone();
        let ids = Ids { trace: context.trace_id(), span: context.span_id() };
        let recorded = span.is_recording().then(|| Recorded {
            tracer: tracer.clone(),
            context,
            span: Mutex::new(span),
        });
        let is_noted = kind == Kind::Server || recorded.is_some();
        let noted = is_noted.then(|| {
            let (reason, set_recorded) = (OnceLock::new(), AtomicBool::new(false));
            Arc::new(Noted { reason, set_recorded, recorded })
        });
        Span { ids: Some(ids), noted }
    }

    /// Begins a child span.
    pub(crate) fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
        match self.recorded() {
            Some(recorded) => {
                Span::begin(&recorded.tracer, kind, name, Some(recorded.context.clone()))
            }
            // Keeps the ids, so that log lines below still name their trace.
            None => Span { ids: self.ids, noted: None },
        }
    }

    #[cfg(test)]
    pub(super) fn with_ids(ids: Ids) -> Span {
        Span { ids: Some(ids), noted: None }
    }

    /// Returns true if the span is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded().is_some()
    }

    /// Returns the span's ids, if it has any.
    pub(crate) fn ids(&self) -> Option<Ids> {
        self.ids
    }

    /// Returns a reference for links, if the span is recorded.
    pub(crate) fn name(&self) -> Option<SpanRef> {
        let context = &self.recorded()?.context;
        Some(SpanRef {
            trace_id: context.trace_id().to_bytes(),
            span_id: context.span_id().to_bytes(),
        })
    }

    /// Adds attributes; `describe` runs only if the span is recorded.
    ///
    /// The span is locked meanwhile: `describe` must not use it.
    pub(crate) fn record(&self, describe: impl FnOnce(&mut Recorder<'_>)) {
        if let Some(recorded) = self.recorded() {
            describe(&mut Recorder(Onto::Span(&mut recorded.span())));
        }
    }

    /// Adds an event at the current time.
    pub(crate) fn event(&self, name: &'static str, describe: impl FnOnce(&mut Recorder<'_>)) {
        if let Some(recorded) = self.recorded() {
            recorded.span().add_event(name, described(describe));
        }
    }

    /// Adds a link to another span, of this or another trace.
    pub(crate) fn link(&self, to: SpanRef, describe: impl FnOnce(&mut Recorder<'_>)) {
        if let Some(recorded) = self.recorded() {
            recorded.span().add_link(to.context(), described(describe));
        }
    }

    /// Notes the reason of a failure; a reason noted earlier is kept.
    pub(crate) fn reason(&self, reason: &'static str) {
        if let Some(noted) = &self.noted {
            let _ = noted.reason.set(reason);
        }
    }

    /// Returns the noted reason, if any.
    pub(super) fn noted_reason(&self) -> Option<&'static str> {
        self.noted.as_ref()?.reason.get().copied()
    }

    /// Declares that the handler records the outcome of the call itself.
    pub(crate) fn set_recorded(&self) {
        if let Some(noted) = &self.noted {
            noted.set_recorded.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true if the handler records the outcome of the call itself.
    pub(super) fn has_owner(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.set_recorded.load(Ordering::Relaxed))
    }

    /// Ends the span as failed.
    pub(crate) fn fail(&self, reason: &'static str) {
        self.reason(reason);
        self.end_with(true);
    }

    /// Ends the span, successfully unless a reason was noted. Anything recorded
    /// later is lost.
    pub(crate) fn end(&self) {
        self.end_with(self.noted_reason().is_some());
    }

    /// Ends the span. A noted reason does not always make an error: a caller's
    /// mistake is not a server's failure.
    pub(super) fn end_with(&self, is_error: bool) {
        let Some(recorded) = self.recorded() else {
            return;
        };
        let mut span = recorded.span();
        let reason = self.noted_reason();
        if let Some(reason) = reason {
            span.set_attribute(KeyValue::new(sparkler::REASON, reason));
        }
        if is_error {
            span.set_attribute(KeyValue::new(otel::ERROR_TYPE, reason.unwrap_or(otel::OTHER)));
            span.set_status(Status::error(reason.unwrap_or_default()));
        }
        span.end();
    }

    fn recorded(&self) -> Option<&Recorded> {
        self.noted.as_ref()?.recorded.as_ref()
    }
}

impl Recorded {
    fn span(&self) -> MutexGuard<'_, SdkSpan> {
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanRef {
    fn context(self) -> SpanContext {
        SpanContext::new(
            TraceId::from_bytes(self.trace_id),
            SpanId::from_bytes(self.span_id),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        )
    }
}

/// Collects attributes.
#[derive(Debug)]
pub(crate) struct Recorder<'a>(Onto<'a>);

/// The target of attributes.
#[derive(Debug)]
enum Onto<'a> {
    Span(&'a mut SdkSpan),
    Apart(&'a mut Vec<KeyValue>),
}

/// Collects the attributes of an event or a link.
pub(super) fn described(describe: impl FnOnce(&mut Recorder<'_>)) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    describe(&mut Recorder(Onto::Apart(&mut attributes)));
    attributes
}

impl Recorder<'_> {
    /// Sets an attribute. Set each key once per span.
    pub(crate) fn set(&mut self, key: impl Into<opentelemetry::Key>, value: impl Into<Value>) {
        let attribute = KeyValue::new(key, value);
        match &mut self.0 {
            Onto::Span(span) => span.set_attribute(attribute),
            Onto::Apart(attributes) => attributes.push(attribute),
        }
    }

    /// Sets an attribute if it has a value.
    pub(crate) fn set_some(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets a text, unless it is empty.
    pub(crate) fn set_text(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.set(key, text.to_owned());
        }
    }

    /// Sets a count, if it is known.
    pub(crate) fn set_count(&mut self, key: &'static str, count: Option<u64>) {
        self.set_some(key, count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
    }

    /// Sets a list of words.
    pub(crate) fn set_words(
        &mut self,
        key: &'static str,
        words: impl IntoIterator<Item = impl Into<StringValue>>,
    ) {
        let words = words.into_iter().map(Into::into).collect();
        self.set(key, Value::Array(Array::String(words)));
    }
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> SpanKind {
        match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Span")
            .field("ids", &self.ids)
            .field("recorded", &self.is_recorded())
            .finish()
    }
}
