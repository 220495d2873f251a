//! When those who were refused had better come back: one after the other, as
//! places come free, and not all at once. A crowd that is told the same wait
//! returns as the same crowd, and refusing it again is work that those with a
//! place pay for.
//!
//! Each tenant's callers are spaced by themselves, so that a modest one's wait no
//! longer than the first of a greedy one's. The arithmetic, without clock or lock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

/// The returns that were asked for.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// How long a place is kept, as of late.
    stay: Duration,
    /// When the next of a tenant's may come, while that is not soon anyway.
    next: HashMap<Arc<str>, Instant>,
}

impl Pacing {
    /// Nobody is told less.
    pub(super) const SHORTEST: Duration = Duration::from_secs(1);
    /// Nor more, but for a third: places may come free sooner than it seems.
    const LONGEST: Duration = Duration::from_secs(30);
    /// A stay counts for so much of what is known of stays.
    const WEIGHT: u32 = 16;
    /// Tenants that are spaced out; when there are more, those are forgotten
    /// whose time has come, and where that makes no room the new one is not
    /// spaced.
    const MOST_TENANTS: usize = 1024;

    /// A place was kept so long.
    pub(super) fn stayed(&mut self, stay: Duration) {
        self.stay = match self.stay {
            Duration::ZERO => stay,
            known => known - known / Self::WEIGHT + stay / Self::WEIGHT,
        };
    }

    /// The wait for a tenant's next caller, where it may have so many places.
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
    fn returns_are_as_far_apart_as_places_come_free() {
        let mut pacing = Pacing::default();
        pacing.stayed(SECOND);
        let (greedy, modest, now) = (Arc::from("greedy"), Arc::from("modest"), Instant::now());
        let mut wait = |tenant| pacing.wait(tenant, 10, now).as_millis();
        assert_eq!([wait(&greedy), wait(&greedy), wait(&greedy)], [1000, 1100, 1200]);
        assert_eq!(wait(&modest), 1000, "not behind the greedy one");
        assert_eq!(pacing.wait(&greedy, 10, now + SECOND * 5), SECOND, "that is past");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut pacing = Pacing::default();
        pacing.stayed(SECOND * 100);
        let (tenant, now) = (Arc::from(""), Instant::now());
        for _ in 0..100 {
            assert!(pacing.wait(&tenant, 1, now) <= SECOND * 40);
        }
    }

    #[test]
    fn what_is_known_of_stays_follows_them() {
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
    fn tenants_without_number_do_not_fill_the_memory() {
        let mut pacing = Pacing::default();
        pacing.stayed(SECOND);
        let now = Instant::now();
        for number in 0..10 * Pacing::MOST_TENANTS {
            pacing.wait(&number.to_string().into(), 1, now);
        }
        assert!(pacing.next.len() <= Pacing::MOST_TENANTS);
    }
}
