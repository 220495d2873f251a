//! The actors of the tests: a worker and a simulated provider in this process,
//! spoken to over real gRPC on loopback, and a caller that keeps what it received.

mod ask;
pub(crate) mod authority;
mod caller;
mod failure;
pub(crate) mod frames;
mod known_caller;
mod page;
mod panicking;
mod party;
mod program;
pub(crate) mod redis_server;
pub(crate) mod scripted_worker;
mod simulation;
pub(crate) mod sink;

use std::{future::Future, net::SocketAddr, time::Duration};

use fireworks_simulator::{Handle, Options, Simulator};
use sparkler::{
    config::Config,
    internals::Admission,
    node::Registry,
    server::{self, Server},
};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

pub(crate) use self::{
    ask::{Ask, ask, embed},
    caller::{Call, Caller, Received},
    failure::Failure,
    known_caller::KnownCaller,
    page::{page, response},
    panicking::{Moment, Panicking, panicking},
    party::{apart, percentile, resident_kib},
    program::Program,
    simulation::Simulation,
};

/// A model of the simulator that answers plainly, and has a price.
pub(crate) const MODEL: &str = "accounts/fireworks/models/glm-5p3";
/// A key that the simulator accepts.
pub(crate) const KEY: &str = "fw_canary_key_of_the_tests";
/// Nothing in a test takes longer unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A worker and its provider.
pub(crate) struct World {
    pub(crate) simulator: Handle,
    pub(crate) worker: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Where health alone is answered, if there is such a port.
    pub(crate) health: Option<SocketAddr>,
    /// The worker's places.
    pub(crate) admission: Admission,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<anyhow::Result<()>>,
    simulating: JoinHandle<std::io::Result<()>>,
}

impl World {
    /// As an operator would have it, with a provider that does not dawdle.
    pub(crate) async fn start() -> World {
        World::with(Options::instant(), |_| {}).await
    }

    /// With a provider of its own kind, and a worker set up otherwise.
    pub(crate) async fn with(options: Options, configure: impl FnOnce(&mut Config)) -> World {
        World::with_nodes(options, configure, |nodes| nodes).await
    }

    /// The same, and the worker has other nodes.
    pub(crate) async fn with_nodes(
        options: Options,
        configure: impl FnOnce(&mut Config),
        nodes: impl FnOnce(Registry) -> Registry,
    ) -> World {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(loopback, options).await.expect("a free port");
        let base_url = simulator.base_url().parse().expect("a URL");
        let handle = simulator.handle();
        let simulating = spawn(simulator.run(std::future::pending()));

        let mut config = Config::local(base_url);
        configure(&mut config);
        let mut services = server::services(&config).expect("a worker");
        services.registry = nodes(services.registry);
        let admission = services.admission.clone();
        let server = Server::bind_with(config, services).await.expect("a worker");
        let (worker, admin) = (server.local_addr(), server.admin_addr());
        let health = server.health_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = spawn(server.run(async move {
            let _ = stopped.await;
        }));
        World {
            simulator: handle,
            worker,
            admin,
            health,
            admission,
            stop: Some(stop),
            running,
            simulating,
        }
    }

    /// Somebody who calls the worker, over a connection of its own.
    pub(crate) async fn caller(&self) -> Caller {
        Caller::connect(self.worker).await
    }

    /// Where the worker is, for callers that are not of this process.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.worker)
    }

    /// Asks the worker to stop.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until the worker has stopped.
    pub(crate) async fn stopped(&mut self) {
        timeout(PATIENCE, &mut self.running)
            .await
            .expect("the worker stops")
            .expect("the worker does not panic")
            .expect("the worker stops well");
    }

    /// How often the provider was called.
    pub(crate) fn upstream_calls(&self) -> u64 {
        self.simulator.report().calls
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.abort();
        self.simulating.abort();
    }
}

/// A task of the test itself.
#[expect(clippy::disallowed_methods, reason = "a test has no lifecycle to drain")]
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(task)
}
