//! The worker's part in a fleet: put together as configured, and met before the
//! ports are bound. What the fleet does is in `fleet`; the server calls here once.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{
    config::{Config, FleetConfig},
    fleet::{self, Fleet},
    lifecycle::Lifecycle,
    redis::Connection,
};

/// How long a start waits for Redis. A worker that came up without it would run
/// for itself what the fleet has.
const WAITS_FOR_REDIS: Duration = Duration::from_secs(1);

/// The fleet, where there is one.
pub(super) fn fleet(config: &Config, redis: Connection, lifecycle: &Lifecycle) -> Option<Fleet> {
    let FleetConfig { lease, other_secrets, .. } = config.fleet.clone()?;
    let bounds = fleet::FleetConfig {
        lease,
        retention: config.flights.retention,
        max_flight: config.execution.max_total,
    };
    Some(Fleet::new(redis, config.cache_secret.sealer(&other_secrets), bounds, lifecycle))
}

/// Waits a moment for Redis, and says whether it was reached. One that is away
/// stops no start.
pub(super) async fn meet(fleet: &Fleet) {
    let began = Instant::now();
    if timeout(WAITS_FOR_REDIS, fleet.reachable()).await.is_ok() {
        let milliseconds = began.elapsed().as_millis() as u64;
        tracing::info!(milliseconds, "Redis is reached: what runs here is the whole fleet's");
    } else {
        tracing::warn!(
            "Redis is not reached yet: the worker starts for itself, and shares with the fleet \
             once it is"
        );
    }
}
