//! Gathers the texts that executions lead into batches: one provider request, and one
//! flight, for each.
//!
//! A text holds a [`TextTicket`] until it knows whether it has to be requested. The texts
//! of an execution are due when they fill a batch, or when no ticket is left that could
//! add to them, so that no time is lost with waiting for a fixed interval. Those that fill
//! no batch wait for the texts of other executions with the same [`BatchTerms`], if the
//! operator has set a time for that.
//!
//! An execution that waits for others:
//!
//! * If it is the only one, its texts are requested when the time is over, as its others
//!   are.
//! * If it leaves, or its deadline expires, its texts are left out, and the others'
//!   texts go on. Its slot is released when the time is over, at the latest.
//! * The shared request is retried, paid and counted as one. It holds the slot of the
//!   execution whose text is the first, and does not wait for the turn of any.
//! * If the provider rejects what it was sent, that may be because of another execution's
//!   text. So each execution's texts are then requested without those of others.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    begun::Begun,
    end::{SUBSCRIBE, end_of},
    groups::{Added, Groups},
    share::{TextPart, TextShares},
    source::{BatchSource, BatchTerms},
};
use crate::execution::{Services, leader::LeaderJob};
use crate::{
    error::{Error, ProviderErrorKind},
    event::Finish,
    flight::{Failure, Join, JoinRequest, Publisher, Subscriber},
    telemetry::{self, Span, names},
};

/// Gathers the texts of several executions. One per worker.
#[derive(Default)]
pub(crate) struct Gatherer(Mutex<Groups<BatchTerms, WaitingText>>);

/// The texts of one execution that wait for a batch.
pub(super) struct Batcher {
    source: Arc<BatchSource>,
    /// The texts of other executions that a batch may take if it is not full; `None` if
    /// it takes none.
    gatherer: Option<Arc<Gatherer>>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// The tickets that may still add a text.
    tickets: usize,
    waiting: Vec<WaitingText>,
}

/// A text that waits for a batch.
struct WaitingText {
    source: Arc<BatchSource>,
    position: usize,
    entry: oneshot::Sender<BatchEntry>,
    /// Cancelled when nobody wants the text any more.
    abandoned: CancellationToken,
    begun: Begun,
}

impl Batcher {
    /// Creates a batcher for the texts of an execution.
    pub(super) fn new(source: Arc<BatchSource>, gatherer: Arc<Gatherer>) -> Arc<Batcher> {
        let gathers = !source.services.settings.embeddings_gather_window.is_zero();
        let gatherer = gathers.then_some(gatherer);
        Arc::new(Batcher { source, gatherer, pending: Mutex::default() })
    }

    /// Creates a batcher whose batches have texts of one execution alone.
    fn alone(source: &Arc<BatchSource>) -> Arc<Batcher> {
        let source = source.clone();
        Arc::new(Batcher { source, gatherer: None, pending: Mutex::default() })
    }

    /// Returns a ticket for one text.
    pub(super) fn ticket(self: &Arc<Batcher>, position: usize) -> TextTicket {
        self.ticket_for(position, Begun::default())
    }

    fn ticket_for(self: &Arc<Batcher>, position: usize, begun: Begun) -> TextTicket {
        self.pending().tickets += 1;
        TextTicket { batcher: self.clone(), position, begun, held: true }
    }

    /// Takes a ticket back, possibly with a text, and sends what is complete.
    fn release(&self, text: Option<WaitingText>) {
        let most = self.source.texts.batch;
        let due = {
            let mut pending = self.pending();
            pending.tickets -= 1;
            pending.waiting.extend(text);
            let is_due = pending.waiting.len() >= most || pending.tickets == 0;
            if is_due { mem::take(&mut pending.waiting) } else { Vec::new() }
        };
        if due.is_empty() {
            return;
        }
        let gatherer = self.gatherer.as_ref().filter(|_| due.len() < most);
        match gatherer.and_then(|gatherer| Some((gatherer, self.source.terms()?))) {
            Some((gatherer, terms)) => gatherer.gather(&self.source, terms, due),
            None => send(&self.source.services, due),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gatherer {
    /// Lets texts wait for those of other executions on the same terms.
    fn gather(
        self: &Arc<Gatherer>,
        source: &BatchSource,
        terms: BatchTerms,
        texts: Vec<WaitingText>,
    ) {
        let services = &source.services;
        let Added { full, is_new } = self.groups().add(terms.clone(), texts, source.texts.batch);
        for batch in full {
            send(services, batch);
        }
        if is_new {
            let window = services.settings.embeddings_gather_window;
            services.lifecycle.spawn(self.clone().end(window, terms));
        }
    }

    /// Requests what has been gathered once the time is over.
    async fn end(self: Arc<Gatherer>, window: Duration, terms: BatchTerms) {
        sleep(window).await;
        let batch = self.groups().take(&terms);
        run(batch).await;
    }

    fn groups(&self) -> MutexGuard<'_, Groups<BatchTerms, WaitingText>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(services: &Services, batch: Vec<WaitingText>) {
    services.lifecycle.spawn(run(batch));
}

/// Runs the flight of a batch without the texts that were abandoned meanwhile: one of a
/// single execution once few enough of its batches are in progress, and any other at once,
/// since nobody is to wait for the turn of somebody else.
async fn run(mut batch: Vec<WaitingText>) {
    batch.retain(|waiting| !waiting.abandoned.is_cancelled());
    let Some(source) = batch.first().map(|waiting| waiting.source.clone()) else { return };
    let _turn = if is_gathered(&batch) {
        None
    } else {
        let Ok(turn) = source.under_way.acquire().await else { return };
        batch.retain(|waiting| !waiting.abandoned.is_cancelled());
        Some(turn)
    };
    // Without a flight the entries are dropped, which fails their texts.
    let Some((publisher, job)) = begin(&source, batch) else { return };
    let span = source.span.child(telemetry::Kind::Internal, names::span::FLIGHT);
    if let Some(name) = span.name() {
        publisher.traced_as(name);
    }
    let job = Box::new(LeaderJob { spans: job.spans.of(&span), ..job });
    span.scope(job.run(source.services.clone(), publisher)).await;
}

/// Begins the flight of a batch that `source` leads, and gives every text its entry.
fn begin(source: &BatchSource, batch: Vec<WaitingText>) -> Option<(Publisher, LeaderJob)> {
    let texts = batch.iter().map(WaitingText::text).collect::<Option<Arc<[_]>>>()?;
    let shares = TextShares::new(texts.iter().map(|text| text.len()).collect());
    let is_gathered = is_gathered(&batch);
    let job = job(source, texts, is_gathered)?;
    let (publisher, subscriber) = lead(source)?;
    let mut batchers = Batchers::default();
    for (place, waiting) in batch.into_iter().enumerate() {
        let WaitingText { source, position, entry, begun, .. } = waiting;
        let (batcher, is_first) = batchers.of(&source);
        begun.begin(is_gathered);
        let alone = is_gathered.then(|| batcher.ticket_for(position, begun));
        let part = TextPart { place, shares: shares.clone() };
        let subscriber = subscriber.another()?;
        // A text that has left drops its subscriber with its entry.
        let _ = entry.send(BatchEntry { source, subscriber, part, is_first, alone });
    }
    Some((publisher, job))
}

/// Returns the job of a batch that an execution leads.
fn job(source: &BatchSource, texts: Arc<[Arc<str>]>, is_gathered: bool) -> Option<LeaderJob> {
    let plan = Arc::new(source.job.plan.with_texts(texts)?);
    let job = LeaderJob { plan, ..source.job.another() };
    if !is_gathered {
        return Some(job);
    }
    let spans = job.spans.of_several(&Span::default());
    Some(LeaderJob { spans, affinity: job.affinity.without_session(), ..job })
}

fn lead(source: &BatchSource) -> Option<(Publisher, Subscriber)> {
    let request = JoinRequest {
        subject: source.job.subject.clone(),
        shared: None,
        idempotency: None,
        in_fleet: false,
        attachable: false,
    };
    match source.services.flights.join(&request, SUBSCRIBE) {
        Ok(Join::Leader(publisher, subscriber)) => Some((publisher, subscriber)),
        Ok(Join::Follower(_)) | Err(_) => None,
    }
}

/// Returns true if a batch has texts of several executions.
fn is_gathered(batch: &[WaitingText]) -> bool {
    batch.windows(2).any(|pair| !Arc::ptr_eq(&pair[0].source, &pair[1].source))
}

impl WaitingText {
    fn text(&self) -> Option<Arc<str>> {
        self.source.texts.list.get(self.position).cloned()
    }
}

/// The executions whose texts are in one batch, each with a batcher for them alone.
#[derive(Default)]
struct Batchers(Vec<Arc<Batcher>>);

impl Batchers {
    /// Returns the batcher of an execution, and true if the execution is a new one.
    fn of(&mut self, source: &Arc<BatchSource>) -> (Arc<Batcher>, bool) {
        // An execution's texts are mostly beside each other.
        let mut known = self.0.iter().rev();
        if let Some(batcher) = known.find(|batcher| Arc::ptr_eq(&batcher.source, source)) {
            return (batcher.clone(), false);
        }
        let batcher = Batcher::alone(source);
        self.0.push(batcher.clone());
        (batcher, true)
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
        let source = self.batcher.source.clone();
        self.batcher.release(Some(WaitingText { source, position, entry, abandoned, begun }));
        given.await.map_err(|_| Failure::from(Error::Internal("a batch was not sent")))
    }
}

impl Drop for TextTicket {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for TextTicket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TextTicket")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Gatherer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gatherer").finish_non_exhaustive()
    }
}

/// The place of a text in a batch.
pub(super) struct BatchEntry {
    source: Arc<BatchSource>,
    subscriber: Subscriber,
    part: TextPart,
    /// True for the first text of its execution in the batch.
    is_first: bool,
    /// The right to a batch without texts of other executions, if this one has some.
    alone: Option<TextTicket>,
}

/// The end of a batch for one of its texts.
pub(super) enum EntryEnd {
    /// The text is answered.
    Answered(Box<Finish>),
    /// The batch failed, perhaps because of another execution's text: the ticket is for a
    /// batch without those.
    Again(TextTicket),
}

impl BatchEntry {
    /// Waits for the batch, and returns its end for this text. Cancel safe: dropped, it
    /// leaves the batch.
    pub(super) async fn ended(mut self, publisher: &mut Publisher) -> Result<EntryEnd, Failure> {
        let ended = end_of(&mut self.subscriber).await;
        let attempts = self.subscriber.status().attempts;
        publisher.took(publisher.attempts() + attempts);
        if self.is_first {
            self.source.took(attempts);
        }
        match ended {
            Ok((recording, _)) => {
                if let Some(span) = recording.span {
                    publisher.traced_as(span);
                }
                self.part.finish(&recording).map(|finish| EntryEnd::Answered(Box::new(finish)))
            }
            Err(failure) => match self.alone.filter(|_| is_about_a_text(&failure)) {
                Some(ticket) => Ok(EntryEnd::Again(ticket)),
                None => {
                    let usage = failure.usage.map(|usage| self.part.share(usage));
                    Err(Failure { usage, ..failure })
                }
            },
        }
    }
}

/// Returns true if one text of a batch can be what failed it.
fn is_about_a_text(failure: &Failure) -> bool {
    let Error::Provider(provider) = &failure.error else { return false };
    let kind = provider.kind;
    matches!(kind, ProviderErrorKind::RequestRejected | ProviderErrorKind::ContextTooLong)
}
