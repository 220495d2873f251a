//! A faithful local Fireworks: the inference API's routes, checks, streams and
//! errors, with every fault that a client has to survive switchable.
//!
//! It shares no code with the client it is used to test. It does not run a
//! model: texts are words drawn from a hash of the request, so that the same
//! request gets the same answer. Used by `sparkler simulate`, `sparkler demo`
//! and the tests.
//!
//! The way of a call: `connection` → `routes` → `gate` (key, billing,
//! scripted refusals, model, `validation`) → `generation` (what is asked) →
//! `answer` (what is said) → `reply` or `chunk` (as JSON) → `timeline`
//! (when, and with which faults) → `playback` (bytes, and who left early).

mod answer;
mod endpoint;
mod gate;
mod handle;
mod http;
mod ledger;
mod options;
mod playback;
mod report;
mod script;
mod world;

use std::{fmt, io, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

pub use crate::{
    answer::model::{Availability, Model, Reasoning},
    endpoint::Endpoint,
    gate::{
        body_form::BodyForm,
        keys::{FORBIDDEN_KEY, Keys, SUSPENDED_KEY, UNKNOWN_KEY, UNPAID_KEY},
        refusal::Refusal,
    },
    handle::{Handle, NotReached},
    options::{Options, Pace},
    report::{Abort, Report, Seen},
    script::{
        fault::{Fault, ScriptedToolCall},
        preset::Preset,
        rule::Rule,
    },
};
use crate::{
    http::{connection, routes},
    world::World,
};

/// A simulator that listens; [`Simulator::run`] serves.
pub struct Simulator {
    listener: TcpListener,
    local_addr: SocketAddr,
    world: Arc<World>,
}

impl Simulator {
    /// Takes the address; port 0 for any free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(addr: SocketAddr, options: Options) -> io::Result<Simulator> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        Ok(Simulator { listener, local_addr, world: Arc::new(World::new(options)) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What a client takes as the base URL: `http://ADDR/inference/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/inference/v1", self.local_addr)
    }

    /// The strings to pull, from the same process.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.world))
    }

    /// Serves until `shutdown` resolves, then drops what is under way: a call
    /// that stalls for ever must not keep the process.
    ///
    /// Dropping this future has the same effect at once.
    ///
    /// # Errors
    /// The listener fails for good.
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
