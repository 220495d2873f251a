//! A flight's role in the fleet, and the terms on which it joins.

use std::sync::Arc;

use crate::execution::{
    Services,
    leader::{replicate::send_ending, store::Storage},
    request::CacheMode,
};
use crate::{
    fleet::{FlightKey, Follower, Lease},
    flight::{Failure, Idempotency, Publisher},
    recording::Key,
};

/// The terms on which a flight joins the fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FleetRequest {
    /// The key others find it by; `None` for a key of its own.
    pub(crate) flight_key: Option<FlightKey>,
    /// The idempotency key of the leading execution.
    pub(crate) claim: Option<Idempotency>,
    /// The key for identical executions on this worker, once the idempotency key is
    /// claimed.
    pub(crate) shares: Option<Key>,
    /// Set if a recording may answer it.
    pub(crate) may_read: bool,
    /// Set if only a recording may answer it.
    pub(crate) only_reads: bool,
}

impl FleetRequest {
    /// Returns the terms of a flight; `None` if no other worker needs to find it.
    pub(crate) fn new(
        services: &Services,
        mode: CacheMode,
        storage: Option<Storage>,
        claim: Option<Idempotency>,
        drains: bool,
    ) -> Option<FleetRequest> {
        let flight_key = storage.map(|storage| storage.key).or(claim.map(|claim| claim.key));
        let is_findable = flight_key.is_some() || drains;
        (services.fleet.is_some() && is_findable).then_some(FleetRequest {
            flight_key: flight_key.map(FlightKey),
            claim,
            shares: storage.and(flight_key).filter(|_| claim.is_some()),
            may_read: storage.is_some() && mode.reads(),
            only_reads: storage.is_some() && mode == CacheMode::OnlyIfCached,
        })
    }
}

/// The flight's current role in the fleet.
#[derive(Debug, Default)]
pub(crate) enum FleetRole {
    /// Not shared.
    #[default]
    Detached,
    /// Led by this worker.
    Leading(Box<Lease>),
    /// Led by another worker.
    Following(Box<Follower>),
}

impl FleetRole {
    /// Returns the lease, if this worker has led to the end.
    pub(crate) fn into_lease(self) -> Option<Box<Lease>> {
        match self {
            FleetRole::Leading(lease) => Some(lease),
            FleetRole::Detached | FleetRole::Following(_) => None,
        }
    }

    /// Ends the role after a failure: stops following, or publishes the failure to
    /// the followers.
    pub(crate) async fn fail(
        self,
        services: &Arc<Services>,
        publisher: &Publisher,
        failure: &Failure,
    ) {
        match self {
            FleetRole::Detached => {}
            FleetRole::Following(follower) => follower.leave().await,
            FleetRole::Leading(lease) => {
                let events = publisher.log_reader().after(0);
                let ending = lease.fail(events, &failure.error, failure.usage.as_ref());
                send_ending(services, ending).await;
            }
        }
    }
}
