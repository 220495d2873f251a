//! A flight's recording: every event it published, and its end.
//!
//! Flights write recordings, the cache keeps them, subscribers read them. Plain values,
//! no I/O; [`codec`] encodes them for other workers.

pub mod codec;
mod log;
mod wire;

use std::{fmt, sync::Arc, time::SystemTime};

pub(crate) use self::log::{Gap, Joined, MergedDelta};
pub use self::log::{Log, Reading};
use crate::{
    event::{Embeddings, Finish},
    price::Tier,
    telemetry::SpanRef,
};

/// A 256-bit keyed hash that identifies an execution, and so its recording.
pub type Key = [u8; 32];

/// Reason for a restart: the worker that led the flight is gone, and another took over.
pub const WORKER_LOST: &str = "WORKER_LOST";

/// Identifies a flight, on every worker: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightId([u8; 16]);

impl FlightId {
    /// Returns a random id.
    pub fn random() -> FlightId {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        FlightId(bytes)
    }

    /// Returns the id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> FlightId {
        FlightId(bytes)
    }

    /// Returns the id's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for FlightId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for FlightId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FlightId({self})")
    }
}

/// The facts about a request that pricing, metrics and logs need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The requested model.
    pub model: String,
    /// The service tier, which sets the price.
    pub tier: Tier,
    /// True if the answer must be JSON.
    pub json: bool,
}

/// A completed flight as the cache keeps it: every event, and its end. Immutable.
#[derive(Debug)]
pub struct Recording {
    /// The id of the recorded flight.
    pub flight: FlightId,
    /// The request that it executed.
    pub subject: Arc<Subject>,
    /// Its events.
    pub log: Log,
    /// Its end.
    pub finish: Finish,
    /// The upstream requests it took.
    pub attempts: u32,
    /// The time of its end.
    pub recorded_at: SystemTime,
    /// The flight's span, if one was recorded: spans of executions answered from this
    /// recording link to it.
    pub span: Option<SpanRef>,
}

impl Recording {
    /// Returns its approximate memory use in bytes.
    pub fn bytes(&self) -> usize {
        let vectors = self.finish.embeddings.as_ref().map_or(0, Embeddings::bytes);
        size_of::<Recording>() + self.log.bytes() + vectors
    }
}
