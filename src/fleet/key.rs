//! The key of a flight in Redis, and the Redis keys derived from it.

use std::fmt;

use super::fencing::FencingToken;
use crate::recording::{FlightId, Key};

/// Identifies a flight in the fleet: the cache key of its answer; without caching, its
/// idempotency key; otherwise a key derived from its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightKey(pub Key);

/// The Redis keys of one flight. All share one hash tag, so that a Cluster keeps them on
/// one server and a script can use them together.
#[derive(Debug, Clone)]
pub struct RedisKeys {
    pub(super) flight_key: FlightKey,
    pub(super) flight: Vec<u8>,
    pub(super) events: Vec<u8>,
    pub(super) followers: Vec<u8>,
    pub(super) recording: Vec<u8>,
    pub(super) claim: Vec<u8>,
}

impl FlightKey {
    /// Returns the key of a flight that can be found only by its id.
    pub fn unshared(flight: FlightId) -> FlightKey {
        FlightKey(blake3::derive_key("sparkler 2026-11 unshared flight key", flight.as_bytes()))
    }
}

impl RedisKeys {
    /// Prefix of a worker's notification channel; its instance name follows.
    pub const NOTIFICATIONS: &str = "sparkler:1:notify:";

    /// Returns the Redis keys of a flight.
    pub fn of(flight_key: FlightKey) -> RedisKeys {
        let name = |what: &str| format!("sparkler:1:{{{flight_key}}}:{what}").into_bytes();
        RedisKeys {
            flight: name("flight"),
            events: name("events"),
            followers: name("followers"),
            recording: name("recording"),
            claim: name("claim"),
            flight_key,
        }
    }

    /// Returns the context that a value is sealed under, so that no value can replace
    /// another.
    pub(super) fn seal_of(&self, what: &str) -> Vec<u8> {
        [self.flight_key.0.as_slice(), what.as_bytes()].concat()
    }

    /// Returns the context that events are sealed under: one run of one flight, no other
    /// that has had the same flight key.
    pub(super) fn seal_of_events(&self, fencing_token: &FencingToken) -> Vec<u8> {
        let FencingToken { flight, run, .. } = fencing_token;
        [self.flight_key.0.as_slice(), b"events", flight.as_bytes(), &run.as_bytes()].concat()
    }
}

impl fmt::Display for FlightKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for FlightKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FlightKey({self})")
    }
}
