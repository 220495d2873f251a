//! What is kept of a flight: everything it told, and how it ended.
//!
//! Flights write recordings, the cache keeps them, listeners read them. Plain
//! values, no I/O; [`codec`] makes bytes of them for other workers.

pub mod codec;
mod log;

use std::{fmt, sync::Arc, time::SystemTime};

pub use self::log::{Gap, Joined, Log, MergedDelta, Reading};
use crate::{event::Finish, price::Tier, telemetry::SpanRef};

/// A 256-bit keyed hash that names what is executed, and so its recording.
pub type Key = [u8; 32];

/// Why a flight was restarted: the worker that led it is gone, and another has
/// taken over.
pub const WORKER_LOST: &str = "WORKER_LOST";

/// Names a flight, on every worker: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightId([u8; 16]);

impl FlightId {
    /// A new one.
    pub fn random() -> FlightId {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        FlightId(bytes)
    }

    /// The id behind its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> FlightId {
        FlightId(bytes)
    }

    /// Its bytes.
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

/// What is executed, as far as money and people go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The model that is asked.
    pub model: String,
    /// Which price counts.
    pub tier: Tier,
    /// Whether the answer is to be JSON.
    pub json: bool,
}

/// What the cache keeps of a flight that completed: all that was told, and how
/// it ended. Never changes.
#[derive(Debug)]
pub struct Recording {
    /// The flight that told it.
    pub flight: FlightId,
    /// What was executed.
    pub subject: Arc<Subject>,
    /// What was told.
    pub log: Log,
    /// How it ended.
    pub finish: Finish,
    /// The calls of the provider it took.
    pub attempts: u32,
    /// When it ended.
    pub recorded_at: SystemTime,
    /// The span of the flight, where one was recorded: what those who are
    /// answered from here link to.
    pub span: Option<SpanRef>,
}

impl Recording {
    /// What it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        size_of::<Recording>() + self.log.bytes()
    }
}
