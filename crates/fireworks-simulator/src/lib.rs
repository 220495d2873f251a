//! A faithful local Fireworks: the inference API's routes, checks, streams and
//! errors, with a switchable fault for every failure that a client has to
//! survive.
//!
//! It shares no code with the client it tests. It does not run a model: texts
//! are words drawn from a hash of the request, so that the same request gets
//! the same answer. Used by `sparkler simulate`, `sparkler demo` and the tests.
//!
//! The path of a call: `connection` → `routes` → `gate` (key, billing, scripted
//! refusals, model, `validation`) → `generation` (the request) → `answer` (the
//! contents) → `reply` or `chunk` (as JSON) → `timeline` (timing and faults) →
//! `playback` (bytes, and clients that leave early).

mod answer;
mod endpoint;
mod fields;
mod framing;
mod gate;
mod handle;
mod http;
mod keys;
mod ledger;
mod model;
mod options;
mod playback;
mod refusal;
mod report;
mod script;
mod world;

use std::{fmt, io, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

pub use crate::{
    endpoint::Endpoint,
    handle::{Handle, NotReached},
    keys::{FORBIDDEN_KEY, Keys, SUSPENDED_KEY, UNKNOWN_KEY, UNPAID_KEY},
    model::{Availability, Model, Reasoning, Retirement, price::Price},
    options::{Options, Pace},
    refusal::{
        Refusal,
        body_form::BodyForm,
        foreign::{ErrorShape, ForeignError},
    },
    report::{Abort, Replica, Report, Seen, Times},
    script::{
        dialect::Dialect,
        fault::{Fault, ScriptedToolCall},
        preset::Preset,
        rule::Rule,
    },
};
use crate::{
    http::{connection, routes},
    world::World,
};

/// A simulator bound to its address; [`Simulator::run`] serves.
pub struct Simulator {
    listener: TcpListener,
    local_addr: SocketAddr,
    world: Arc<World>,
}

impl Simulator {
    /// Binds to the address; port 0 picks any free one.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(addr: SocketAddr, options: Options) -> io::Result<Simulator> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        Ok(Simulator { listener, local_addr, world: Arc::new(World::new(options)) })
    }

    /// Returns the bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the base URL for a client: `http://ADDR/inference/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/inference/v1", self.local_addr)
    }

    /// Returns a handle to control it from the same process.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.world))
    }

    /// Serves until `shutdown` resolves, then drops all calls under way: a
    /// stalled call must not keep the process alive.
    ///
    /// Dropping this future has the same effect at once.
    ///
    /// # Errors
    /// The listener fails permanently.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let routes = routes::router(Arc::clone(&self.world));
        connection::serve(self.listener, routes, self.world, shutdown).await
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Simulator")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
