//! Rate-limits repeated log lines: lets a few of a kind through per window and
//! counts the rest.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A separate limit for each kind. There are few kinds.
pub(crate) struct Limiter {
    most: u32,
    window: Duration,
    kinds: Mutex<Vec<(&'static str, Window)>>,
}

struct Window {
    began: Instant,
    passed: u32,
    suppressed: u64,
}

impl Limiter {
    /// Creates a limiter that lets `most` of each kind through per `window`.
    pub(crate) const fn new(most: u32, window: Duration) -> Limiter {
        Limiter { most, window, kinds: Mutex::new(Vec::new()) }
    }

    /// Asks to let one more of a kind through. Returns the number suppressed since
    /// the last one, or `None` to suppress this one too.
    pub(crate) fn pass(&self, kind: &'static str) -> Option<u64> {
        self.pass_at(kind, Instant::now())
    }

    fn pass_at(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds.iter().position(|(known, _)| *known == kind);
        let at = known.unwrap_or_else(|| {
            kinds.push((kind, Window { began: now, passed: 0, suppressed: 0 }));
            kinds.len() - 1
        });
        kinds[at].1.pass(self.most, self.window, now)
    }
}

impl Window {
    fn pass(&mut self, most: u32, length: Duration, now: Instant) -> Option<u64> {
        if now.duration_since(self.began) >= length {
            (self.began, self.passed) = (now, 0);
        }
        if self.passed >= most {
            self.suppressed += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Limiter").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pass_per_window_and_the_next_counts_the_others() {
        let limiter = Limiter::new(2, Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.pass_at("a", at(0)), Some(0));
        assert_eq!(limiter.pass_at("a", at(1)), Some(0));
        assert_eq!(limiter.pass_at("a", at(2)), None);
        assert_eq!(limiter.pass_at("a", at(9)), None);
        assert_eq!(limiter.pass_at("b", at(9)), Some(0), "each kind on its own");
        assert_eq!(limiter.pass_at("a", at(10)), Some(2));
        assert_eq!(limiter.pass_at("a", at(11)), Some(0));
    }
}
