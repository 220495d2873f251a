//! The token that fences a deposed leader off.

use std::fmt;

use crate::recording::FlightId;

/// Identifies one leadership of a flight. Every step of a leader carries it, and has no
/// effect once another worker leads; followers use it to tell whose events they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FencingToken {
    /// The flight's id.
    pub flight: FlightId,
    /// The epoch, from 1; rises with every takeover, by one or more.
    pub epoch: u64,
    /// This leader's run of the node.
    pub run: RunId,
}

impl FencingToken {
    /// Returns true if events of `next` may follow those of this run: the run is the
    /// same, or the epoch is later and so begins by voiding them. The epoch alone is not
    /// enough: a server that lost its memory may grant one twice.
    pub fn continues_in(&self, next: &FencingToken) -> bool {
        self.flight == next.flight && (self.run == next.run || self.epoch < next.epoch)
    }
}

/// Identifies one run of a node: 64 random bits, drawn by each leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// Returns a random id.
    pub fn random() -> RunId {
        RunId(fastrand::u64(..))
    }

    /// Returns the id with this number.
    pub fn from_number(number: u64) -> RunId {
        RunId(number)
    }

    /// Returns the id's bytes, big-endian.
    pub fn as_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}
