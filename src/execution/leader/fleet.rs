//! A flight's way through the fleet: where it lies, who leads it, and what
//! becomes of it when its leader is lost.
//!
//! Only the flight's own task asks the fleet, never a caller: so a worker asks
//! once for all who share the flight, and what can be late is the flight alone,
//! by the time limit of Redis.

use std::sync::Arc;

use tokio::time::Instant;

use crate::execution::{
    Executor,
    leader::{
        job::{LeaderJob, LeaderOutcome},
        relay::{Relayed, relay},
        replicate::replicate,
    },
};
use crate::{
    error::Error,
    event::{Emit, Phase},
    fleet::{
        Acquired, Claim, Fleet, FlightKey, Following, Lease,
        protocol::{AcquireOptions, RunId},
    },
    flight::{
        Failure, FlightIdentity, FlightOutcome, FlightSource, Idempotency, MirrorEvent,
        MirroredFlight, Publisher, worker_lost,
    },
    metrics::{LookupResult, Role, Tier},
    recording::{FlightId, Key, WORKER_LOST},
};

/// What a flight wants of the fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FleetRequest {
    /// Where it lies; at a place of its own where it is `None`.
    pub(crate) flight_key: Option<FlightKey>,
    /// The idempotency key of the execution that leads here.
    pub(crate) claim: Option<Idempotency>,
    /// What identical executions here find it by, once the key is its own.
    pub(crate) shares: Option<Key>,
    /// Whether a recording answers it.
    pub(crate) may_read: bool,
    /// Whether only a recording does.
    pub(crate) only_reads: bool,
}

/// What a flight has to do with the fleet at the moment.
#[derive(Debug, Default)]
pub(crate) enum FleetRole {
    /// Nothing.
    #[default]
    Detached,
    /// This worker leads it.
    Leading(Box<Lease>),
    /// Another does.
    Following(Box<Following>),
}

impl FleetRole {
    /// The lease, if this worker has led to the end.
    pub(crate) fn into_lease(self) -> Option<Box<Lease>> {
        match self {
            FleetRole::Leading(lease) => Some(lease),
            FleetRole::Detached | FleetRole::Following(_) => None,
        }
    }

    /// Gets off before the flight has landed.
    pub(crate) async fn fail(
        self,
        executor: &Arc<Executor>,
        publisher: &Publisher,
        failure: &Failure,
    ) {
        match self {
            FleetRole::Detached => {}
            FleetRole::Following(following) => following.leave().await,
            FleetRole::Leading(lease) => {
                let events = publisher.log_reader().after(0);
                let ending = lease.fail(events, &failure.error, failure.usage.as_ref());
                executor.send_ending(ending).await;
            }
        }
    }
}

/// How often a flight may come to a berth: each time a worker was lost.
const MOST_BOARDINGS: usize = 16;

impl LeaderJob {
    /// Flies, here or elsewhere, until the flight has an answer.
    pub(crate) async fn run_in_fleet(
        &mut self,
        executor: &Executor,
        publisher: &mut Publisher,
        role: &mut FleetRole,
    ) -> Result<LeaderOutcome, Failure> {
        let (Some(fleet_request), Some(fleet)) = (self.fleet_request, &executor.fleet) else {
            return self.run_attempts(executor, publisher).await.map(LeaderOutcome::Ran);
        };
        let own = fleet_request.flight_key.unwrap_or_else(|| FlightKey::unshared(publisher.id()));
        if fleet_request.only_reads {
            return found(executor, fleet, own).await.ok_or(Failure::from(Error::NotCached));
        }
        let owner = publisher.id();
        self.owner = Some(owner);
        let (flight_key, is_known) = match claim(fleet, &fleet_request, own, owner).await {
            Claim::Mismatch => return Err(Failure::from(Error::IdempotencyMismatch)),
            Claim::Known(flight_key) => (flight_key, true),
            Claim::New | Claim::Unknown => (own, false),
        };
        let shares = fleet_request.shares.filter(|_| flight_key == own);
        if let Some(original) = shares.and_then(|key| publisher.share(key)) {
            executor.metrics.joined(Role::Follower);
            return mirror(publisher, &original).await;
        }
        let options = AcquireOptions {
            // Whatever answers the key's execution answers its retry.
            may_read: fleet_request.may_read || is_known,
            joins_completed: is_known,
            may_lead: true,
            fresh: owner,
            run: RunId::random(),
            known: None,
            skip: fastrand::u64(1..=1000),
        };
        self.acquire(executor, fleet, publisher, role, (flight_key, options)).await
    }

    /// Comes to the berth, again where its leader is lost, until the flight has an
    /// answer.
    async fn acquire(
        &mut self,
        executor: &Executor,
        fleet: &Fleet,
        publisher: &mut Publisher,
        role: &mut FleetRole,
        (flight_key, mut options): (FlightKey, AcquireOptions),
    ) -> Result<LeaderOutcome, Failure> {
        let mut failing_since = None;
        for _ in 0..MOST_BOARDINGS {
            // What was shown is of one run: no recording goes on from there.
            options.may_read &= !publisher.has_shown();
            options.may_lead = publisher.may_restart();
            let boarding = fleet.acquire(flight_key, options, &publisher.subject()).await;
            self.count(executor, &options, &boarding);
            match boarding {
                Acquired::Cached(recording) => return Ok(LeaderOutcome::Found(recording)),
                Acquired::Leader(lease) => {
                    // Whoever stands in for a lost leader owns the key from now on.
                    if let Some(Idempotency { key, request }) = self.claimed(&options) {
                        fleet.take_claim_over(key, request, flight_key, options.fresh).await;
                    }
                    return self.lead(executor, publisher, role, lease).await;
                }
                Acquired::Follower(following) => {
                    if publisher.has_shown() && !goes_on(&options, &following) {
                        return Err(Failure::from(worker_lost()));
                    }
                    executor.metrics.joined(Role::FleetFollower);
                    match follow(fleet, publisher, role, following).await? {
                        Relayed::Completed(end) => return Ok(LeaderOutcome::Relayed(end)),
                        // A recording of it may be there by now.
                        Relayed::Lost(fencing_token) => options.known = fencing_token,
                        Relayed::Unavailable => break,
                    }
                }
                // Whom it has followed may live, and has been paid.
                Acquired::Unavailable if options.known.is_some() => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if !fleet.reachable_again(since).await {
                        break;
                    }
                }
                Acquired::Absent | Acquired::Unavailable => break,
            }
        }
        self.run_locally(executor, publisher, role).await
    }

    /// The idempotency key that somebody else has claimed.
    fn claimed(&self, options: &AcquireOptions) -> Option<Idempotency> {
        let claim = self.fleet_request.and_then(|fleet_request| fleet_request.claim);
        claim.filter(|_| options.joins_completed || options.known.is_some())
    }

    fn count(&self, executor: &Executor, options: &AcquireOptions, boarding: &Acquired) {
        let came_to = match boarding {
            Acquired::Cached(_) => LookupResult::Hit,
            Acquired::Unavailable => LookupResult::Failed,
            _ => LookupResult::Miss,
        };
        // A flight that comes again has been counted.
        if options.may_read && options.known.is_none() {
            executor.metrics.looked_up(Tier::Redis, came_to);
        }
    }

    async fn lead(
        &mut self,
        executor: &Executor,
        publisher: &mut Publisher,
        role: &mut FleetRole,
        lease: Lease,
    ) -> Result<LeaderOutcome, Failure> {
        publisher.identify(FlightIdentity {
            flight: lease.flight(),
            flight_key: Some(lease.flight_key().0),
            source: FlightSource::Local,
        });
        // What was shown is of another run, whatever the flight's name.
        let restarts_at = lease.takes_over_at().or(publisher.has_shown().then_some(1));
        if let Some(number) = restarts_at {
            publisher.restart_at(number, WORKER_LOST);
            executor.metrics.flight_taken_over();
        }
        let log_reader = publisher.log_reader();
        *role = FleetRole::Leading(Box::new(lease));
        let FleetRole::Leading(lease) = role else { unreachable!("it was just put there") };
        tokio::select! {
            biased;
            finish = self.run_attempts(executor, publisher) => finish.map(LeaderOutcome::Ran),
            never = replicate(lease, &log_reader, &executor.metrics) => match never {},
        }
    }

    /// Runs the flight for the listeners of this worker alone.
    async fn run_locally(
        &mut self,
        executor: &Executor,
        publisher: &mut Publisher,
        role: &mut FleetRole,
    ) -> Result<LeaderOutcome, Failure> {
        *role = FleetRole::Detached;
        let searched = self.fleet_request.is_none_or(|fleet_request| !fleet_request.may_read);
        publisher.identify(FlightIdentity {
            flight: publisher.id(),
            flight_key: None,
            source: if searched { FlightSource::Local } else { FlightSource::LocalUnchecked },
        });
        if publisher.has_shown() {
            if !publisher.may_restart() {
                return Err(Failure::from(worker_lost()));
            }
            publisher.restart_at(publisher.last() + 1, WORKER_LOST);
        }
        self.run_attempts(executor, publisher).await.map(LeaderOutcome::Ran)
    }
}

/// Tells what another flight of this worker tells.
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

async fn found(executor: &Executor, fleet: &Fleet, flight_key: FlightKey) -> Option<LeaderOutcome> {
    let found = fleet.recording(flight_key).await;
    let came_to = match &found {
        Ok(recording) => LookupResult::found(recording.is_some()),
        Err(_) => LookupResult::Failed,
    };
    executor.metrics.looked_up(Tier::Redis, came_to);
    found.ok().flatten().map(|recording| LeaderOutcome::Found(Box::new(recording)))
}

async fn follow(
    fleet: &Fleet,
    publisher: &mut Publisher,
    role: &mut FleetRole,
    following: Following,
) -> Result<Relayed, Failure> {
    publisher.identify(FlightIdentity {
        flight: following.flight(),
        flight_key: Some(following.flight_key().0),
        source: FlightSource::Relayed,
    });
    publisher.phase(Phase::Waiting);
    *role = FleetRole::Following(Box::new(following));
    let FleetRole::Following(following) = role else { unreachable!("it was just put there") };
    let relayed = relay(publisher, fleet, following).await;
    *role = FleetRole::Detached;
    relayed
}

/// Whether what was shown may be followed by what is there now. The one guard of
/// all ways to go on: nobody is told one answer from two runs.
fn goes_on(options: &AcquireOptions, following: &Following) -> bool {
    let (Some(shown), Some(found)) = (options.known, following.fencing_token()) else {
        return false;
    };
    shown.continues_in(&found)
}
