//! Resumes an execution, and never runs it. A flight that runs, or ran, on another
//! worker is received through the fleet.

use std::{iter, sync::Arc};

use tokio::time::Instant;

use crate::execution::{
    Services,
    credential::credential,
    invalid,
    leader::{Relayed, relay, stopped},
    request::AttachRequest,
    session::{
        Lookup, SessionStart,
        clock::Clock,
        token::{ExecutionToken, SessionToken, TokenOwner},
    },
};
use crate::{
    admission::Permit,
    credentials::ApiKey,
    error::Error,
    fleet::{Fleet, FlightKey, protocol::FencingToken},
    flight::{
        Failure, Flight, FlightIdentity, FlightOutcome, FlightSource, Publisher, Stored,
        SubscribeOptions, Subscriber, worker_lost,
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

/// Resumes the execution of a request's token: its flight or its recording here, else
/// in the fleet. Never starts one.
pub(super) fn pick_up(
    services: &Arc<Services>,
    permit: &Permit,
    request: AttachRequest,
) -> Result<SessionStart, Error> {
    let AttachRequest { execution_token, after_sequence, limits, .. } = request;
    let secrets = &services.secrets;
    let given = request
        .credential
        .map(|source| credential(secrets, Some(source), None, &request.caller.secrets));
    let given = given.transpose()?;
    let owner = TokenOwner::of(&request.caller, &request.context);
    let token = opened(services, &execution_token, &owner, given.as_ref());
    let token = token.ok_or(Error::ExecutionNotFound)?;
    let options = services.settings.subscribe_options(request.deltas, &limits);
    let subscriber = match attach_here(services, &token, after_sequence, options) {
        Some(subscriber) if subscriber.may_have_published(after_sequence) => subscriber,
        known => attach_remote(services, &token, after_sequence, options, permit)
            .ok_or_else(|| unknown_execution(known.as_ref(), after_sequence))?,
    };
    let mut clock = Clock::new(request.arrived, &services.settings, &limits);
    clock.queued(permit.waited());
    let found = Lookup::again(token.status);
    let token = SessionToken::Given(execution_token);
    Ok(SessionStart { subscriber, clock, found, token })
}

/// Opens a token sealed by this worker, or by another with a secret known here.
fn opened(
    services: &Services,
    text: &str,
    owner: &TokenOwner,
    credential: Option<&ApiKey>,
) -> Option<ExecutionToken> {
    iter::once(&services.cache_secret).chain(&services.other_secrets).find_map(|secret| {
        let fingerprint = credential.map(|key| secret.fingerprint(key));
        ExecutionToken::open(text, secret, owner, fingerprint.as_ref())
    })
}

/// Subscribes to a token's flight in the registry, or to its recording in memory.
fn attach_here(
    services: &Services,
    token: &ExecutionToken,
    after: u64,
    options: SubscribeOptions,
) -> Option<Subscriber> {
    let recorded = || {
        let recording = services.memory.get(&token.recording?)?.recording;
        let is_of_flight = recording.flight == token.flight;
        is_of_flight.then(|| Flight::replay(recording).subscribe(after, options)).flatten()
    };
    services.flights.attach(token.flight, after, options).or_else(recorded)
}

/// Looks up a token's flight in the fleet in the background, and subscribes to
/// it after a sequence number. `None` if the fleet cannot have it.
fn attach_remote(
    services: &Arc<Services>,
    token: &ExecutionToken,
    after: u64,
    options: SubscribeOptions,
    permit: &Permit,
) -> Option<Subscriber> {
    let fleet = services.fleet.clone()?;
    let search = Search {
        flight: token.flight,
        flight_key: token.flight_key.map(FlightKey),
        recording: token.recording.map(FlightKey),
        _permit: permit.clone(),
    };
    let unknown = Subject { model: String::new(), tier: Tier::Standard, json: false };
    let (publisher, subscriber) =
        services.flights.subscribe_remote(Arc::new(unknown), after, options);
    services.lifecycle.spawn(search.run(services.clone(), fleet, publisher));
    Some(subscriber)
}

/// Explains why no event can follow the given sequence number.
fn unknown_execution(known: Option<&Subscriber>, after_sequence: u64) -> Error {
    let Some(last) = known.map(Subscriber::last) else {
        return Error::ExecutionNotFound;
    };
    let description = format!("is {after_sequence}; the execution has published up to {last}");
    invalid("after_sequence", &description)
}

impl Search {
    async fn run(self, services: Arc<Services>, fleet: Fleet, mut publisher: Publisher) {
        let abandoned = publisher.abandoned(services.settings.drain_limit);
        let found = tokio::select! {
            biased;
            found = self.find(&fleet, &mut publisher) => found,
            () = abandoned => Err(Failure::from(stopped(&services.lifecycle))),
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
