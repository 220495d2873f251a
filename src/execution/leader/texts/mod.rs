//! An execution over texts that are answered each by itself.
//!
//! Every distinct text has a flight of its own, under its own cache key: it is found in
//! the cache, joined, or led, here and in the fleet, like any other execution. The texts
//! that are led are gathered into batches, one provider request each, and a batch is a
//! flight too, whose subscribers are its texts. So a text is abandoned only with its
//! last subscriber, and a batch only with its last text.

mod batch;
mod begun;
mod collected;
mod end;
mod groups;
mod share;
mod source;
mod text;

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

pub(crate) use self::batch::{Gatherer, TextTicket};
use self::{
    batch::{Batcher, EntryEnd},
    collected::Collected,
    source::BatchSource,
    text::Found,
};
use crate::execution::{
    Services,
    leader::{LeaderJob, Storage},
    request::CacheMode,
};
use crate::{
    cache::key::Scope,
    emit::Emit,
    error::Error,
    event::{Finish, Phase},
    flight::{Failure, Publisher, Stored},
    node::{Plan, Texts},
};

/// The terms on which the texts of an execution are shared and stored.
#[derive(Debug, Clone)]
pub(crate) struct TextTerms {
    /// The permitted use of the cache.
    pub(crate) mode: CacheMode,
    /// The executions that share a text's vector.
    pub(crate) scope: Scope,
    /// Separates texts that would otherwise be shared.
    pub(crate) salt: String,
    /// Storage settings of a text, whose key replaces that of the execution; `None` if
    /// nothing is shared.
    pub(crate) storage: Option<Storage>,
    /// Set if only executions with the same credential share a text's vector.
    pub(crate) own_credential: bool,
    /// The texts that wait for those of other executions.
    pub(crate) gatherer: Arc<Gatherer>,
}

/// Texts whose Redis commands are in progress: thousands at once would delay those of
/// every other flight.
static REDIS_TURNS: Semaphore = Semaphore::const_new(32);

/// The work of a flight, if it is not simply to run its node.
#[derive(Debug)]
pub(crate) enum TextWork {
    /// To answer each of its texts by a flight of its own.
    Several(Arc<TextTerms>),
    /// To take the place of one text in a batch.
    One(TextTicket),
}

impl LeaderJob {
    /// Answers each text by a flight of its own, and waits for all of them. After a
    /// failure it waits only for the texts whose requests have begun: they are paid for,
    /// and a retry finds them in the cache.
    ///
    /// Cancel safe: dropped, it leaves every flight.
    ///
    /// Boxed, since it spawns flights that are jobs too.
    pub(crate) fn run_texts<'a>(
        &'a mut self,
        services: &'a Arc<Services>,
        publisher: &'a mut Publisher,
        terms: Arc<TextTerms>,
    ) -> BoxFuture<'a, Result<Finish, Failure>> {
        Box::pin(self.run_each(services, publisher, terms))
    }

    async fn run_each(
        &mut self,
        services: &Arc<Services>,
        publisher: &mut Publisher,
        terms: Arc<TextTerms>,
    ) -> Result<Finish, Failure> {
        let Some(texts) = self.plan.texts.clone() else {
            return Err(Failure::from(Error::Internal("an execution over texts has none")));
        };
        publisher.phase(Phase::Waiting);
        let source = Arc::new(BatchSource::new(services, self, texts.clone()));
        let batcher = Batcher::new(source.clone(), terms.gatherer.clone());
        // No batch that is not full is sent before every text has its ticket.
        let finding = batcher.ticket(0);
        let mut collected = Collected::new(&texts, publisher.limit_bytes());
        let giving_up = CancellationToken::new();
        let mut flights = FuturesUnordered::new();
        for position in collected.distinct() {
            let plan = selected(&self.plan, position)?;
            match self.find_text(services, &terms, &batcher, (position, plan))? {
                Found::Cached(recording) => collected.cached(position, &recording)?,
                Found::Flight(flight) => {
                    flights.push(flight.ended(position, &giving_up));
                }
            }
        }
        drop(finding);
        let mut failed = None;
        while let Some((position, ended)) = flights.next().await {
            let answered = ended
                .and_then(|text| collected.answered(services, position, text))
                .and_then(|()| Ok(self.permit.afford(collected.bytes())?));
            if let Err(failure) = answered {
                giving_up.cancel();
                collected.lost(&failure);
                failed.get_or_insert(failure.error);
            }
        }
        publisher.took(source.attempts());
        self.stored = Some(collected.stored());
        match failed {
            Some(error) => Err(collected.failed(error)),
            None => collected.finish(),
        }
    }

    /// Takes the place of one text in a batch, and waits for its vector.
    pub(crate) async fn run_text(
        ticket: &mut TextTicket,
        publisher: &mut Publisher,
    ) -> Result<Finish, Failure> {
        let mut end = entry_end(ticket, publisher).await?;
        loop {
            match end {
                EntryEnd::Answered(finish) => return Ok(*finish),
                EntryEnd::Again(mut alone) => end = entry_end(&mut alone, publisher).await?,
            }
        }
    }
}

impl LeaderJob {
    /// Waits for the turn of a text's Redis commands; other flights need none.
    pub(crate) async fn redis_turn(&self) -> Option<SemaphorePermit<'static>> {
        match self.texts {
            Some(TextWork::One(_)) => REDIS_TURNS.acquire().await.ok(),
            Some(TextWork::Several(_)) | None => None,
        }
    }

    /// Lets a batch go on without a text that another worker is requesting.
    pub(crate) fn release_ticket(&mut self) {
        if let Some(TextWork::One(ticket)) = &mut self.texts {
            ticket.release();
        }
    }
}

/// Takes the place of one text in a batch, and waits for the end of the batch.
async fn entry_end(
    ticket: &mut TextTicket,
    publisher: &mut Publisher,
) -> Result<EntryEnd, Failure> {
    publisher.phase(Phase::Queued);
    let entry = ticket.submit(publisher.abandonment()).await?;
    publisher.phase(Phase::Waiting);
    entry.ended(publisher).await
}

/// Returns the plan for one text.
fn selected(plan: &Plan, position: usize) -> Result<Plan, Failure> {
    let selected = plan.select(&[position]);
    selected.ok_or_else(|| Failure::from(Error::Internal("a node does not find its texts")))
}

/// Returns, for each text, the position of the first equal one.
fn firsts(texts: &Texts) -> Vec<usize> {
    let mut known = HashMap::with_capacity(texts.list.len());
    (0..).zip(&*texts.list).map(|(position, text)| *known.entry(text).or_insert(position)).collect()
}

/// Returns the worse of two results of storing.
fn worse(one: Stored, other: Stored) -> Stored {
    if one == Stored::Stored { other } else { one }
}
