//! Decides whether and when a failed attempt is retried. Pure: no clock, no
//! sleep; the execution owns the loop.

use std::time::Duration;

use crate::error::{Error, ProviderError, ProviderErrorKind};

/// The policy of one execution. Set its fields, then call [`next`](Self::next)
/// after each failed attempt; a clone taken before the first attempt starts
/// fresh.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Maximum attempts, the first included; attempts made while a deployment
    /// scales up do not count.
    pub max_attempts: u32,
    /// The upper bound of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// The upper bound of every wait that the policy chooses.
    pub cap: Duration,
    /// The time of the whole execution: no wait goes beyond it.
    pub total: Option<Duration>,
    /// The longest total wait for a deployment that scales up from zero.
    pub scaling_up_budget: Duration,
    /// The poll interval for such a deployment, after a few quicker polls.
    pub scaling_up_poll: Duration,
    waking: Waking,
    /// `None` uses the thread's generator, so that clones do not wait alike.
    random: Option<fastrand::Rng>,
}

/// The part of the execution spent waiting for a deployment.
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
    /// A longer wait requested by the provider ends the execution; the caller
    /// gets the wait instead.
    const LONGEST_ASKED: Duration = Duration::from_secs(600);

    /// The first poll interval of a deployment that scales up.
    const FIRST_SCALING_UP_POLL: Duration = Duration::from_secs(3);

    /// Returns the same policy with deterministic waits, for tests.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> RetryPolicy {
        self.random = Some(fastrand::Rng::with_seed(seed));
        self
    }

    /// Returns the wait before the next attempt; `None` to give up.
    ///
    /// `attempt` counts the attempts made, from 1; `elapsed` is the time since
    /// the execution began; `error` is the last failure. Call it exactly once
    /// per failed attempt.
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

    /// Backs off exponentially with full jitter, on top of the wait the
    /// provider asks for: clients given the same wait must not return together.
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
        // Between half of the interval and all of it.
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
