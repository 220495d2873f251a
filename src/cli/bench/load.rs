//! The load of a scenario: how many requests are in flight, or how often one is sent.

use std::{fmt, time::Duration};

/// The most requests in flight in an open loop; later ones wait, and their time counts
/// from when they were due.
const MAX_IN_FLIGHT: usize = 4096;

/// A load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Load {
    /// A closed loop: this many requests are in flight, and each end starts the next.
    Concurrency(u32),
    /// An open loop: this many requests a second, sent on time.
    Rate(f64),
}

impl Load {
    /// Returns when a request is due, after the start of its batch; `None` if it only
    /// waits for an earlier one to end.
    pub(super) fn due(self, index: u32) -> Option<Duration> {
        match self {
            Load::Concurrency(_) => None,
            Load::Rate(rate) => Some(Duration::from_secs_f64(f64::from(index) / rate)),
        }
    }

    pub(super) fn max_in_flight(self) -> usize {
        match self {
            Load::Concurrency(count) => count as usize,
            Load::Rate(_) => MAX_IN_FLIGHT,
        }
    }

    /// Returns its number, for a plot.
    pub(super) fn number(self) -> f64 {
        match self {
            Load::Concurrency(count) => f64::from(count),
            Load::Rate(rate) => rate,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Load::Concurrency(count) => write!(formatter, "×{count}"),
            Load::Rate(rate) => write!(formatter, "{rate}/s"),
        }
    }
}

/// Parses a rate in requests a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| (0.001..=100_000.0).contains(rate))
        .ok_or_else(|| "is not a rate from 0.001 to 100000 requests a second".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_sends_on_time_and_a_closed_one_in_turn() {
        assert_eq!(Load::Rate(4.0).due(6), Some(Duration::from_millis(1500)));
        assert_eq!(Load::Concurrency(4).due(6), None);
    }

    #[test]
    fn a_rate_is_a_positive_number() {
        assert_eq!(rate("2.5"), Ok(2.5));
        for text in ["0", "-1", "NaN", "inf", "1e9", ""] {
            assert!(rate(text).is_err(), "{text:?}");
        }
    }
}
