//! A flight's path through the fleet: its key, its leader, and the takeover when
//! the leader is lost.
//!
//! Only the flight's own task talks to the fleet, never a caller: a worker asks
//! once for all subscribers of the flight, and only the flight can be delayed, by
//! the time limit of Redis at most.

use std::sync::Arc;

use tokio::time::Instant;

use crate::execution::{
    Services,
    leader::{
        job::{LeaderJob, LeaderOutcome},
        relay::{Relayed, relay},
        replicate::replicate,
        role::{FleetRequest, FleetRole},
        texts::TextWork,
    },
};
use crate::{
    emit::Emit,
    error::Error,
    event::Phase,
    fleet::{
        Acquired, Claim, Fleet, FlightKey, Follower, Lease,
        protocol::{AcquireOptions, RunId},
    },
    flight::{
        Failure, FlightIdentity, FlightOutcome, FlightSource, Idempotency, MirrorEvent,
        MirroredFlight, Publisher, worker_lost,
    },
    metrics::{LookupResult, Role, Tier},
    recording::{FlightId, WORKER_LOST},
};

/// Limit on acquisitions of one flight: each after the first follows a lost leader.
const MAX_ACQUISITIONS: usize = 16;

impl LeaderJob {
    /// Runs the flight, here or by following another worker, until it has an
    /// answer.
    pub(crate) async fn run_in_fleet(
        &mut self,
        services: &Arc<Services>,
        publisher: &mut Publisher,
        role: &mut FleetRole,
    ) -> Result<LeaderOutcome, Failure> {
        let (Some(fleet_request), Some(fleet)) = (self.fleet_request, &services.fleet) else {
            return self.work(services, publisher).await.map(LeaderOutcome::ran);
        };
        // Boxed: only a flight that is shared needs the room.
        Box::pin(self.run_shared(services, fleet, fleet_request, publisher, role)).await
    }

    /// Runs a flight that other workers may find.
    async fn run_shared(
        &mut self,
        services: &Arc<Services>,
        fleet: &Fleet,
        fleet_request: FleetRequest,
        publisher: &mut Publisher,
        role: &mut FleetRole,
    ) -> Result<LeaderOutcome, Failure> {
        let own = fleet_request.flight_key.unwrap_or_else(|| FlightKey::unshared(publisher.id()));
        if fleet_request.only_reads {
            let _turn = self.redis_turn().await;
            return found(services, fleet, own).await.ok_or(Failure::from(Error::NotCached));
        }
        let owner = publisher.id();
        self.owner = Some(owner);
        let (flight_key, is_known) = match claim(fleet, &fleet_request, own, owner).await {
            Claim::Mismatch => return Err(Failure::from(Error::IdempotencyMismatch)),
            Claim::Known(flight_key) => (flight_key, true),
            Claim::New | Claim::Unknown => (own, false),
        };
        // Its texts are shared by the fleet, each by itself, and it is this worker's.
        if matches!(self.texts, Some(TextWork::Several(_))) {
            return self.run_locally(services, publisher, role).await;
        }
        let shares = fleet_request.shares.filter(|_| flight_key == own);
        if let Some(original) = shares.and_then(|key| publisher.share(key)) {
            services.metrics.joined(Role::Follower);
            return mirror(publisher, &original).await;
        }
        let options = AcquireOptions {
            // Whatever answered the key's execution answers its retry.
            may_read: fleet_request.may_read || is_known,
            joins_completed: is_known,
            may_lead: true,
            fresh: owner,
            run: RunId::random(),
            known: None,
            skip: fastrand::u64(1..=1000),
        };
        self.acquire(services, fleet, publisher, role, (flight_key, options)).await
    }

    /// Acquires the flight, and again whenever its leader is lost, until it has an
    /// answer.
    async fn acquire(
        &mut self,
        services: &Arc<Services>,
        fleet: &Fleet,
        publisher: &mut Publisher,
        role: &mut FleetRole,
        (flight_key, mut options): (FlightKey, AcquireOptions),
    ) -> Result<LeaderOutcome, Failure> {
        let mut failing_since = None;
        for _ in 0..MAX_ACQUISITIONS {
            // Published output belongs to one run: no recording may continue it.
            options.may_read &= !publisher.has_shown();
            options.may_lead = publisher.may_restart();
            let turn = self.redis_turn().await;
            let acquired = fleet.acquire(flight_key, options, &publisher.subject()).await;
            drop(turn);
            self.count(services, &options, &acquired);
            match acquired {
                Acquired::Cached(recording) => return Ok(LeaderOutcome::Found(recording)),
                Acquired::Leader(lease) => {
                    // The successor of a lost leader owns the key from now on.
                    if let Some(Idempotency { key, request }) = self.claimed(&options) {
                        fleet.take_claim_over(key, request, flight_key, options.fresh).await;
                    }
                    return self.lead(services, publisher, role, lease).await;
                }
                Acquired::Presumed(lease) => {
                    return self.lead(services, publisher, role, lease).await;
                }
                Acquired::Follower(follower) => {
                    if publisher.has_shown() && !goes_on(&options, &follower) {
                        return Err(Failure::from(worker_lost()));
                    }
                    self.release_ticket();
                    services.metrics.joined(Role::FleetFollower);
                    match follow(fleet, publisher, role, follower).await? {
                        Relayed::Completed(end) => return Ok(LeaderOutcome::Relayed(end)),
                        // A recording of it may exist by now.
                        Relayed::Lost(fencing_token) => options.known = fencing_token,
                        Relayed::Unavailable => break,
                    }
                }
                // The leader it followed may be alive, and its provider request is
                // paid.
                Acquired::Unavailable if options.known.is_some() => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if !fleet.reachable_again(since).await {
                        break;
                    }
                }
                Acquired::Absent | Acquired::Unavailable => break,
            }
        }
        self.run_locally(services, publisher, role).await
    }

    /// Returns the idempotency key if another flight has claimed it.
    fn claimed(&self, options: &AcquireOptions) -> Option<Idempotency> {
        let claim = self.fleet_request.and_then(|fleet_request| fleet_request.claim);
        claim.filter(|_| options.joins_completed || options.known.is_some())
    }

    fn count(&self, services: &Services, options: &AcquireOptions, acquired: &Acquired) {
        let result = match acquired {
            Acquired::Cached(_) => LookupResult::Hit,
            Acquired::Presumed(_) | Acquired::Unavailable => LookupResult::Failed,
            _ => LookupResult::Miss,
        };
        // A repeated acquisition has already been counted.
        if options.may_read && options.known.is_none() {
            services.metrics.looked_up(Tier::Redis, result);
        }
    }

    async fn lead(
        &mut self,
        services: &Arc<Services>,
        publisher: &mut Publisher,
        role: &mut FleetRole,
        lease: Lease,
    ) -> Result<LeaderOutcome, Failure> {
        publisher.identify(FlightIdentity {
            flight: lease.flight(),
            flight_key: Some(lease.flight_key().0),
            source: self.source(!lease.is_presumed()),
        });
        // Published output belongs to another run, even under the same flight id.
        let restarts_at = lease.takes_over_at().or(publisher.has_shown().then_some(1));
        if let Some(number) = restarts_at {
            publisher.restart_at(number, WORKER_LOST);
            services.metrics.flight_taken_over();
        }
        let log_reader = publisher.log_reader();
        *role = FleetRole::Leading(Box::new(lease));
        let FleetRole::Leading(lease) = role else { unreachable!("it was just put there") };
        tokio::select! {
            biased;
            finish = self.work(services, publisher) => finish.map(LeaderOutcome::ran),
            never = replicate(lease, &log_reader, &services.metrics) => match never {},
        }
    }

    /// Runs the flight for the subscribers of this worker alone.
    async fn run_locally(
        &mut self,
        services: &Arc<Services>,
        publisher: &mut Publisher,
        role: &mut FleetRole,
    ) -> Result<LeaderOutcome, Failure> {
        *role = FleetRole::Detached;
        publisher.identify(FlightIdentity {
            flight: publisher.id(),
            flight_key: None,
            source: self.source(false),
        });
        if publisher.has_shown() {
            if !publisher.may_restart() {
                return Err(Failure::from(worker_lost()));
            }
            publisher.restart_at(publisher.last() + 1, WORKER_LOST);
        }
        self.work(services, publisher).await.map(LeaderOutcome::ran)
    }

    /// Returns the source of a flight that runs here; a look-up may be due that Redis has
    /// not answered.
    fn source(&self, answered: bool) -> FlightSource {
        let is_due = self.fleet_request.is_some_and(|fleet_request| fleet_request.may_read);
        if answered || !is_due { FlightSource::Local } else { FlightSource::LocalUnchecked }
    }
}

/// Mirrors another flight of this worker.
async fn mirror(
    publisher: &mut Publisher,
    original: &MirroredFlight,
) -> Result<LeaderOutcome, Failure> {
    publisher.mirror(original.identity().await);
    publisher.phase(Phase::Waiting);
    loop {
        match original.next(publisher.last()).await {
            MirrorEvent::Events(events) => {
                publisher.phase(Phase::Streaming);
                publisher.relay(events).map_err(|_gap| worker_lost())?;
            }
            MirrorEvent::Ended(FlightOutcome::Failed(failure), _) => return Err(failure),
            MirrorEvent::Ended(FlightOutcome::Completed(stored), recording) => {
                let recording = recording.ok_or_else(worker_lost)?;
                return Ok(LeaderOutcome::Mirrored(stored, recording));
            }
        }
    }
}

async fn claim(
    fleet: &Fleet,
    fleet_request: &FleetRequest,
    flight_key: FlightKey,
    owner: FlightId,
) -> Claim {
    match fleet_request.claim {
        Some(Idempotency { key, request }) => fleet.claim(key, request, flight_key, owner).await,
        None => Claim::New,
    }
}

async fn found(services: &Services, fleet: &Fleet, flight_key: FlightKey) -> Option<LeaderOutcome> {
    let found = fleet.recording(flight_key).await;
    let result = match &found {
        Ok(recording) => LookupResult::found(recording.is_some()),
        Err(_) => LookupResult::Failed,
    };
    services.metrics.looked_up(Tier::Redis, result);
    found.ok().flatten().map(|recording| LeaderOutcome::Found(Box::new(recording)))
}

async fn follow(
    fleet: &Fleet,
    publisher: &mut Publisher,
    role: &mut FleetRole,
    follower: Follower,
) -> Result<Relayed, Failure> {
    publisher.identify(FlightIdentity {
        flight: follower.flight(),
        flight_key: Some(follower.flight_key().0),
        source: FlightSource::Remote,
    });
    publisher.phase(Phase::Waiting);
    *role = FleetRole::Following(Box::new(follower));
    let FleetRole::Following(follower) = role else { unreachable!("it was just put there") };
    let relayed = relay(publisher, fleet, follower).await;
    *role = FleetRole::Detached;
    relayed
}

/// Returns true if the flight found now continues the published output. The one
/// guard of every way to continue: no subscriber receives an answer mixed from two
/// runs.
fn goes_on(options: &AcquireOptions, follower: &Follower) -> bool {
    let (Some(shown), Some(found)) = (options.known, follower.fencing_token()) else {
        return false;
    };
    shown.continues_in(&found)
}
