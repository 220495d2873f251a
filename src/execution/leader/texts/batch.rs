//! Gathers the texts that an execution leads into batches: one provider request, and
//! one flight, for each.
//!
//! A text holds a [`TextTicket`] until it knows whether it has to be requested. A batch is
//! sent when it is full, or when no ticket is left that could add to it, so that no
//! time is lost with waiting for a fixed interval.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    end::{SUBSCRIBE, end_of},
    share::TextShares,
};
use crate::execution::{Executor, leader::LeaderJob};
use crate::{
    error::Error,
    event::{Embeddings, Finish, Usage},
    flight::{Failure, Join, JoinRequest, Publisher, Subscriber},
    node::Texts,
    recording::Recording,
    telemetry::{self, Span, names},
};

/// Maximum requests to the provider that one execution has in progress.
const MOST_UNDER_WAY: usize = 8;

/// The texts of one execution that wait for a batch.
pub(super) struct Batcher {
    executor: Arc<Executor>,
    /// A job from which those of the batches are made.
    job: LeaderJob,
    texts: Texts,
    /// The span of the execution's flight.
    span: Span,
    pending: Mutex<Pending>,
    under_way: Semaphore,
    attempts: AtomicU32,
}

#[derive(Default)]
struct Pending {
    /// The tickets that may still add a text.
    tickets: usize,
    waiting: Vec<WaitingText>,
}

/// A text that waits for a batch.
struct WaitingText {
    position: usize,
    entry: oneshot::Sender<BatchEntry>,
    /// Cancelled when nobody wants the text any more.
    abandoned: CancellationToken,
    /// Set once the text is on its way to the provider.
    begun: Begun,
}

/// Set once a text is on its way to the provider, and so paid for.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    pub(super) fn has(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Batcher {
    /// Creates a batcher for the texts of a job.
    pub(super) fn new(executor: &Arc<Executor>, job: &LeaderJob, texts: Texts) -> Arc<Batcher> {
        Arc::new(Batcher {
            executor: executor.clone(),
            job: job.another(),
            texts,
            span: telemetry::current(),
            pending: Mutex::default(),
            under_way: Semaphore::new(MOST_UNDER_WAY),
            attempts: AtomicU32::new(0),
        })
    }

    /// Returns a ticket for one text.
    pub(super) fn ticket(self: &Arc<Batcher>, position: usize) -> TextTicket {
        self.pending().tickets += 1;
        TextTicket { batcher: self.clone(), position, begun: Begun::default(), held: true }
    }

    /// Returns the provider requests so far.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Takes a ticket back, possibly with a text, and sends what is complete.
    fn release(self: &Arc<Batcher>, text: Option<WaitingText>) {
        let batch = {
            let mut pending = self.pending();
            pending.tickets -= 1;
            pending.waiting.extend(text);
            let is_full = pending.waiting.len() >= self.texts.batch;
            let is_due = is_full || pending.tickets == 0;
            if is_due { mem::take(&mut pending.waiting) } else { Vec::new() }
        };
        if !batch.is_empty() {
            self.executor.lifecycle.spawn(self.clone().run(batch));
        }
    }

    /// Runs the flight of a batch, once few enough are in progress, without the texts
    /// that were abandoned meanwhile.
    async fn run(self: Arc<Batcher>, mut batch: Vec<WaitingText>) {
        let Ok(_turn) = self.under_way.acquire().await else { return };
        batch.retain(|waiting| !waiting.abandoned.is_cancelled());
        if batch.is_empty() {
            return;
        }
        // Without a flight the entries are dropped, which fails their texts.
        let Some((publisher, job)) = self.begin(batch) else { return };
        let span = self.span.child(telemetry::Kind::Internal, names::span::FLIGHT);
        if let Some(name) = span.name() {
            publisher.traced_as(name);
        }
        let job = LeaderJob { spans: self.job.spans.of(&span), ..job };
        span.scope(job.run(self.executor.clone(), publisher)).await;
    }

    /// Begins the flight of a batch, and gives every text its entry.
    fn begin(self: &Arc<Batcher>, batch: Vec<WaitingText>) -> Option<(Publisher, LeaderJob)> {
        let positions: Vec<usize> = batch.iter().map(|waiting| waiting.position).collect();
        let lengths = positions.iter().map(|position| self.texts.list[*position].len()).collect();
        let plan = Arc::new(self.job.plan.select(&positions)?);
        let request = JoinRequest {
            subject: self.job.subject.clone(),
            shared: None,
            idempotency: None,
            in_fleet: false,
            attachable: false,
        };
        let (publisher, subscriber) = match self.executor.flights.join(&request, SUBSCRIBE) {
            Ok(Join::Leader(publisher, subscriber)) => (publisher, subscriber),
            Ok(Join::Follower(_)) | Err(_) => return None,
        };
        let shares = TextShares::new(lengths);
        for (place, waiting) in batch.into_iter().enumerate() {
            let (batcher, shares) = (self.clone(), shares.clone());
            let subscriber = subscriber.another()?;
            waiting.begun.0.store(true, Ordering::Release);
            // A text that has left drops its subscriber with its entry.
            let _ = waiting.entry.send(BatchEntry { batcher, subscriber, place, shares });
        }
        Some((publisher, LeaderJob { plan, ..self.job.another() }))
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one text to a place in a batch. Dropped, it lets the others go on.
pub(crate) struct TextTicket {
    batcher: Arc<Batcher>,
    position: usize,
    begun: Begun,
    held: bool,
}

impl TextTicket {
    /// Lets the other texts go on without this one, which may still be submitted.
    pub(crate) fn release(&mut self) {
        if mem::take(&mut self.held) {
            self.batcher.release(None);
        }
    }

    /// Returns whether its text is on its way.
    pub(super) fn begun(&self) -> Begun {
        self.begun.clone()
    }

    /// Waits for a batch, and returns the place in it. A text that is abandoned before
    /// then is left out.
    pub(super) async fn submit(
        &mut self,
        abandoned: CancellationToken,
    ) -> Result<BatchEntry, Failure> {
        let (entry, given) = oneshot::channel();
        if !mem::replace(&mut self.held, false) {
            self.batcher.pending().tickets += 1;
        }
        let (position, begun) = (self.position, self.begun.clone());
        self.batcher.release(Some(WaitingText { position, entry, abandoned, begun }));
        given.await.map_err(|_| Failure::from(Error::Internal("a batch was not sent")))
    }
}

impl Drop for TextTicket {
    fn drop(&mut self) {
        self.release();
    }
}

impl std::fmt::Debug for TextTicket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TextTicket")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// The place of a text in a batch.
pub(super) struct BatchEntry {
    batcher: Arc<Batcher>,
    subscriber: Subscriber,
    place: usize,
    shares: TextShares,
}

impl BatchEntry {
    /// Waits for the batch, and returns the finish of its text. Cancel safe: dropped, it
    /// leaves the batch.
    pub(super) async fn answered(mut self, publisher: &mut Publisher) -> Result<Finish, Failure> {
        let ended = end_of(&mut self.subscriber).await;
        let attempts = self.subscriber.status().attempts;
        publisher.took(attempts);
        if self.place == 0 {
            self.batcher.attempts.fetch_add(attempts, Ordering::Relaxed);
        }
        match ended {
            Ok((recording, _)) => {
                if let Some(span) = recording.span {
                    publisher.traced_as(span);
                }
                self.finish(&recording)
            }
            Err(failure) => {
                let usage = failure.usage.map(|usage| self.share(usage));
                Err(Failure { usage, ..failure })
            }
        }
    }

    fn finish(&self, recording: &Recording) -> Result<Finish, Failure> {
        let answer = &recording.finish;
        let vectors = answer.embeddings.as_ref().map(|embeddings| &embeddings.vectors);
        let Some(vector) = vectors.and_then(|vectors| vectors.get(self.place)) else {
            return Err(Failure::from(Error::Internal("a batch has no vector for a text")));
        };
        Ok(Finish {
            usage: answer.usage.map(|usage| self.share(usage)),
            model: answer.model.clone(),
            provider_request_id: answer.provider_request_id.clone(),
            embeddings: Some(Embeddings {
                vectors: vec![vector.clone()],
                estimated: self.shares.are_estimated(),
                ..Embeddings::default()
            }),
            ..Finish::default()
        })
    }

    /// Returns the text's share of the batch's usage.
    fn share(&self, usage: Usage) -> Usage {
        match usage.prompt_tokens {
            Some(tokens) if self.shares.are_estimated() => {
                Usage::of_prompt(self.shares.of(self.place, tokens))
            }
            _ => usage,
        }
    }
}
