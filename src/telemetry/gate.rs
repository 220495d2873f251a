//! The bounded queue of spans before their export. Counts the spans that find the
//! queue full or that the collector does not accept.
//!
//! The SDK's batch processor also drops spans, but does not report how many. The
//! gate in front of it admits no more than the processor can hold.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use super::{limiter::Limiter, settings::Queue};

/// The number of dropped spans. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// Returns the number of spans known not to have reached the collector.
    pub fn spans(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, spans: usize) {
        self.0.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

/// The entrance of the queue.
#[derive(Debug)]
pub(super) struct Gate {
    queue: BatchSpanProcessor,
    room: Arc<Room>,
}

/// The exit of the queue.
#[derive(Debug)]
struct Exit<E> {
    exporter: E,
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    spans: usize,
    taken: AtomicUsize,
    dropped: Dropped,
}

/// Limits the warnings about an unreachable collector to one a minute.
static COMPLAINTS: Limiter = Limiter::new(1, Duration::from_secs(60));

impl Gate {
    /// Creates a queue in front of an exporter, which runs on a thread of its own.
    pub(super) fn new(
        exporter: impl SpanExporter + 'static,
        queue: Queue,
        dropped: Dropped,
    ) -> Gate {
        let room = Arc::new(Room { spans: queue.spans, taken: AtomicUsize::new(0), dropped });
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(queue.spans)
            .with_max_export_batch_size(queue.batch)
            .with_scheduled_delay(queue.delay)
            .build();
        let exit = Exit { exporter, room: room.clone() };
        let queue = BatchSpanProcessor::builder(exit).with_batch_config(config).build();
        Gate { queue, room }
    }
}

impl SpanProcessor for Gate {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.room.take() {
            self.queue.on_end(span);
        } else {
            self.room.dropped.add(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

impl<E: SpanExporter> SpanExporter for Exit<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.room.taken.fetch_sub(spans, Ordering::Relaxed);
        let delivered = self.exporter.export(batch).await;
        if let Err(error) = &delivered {
            self.room.dropped.add(spans);
            complain(error, &self.room.dropped);
        }
        delivered
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl Room {
    fn take(&self) -> bool {
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < self.spans).then_some(taken + 1)
            })
            .is_ok()
    }
}

/// Logs a failed export. The SDK's error names the cause and possibly the address, so
/// it is logged at a finer level.
fn complain(error: &impl fmt::Display, dropped: &Dropped) {
    if COMPLAINTS.pass("spans").is_some() {
        let dropped = dropped.spans();
        tracing::warn!(dropped, "the collector does not take the spans; they are dropped");
    }
    tracing::debug!(%error, "spans were not delivered");
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::{error::OTelSdkError, trace::SdkTracerProvider};

    use super::*;

    /// An exporter that waits for a signal before it takes a batch and returns the
    /// result it is given.
    #[derive(Debug)]
    struct WaitingExporter(Mutex<mpsc::Receiver<bool>>);

    impl SpanExporter for WaitingExporter {
        async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
            let word = self.0.lock().expect("no panic").recv();
            match word {
                Ok(true) => Ok(()),
                _ => Err(OTelSdkError::InternalFailure("refused".to_owned())),
            }
        }
    }

    #[test]
    fn what_finds_no_room_or_is_not_taken_is_counted() {
        let (words, received) = mpsc::channel();
        let dropped = Dropped::default();
        let queue = Queue { spans: 4, batch: 4, delay: Duration::from_secs(3600) };
        let gate = Gate::new(WaitingExporter(Mutex::new(received)), queue, dropped.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(gate).build();
        let tracer = provider.tracer("test");
        for _ in 0..100 {
            drop(tracer.start("span"));
        }
        let beyond = dropped.spans();
        // The thread may have taken one batch out while the loop ran.
        assert!((92..=96).contains(&beyond), "{beyond} of 100 found no room");
        for word in [true, false, false] {
            words.send(word).expect("it waits");
        }
        drop(words);
        let _ = provider.shutdown_with_timeout(Duration::from_secs(5));
        let lost = dropped.spans() - beyond;
        assert!(lost <= 4, "{lost} were refused");
        assert_eq!(lost, if beyond == 92 { 4 } else { 0 });
    }
}
