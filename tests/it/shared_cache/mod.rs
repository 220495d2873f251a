//! What identical executions share: one call of the provider, however many ask
//! at once, however slowly they read; and answers from the cache, with what
//! they saved.

mod hits;
mod keys;
mod modes;
mod scopes;
mod single_flight;
mod storing;
mod storm;

use sparkler::proto::{CacheOutcome, CacheStatus, Completed};

/// What the cache did.
fn outcome(completed: &Completed) -> &CacheOutcome {
    completed.cache.as_ref().expect("completed says what the cache did")
}

/// What the look-up came to.
fn status(completed: &Completed) -> CacheStatus {
    outcome(completed).status()
}
