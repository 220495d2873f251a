//! The worker's life: what it says of itself, how it stops, when it is full,
//! and that it outlives a node that does not.

mod core_dumps;
mod health;
mod panicking;
mod saturation;
mod stopping;

use std::{net::SocketAddr, time::Duration};

use fireworks_simulator::{Fault, Options, Rule};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// The names that health knows.
const NAMES: [&str; 2] = ["", "sparkler.worker.v1.WorkerService"];

/// A prompt whose answer stands still on the way.
const STALLS: &str = "Stand still";

fn some_stall() -> Options {
    let rules = vec![Rule::always(Fault::stall(30)).prompt(STALLS)];
    Options { rules, ..Options::instant() }
}

async fn channel(worker: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{worker}")).expect("a URL");
    endpoint.connect().await.expect("the worker listens")
}

fn question(name: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: name.to_owned() }
}

async fn health(worker: SocketAddr, name: &str) -> ServingStatus {
    let mut client = HealthClient::new(channel(worker).await);
    client.check(question(name)).await.expect("a known name").into_inner().status()
}

fn drains_within(limit: Duration) -> impl FnOnce(&mut sparkler::config::Config) {
    move |config| config.drain.drain_limit = limit
}
