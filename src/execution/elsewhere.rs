//! Picks up an execution whose flight is another worker's, or was: hears it by
//! way of the fleet, and never runs it.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Executor,
    leader::stopped,
    relay::{Relayed, relay},
    token::ExecutionToken,
};
use crate::{
    admission::Permit,
    error::Error,
    fleet::{Berth, Fleet, step::Fence},
    flight::{
        Boarded, Course, Failure, Landing, Listener, ListenerOptions, Publisher, Stored,
        worker_lost,
    },
    price::Tier,
    recording::{FlightId, Recording, Subject},
};

/// A flight to be found elsewhere.
struct Search {
    flight: FlightId,
    berth: Option<Berth>,
    recording: Option<Berth>,
    _permit: Permit,
}

/// What was found of it.
enum Found {
    Relayed(Box<Recording>),
    Recorded(Box<Recording>),
}

impl Executor {
    /// Begins to look for a token's flight in the fleet, and to hear it from
    /// after a number. `None` where the fleet cannot have it.
    pub(super) fn attach_elsewhere(
        self: &Arc<Executor>,
        token: &ExecutionToken,
        after: u64,
        options: ListenerOptions,
        permit: &Permit,
    ) -> Option<Listener> {
        let fleet = self.fleet.clone()?;
        let search = Search {
            flight: token.flight,
            berth: token.berth.map(Berth),
            recording: token.recording.map(Berth),
            _permit: permit.clone(),
        };
        let unknown = Subject { model: String::new(), tier: Tier::Standard, json: false };
        let (publisher, listener) =
            self.flights.listen_elsewhere(Arc::new(unknown), after, options);
        self.lifecycle.spawn(search.fly(self.clone(), fleet, publisher));
        Some(listener)
    }
}

impl Search {
    async fn fly(self, executor: Arc<Executor>, fleet: Fleet, mut publisher: Publisher) {
        let abandoned = publisher.abandoned(executor.settings.drain_limit);
        let found = tokio::select! {
            biased;
            found = self.find(&fleet, &mut publisher) => found,
            () = abandoned => Err(Failure::from(stopped(&executor))),
        };
        match found {
            Ok(Found::Relayed(end)) => {
                publisher.record_relayed(*end);
                publisher.land(Landing::Completed(Stored::Stored));
            }
            Ok(Found::Recorded(recording)) => {
                let age = recording.recorded_at.elapsed().unwrap_or_default();
                publisher.land_with(Arc::from(recording), age);
            }
            Err(failure) => publisher.land(Landing::Failed(failure)),
        }
    }

    async fn find(&self, fleet: &Fleet, publisher: &mut Publisher) -> Result<Found, Failure> {
        if let Some(found) = self.relayed(fleet, publisher).await? {
            return Ok(Found::Relayed(found));
        }
        let recording = match self.recording {
            Some(berth) => fleet.recording(berth).await.ok().flatten(),
            None => None,
        };
        recording
            .filter(|recording| recording.flight == self.flight)
            .map(|recording| Found::Recorded(Box::new(recording)))
            .ok_or(Failure::from(Error::ExecutionUnknown))
    }

    /// The flight as its worker tells it. `None` where there is none.
    async fn relayed(
        &self,
        fleet: &Fleet,
        publisher: &mut Publisher,
    ) -> Result<Option<Box<Recording>>, Failure> {
        let Some(berth) = self.berth else { return Ok(None) };
        let Some((subject, mut following)) = fleet.find(berth, self.flight).await else {
            return Ok(None);
        };
        publisher.is_about(subject);
        let berth = Some(berth.0);
        publisher.board(Boarded { flight: self.flight, berth, course: Course::Relayed });
        let mut lost: Option<(Option<Fence>, Instant)> = None;
        loop {
            match relay(publisher, fleet, &mut following).await? {
                Relayed::Landed(end) => return Ok(Some(end)),
                // Whoever follows to lead may take over; this one must not.
                Relayed::Lost(fence) => {
                    let since = lost.filter(|(known, _)| *known == fence);
                    let (_, until) = *lost.insert(since.unwrap_or((fence, following.patience())));
                    if Instant::now() >= until {
                        return Err(Failure::from(worker_lost()));
                    }
                    following.news().await;
                }
                // The cache may have what the flight no longer has.
                Relayed::Unheard if !publisher.has_shown() => return Ok(None),
                Relayed::Unheard => return Err(Failure::from(worker_lost())),
            }
        }
    }
}
