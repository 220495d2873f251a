//! Retry delays for refused calls: staggered at the rate at which slots become free.
//! Callers that all got the same delay would return as the same crowd, and refusing them
//! again is work that slows the admitted calls.
//!
//! Each tenant's callers are staggered separately, so that a modest tenant waits no
//! longer than the first caller of a greedy one. Pure arithmetic, without clock or lock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

/// The retries that refused callers were asked for.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// Moving average of the time for which a slot is held.
    stay: Duration,
    /// Each tenant's next retry, if later than the minimum delay.
    next: HashMap<Arc<str>, Instant>,
}

impl Pacing {
    /// Minimum delay.
    pub(super) const SHORTEST: Duration = Duration::from_secs(1);
    /// Maximum delay before jitter of up to a third: slots may become free sooner than
    /// expected.
    const LONGEST: Duration = Duration::from_secs(30);
    /// Inverse weight of one sample in the moving average.
    const WEIGHT: u32 = 16;
    /// Maximum number of tenants to stagger. Beyond it, tenants whose time has passed are
    /// forgotten; if that makes no room, a new tenant's calls are not staggered.
    const MOST_TENANTS: usize = 1024;

    /// Records the time for which a slot was held.
    pub(super) fn stayed(&mut self, stay: Duration) {
        self.stay = match self.stay {
            Duration::ZERO => stay,
            known => known - known / Self::WEIGHT + stay / Self::WEIGHT,
        };
    }

    /// Returns the delay for the tenant's next caller, if it may hold `places` slots.
    pub(super) fn wait(&mut self, tenant: &Arc<str>, places: usize, now: Instant) -> Duration {
        let soonest = now + Self::SHORTEST;
        let latest = now + Self::LONGEST;
        if self.next.len() >= Self::MOST_TENANTS {
            self.next.retain(|_, next| *next > soonest);
        }
        let next = self.next.get(tenant).copied().unwrap_or(soonest).max(soonest);
        if next >= latest {
            return Self::LONGEST.mul_f64(1.0 + fastrand::f64() / 3.0);
        }
        let apart = self.stay / u32::try_from(places).unwrap_or(u32::MAX).max(1);
        if self.next.len() < Self::MOST_TENANTS || self.next.contains_key(tenant) {
            self.next.insert(tenant.clone(), next + apart);
        }
        next - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn retries_are_spaced_as_slots_become_free() {
        let mut pacing = Pacing::default();
        pacing.stayed(SECOND);
        let (greedy, modest, now) = (Arc::from("greedy"), Arc::from("modest"), Instant::now());
        let mut wait = |tenant| pacing.wait(tenant, 10, now).as_millis();
        assert_eq!([wait(&greedy), wait(&greedy), wait(&greedy)], [1000, 1100, 1200]);
        assert_eq!(wait(&modest), 1000, "not behind the greedy one");
        assert_eq!(pacing.wait(&greedy, 10, now + SECOND * 5), SECOND, "that is past");
    }

    #[test]
    fn no_delay_exceeds_the_maximum() {
        let mut pacing = Pacing::default();
        pacing.stayed(SECOND * 100);
        let (tenant, now) = (Arc::from(""), Instant::now());
        for _ in 0..100 {
            assert!(pacing.wait(&tenant, 1, now) <= SECOND * 40);
        }
    }

    #[test]
    fn the_average_follows_the_samples() {
        let mut pacing = Pacing::default();
        assert_eq!(pacing.wait(&Arc::from(""), 1, Instant::now()), Pacing::SHORTEST);
        for _ in 0..100 {
            pacing.stayed(SECOND * 2);
        }
        assert!(pacing.stay.abs_diff(SECOND * 2) < SECOND / 10, "{:?}", pacing.stay);
        for _ in 0..100 {
            pacing.stayed(SECOND / 2);
        }
        assert!(pacing.stay < SECOND, "{:?}", pacing.stay);
    }

    #[test]
    fn many_tenants_do_not_fill_the_memory() {
        let mut pacing = Pacing::default();
        pacing.stayed(SECOND);
        let now = Instant::now();
        for number in 0..10 * Pacing::MOST_TENANTS {
            pacing.wait(&number.to_string().into(), 1, now);
        }
        assert!(pacing.next.len() <= Pacing::MOST_TENANTS);
    }
}
