//! Backoff with jitter between connection attempts, so that the workers of a fleet do not
//! reconnect in lockstep.

use std::time::Duration;

/// Delays that grow until they are reset.
#[derive(Debug, Default)]
pub(super) struct Pause {
    failures: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    /// Returns the next delay: half to all of a value that doubles each time.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = Pause::FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        doubled.min(Pause::LONGEST).mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Starts over with the shortest delay.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_start_over() {
        let mut pause = Pause::default();
        let waits: Vec<Duration> = (0..20).map(|_| pause.next()).collect();
        assert!(waits[0] <= Pause::FIRST);
        assert!(waits[19] >= Pause::LONGEST / 2);
        assert!(waits.iter().all(|wait| *wait <= Pause::LONGEST));
        pause.reset();
        assert!(pause.next() <= Pause::FIRST);
    }
}
