//! The deadlines of an execution, and the messages for when they expire.

use std::time::Duration;

use crate::event::Phase;

/// The four deadlines of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// Establishing a connection.
    Connect,
    /// From the call to the first output.
    FirstToken,
    /// Between two pieces of output.
    Idle,
    /// The whole call.
    Total,
}

impl Deadline {
    /// Every deadline.
    pub const ALL: [Deadline; 4] =
        [Deadline::Connect, Deadline::FirstToken, Deadline::Idle, Deadline::Total];

    /// Returns the deadline with this reason.
    pub fn named(reason: &str) -> Option<Deadline> {
        Deadline::ALL.into_iter().find(|deadline| deadline.reason() == reason)
    }

    /// Returns the reason of its error, in one word: see
    /// [`Error::reason`](super::Error::reason).
    pub fn reason(self) -> &'static str {
        match self {
            Deadline::Connect => "CONNECT_TIMEOUT",
            Deadline::FirstToken => "FIRST_TOKEN_TIMEOUT",
            Deadline::Idle => "IDLE_TIMEOUT",
            Deadline::Total => "TOTAL_TIMEOUT",
        }
    }

    pub(super) fn public_message(self, limit: Duration, phase: Phase) -> String {
        let limit = humantime::format_duration(limit);
        let phase = phase.as_str();
        match self {
            Deadline::Connect => format!(
                "no connection with Fireworks within {limit}; check the network, or raise \
                 limits.connect"
            ),
            Deadline::FirstToken => format!(
                "no output within {limit} (while {phase}); raise limits.first_token, or use a \
                 quicker model"
            ),
            Deadline::Idle => {
                format!("no output for {limit}; execute again, or raise limits.idle")
            }
            Deadline::Total => format!(
                "not done within {limit} (while {phase}); raise limits.total or the call's \
                 deadline, or lower maxTokens"
            ),
        }
    }
}
