//! A span under way. One that nobody records is two numbers, and nothing is
//! worked out for it.

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

/// Names a span, on every worker: what a link to it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanRef {
    /// The trace it belongs to.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}

/// The ids of a span as log lines have them: also where nobody records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// 32 hexadecimal digits.
    pub trace: TraceId,
    /// 16 hexadecimal digits.
    pub span: SpanId,
}

/// What a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call that is answered.
    Server,
    /// A call that is made.
    Client,
    /// Work in between.
    Internal,
}

/// A span under way. Clones are one. It ends when it is told to, at the latest
/// with its last clone.
#[derive(Clone, Default)]
pub struct Span {
    ids: Option<Ids>,
    /// There for a call that is answered, and for whatever is recorded.
    noted: Option<Arc<Noted>>,
}

/// What is noted of what a span stands for.
struct Noted {
    /// Why it failed: the first that said so knows best.
    reason: OnceLock<&'static str>,
    /// Whether who answers tells what became of it.
    set_recorded: AtomicBool,
    recorded: Option<Recorded>,
}

struct Recorded {
    tracer: Arc<SdkTracer>,
    context: SpanContext,
    span: Mutex<SdkSpan>,
}

impl Span {
    /// A span that is recorded nowhere.
    pub fn none() -> Span {
        Span::default()
    }

    pub(super) fn begin(
        tracer: &Arc<SdkTracer>,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        parent: Option<SpanContext>,
    ) -> Span {
        // What a call has in the end, at once: growing would copy it again and again.
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

    /// A span below this one.
    pub fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
        match self.recorded() {
            Some(recorded) => {
                Span::begin(&recorded.tracer, kind, name, Some(recorded.context.clone()))
            }
            // Log lines below still tell whose they are.
            None => Span { ids: self.ids, noted: None },
        }
    }

    #[cfg(test)]
    pub(super) fn with_ids(ids: Ids) -> Span {
        Span { ids: Some(ids), noted: None }
    }

    /// Whether it is recorded.
    pub fn is_recorded(&self) -> bool {
        self.recorded().is_some()
    }

    /// Its ids, where it has some.
    pub fn ids(&self) -> Option<Ids> {
        self.ids
    }

    /// Names it for links, where it is recorded.
    pub fn name(&self) -> Option<SpanRef> {
        let context = &self.recorded()?.context;
        Some(SpanRef {
            trace_id: context.trace_id().to_bytes(),
            span_id: context.span_id().to_bytes(),
        })
    }

    /// Adds attributes; `describe` is called where it is recorded.
    ///
    /// The span is held meanwhile: `describe` must not turn to it.
    pub fn record(&self, describe: impl FnOnce(&mut Recorder<'_>)) {
        if let Some(recorded) = self.recorded() {
            describe(&mut Recorder(Onto::Span(&mut recorded.span())));
        }
    }

    /// Notes that something happened, now.
    pub fn event(&self, name: &'static str, describe: impl FnOnce(&mut Recorder<'_>)) {
        if let Some(recorded) = self.recorded() {
            recorded.span().add_event(name, described(describe));
        }
    }

    /// Points to another span, of this or another trace.
    pub fn link(&self, to: SpanRef, describe: impl FnOnce(&mut Recorder<'_>)) {
        if let Some(recorded) = self.recorded() {
            recorded.span().add_link(to.context(), described(describe));
        }
    }

    /// Notes why it failed. What was noted first stands.
    pub fn reason(&self, reason: &'static str) {
        if let Some(noted) = &self.noted {
            let _ = noted.reason.set(reason);
        }
    }

    /// Why it failed, as far as that was noted.
    pub(super) fn noted_reason(&self) -> Option<&'static str> {
        self.noted.as_ref()?.reason.get().copied()
    }

    /// Who answers the call tells what becomes of it, from here on.
    pub fn set_recorded(&self) {
        if let Some(noted) = &self.noted {
            noted.set_recorded.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody tells what becomes of the call.
    pub(super) fn has_owner(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.set_recorded.load(Ordering::Relaxed))
    }

    /// Ends it as failed.
    pub fn fail(&self, reason: &'static str) {
        self.reason(reason);
        self.end_with(true);
    }

    /// Ends it, well unless a reason was noted. What comes later is not
    /// recorded.
    pub fn end(&self) {
        self.end_with(self.noted_reason().is_some());
    }

    /// Ends it. Whether that is an error of what it stands for is not always
    /// whether there was a reason: a server does not fail by its caller's
    /// mistake.
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

/// Takes attributes.
#[derive(Debug)]
pub struct Recorder<'a>(Onto<'a>);

/// What they go onto.
#[derive(Debug)]
enum Onto<'a> {
    Span(&'a mut SdkSpan),
    Apart(&'a mut Vec<KeyValue>),
}

/// The attributes of something that is not the span itself.
pub(super) fn described(describe: impl FnOnce(&mut Recorder<'_>)) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    describe(&mut Recorder(Onto::Apart(&mut attributes)));
    attributes
}

impl Recorder<'_> {
    /// An attribute. Each key is set once on a span.
    pub fn set(&mut self, key: impl Into<opentelemetry::Key>, value: impl Into<Value>) {
        let attribute = KeyValue::new(key, value);
        match &mut self.0 {
            Onto::Span(span) => span.set_attribute(attribute),
            Onto::Apart(attributes) => attributes.push(attribute),
        }
    }

    /// An attribute where it is known.
    pub fn set_some(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// A text, unless it is empty.
    pub fn set_text(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.set(key, text.to_owned());
        }
    }

    /// A count.
    pub fn set_count(&mut self, key: &'static str, count: Option<u64>) {
        self.set_some(key, count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
    }

    /// Several words.
    pub fn set_words(
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
