//! Where a flight lies in the shared memory: its berth, and the keys there.

use std::fmt;

use super::protocol::FencingToken;
use crate::recording::{FlightId, Key};

/// What a flight is found by in the fleet: the key of the answer it brings; where
/// nothing is cached its idempotency key; else its own name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightKey(pub Key);

/// The names under which a berth's things are kept. All carry one hash tag, so
/// that a Cluster has them on one server and a script can use them together.
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
    /// The berth of a flight that nobody finds but by its name.
    pub fn unshared(flight: FlightId) -> FlightKey {
        FlightKey(blake3::derive_key("sparkler 2026-11 unshared flight key", flight.as_bytes()))
    }
}

impl RedisKeys {
    /// A worker's mailbox is this and the name of its run.
    pub const NOTIFICATIONS: &str = "sparkler:1:notify:";

    /// The place of a berth.
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

    /// What a sealed value is bound to, so that none can stand in for another.
    pub(super) fn seal_of(&self, what: &str) -> Vec<u8> {
        [self.flight_key.0.as_slice(), what.as_bytes()].concat()
    }

    /// The same for events, which are of one run of one flight and of no other that
    /// lies here.
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
        write!(formatter, "Berth({self})")
    }
}
