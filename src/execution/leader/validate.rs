//! Compiles schemas and validates answers on threads of their own, which executing
//! threads come before: a few at a time in all, and fewer per tenant.
//!
//! The work is bounded before it begins (`output` estimates its cost), so it always
//! ends and returns its slot. A tenant waits for its own share first, and so holds
//! at most that share of the queue for slots.
//!
//! `grpc` compiles schemas; the leader validates answers.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
    thread::{self, available_parallelism},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::timeout,
};

use crate::{
    error::{Error, Limit},
    output::{OutputFormat, Schema, Verdict},
};

/// Longest time a schema waits for a slot. An answer, which is already paid for,
/// waits as long as its subscribers do.
const WAIT: Duration = Duration::from_secs(5);
/// The niceness of a checker, from 0 to 19: on a processor that both want, an executing
/// thread of niceness 0 gets nine tenths.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// Number of tenants above which idle ones are forgotten.
const TENANTS: usize = 1024;

/// The slots of the process: processors are shared by all of it.
static CHECKERS: LazyLock<Checkers> = LazyLock::new(Checkers::new);

struct Checkers {
    slots: Semaphore,
    share: usize,
    shares: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
}

impl Checkers {
    /// Takes half of the processors; the rest serve streams.
    fn new() -> Checkers {
        let slots = (available_parallelism().map_or(1, usize::from) / 2).clamp(1, 8);
        let share = slots.div_ceil(2);
        Checkers { slots: Semaphore::new(slots), share, shares: Mutex::default() }
    }

    fn share(&self, tenant: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= TENANTS {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(tenant.into(), Arc::downgrade(&share));
        share
    }

    async fn slot(&'static self, tenant: &str) -> ValidationSlot {
        // Neither semaphore is ever closed.
        let share = self.share(tenant).acquire_owned().await.ok();
        let slot = self.slots.acquire().await.ok();
        ValidationSlot { _slot: slot, _share: share }
    }
}

/// Held by the work itself, which continues after its caller has left.
struct ValidationSlot {
    _slot: Option<SemaphorePermit<'static>>,
    _share: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl ValidationSlot {
    /// Runs something on a thread that executing threads come before. The result fails if
    /// it panics, or if there is no thread for it. Dropped, the work runs on.
    fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, result) = oneshot::channel();
        let work = move || {
            let _slot = self;
            yield_to_streams();
            let _ = sender.send(work());
        };
        let thread = thread::Builder::new().name("checker".to_owned());
        #[expect(clippy::disallowed_methods, reason = "a few at a time per tenant, and each ends")]
        let _ = thread.spawn(work);
        result
    }
}

/// Lowers the priority of this thread. Elsewhere than on Linux, that is the process's.
fn yield_to_streams() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
}

/// Compiles the schema of a call. The inner error describes an invalid schema.
///
/// # Errors
///
/// Fails if no slot was free in time, which is not the schema's fault.
pub(crate) async fn compile(tenant: &str, text: String) -> Result<Result<Schema, String>, Error> {
    let Ok(slot) = timeout(WAIT, CHECKERS.slot(tenant)).await else {
        let retry_after = WAIT.mul_f64(0.5 + fastrand::f64());
        return Err(Error::Saturated { limit: Limit::Checkers, retry_after });
    };
    let compiling = slot.run(move || Schema::parse(&text));
    compiling.await.map_err(|_| Error::Internal("the reading of a schema came to no end"))
}

/// Validates an answer against the output format. If dropped, the check runs on and
/// soon ends.
pub(crate) async fn inspect(
    output: &OutputFormat,
    text: String,
    tenant: &str,
) -> Result<Verdict, Error> {
    let slot = CHECKERS.slot(tenant).await;
    let output = output.clone();
    let checking = slot.run(move || output.check(&text));
    checking.await.unwrap_or(Err(Error::Internal("the check of an answer came to no end")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenant_waits_for_its_own_share_only() {
        let slots = Semaphore::new(2);
        let checkers = Checkers { slots, share: 1, shares: Mutex::default() };
        let checkers: &'static Checkers = Box::leak(Box::new(checkers));
        let greedy = checkers.slot("greedy").await;
        let short = Duration::from_millis(20);
        assert!(timeout(short, checkers.slot("greedy")).await.is_err());
        let modest = timeout(short, checkers.slot("modest")).await.expect("a slot");
        drop((greedy, modest));
        timeout(short, checkers.slot("greedy")).await.expect("a slot again");
    }
}
