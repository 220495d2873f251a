//! Resumes an execution whose flight runs, or ran, on another worker: receives it
//! through the fleet, and never runs it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::execution::{
    Executor,
    leader::{Relayed, relay, stopped},
    session::token::ExecutionToken,
};
use crate::{
    admission::Permit,
    error::Error,
    fleet::{Fleet, FlightKey, protocol::FencingToken},
    flight::{
        Failure, FlightIdentity, FlightOutcome, FlightSource, Publisher, Stored, SubscribeOptions,
        Subscriber, worker_lost,
    },
    price::Tier,
    recording::{FlightId, Recording, Subject},
};

/// A flight to be found in the fleet.
struct Search {
    flight: FlightId,
    flight_key: Option<FlightKey>,
    recording: Option<FlightKey>,
    _permit: Permit,
}

/// A flight found in the fleet.
enum RemoteAnswer {
    Relayed(Box<Recording>),
    Recorded(Box<Recording>),
}

impl Executor {
    /// Looks up a token's flight in the fleet in the background, and subscribes to
    /// it after a sequence number. `None` if the fleet cannot have it.
    pub(super) fn attach_remote(
        self: &Arc<Executor>,
        token: &ExecutionToken,
        after: u64,
        options: SubscribeOptions,
        permit: &Permit,
    ) -> Option<Subscriber> {
        let fleet = self.fleet.clone()?;
        let search = Search {
            flight: token.flight,
            flight_key: token.flight_key.map(FlightKey),
            recording: token.recording.map(FlightKey),
            _permit: permit.clone(),
        };
        let unknown = Subject { model: String::new(), tier: Tier::Standard, json: false };
        let (publisher, subscriber) =
            self.flights.subscribe_remote(Arc::new(unknown), after, options);
        self.lifecycle.spawn(search.run(self.clone(), fleet, publisher));
        Some(subscriber)
    }
}

impl Search {
    async fn run(self, executor: Arc<Executor>, fleet: Fleet, mut publisher: Publisher) {
        let abandoned = publisher.abandoned(executor.settings.drain_limit);
        let found = tokio::select! {
            biased;
            found = self.find(&fleet, &mut publisher) => found,
            () = abandoned => Err(Failure::from(stopped(&executor))),
        };
        match found {
            Ok(RemoteAnswer::Relayed(end)) => {
                publisher.record_relayed(*end);
                publisher.complete(FlightOutcome::Completed(Stored::Stored));
            }
            Ok(RemoteAnswer::Recorded(recording)) => {
                let age = recording.recorded_at.elapsed().unwrap_or_default();
                publisher.complete_with(Arc::from(recording), age);
            }
            Err(failure) => publisher.complete(FlightOutcome::Failed(failure)),
        }
    }

    async fn find(
        &self,
        fleet: &Fleet,
        publisher: &mut Publisher,
    ) -> Result<RemoteAnswer, Failure> {
        if let Some(found) = self.relayed(fleet, publisher).await? {
            return Ok(RemoteAnswer::Relayed(found));
        }
        let recording = match self.recording {
            Some(flight_key) => fleet.recording(flight_key).await.ok().flatten(),
            None => None,
        };
        recording
            .filter(|recording| recording.flight == self.flight)
            .map(|recording| RemoteAnswer::Recorded(Box::new(recording)))
            .ok_or(Failure::from(Error::ExecutionNotFound))
    }

    /// Relays the flight from its leader. `None` if it cannot be found.
    async fn relayed(
        &self,
        fleet: &Fleet,
        publisher: &mut Publisher,
    ) -> Result<Option<Box<Recording>>, Failure> {
        let Some(flight_key) = self.flight_key else { return Ok(None) };
        let Some((subject, mut following)) = fleet.find(flight_key, self.flight).await else {
            return Ok(None);
        };
        publisher.is_about(subject);
        let flight_key = Some(flight_key.0);
        publisher.identify(FlightIdentity {
            flight: self.flight,
            flight_key,
            source: FlightSource::Remote,
        });
        let mut lost: Option<(Option<FencingToken>, Instant)> = None;
        loop {
            match relay(publisher, fleet, &mut following).await? {
                Relayed::Completed(end) => return Ok(Some(end)),
                // A follower able to lead may take over; an attached call must not.
                Relayed::Lost(fencing_token) => {
                    let since = lost.filter(|(known, _)| *known == fencing_token);
                    let (_, until) =
                        *lost.insert(since.unwrap_or((fencing_token, following.patience())));
                    if Instant::now() >= until {
                        return Err(Failure::from(worker_lost()));
                    }
                    following.next_update().await;
                }
                // The cache may hold what the flight no longer has.
                Relayed::Unavailable if !publisher.has_shown() => return Ok(None),
                Relayed::Unavailable => return Err(Failure::from(worker_lost())),
            }
        }
    }
}
