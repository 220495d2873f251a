//! Builds the worker's fleet from the configuration, and waits for its Redis before
//! the ports are bound. The protocol itself is in `crate::fleet`.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{
    config::{Config, FleetSettings},
    fleet::{self, Fleet},
    lifecycle::Lifecycle,
    redis::Connection,
};

/// Longest time startup waits for Redis. A worker that started without it would
/// repeat work that the fleet has already done.
const WAITS_FOR_REDIS: Duration = Duration::from_secs(1);

/// Returns the fleet, if one is configured.
pub(super) fn fleet(config: &Config, redis: Connection, lifecycle: &Lifecycle) -> Option<Fleet> {
    let FleetSettings { lease, other_secrets, .. } = config.fleet.clone()?;
    let bounds = fleet::FleetConfig {
        lease,
        retention: config.flights.retention,
        max_flight: config.execution.max_total,
    };
    Some(Fleet::new(redis, config.cache_secret.sealer(&other_secrets), bounds, lifecycle))
}

/// Waits briefly for Redis, and logs the result. An unreachable Redis does not
/// prevent startup.
pub(super) async fn meet(fleet: &Fleet) {
    let began = Instant::now();
    if timeout(WAITS_FOR_REDIS, fleet.reachable()).await.is_ok() {
        let elapsed_ms = began.elapsed().as_millis() as u64;
        tracing::info!(elapsed_ms, "connected to Redis; flights are shared with the fleet");
    } else {
        tracing::warn!(
            "Redis is not reached yet: the worker starts for itself, and shares with the fleet \
             once it is"
        );
    }
}
