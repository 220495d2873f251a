//! The flight of one text: found in the cache, joined, or led.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    TextTerms, TextWork,
    batch::Batcher,
    begun::Begun,
    end::{SUBSCRIBE, end_of},
};
use crate::execution::{
    Services,
    leader::{FleetRequest, LeaderJob, Storage, look_in_memory, recorded},
    observe::spans::FlightSpans,
    request::CacheMode,
    response::CacheStatus,
    scope::answer_key,
};
use crate::{
    cache::Hit,
    error::Error,
    flight::{Failure, FlightSource, Join, JoinRequest, Stored, Subscriber},
    node::Plan,
    recording::Recording,
    telemetry::Span,
};

/// The source of a text's vector.
pub(super) enum Found {
    /// From the cache of this worker.
    Cached(Arc<Recording>),
    /// From a flight.
    Flight(TextFlight),
}

/// A subscriber of a text's flight.
pub(super) struct TextFlight {
    subscriber: Subscriber,
    /// Set once the text is on its way, if this execution leads the flight.
    begun: Option<Begun>,
    storage: Option<Storage>,
    own_credential: bool,
}

/// A text with its vector.
pub(super) struct AnsweredText {
    pub(super) recording: Arc<Recording>,
    pub(super) status: CacheStatus,
    pub(super) stored: Stored,
    pub(super) storage: Option<Storage>,
    /// True if this execution requested it together with texts of others.
    pub(super) is_gathered: bool,
}

impl LeaderJob {
    /// Looks a text up, joins its flight, or leads it.
    pub(super) fn find_text(
        &self,
        services: &Arc<Services>,
        terms: &Arc<TextTerms>,
        batcher: &Arc<Batcher>,
        (position, plan): (usize, Plan),
    ) -> Result<Found, Failure> {
        let storage = terms.storage.map(|storage| Storage {
            key: answer_key(&services.cache_secret, &plan, &terms.scope, &terms.salt),
            ..storage
        });
        if let Some(Hit { recording, .. }) = look_in_memory(services, storage, terms.mode) {
            return Ok(Found::Cached(recording));
        }
        if terms.mode == CacheMode::OnlyIfCached && services.fleet.is_none() {
            return Err(Failure::from(Error::NotCached));
        }
        let fleet_request = FleetRequest::new(services, terms.mode, storage, None, false);
        let shared = storage.filter(|_| terms.mode != CacheMode::OnlyIfCached);
        let request = JoinRequest {
            subject: self.subject.clone(),
            shared: shared.map(|storage| storage.key),
            idempotency: None,
            in_fleet: fleet_request.is_some(),
            attachable: false,
        };
        let flight = |subscriber, begun| TextFlight {
            subscriber,
            begun,
            storage,
            own_credential: terms.own_credential,
        };
        let (publisher, subscriber) = match services.flights.join(&request, SUBSCRIBE)? {
            Join::Follower(subscriber) => return Ok(Found::Flight(flight(subscriber, None))),
            Join::Leader(publisher, subscriber) => (publisher, subscriber),
        };
        // Another flight may have completed since the look-up.
        if let Some(Hit { recording, age }) = recorded(&services.memory, storage, terms.mode) {
            publisher.complete_with(recording, age);
            return Ok(Found::Flight(flight(subscriber, None)));
        }
        let ticket = batcher.ticket(position);
        let begun = ticket.begun();
        let job = Box::new(LeaderJob {
            plan: Arc::new(plan),
            storage,
            fleet_request,
            texts: Some(TextWork::One(ticket)),
            spans: FlightSpans::new(Span::default(), String::new(), None),
            ..self.another()
        });
        services.lifecycle.spawn(job.run(services.clone(), publisher));
        Ok(Found::Flight(flight(subscriber, Some(begun))))
    }
}

impl TextFlight {
    /// Waits for the end of the flight, or, once the execution gives up, until it need
    /// not end any more. Cancel safe: dropped, it leaves the flight.
    pub(super) async fn ended(
        mut self,
        position: usize,
        giving_up: &CancellationToken,
    ) -> (usize, Result<AnsweredText, Failure>) {
        let ended = tokio::select! {
            ended = end_of(&mut self.subscriber) => ended,
            () = giving_up.cancelled() => self.last_chance().await,
        };
        let status = self.status();
        let answered = match ended {
            Ok((recording, stored)) => Ok(AnsweredText {
                recording,
                status,
                stored,
                storage: self.storage,
                is_gathered: self.begun.as_ref().is_some_and(Begun::is_gathered),
            }),
            Err(failure) if status == CacheStatus::Joined && !self.own_credential => {
                Err(Failure { error: failure.error.for_another_credential(), usage: None })
            }
            Err(failure) if status == CacheStatus::Joined => {
                Err(Failure { usage: None, ..failure })
            }
            Err(failure) => Err(failure),
        };
        (position, answered)
    }

    /// Waits for a flight that has begun, since it is paid for.
    async fn last_chance(&mut self) -> Result<(Arc<Recording>, Stored), Failure> {
        if self.begun.as_ref().is_some_and(Begun::has) {
            end_of(&mut self.subscriber).await
        } else {
            Err(Failure::from(Error::Cancelled))
        }
    }

    fn status(&self) -> CacheStatus {
        match self.subscriber.source() {
            FlightSource::Cached { .. } => CacheStatus::Hit,
            FlightSource::Remote => CacheStatus::Joined,
            FlightSource::Local | FlightSource::LocalUnchecked if self.begun.is_some() => {
                CacheStatus::Miss
            }
            FlightSource::Local | FlightSource::LocalUnchecked => CacheStatus::Joined,
        }
    }
}
