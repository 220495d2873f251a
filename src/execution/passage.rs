//! A flight's way through the fleet: where it lies, who leads it, and what
//! becomes of it when its leader is lost.
//!
//! Only the flight's own task asks the fleet, never a caller: so a worker asks
//! once for all who share the flight, and what can be late is the flight alone,
//! by the time limit of Redis.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Executor,
    leader::{Flown, Mission},
    relay::{Relayed, relay},
    shipping::ship,
};
use crate::{
    error::Error,
    event::{Emit, Phase},
    fleet::{
        Berth, Boarding, Claim, Fleet, Following, Lease,
        step::{RunId, Wish},
    },
    flight::{
        Boarded, Course, Failure, Idempotency, Landing, Original, Publisher, Sound, worker_lost,
    },
    metrics::{Lookup, Role, Tier},
    recording::{FlightId, Key, WORKER_LOST},
};

/// What a flight wants of the fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    /// Where it lies; at a place of its own where it is `None`.
    pub(super) berth: Option<Berth>,
    /// The idempotency key of the execution that leads here.
    pub(super) claim: Option<Idempotency>,
    /// What identical executions here find it by, once the key is its own.
    pub(super) shares: Option<Key>,
    /// Whether a recording answers it.
    pub(super) may_read: bool,
    /// Whether only a recording does.
    pub(super) only_reads: bool,
}

/// What a flight has to do with the fleet at the moment.
#[derive(Debug, Default)]
pub(super) enum Aboard {
    /// Nothing.
    #[default]
    Alone,
    /// This worker leads it.
    Leading(Box<Lease>),
    /// Another does.
    Following(Box<Following>),
}

impl Aboard {
    /// The lease, if this worker has led to the end.
    pub(super) fn into_lease(self) -> Option<Box<Lease>> {
        match self {
            Aboard::Leading(lease) => Some(lease),
            Aboard::Alone | Aboard::Following(_) => None,
        }
    }

    /// Gets off before the flight has landed.
    pub(super) async fn fail(
        self,
        executor: &Arc<Executor>,
        publisher: &Publisher,
        failure: &Failure,
    ) {
        match self {
            Aboard::Alone => {}
            Aboard::Following(following) => following.leave().await,
            Aboard::Leading(lease) => {
                let events = publisher.tap().after(0);
                let ending = lease.fail(events, &failure.error, failure.usage.as_ref());
                executor.send_ending(ending).await;
            }
        }
    }
}

/// How often a flight may come to a berth: each time a worker was lost.
const MOST_BOARDINGS: usize = 16;

impl Mission {
    /// Flies, here or elsewhere, until the flight has an answer.
    pub(super) async fn travel(
        &mut self,
        executor: &Executor,
        publisher: &mut Publisher,
        aboard: &mut Aboard,
    ) -> Result<Flown, Failure> {
        let (Some(passage), Some(fleet)) = (self.passage, &executor.fleet) else {
            return self.run(executor, publisher).await.map(Flown::Ran);
        };
        let own = passage.berth.unwrap_or_else(|| Berth::private(publisher.id()));
        if passage.only_reads {
            return found(executor, fleet, own).await.ok_or(Failure::from(Error::NotCached));
        }
        let owner = publisher.id();
        self.owner = Some(owner);
        let (berth, is_known) = match claim(fleet, &passage, own, owner).await {
            Claim::Mismatch => return Err(Failure::from(Error::IdempotencyMismatch)),
            Claim::Known(berth) => (berth, true),
            Claim::New | Claim::Unknown => (own, false),
        };
        let shares = passage.shares.filter(|_| berth == own);
        if let Some(original) = shares.and_then(|key| publisher.share(key)) {
            executor.metrics.joined(Role::Follower);
            return echo(publisher, &original).await;
        }
        let wish = Wish {
            // Whatever answers the key's execution answers its retry.
            may_read: passage.may_read || is_known,
            joins_landed: is_known,
            may_lead: true,
            fresh: owner,
            run: RunId::random(),
            known: None,
            skip: fastrand::u64(1..=1000),
        };
        self.board(executor, fleet, publisher, aboard, (berth, wish)).await
    }

    /// Comes to the berth, again where its leader is lost, until the flight has an
    /// answer.
    async fn board(
        &mut self,
        executor: &Executor,
        fleet: &Fleet,
        publisher: &mut Publisher,
        aboard: &mut Aboard,
        (berth, mut wish): (Berth, Wish),
    ) -> Result<Flown, Failure> {
        let mut failing_since = None;
        for _ in 0..MOST_BOARDINGS {
            // What was shown is of one run: no recording goes on from there.
            wish.may_read &= !publisher.has_shown();
            wish.may_lead = publisher.may_restart();
            let boarding = fleet.board(berth, wish, &publisher.subject()).await;
            self.count(executor, &wish, &boarding);
            match boarding {
                Boarding::Recorded(recording) => return Ok(Flown::Found(recording)),
                Boarding::Lead(lease) => {
                    // Whoever stands in for a lost leader owns the key from now on.
                    if let Some(Idempotency { key, request }) = self.claimed(&wish) {
                        fleet.take_claim_over(key, request, berth, wish.fresh).await;
                    }
                    return self.lead(executor, publisher, aboard, lease).await;
                }
                Boarding::Follow(following) => {
                    if publisher.has_shown() && !goes_on(&wish, &following) {
                        return Err(Failure::from(worker_lost()));
                    }
                    executor.metrics.joined(Role::FleetFollower);
                    match follow(fleet, publisher, aboard, following).await? {
                        Relayed::Landed(end) => return Ok(Flown::Relayed(end)),
                        // A recording of it may be there by now.
                        Relayed::Lost(fence) => wish.known = fence,
                        Relayed::Unheard => break,
                    }
                }
                // Whom it has followed may live, and has been paid.
                Boarding::Alone if wish.known.is_some() => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if !fleet.reachable_again(since).await {
                        break;
                    }
                }
                Boarding::Nothing | Boarding::Alone => break,
            }
        }
        self.go_alone(executor, publisher, aboard).await
    }

    /// The idempotency key that somebody else has claimed.
    fn claimed(&self, wish: &Wish) -> Option<Idempotency> {
        let claim = self.passage.and_then(|passage| passage.claim);
        claim.filter(|_| wish.joins_landed || wish.known.is_some())
    }

    fn count(&self, executor: &Executor, wish: &Wish, boarding: &Boarding) {
        let came_to = match boarding {
            Boarding::Recorded(_) => Lookup::Hit,
            Boarding::Alone => Lookup::Failed,
            _ => Lookup::Miss,
        };
        // A flight that comes again has been counted.
        if wish.may_read && wish.known.is_none() {
            executor.metrics.looked_up(Tier::Redis, came_to);
        }
    }

    async fn lead(
        &mut self,
        executor: &Executor,
        publisher: &mut Publisher,
        aboard: &mut Aboard,
        lease: Lease,
    ) -> Result<Flown, Failure> {
        publisher.board(Boarded {
            flight: lease.flight(),
            berth: Some(lease.berth().0),
            course: Course::Led,
        });
        // What was shown is of another run, whatever the flight's name.
        let restarts_at = lease.takes_over_at().or(publisher.has_shown().then_some(1));
        if let Some(number) = restarts_at {
            publisher.restart_at(number, WORKER_LOST);
            executor.metrics.flight_taken_over();
        }
        let tap = publisher.tap();
        *aboard = Aboard::Leading(Box::new(lease));
        let Aboard::Leading(lease) = aboard else { unreachable!("it was just put there") };
        tokio::select! {
            biased;
            finish = self.run(executor, publisher) => finish.map(Flown::Ran),
            never = ship(lease, &tap, &executor.metrics) => match never {},
        }
    }

    /// Runs the flight for the listeners of this worker alone.
    async fn go_alone(
        &mut self,
        executor: &Executor,
        publisher: &mut Publisher,
        aboard: &mut Aboard,
    ) -> Result<Flown, Failure> {
        *aboard = Aboard::Alone;
        let searched = self.passage.is_none_or(|passage| !passage.may_read);
        publisher.board(Boarded {
            flight: publisher.id(),
            berth: None,
            course: if searched { Course::Led } else { Course::LedUnsearched },
        });
        if publisher.has_shown() {
            if !publisher.may_restart() {
                return Err(Failure::from(worker_lost()));
            }
            publisher.restart_at(publisher.last() + 1, WORKER_LOST);
        }
        self.run(executor, publisher).await.map(Flown::Ran)
    }
}

/// Tells what another flight of this worker tells.
async fn echo(publisher: &mut Publisher, original: &Original) -> Result<Flown, Failure> {
    publisher.echo(original.boarded().await);
    publisher.phase(Phase::Waiting);
    loop {
        match original.next(publisher.last()).await {
            Sound::Events(events) => {
                publisher.phase(Phase::Streaming);
                publisher.relay(events).map_err(|_gap| worker_lost())?;
            }
            Sound::Landed(Landing::Failed(failure), _) => return Err(failure),
            Sound::Landed(Landing::Completed(stored), recording) => {
                let recording = recording.ok_or_else(worker_lost)?;
                return Ok(Flown::Echoed(stored, recording));
            }
        }
    }
}

async fn claim(fleet: &Fleet, passage: &Passage, berth: Berth, owner: FlightId) -> Claim {
    match passage.claim {
        Some(Idempotency { key, request }) => fleet.claim(key, request, berth, owner).await,
        None => Claim::New,
    }
}

async fn found(executor: &Executor, fleet: &Fleet, berth: Berth) -> Option<Flown> {
    let found = fleet.recording(berth).await;
    let came_to = match &found {
        Ok(recording) => Lookup::found(recording.is_some()),
        Err(_) => Lookup::Failed,
    };
    executor.metrics.looked_up(Tier::Redis, came_to);
    found.ok().flatten().map(|recording| Flown::Found(Box::new(recording)))
}

async fn follow(
    fleet: &Fleet,
    publisher: &mut Publisher,
    aboard: &mut Aboard,
    following: Following,
) -> Result<Relayed, Failure> {
    publisher.board(Boarded {
        flight: following.flight(),
        berth: Some(following.berth().0),
        course: Course::Relayed,
    });
    publisher.phase(Phase::Waiting);
    *aboard = Aboard::Following(Box::new(following));
    let Aboard::Following(following) = aboard else { unreachable!("it was just put there") };
    let relayed = relay(publisher, fleet, following).await;
    *aboard = Aboard::Alone;
    relayed
}

/// Whether what was shown may be followed by what is there now. The one guard of
/// all ways to go on: nobody is told one answer from two runs.
fn goes_on(wish: &Wish, following: &Following) -> bool {
    let (Some(shown), Some(found)) = (wish.known, following.fence()) else { return false };
    shown.continues_in(&found)
}
