//! Which calls get a slot when there are more calls than slots: in turn, in time, or
//! not at all, with a named error.

mod in_line;
mod memory;
mod tenants;

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Rule};
use sparkler::config::Config;

use crate::support::{Call, PATIENCE, World, ask};

/// A prompt whose answer stands still on the way.
const STALLS: &str = "Stand still";

/// A worker with one place.
async fn narrow(configure: impl FnOnce(&mut Config)) -> World {
    let rules = vec![Rule::always(Fault::stall(30)).prompt(STALLS)];
    World::with(Options { rules, ..Options::instant() }, |config| {
        config.admission.executions = 1;
        config.admission.executions_per_tenant = 1;
        config.execution.trust_tenant = true;
        configure(config);
    })
    .await
}

/// Takes the one place, until the call is dropped.
async fn hold(world: &World) -> Call {
    let mut holding = world.caller().await.execute(ask(STALLS)).await.expect("a place");
    holding.first_text().await;
    holding
}

/// Waits until something is so.
async fn until(so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to that");
}
