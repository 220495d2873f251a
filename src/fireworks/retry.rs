//! Whether an attempt that failed is made again, and when. Pure: no clock, no
//! sleep; the loop is the execution's.

use std::time::Duration;

use crate::error::{Error, ProviderError, ProviderErrorKind};

/// The policy of one execution. Set its fields, then ask [`next`](Self::next)
/// after each failed attempt; a clone taken before the first attempt is a fresh
/// one.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Attempts at most, the first included; waiting for a deployment to wake
    /// does not count.
    pub max_attempts: u32,
    /// The longest first wait; it doubles from attempt to attempt.
    pub base: Duration,
    /// No wait of our own is longer.
    pub cap: Duration,
    /// The time of the whole execution: no wait goes beyond it.
    pub total: Option<Duration>,
    /// How long to wait for a deployment that is waking from zero replicas.
    pub scaling_up_budget: Duration,
    /// How often to ask it, after a few quicker times.
    pub scaling_up_poll: Duration,
    waking: Waking,
    /// None: the thread's generator, so that clones do not wait alike.
    random: Option<fastrand::Rng>,
}

/// What of the execution went into waiting for a deployment.
#[derive(Debug, Clone, Copy, Default)]
struct Waking {
    attempts: u32,
    since: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            total: None,
            scaling_up_budget: Duration::from_secs(600),
            scaling_up_poll: Duration::from_secs(15),
            waking: Waking::default(),
            random: None,
        }
    }
}

impl RetryPolicy {
    /// A wait that the provider asks for and that is longer ends the execution:
    /// its caller is told the wait instead.
    const LONGEST_ASKED: Duration = Duration::from_secs(600);

    /// The quickest that a waking deployment is asked again.
    const FIRST_SCALING_UP_POLL: Duration = Duration::from_secs(3);

    /// The same policy with waits that can be foretold, for tests.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> RetryPolicy {
        self.random = Some(fastrand::Rng::with_seed(seed));
        self
    }

    /// How long to wait before the next attempt; none to give up.
    ///
    /// `attempt` is how many have been made, from 1, `elapsed` the time since
    /// the execution began, `error` how the last attempt failed. To be asked
    /// once per failed attempt.
    pub fn next(&mut self, attempt: u32, elapsed: Duration, error: &Error) -> Option<Duration> {
        let Error::Provider(error) = error else {
            return None;
        };
        let asked = error.retry_after.unwrap_or_default();
        if !error.kind.is_transient() || asked > RetryPolicy::LONGEST_ASKED {
            return None;
        }
        let wait = if error.kind == ProviderErrorKind::DeploymentScalingUp {
            self.wait_for_waking(elapsed, error)?
        } else {
            self.back_off(attempt, error)?
        };
        let in_time = self.total.is_none_or(|total| elapsed + wait < total);
        in_time.then_some(wait)
    }

    /// Exponential with full jitter, on top of what the provider asks for: all
    /// who were told the same time must not come back together.
    fn back_off(&mut self, attempt: u32, error: &ProviderError) -> Option<Duration> {
        let counted = attempt.saturating_sub(self.waking.attempts).max(1);
        if counted >= self.max_attempts {
            return None;
        }
        let longest = doubled(self.base, counted - 1).min(self.cap);
        let wait = longest.mul_f64(self.random());
        Some(error.retry_after.unwrap_or_default() + wait)
    }

    fn wait_for_waking(&mut self, elapsed: Duration, error: &ProviderError) -> Option<Duration> {
        let since = *self.waking.since.get_or_insert(elapsed);
        let poll = doubled(RetryPolicy::FIRST_SCALING_UP_POLL, self.waking.attempts);
        self.waking.attempts += 1;
        // Between half and all of it.
        let wait = poll
            .min(self.scaling_up_poll)
            .mul_f64(0.5 + self.random() / 2.0)
            .max(error.retry_after.unwrap_or_default());
        let waited = elapsed.saturating_sub(since);
        (waited + wait <= self.scaling_up_budget).then_some(wait)
    }

    fn random(&mut self) -> f64 {
        match &mut self.random {
            Some(random) => random.f64(),
            None => fastrand::f64(),
        }
    }
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX))
}
