//! Where a flight lies in the shared memory: its berth, and the keys there.

use std::fmt;

use super::step::Fence;
use crate::recording::{FlightId, Key};

/// What a flight is found by in the fleet: the key of the answer it brings; where
/// nothing is cached its idempotency key; else its own name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Berth(pub Key);

/// The names under which a berth's things are kept. All carry one hash tag, so
/// that a Cluster has them on one server and a script can use them together.
#[derive(Debug, Clone)]
pub struct Place {
    pub(super) berth: Berth,
    pub(super) flight: Vec<u8>,
    pub(super) events: Vec<u8>,
    pub(super) followers: Vec<u8>,
    pub(super) recording: Vec<u8>,
    pub(super) claim: Vec<u8>,
}

impl Berth {
    /// The berth of a flight that nobody finds but by its name.
    pub fn private(flight: FlightId) -> Berth {
        Berth(blake3::derive_key("sparkler 2026-11 private berth", flight.as_bytes()))
    }
}

impl Place {
    /// A worker's mailbox is this and the name of its run.
    pub const MAILBOXES: &str = "sparkler:1:mailbox:";

    /// The place of a berth.
    pub fn of(berth: Berth) -> Place {
        let name = |what: &str| format!("sparkler:1:{{{berth}}}:{what}").into_bytes();
        Place {
            flight: name("flight"),
            events: name("events"),
            followers: name("followers"),
            recording: name("recording"),
            claim: name("claim"),
            berth,
        }
    }

    /// What a sealed value is bound to, so that none can stand in for another.
    pub(super) fn seal_of(&self, what: &str) -> Vec<u8> {
        [self.berth.0.as_slice(), what.as_bytes()].concat()
    }

    /// The same for events, which are of one run of one flight and of no other that
    /// lies here.
    pub(super) fn seal_of_events(&self, fence: &Fence) -> Vec<u8> {
        let Fence { flight, run, .. } = fence;
        [self.berth.0.as_slice(), b"events", flight.as_bytes(), &run.as_bytes()].concat()
    }
}

impl fmt::Display for Berth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Berth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Berth({self})")
    }
}
